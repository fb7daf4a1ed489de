/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Parts of Plans
 *
 * What plan.c, plan-passthrough.c and plan-host.c share, and nobody else uses.
 */

#include <string.h>

#include "switch/plan.h"

int plan_push(Plan *plan, StepKind kind, Address function, const char *value, Step **ret)
                _warn_unused_result_;
int plan_push_optional(Plan *plan, StepKind kind, Address function, const char *value)
                _warn_unused_result_;
int plan_leave(Plan *plan, const PlanInput *input, bool vfio) _warn_unused_result_;

int plan_passthrough(Plan *plan, const PlanInput *input) _warn_unused_result_;
int plan_host(Plan *plan, const PlanInput *input) _warn_unused_result_;

/* Whether two names, each of which may be NULL for none, are the same. */
static inline bool same(const char *a, const char *b) {
        return a == b || (a && b && !strcmp(a, b));
}
