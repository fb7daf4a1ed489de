/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Busy Marks
 *
 * A move was refused since somebody uses the GPU. Who that is, for the one who wants to try
 * again when they are gone (daemon/holders.h), and cannot look into other users' processes.
 */

#include <sys/types.h>

#include "model/address.h"

/* More are not remembered: to try again too early does no harm. */
#define BUSY_PIDS_MAX 16U

typedef struct Busy {
        pid_t pids[BUSY_PIDS_MAX]; /* each once */
        size_t n_pids;
        uint64_t when_usec; /* CLOCK_MONOTONIC: which refusal it was */
} Busy;

enum {
        _BUSY_E_SUCCESS,

        BUSY_E_NONE, /* it was not refused for that when it was last tried */
};

void busy_add(Busy *busy, pid_t pid);
int busy_load(Busy *busy, int run_fd, Address gpu) _warn_unused_result_;
int busy_save(const Busy *busy, int run_fd, Address gpu) _warn_unused_result_;
int busy_clear(int run_fd, Address gpu) _warn_unused_result_;
