/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Steps
 *
 * Carries out one step of a plan. What may block does so in a disposable
 * worker, under the guard of the GPU's lock and with a deadline.
 */

#include "os/child.h"
#include "os/module.h"
#include "probe/preflight.h"
#include "record/lock.h"
#include "switch/plan.h"

/* When a step that does not come back is told of. It is given up after WRITE_LIMIT_USEC. */
#define STEP_SLOW_USEC (10 * USEC_PER_SEC)

/* How long a driver is given to come through with its probe. */
#define SETTLE_LIMIT_USEC (2 * USEC_PER_SEC)

#define STEP_GROUPS_MAX 8

/* So many steps are at work at the same time at most. */
#define STEP_ALONG_MAX 8

/* What the steps of one plan share. */
typedef struct StepContext {
        Roots *roots;
        Modules *modules;
        const Lock *lock;
        const Gpu *gpu;
        const PreflightInput *preflight; /* for STEP_CHECK */
        int group_fds[STEP_GROUPS_MAX];
        size_t n_group_fds;
        bool group_is_open;             /* one could not be held, so a guest may take it */
        Worker workers[STEP_ALONG_MAX]; /* each started when it is needed first */
        const Step *step;               /* the one that is waited for */
        void (*slow)(void *userdata, const Step *step); /* told when it takes long */
        void *slow_userdata;
} StepContext;

typedef struct StepResult {
        int error;         /* positive errno with STEP_E_REFUSED, or 0 */
        char *reason;      /* what is wrong, as the end of a sentence; may be NULL */
        Findings findings; /* with STEP_E_BUSY */
        pid_t pid;         /* of the writer, with STEP_E_LATE */
        uint64_t usec;     /* how long it took */
} StepResult;

#define STEP_RESULT_NULL \
        {}

enum {
        _STEP_E_SUCCESS,

        STEP_E_REFUSED, /* the kernel refused, or the result is not what it should be */
        STEP_E_BUSY,    /* the GPU is in use */
        STEP_E_LATE,    /* the write did not come back in time, and may never */
};

int step_run(StepContext *context, const Step *step, StepResult *ret) _warn_unused_result_;
int steps_run_along(StepContext *context,
                const Step *steps,
                size_t n,
                StepResult results[static STEP_ALONG_MAX],
                int outcomes[static STEP_ALONG_MAX]) _warn_unused_result_;
void step_context_init(StepContext *context);
void step_result_deinit(StepResult *result);
void step_context_deinit(StepContext *context);
