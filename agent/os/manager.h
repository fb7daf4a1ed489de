/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The Manager
 *
 * What the programs ask of PID 1 in their loops.
 */

#include "base/macro.h"

typedef struct Manager Manager;
struct sd_event;

/* Called from the loop when a job is over. @result is "done", "failed", "canceled", … */
typedef void (*ManagerFn)(void *userdata, uint32_t job_id, const char *unit, const char *result);

/*
 * Called from the loop when what was asked for is answered. @outcome is 0, or what
 * manager_start() returns; @why is what the manager said then, or NULL.
 */
typedef void (*ManagerAnswerFn)(
                void *userdata, const char *unit, int outcome, uint32_t job_id, const char *why);

/* Called from the loop when the manager was executed anew, and may have told us less than all. */
typedef void (*ManagerBackFn)(void *userdata);

/* 32 hexadecimal digits and a zero */
#define INVOCATION_MAX 33

enum {
        _MANAGER_E_SUCCESS,

        MANAGER_E_DENIED,  /* this user may not do that */
        MANAGER_E_REFUSED, /* the manager said no */
        MANAGER_E_NONE,    /* there is no such thing now */
        MANAGER_E_KILLED,  /* a signal has ended it */
};

int manager_new(struct sd_event *event, ManagerFn fn, void *userdata, Manager **ret)
                _warn_unused_result_;
Manager *manager_free(Manager *manager);
DEFINE_CLEANUP(Manager, manager_free);
int manager_watch(Manager *manager, ManagerBackFn fn) _warn_unused_result_;

int manager_is_starting(void) _warn_unused_result_;

/* jobs */

int manager_start(Manager *manager, const char *unit, uint32_t *ret_job_id, char **ret_why)
                _warn_unused_result_;
int manager_ask(Manager *manager, const char *unit, ManagerAnswerFn fn, void *userdata)
                _warn_unused_result_;
int manager_stop(Manager *manager, const char *unit, uint32_t *ret_job_id) _warn_unused_result_;
int manager_cancel_waiting(Manager *manager, uint32_t job_id) _warn_unused_result_;

/* units */

int manager_exit_status(Manager *manager, const char *unit, int *ret) _warn_unused_result_;
int manager_invocation(Manager *manager, const char *unit, char ret[static INVOCATION_MAX])
                _warn_unused_result_;
int manager_reset_failed(Manager *manager, const char *unit) _warn_unused_result_;
