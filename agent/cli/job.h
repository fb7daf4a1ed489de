/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Jobs
 *
 * Units of the manager, started and followed to their end.
 */

#include "base/macro.h"
#include "cli/outcome.h"

/* What the runs tell while they go on. */
typedef struct JobWatcher {
        void (*tell)(void *userdata, const Tale *tale);     /* a record of ours */
        void (*print)(void *userdata, const char *message); /* any other line */
        void *userdata;
} JobWatcher;

/* The exit code for a user who stopped following. */
#define JOB_EXIT_INTERRUPTED (128 + 2)

int jobs_run(const char *const *units, size_t n, const JobWatcher *watcher, int *ret_exit)
                _warn_unused_result_;
