/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Processes
 *
 * Who a process is, in terms that its owner knows: its name, its user, and the
 * unit or login session that it belongs to.
 */

#include <sys/types.h>

#include "base/macro.h"

typedef struct Process {
        uid_t uid;      /* the real one, or -1 where it cannot be read */
        char *command;  /* its name, or NULL where it cannot be read */
        char *unit;     /* innermost systemd unit, or NULL */
        bool user_unit; /* the unit is one of the user's own manager */
        char *session;  /* login session, or NULL */
} Process;

enum {
        _PROCESS_E_SUCCESS,

        PROCESS_E_GONE, /* no such process (any more) */
        PROCESS_E_NONE, /* nobody logged in to start it */
};

int process_init(Process *process, int proc_fd, pid_t pid) _warn_unused_result_;
void process_deinit(Process *process);
int process_login_uid(int proc_fd, pid_t pid, uid_t *ret) _warn_unused_result_;
