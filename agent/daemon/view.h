/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Views
 *
 * Everything about one GPU that counts when it is decided what to do: what it is like,
 * where it shall be, and who is at it. Read anew each time, never remembered.
 */

#include <sys/types.h>

#include "daemon/reconcile.h"
#include "policy/policy.h"

/* A GPU, with where it belongs and why. */
typedef struct View {
        Sight sight;
        Decision decision;
        Refusal refusal; /* of its last job, if any */
        pid_t stuck;     /* the writer that hangs in the kernel, or 0 */
        pid_t owner;     /* who switches it, or 0 */
} View;

int view_init(View *view, const Roots *roots, const Policy *policy, const Gpu *gpu)
                _warn_unused_result_;
int view_is_current(const View *view, const Roots *roots, const Gpu *gpu, bool *ret)
                _warn_unused_result_;
