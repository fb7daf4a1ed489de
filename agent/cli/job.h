/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Jobs
 *
 * Units of the manager, started and followed to their end.
 */

#include "cli/outcome.h"

/* The exit code for a user who stopped following. */
#define JOB_EXIT_INTERRUPTED (128 + 2)

int jobs_run(char *const *units, size_t n, Outcomes *outcomes, bool verbose, int *ret_exit)
                _warn_unused_result_;
