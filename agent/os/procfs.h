/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Procfs
 *
 * Processes and their threads, as numbers.
 */

#include <sys/types.h>

#include "base/macro.h"

enum {
        _PROCFS_E_SUCCESS,

        PROCFS_E_GONE, /* no such process (any more), or it has no threads to list */
        PROCFS_E_LATE, /* it is ending, and has not come to its end in time */
};

/* What may be in "/proc/<number>/task/<number>/…". */
#define PROCFS_PATH_MAX 64

int procfs_list_processes(int proc_fd, pid_t **ret_pids, size_t *ret_n) _warn_unused_result_;
int procfs_list_threads(int proc_fd, pid_t pid, pid_t **ret_tids, size_t *ret_n)
                _warn_unused_result_;
int procfs_count_threads(int proc_fd, pid_t pid, size_t *ret_n) _warn_unused_result_;
bool procfs_is_real(int proc_fd);
bool procfs_is_kernel_thread(int proc_fd, pid_t pid);
int procfs_wait_for_end(int proc_fd, pid_t pid, uint64_t limit_usec) _warn_unused_result_;
