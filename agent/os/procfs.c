/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Procfs
 *
 * Relative to a root, as everything. Processes come and go while we look: one
 * that has gone is an outcome, never an error.
 */

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "os/procfs.h"

/* include/linux/sched.h: PF_*; the field of flags in stat is part of proc(5). */
#define PROCESS_IS_ENDING        0x00000004U
#define PROCESS_IS_KERNEL_THREAD 0x00200000U

static int pids_push(pid_t **pids, size_t *n, size_t *n_allocated, pid_t pid) {
        size_t want = *n_allocated ? 2 * *n_allocated : 256;
        pid_t *more;

        if (*n == *n_allocated) {
                more = realloc(*pids, want * sizeof(*more));
                if (!more)
                        return -ENOMEM;
                *pids = more;
                *n_allocated = want;
        }
        (*pids)[(*n)++] = pid;
        return 0;
}

static int list_numbers(int dir_fd, const char *path, pid_t **ret_pids, size_t *ret_n) {
        _cleanup_(closedirp) DIR *dir = NULL;
        _cleanup_(freep) pid_t *pids = NULL;
        size_t n = 0, n_allocated = 0;
        struct dirent *entry;
        uint64_t number;
        int r;

        r = file_open_dirp(dir_fd, path, 0, &dir);
        if (r)
                return r == FILE_E_MISSING || r == -ESRCH ? PROCFS_E_GONE : r;

        for (errno = 0; (entry = readdir(dir)); errno = 0) {
                if (text_to_uint(entry->d_name, 10, INT32_MAX, &number) < 0 || number == 0)
                        continue;
                r = pids_push(&pids, &n, &n_allocated, (pid_t) number);
                if (r < 0)
                        return r;
        }
        if (errno > 0)
                return errno == ENOENT || errno == ESRCH ? PROCFS_E_GONE : -errno;

        *ret_n = n;
        *ret_pids = TAKE_PTR(pids);
        return 0;
}

/**
 * procfs_list_processes() - all processes there are
 * @proc_fd:    root of procfs
 * @ret_pids:   their numbers, as the kernel lists them (ascending); free() it
 * @ret_n:      how many
 *
 * Return: 0 on success, negative error code on failure.
 */
int procfs_list_processes(int proc_fd, pid_t **ret_pids, size_t *ret_n) {
        return error_fold(list_numbers(proc_fd, ".", ret_pids, ret_n));
}

/**
 * procfs_list_threads() - all threads of a process
 * @proc_fd:    root of procfs
 * @pid:        process
 * @ret_tids:   their numbers; free() it
 * @ret_n:      how many
 *
 * Return: 0 on success, PROCFS_E_GONE if there is no such process, negative error
 *         code on failure.
 */
int procfs_list_threads(int proc_fd, pid_t pid, pid_t **ret_tids, size_t *ret_n) {
        char path[PROCFS_PATH_MAX];

        snprintf(path, sizeof(path), "%d/task", pid);
        return list_numbers(proc_fd, path, ret_tids, ret_n);
}

/**
 * procfs_count_threads() - how many threads does a process have?
 * @proc_fd:    root of procfs
 * @pid:        process
 * @ret_n:      how many, those that have ended but one included
 *
 * From the number of links of its "task" directory, which costs one call
 * (fs/proc/base.c: proc_task_getattr()).
 *
 * Return: 0 on success, PROCFS_E_GONE if there is no such process, negative error
 *         code on failure.
 */
int procfs_count_threads(int proc_fd, pid_t pid, size_t *ret_n) {
        char path[PROCFS_PATH_MAX];
        struct stat st;

        snprintf(path, sizeof(path), "%d/task", pid);
        if (fstatat(proc_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT || errno == ESRCH ? PROCFS_E_GONE : -errno;

        *ret_n = st.st_nlink > 2 ? st.st_nlink - 2 : 0;
        return 0;
}

/* Whether this is the kernel's own, and its numbers are those of real processes. */
bool procfs_is_real(int proc_fd) {
        struct statfs fs;

        return fstatfs(proc_fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* State and flags. Return: 0, PROCFS_E_GONE, or a negative error code. */
static int read_stat(int proc_fd, pid_t pid, char *ret_state, unsigned int *ret_flags) {
        _cleanup_(freep) char *stat = NULL;
        char path[PROCFS_PATH_MAX], *rest;
        int r;

        snprintf(path, sizeof(path), "%d/stat", pid);
        r = file_read(proc_fd, path, 4096, &stat, NULL);
        if (r)
                return r == FILE_E_MISSING || r == -ESRCH ? PROCFS_E_GONE : r;

        /* "pid (name) state ppid pgrp session tty tpgid flags", and a name may hold anything. */
        rest = strrchr(stat, ')');
        if (!rest || sscanf(rest, ") %c %*d %*d %*d %*d %*d %u", ret_state, ret_flags) != 2)
                return -EBADMSG;
        return 0;
}

/**
 * procfs_is_kernel_thread() - is this one of the kernel's own?
 * @proc_fd:    root of procfs
 * @pid:        process
 *
 * Such a one has no files. Everybody may ask this, also who may not see files.
 */
bool procfs_is_kernel_thread(int proc_fd, pid_t pid) {
        unsigned int flags;
        char state;

        return read_stat(proc_fd, pid, &state, &flags) == 0 && flags & PROCESS_IS_KERNEL_THREAD;
}

/**
 * procfs_wait_for_end() - wait for the end of a process that is ending
 * @proc_fd:    root of procfs
 * @pid:        process
 * @limit_usec: how long at most
 *
 * A pidfd becomes readable when the last thread has become a zombie, which is behind
 * the release of all files (kernel/exit.c: exit_notify()).
 *
 * Return: 0 if it has ended, or is not ending at all; PROCFS_E_LATE if it still is;
 *         negative error code on failure.
 */
int procfs_wait_for_end(int proc_fd, pid_t pid, uint64_t limit_usec) {
        uint64_t deadline = monotonic_usec() + limit_usec;
        struct pollfd fds = { .events = POLLIN };
        _cleanup_(closep) int pidfd = -1;
        unsigned int flags;
        char state;
        int r;

        r = read_stat(proc_fd, pid, &state, &flags);
        if (r)
                return r == PROCFS_E_GONE ? 0 : r;
        if (flags & PROCESS_IS_KERNEL_THREAD || (!(flags & PROCESS_IS_ENDING) && state != 'Z'))
                return 0;
        /* The number means nothing elsewhere. */
        if (!procfs_is_real(proc_fd))
                return state == 'Z' ? 0 : PROCFS_E_LATE;

        pidfd = pidfd_open(pid, 0);
        if (pidfd < 0)
                return errno == ESRCH ? 0 : -errno;

        fds.fd = pidfd;
        do
                r = poll_until(&fds, 1, deadline);
        while (r == -EINTR);
        return r < 0 ? r : r == 0 ? PROCFS_E_LATE : 0;
}
