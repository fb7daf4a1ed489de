/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Serving the Agent
 *
 * The root side of os/ask.h, and all that the agent's user can have done as root: one fixed unit,
 * vfiopt@auto:ADDRESS.service, in one fixed mode, for a GPU that is there, and not too often.
 * Requests are served one after the other.
 */

#include "os/roots.h"

/* The jobs that are started for one GPU within a minute. */
#define SERVE_JOBS_MAX 30U

int serve(int listen_fd, const Roots *roots, uint64_t linger_usec) _warn_unused_result_;
