/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * State of GPUs
 *
 * The agent's knowledge of each GPU, from when it appears until it is gone, and how a GPU is
 * observed. That takes no privilege: records are readable by all, and the kernel lists the owners
 * of locks in /proc/locks.
 */

#include "daemon/reconcile.h"
#include "os/ask.h"

typedef struct PidWatch PidWatch;
struct sd_event_source;

/* "vfiopt@auto:ffffffff:ff:1f.7.service" and a zero */
#define GPU_STATE_UNIT_MAX (12 + ADDRESS_STRING_MAX + 8)

typedef struct GpuState {
        struct GpuState *next;
        Address address;
        char unit[GPU_STATE_UNIT_MAX]; /* its job, which moves it where it belongs */
        Ask *ask;                      /* for the next one, until that is answered; or NULL */
        uint32_t job_id;               /* of the last one; 0: there is no answer yet */
        uint32_t over_id;              /* the last one that ended while there was none; or 0 */
        AttemptState over;             /* how that ended */
        Attempts attempts;
        PidWatch *stuck;        /* waits for a writer that has not come back; or NULL */
        PidWatch *owner;        /* waits for the owner of the lock; or NULL */
        PidWatch *holders;      /* waits for the holders that a job was refused for; or NULL */
        PidWatch *reader;       /* waits for a child that reads overrides for too long; or NULL */
        uint64_t released_usec; /* Refusal.when_usec of the last ones that have all exited */
        bool doubtful;          /* logged: it is left alone, see policy_describe_card() */
        bool damaged;           /* logged */
        bool claimed;           /* logged */
        bool seen;              /* by the current look */
} GpuState;

int gpu_state_get(GpuState **list, Address gpu, GpuState **ret) _warn_unused_result_;
GpuState *gpu_state_find_slot(GpuState *list, Address function);
GpuState *gpu_state_find_unit(GpuState *list, const char *unit);
void gpu_state_sweep(GpuState **list, bool all);

int gpu_state_watch(GpuState *state, const Observation *observation, struct sd_event_source *look)
                _warn_unused_result_;
bool gpu_state_take_release(GpuState *state);

int observation_init(Observation *observation,
                const GpuState *state,
                const Roots *roots,
                const Policy *policy,
                const Gpu *gpu,
                Decision *ret_decision) _warn_unused_result_;
