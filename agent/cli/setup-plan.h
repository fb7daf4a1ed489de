/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The plan of a set-up, and what came of it, as people and as programs read it. */

#include "base/json.h"
#include "setup/apply.h"
#include "setup/facts.h"

int setup_plan_print(const SetupPlan *plan, const SetupFacts *facts) _warn_unused_result_;
void setup_plan_print_refusals(const SetupPlan *plan, const char *prefix);
void setup_print_place(const char *prefix);
int setup_plan_json(const SetupPlan *plan,
                const SetupFacts *facts,
                const char *result,
                const SetupReport *report,
                Json **ret) _warn_unused_result_;
void setup_report_print(const SetupReport *report);
