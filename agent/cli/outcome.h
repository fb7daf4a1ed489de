/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Outcomes
 *
 * How a switch ended for each GPU, whether it ran in this process or as a job
 * whose records were read from the journal.
 */

#include "journal/event.h"
#include "policy/targets.h"
#include "switch/switch.h"
#include "vfiopt/exit.h"

typedef struct Outcome {
        Address gpu;
        EventKind kind; /* _EVENT_MAX: it was not touched, because another one could not be */
        Mode from;
        Mode to;
        char *reason;  /* or NULL */
        char *holders; /* or NULL */
        uint64_t usec;
} Outcome;

typedef struct Outcomes {
        Outcome *items; /* one per GPU, by address */
        size_t n;
} Outcomes;

#define OUTCOMES_NULL \
        {}

int outcomes_init(Outcomes *outcomes, const Targets *targets) _warn_unused_result_;
void outcomes_deinit(Outcomes *outcomes);
int outcomes_note(Outcomes *outcomes, const Event *event) _warn_unused_result_;
int outcomes_print_json(const Outcomes *outcomes) _warn_unused_result_;

void event_print(const Event *event, const char *message, bool verbose);

/* exit codes */

int exit_of_result(SwitchResult result);
int exit_worse(int a, int b);
