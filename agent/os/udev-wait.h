/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Waiting for udev
 *
 * Some drivers go on after their probe() has returned. What they do last is to make a
 * device, and once udev has dealt with that, they are through. The file behind this is
 * left out of the library, so that tests can play a udev of their own.
 */

#include "base/macro.h"

/* Looks for the device. @ret_name: its name in sysfs, or NULL if it is not there; free() it. */
typedef int (*UdevFindFn)(void *userdata, char **ret_name);

enum {
        _UDEV_WAIT_E_SUCCESS,

        UDEV_WAIT_E_LATE, /* it has not come in time */
        UDEV_WAIT_E_NONE, /* there is no udev to wait for */
};

int udev_wait(const char *subsystem, UdevFindFn find, void *userdata, uint64_t limit_usec)
                _warn_unused_result_;
