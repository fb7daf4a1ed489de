/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Moves
 *
 * One GPU on its way, from the request to the end. It is prepared first, which writes
 * nothing: what is in the way, the facts, the plan. All GPUs of a request are prepared before
 * the first of them is executed, and a dry run ends there.
 */

#include "journal/event.h"
#include "policy/policy.h"
#include "probe/preflight.h"
#include "record/lock.h"
#include "switch/facts.h"

/* The result of a switch, worst last. */
typedef enum SwitchResult {
        SWITCH_DONE,         /* moved and verified, or there already */
        SWITCH_NO_DRIVER,    /* at the host, where no driver has it; no reason to stop others */
        SWITCH_BUSY,         /* refused, nothing written */
        SWITCH_PRECONDITION, /* refused, nothing written */
        SWITCH_FAILED,       /* failed, and rolled back as far as the events tell */
        SWITCH_STUCK,        /* a write did not come back */
} SwitchResult;

typedef struct SwitchContext {
        Roots *roots; /* with run_fd, and with etc_fd if the state shall be kept */
        Modules *modules;
        EventFn observer;
        void *observer_userdata;
        bool asked_to_end; /* by a signal during a switch, which was seen through */
        bool is_passive;   /* of a preview: as PreflightInput has it */
} SwitchContext;

typedef struct Move {
        SwitchContext *context;
        const Policy *policy; /* of all moves of a request, until they are prepared */
        Gpu *gpu;             /* as it was read last */
        Mode from;
        Mode to;
        Trigger trigger;
        bool allow_display;
        bool transient;   /* it is there for this boot only: the state file is left as it is */
        bool uncommitted; /* to be there is nothing that anybody has asked for */
        bool skip;        /* it shall not move any more */
        bool had_pins;    /* before it was about to go home */
        const Gpu *const *along; /* all GPUs that move with it, itself included */
        size_t n_along;
        Lock lock;
        GpuRecord record;
        Findings findings; /* in its way */
        Facts facts;
        Plan plan;
        uint64_t start_usec;
} Move;

#define MOVE_NULL \
        { .lock = LOCK_NULL }

int move_prepare(Move *moves, size_t n) _warn_unused_result_;
SwitchResult move_result(const Move *move);
bool move_ends_idle(const Move *move);
int move_explain_idle(const Move *move, char **ret) _warn_unused_result_;
int move_explain_passed_over(const Move *move, size_t i, char **ret) _warn_unused_result_;
int move_recover(Move *next, SwitchResult *ret) _warn_unused_result_;
int move_execute(Move *move, SwitchResult *ret) _warn_unused_result_;
void move_update_modules(const Move *move);
void move_deinit(Move *move);

/* parts of it, and how they are told */

PreflightInput move_preflight(const Move *move, const Gpu *gpu, Mode to);
int move_plan(Move *move, bool looked) _warn_unused_result_;
void note_late(Move *move, pid_t writer);
int move_push_stuck(Move *move) _warn_unused_result_;
void move_refuse(Move *move, const Findings *findings, const char *phase);

void notify(const Move *move, EventKind kind, const char *phase, const char *reason);
void notify_step(const Move *move, const Step *step, uint64_t usec);
void notify_findings(const Move *move, const Findings *findings, const char *phase);
