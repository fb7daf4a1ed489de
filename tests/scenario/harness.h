/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The Harness of the Scenarios
 *
 * A switch as a job makes it: in a process of its own, which may be killed on the
 * way, over a fake machine. What it told and how it ended comes back.
 */

#include "changes.h"
#include "lib/test.h"
#include "switch/switch.h"

#define GPU_A "0000:01:00.0"
#define GPU_B "0000:02:00.0"

/* What a switch told its observer. */
typedef struct Told {
        EventKind kind;
        char phase[32];
        char reason[256];
} Told;

typedef struct Outcome {
        bool killed;
        bool ended; /* by a request to end */
        int r;      /* of switch_run() */
        SwitchResult result;
        Told told[64];
        unsigned int n_told;
        unsigned int n_changes; /* to files of the job's own */
} Outcome;

/* Switch GPUs (by address; NULL: all of the machine) and wait for the job's end. */
Outcome scenario_switch(FakeTree *tree, Mode to, const char *gpu);

/* The same in two halves. */
typedef struct Job Job;
Job *scenario_start(FakeTree *tree, Mode to, const char *gpu);
Outcome scenario_finish(Job *job);

/* Ask it to end, as a unit that is stopped does. */
void scenario_end(Job *job);

/* The same in this process. */
Outcome scenario_switch_here(FakeTree *tree, Mode to, const char *gpu);

/* Whether a switch leaves alone every GPU that does not belong there, by the policy. */
extern bool scenario_automatic;
extern Trigger scenario_trigger;

/* What /run says of the card that is in a slot now, of a move and of the host. */
bool scenario_has_move(FakeTree *tree, const char *gpu);
bool scenario_has_host(FakeTree *tree, const char *gpu);
bool scenario_is_late(FakeTree *tree, const char *gpu);

/* Forget how it was on the host. */
void scenario_forget_host(FakeTree *tree, const char *gpu);

/* Number of steps that a switch would take; none is taken. */
size_t scenario_preview(FakeTree *tree, Mode to, const char *gpu);

/* How it would end. */
SwitchResult scenario_foresee(FakeTree *tree, Mode to, const char *gpu);

bool scenario_was_told(const Outcome *outcome, EventKind kind);

/* machines */

typedef struct Machinery {
        const char *name;
        void (*build)(FakeTree *tree);
        const char *gpu; /* which one is asked for; NULL: all */
        bool is_away;    /* on vfio from the start */
} Machinery;

extern const Machinery machineries[];
extern const size_t n_machineries;

/* A machine in which the GPUs are where a switch @to would start from. */
FakeTree *scenario_machine(const Machinery *machinery, Mode to);

/* Give up a write as soon as it waits, instead of after minutes; in this process and its jobs. */
void scenario_be_impatient(bool impatient);
