/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Outcomes
 *
 * How a switch ended for each GPU, whether it ran in this process or as a job
 * whose records were read from the journal.
 */

#include "cli/select.h"
#include "journal/event.h"
#include "switch/switch.h"

typedef struct Outcome {
        Address gpu;
        EventKind kind; /* _EVENT_MAX: it was not touched, because another one could not be */
        char *from;
        char *to;
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

/* One record, wherever it comes from. Empty strings count as none. */
typedef struct Tale {
        EventKind kind;
        int priority;
        const char *message;
        Address gpu;
        const char *from;
        const char *to;
        const char *phase;
        const char *reason;
        const char *holders;
        uint64_t usec;
} Tale;

int outcomes_init(Outcomes *outcomes, const Selection *selection) _warn_unused_result_;
void outcomes_deinit(Outcomes *outcomes);
int outcomes_note(Outcomes *outcomes, const Tale *tale) _warn_unused_result_;
int outcomes_print_json(const Outcomes *outcomes) _warn_unused_result_;

void tale_print(const Tale *tale, bool verbose);

/* exit codes */

int exit_of_result(SwitchResult result);
int exit_worse(int a, int b);
