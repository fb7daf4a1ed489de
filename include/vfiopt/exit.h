/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Exit Codes
 *
 * Of vfioptctl, and hence of the vfiopt@.service jobs.
 */

enum {
        VFIOPT_EXIT_DONE = 0,         /* done, or nothing to do */
        VFIOPT_EXIT_ERROR = 1,        /* unexpected error */
        VFIOPT_EXIT_WARNING = 1,      /* of a diagnosis: there are warnings */
        VFIOPT_EXIT_USAGE = 2,        /* the command line was wrong */
        VFIOPT_EXIT_BUSY = 3,         /* refused: the GPU is in use */
        VFIOPT_EXIT_PRECONDITION = 4, /* refused: a precondition does not hold */
        VFIOPT_EXIT_FAILED = 5,       /* failed and rolled back */
        VFIOPT_EXIT_STUCK = 6,        /* stuck in the kernel, reboot needed */
        VFIOPT_EXIT_NO_DRIVER = 7,    /* at the host, and without a driver */
};
