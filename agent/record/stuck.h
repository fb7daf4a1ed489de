/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Stuck Markers
 *
 * A write to sysfs never came back. Until it does, nobody may touch the GPU again.
 */

#include <sys/types.h>

#include "model/address.h"

typedef struct Stuck {
        Address gpu;
        Address function;    /* whose write it is */
        pid_t pid;           /* of the writer */
        char *action;        /* "unbind", "bind", … */
        char *driver;        /* from or to which driver; may be NULL */
        uint64_t since_usec; /* CLOCK_REALTIME */
} Stuck;

enum {
        _STUCK_E_SUCCESS,

        STUCK_E_NONE, /* it is not marked */
        STUCK_E_OVER, /* it is marked, but the write has come back meanwhile */
};

void stuck_deinit(Stuck *stuck);
int stuck_load(Stuck *stuck, int run_fd, int proc_fd, Address gpu) _warn_unused_result_;
int stuck_save(const Stuck *stuck, int run_fd) _warn_unused_result_;
int stuck_clear(int run_fd, Address gpu) _warn_unused_result_;
