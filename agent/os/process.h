/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Processes
 *
 * Processes and their threads, as numbers, and what a person knows them by: name, user, and
 * what they belong to (os/owner.h). Relative to a root of procfs, @proc_fd in all of them. As
 * processes come and go while we look, one that has gone is an outcome, never an error.
 */

#include <sys/types.h>

#include "os/owner.h"

/* Longest path of a file of ours in "/proc/<number>/task/<number>/…". */
#define PROCESS_PATH_MAX 64

typedef struct Process {
        uid_t uid;     /* the real one, or -1 where it cannot be read */
        char *command; /* its name, or NULL where it cannot be read */
        Owner owner;   /* what it belongs to */
        bool leads;    /* a child of the first process, and the leader of its session */
        bool serves;   /* a display: it is a compositor, whatever it is called */
} Process;

/* A process, told from a later one with its number. */
typedef struct ProcessId {
        pid_t pid;
        uint64_t start; /* when it began, in clock ticks since the machine did; 0: not known */
} ProcessId;

enum {
        _PROCESS_E_SUCCESS,

        PROCESS_E_GONE, /* no such process (now), or it has no threads to list */
        PROCESS_E_LATE, /* it is ending, and has not come to its end in time */
        PROCESS_E_NONE, /* no login has started it */
};

int process_init(Process *process, int proc_fd, pid_t pid) _warn_unused_result_;
void process_init_name(Process *process, int proc_fd, pid_t pid);
void process_deinit(Process *process);
int process_login_uid(int proc_fd, pid_t pid, uid_t *ret) _warn_unused_result_;

int process_list(int proc_fd, pid_t **ret_pids, size_t *ret_n) _warn_unused_result_;
int process_list_threads(int proc_fd, pid_t pid, pid_t **ret_tids, size_t *ret_n)
                _warn_unused_result_;
int process_count_threads(int proc_fd, pid_t pid, size_t *ret_n) _warn_unused_result_;
int process_of_thread(int proc_fd, pid_t tid, pid_t *ret) _warn_unused_result_;
bool process_is_there(int proc_fd, pid_t pid);
int process_last_number(int loadavg_fd, pid_t *ret) _warn_unused_result_;
bool process_is_kernel_thread(int proc_fd, pid_t pid);
int process_wait_for_end(int proc_fd, pid_t pid, uint64_t deadline_usec) _warn_unused_result_;

ProcessId process_identify(int proc_fd, pid_t pid);
bool process_is_alive(int proc_fd, const ProcessId *process);
bool process_is_over(int proc_fd, const ProcessId *process);
uint64_t process_age_usec(int proc_fd, const ProcessId *process);

bool procfs_is_real(int proc_fd);
