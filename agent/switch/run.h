/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Running a Plan
 *
 * Between a plan and a transaction: the steps are carried out, and told of.
 */

#include "switch/step.h"
#include "switch/transaction.h"

/* What to do about a GPU that a write hangs on. */
#define STUCK_ADVICE                                                                                  \
        "nothing more is written to it. It may come back when whoever uses it ends; if it does not, " \
        "save your work, then systemctl reboot --force --force (and do not suspend: that hangs, too)"

/* What stopped a plan. */
typedef struct Trouble {
        const Step *step; /* of the plan */
        StepResult result;
} Trouble;

int run_plan(const Transaction *transaction, const Gpu *gpu, const Plan *plan, Trouble *trouble)
                _warn_unused_result_;
char *trouble_format(const Trouble *trouble);
int mark_stuck(const Transaction *transaction, const Trouble *trouble) _warn_unused_result_;
