/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Systemd
 *
 * PID 1, its units and jobs, and logind's inhibitors, over the system bus. A `Systemd` is a
 * connection on an event loop; functions without one open a connection for their one call.
 */

#include <sys/types.h>

#include "base/macro.h"

typedef struct Systemd Systemd;
struct sd_event;

/* Called from the loop when a job is over. @result is "done", "failed", "canceled", … */
typedef void (*SystemdFn)(void *userdata, uint32_t job_id, const char *unit, const char *result);

/* Called from the loop when PID 1 was executed anew; signals may have been lost meanwhile. */
typedef void (*SystemdBackFn)(void *userdata);

/* 32 hexadecimal digits and a zero */
#define INVOCATION_MAX 33

enum {
        _SYSTEMD_E_SUCCESS,

        SYSTEMD_E_DENIED,  /* this user may not do that */
        SYSTEMD_E_REFUSED, /* systemd said no */
        SYSTEMD_E_NONE,    /* there is no such thing now */
        SYSTEMD_E_KILLED,  /* a signal has ended it */
};

int systemd_new(struct sd_event *event, SystemdFn fn, void *userdata, Systemd **ret)
                _warn_unused_result_;
Systemd *systemd_free(Systemd *systemd);
DEFINE_CLEANUP(Systemd, systemd_free);
int systemd_watch(Systemd *systemd, SystemdBackFn fn) _warn_unused_result_;

/* jobs */

int systemd_start(Systemd *systemd, const char *unit, uint32_t *ret_job_id, char **ret_why)
                _warn_unused_result_;
int systemd_stop(Systemd *systemd, const char *unit, uint32_t *ret_job_id) _warn_unused_result_;
int systemd_cancel_waiting(Systemd *systemd, uint32_t job_id) _warn_unused_result_;

/* units */

int systemd_exit_status(Systemd *systemd, const char *unit, int *ret) _warn_unused_result_;
int systemd_invocation(Systemd *systemd, const char *unit, char ret[static INVOCATION_MAX])
                _warn_unused_result_;
int systemd_reset_failed(Systemd *systemd, const char *unit) _warn_unused_result_;

/* without a connection of its own */

int systemd_is_starting(void) _warn_unused_result_;
int systemd_start_once(const char *unit, uint32_t *ret_job_id, char **ret_why) _warn_unused_result_;
bool systemd_is_of_person(const char *session, uid_t uid);
int systemd_load_modules(void) _warn_unused_result_;
int systemd_inhibit_sleep(const char *who, const char *why, int *ret_fd) _warn_unused_result_;
