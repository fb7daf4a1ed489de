/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reconciling
 *
 * Decides what to do about one GPU, from how it looks now and what was tried before. No clock,
 * file or bus is read here.
 *
 * The agent's own jobs cause events, too, so a wish that is not fulfilled starts a job only if
 * the GPU looks different from when the last job started: what one job could not change, the next
 * one would not change either. There is one exception. If drivers have moved and the job reports
 * success, the job has worked and another program has undone it before the agent looked.
 *
 * A program that takes the GPU function by function, without overrides (Proxmox), is not stopped
 * half-way: as long as functions only come to vfio, its next step is waited for, which is an event.
 *
 * A program that undoes each job wins every round. After a few jobs within a minute the agent
 * gives up until a person acts. The minute is compared, never waited for.
 */

#include "policy/policy.h"

/* At most so many jobs for a GPU within so much time. */
#define RECONCILE_JOBS_MAX    5
#define RECONCILE_WINDOW_USEC (60 * USEC_PER_SEC)

/* A difference in any of these is worth another job. {} is that of no GPU. */
typedef struct Fingerprint {
        Identity identity;
        char drivers[512]; /* of all functions, in their order */
        Mode wish;
        bool interrupted; /* a move has to be finished or undone */
} Fingerprint;

/* A GPU at one moment. Read anew each time, never remembered. */
typedef struct Observation {
        Fingerprint fingerprint;
        PolicySource source; /* of the wish */
        bool fulfilled;      /* the GPU is where it belongs, or stays where it is */
        bool locked;         /* a move is under way, or a driver is at work on it */
        bool damaged;        /* the record of the GPU is not understood */
        pid_t stuck;         /* the writer that has not come back, or 0 */
        pid_t owner;         /* the process that has the lock, or 0 */
        pid_t reader;        /* a child that the kernel keeps from reading overrides, or 0 */
        FunctionSet on_vfio; /* its functions on vfio drivers */
        bool may_be_taken;   /* function 0 among them, not all, and it belongs at the host */
        Refusal refusal;     /* of the last job, if any */
} Observation;

typedef enum AttemptState {
        ATTEMPT_IDLE,     /* nothing is known that speaks against a job */
        ATTEMPT_RUNNING,  /* a job of ours is under way */
        ATTEMPT_DONE,     /* the last job reports success */
        ATTEMPT_FAILED,   /* the last job has failed */
        ATTEMPT_RELEASED, /* the processes that the last job was refused for have exited */
        ATTEMPT_GAVE_UP,
        _ATTEMPT_MAX,
} AttemptState;

/* The jobs for one GPU. {} is none. */
typedef struct Attempts {
        AttemptState state;
        Fingerprint from;    /* when the last job started; {} if that counts no more */
        Fingerprint seen;    /* by the last look that found the GPU unlocked */
        bool moved;          /* drivers have come or gone since the last job started */
        FunctionSet on_vfio; /* by the last look that found the GPU unlocked */
        bool is_taken; /* functions have come to vfio since, by none of our jobs, and none has left */
        /* CLOCK_MONOTONIC, the newest last; 0: none */
        uint64_t starts[RECONCILE_JOBS_MAX];
        uint64_t released_starts[RECONCILE_JOBS_MAX]; /* of jobs after ATTEMPT_RELEASED */
} Attempts;

typedef enum Action {
        RECONCILE_NOTHING, /* the GPU is where it belongs, or a job would be in vain */
        RECONCILE_WAIT,    /* for the end of a move, which is an event */
        RECONCILE_START,   /* a job */
        RECONCILE_GIVE_UP, /* reported once */
        _RECONCILE_MAX,
} Action;

Action reconcile(Attempts *attempts, const Observation *now, uint64_t now_usec);
void attempts_forgive(Attempts *attempts);
void attempts_end(Attempts *attempts, AttemptState outcome);
bool attempts_release(Attempts *attempts, uint64_t now_usec);
Fingerprint fingerprint_of(const Gpu *gpu, Mode wish, bool interrupted);
bool fingerprint_equal(const Fingerprint *a, const Fingerprint *b);
