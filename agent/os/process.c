/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "os/process.h"

/* include/linux/sched.h: PF_*; the field of flags in stat is part of proc(5). */
#define FLAG_IS_ENDING        0x00000004U
#define FLAG_IS_KERNEL_THREAD 0x00200000U

/* So many files of a process are looked at to learn what it is. */
#define FILES_MAX 256U

/* Whether this is the kernel's own, and its numbers are those of real processes. */
bool procfs_is_real(int proc_fd) {
        struct statfs fs;

        return fstatfs(proc_fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

static int read_file(int proc_fd, pid_t pid, const char *name, char **ret) {
        char path[PROCESS_PATH_MAX];
        int r;

        snprintf(path, sizeof(path), "%d/%s", pid, name);
        r = file_read(proc_fd, path, 16384, ret, NULL);
        return r == FILE_E_MISSING || r == -ESRCH ? PROCESS_E_GONE : r;
}

static int read_command(int proc_fd, pid_t pid, char **ret) {
        int r;

        r = read_file(proc_fd, pid, "comm", ret);
        if (r == 0)
                (*ret)[strcspn(*ret, "\n")] = 0;
        return r;
}

/* The first number of a line of /proc/PID/status, which begins with @name. */
static bool find_number(const char *status, const char *name, unsigned int *ret) {
        const char *line = strstr(status, name);

        return line && sscanf(line + strlen(name), " %u", ret) == 1;
}

/*
 * systemd has what it starts lead a session (src/core/exec-invoke.c: setsid()); what was started
 * from there and left behind by its parent seldom does.
 */
static int read_status(int proc_fd, pid_t pid, Process *process) {
        _cleanup_(freep) char *status = NULL;
        unsigned int uid, parent = 0, session = 0;
        int r;

        r = read_file(proc_fd, pid, "status", &status);
        if (r)
                return r;

        if (!find_number(status, "\nUid:", &uid))
                return -EBADMSG;
        process->uid = uid;
        process->leads = find_number(status, "\nPPid:", &parent) && parent == 1 &&
                        find_number(status, "\nNSsid:", &session) && session == (unsigned int) pid;
        return 0;
}

/* Is its number in use, if only by one that has to be reaped? Asks for nothing that could wait. */
bool process_is_there(int proc_fd, pid_t pid) {
        char path[PROCESS_PATH_MAX];

        snprintf(path, sizeof(path), "%d", pid);
        return faccessat(proc_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/*
 * The path in the hierarchy that systemd has made, of the lines "number:controllers:path"; where
 * it has made none, any that is more than the root. NULL if there is none.
 */
static char *find_cgroup(char *lines) {
        char *best = NULL, *rest = lines, *line;
        int best_rank = 0;

        while ((line = strsep(&rest, "\n"))) {
                char *controllers = strchr(line, ':'), *path, *end;
                int rank;

                path = controllers ? strchr(controllers + 1, ':') : NULL;
                if (!path || !path[1] || !path[2])
                        continue;
                *path++ = 0;
                rank = !strcmp(controllers, ":name=systemd") ? 3 : !controllers[1] ? 2 : 1;
                if (rank <= best_rank)
                        continue;
                /* One that has ended is marked so (kernel/cgroup/cgroup.c: proc_cgroup_show()). */
                end = strstr(path, " (deleted)");
                if (end)
                        *end = 0;
                best_rank = rank;
                best = path;
        }
        return best;
}

/*
 * Who owns it is good to know, and nothing depends on it: any user can make a path that is too long
 * to be told (kernel/cgroup/cgroup.c: proc_cgroup_show()).
 */
static int read_owner(int proc_fd, pid_t pid, Owner *ret) {
        _cleanup_(freep) char *lines = NULL;
        char *path;
        int r;

        r = read_file(proc_fd, pid, "cgroup", &lines);
        if (r)
                return r == -ENOMEM ? r : 0;
        path = find_cgroup(lines);
        return path ? owner_init(ret, path) : 0;
}

/*
 * Whether it has the lock of a Wayland display open (KERNEL.md 9.2), which a compositor opens when it
 * starts: any user can have any number of files, so the first ones are all that is looked at. To read
 * where a link of procfs leads opens nothing, and waits for no file system. What may not be read shows
 * nothing.
 */
static bool serves_display(int proc_fd, pid_t pid) {
        char path[PROCESS_PATH_MAX], target[PATH_MAX];

        for (unsigned int fd = 0; fd < FILES_MAX; ++fd) {
                ssize_t n;

                snprintf(path, sizeof(path), "%d/fd/%u", pid, fd);
                n = readlinkat(proc_fd, path, target, sizeof(target) - 1);
                if (n < 0 && errno != ENOENT)
                        return false;
                target[n > 0 ? n : 0] = 0;
                if (fnmatch("/*/wayland-*.lock", target, 0) == 0)
                        return true;
        }
        return false;
}

/* Learn about a process. Return: 0, PROCESS_E_GONE, or a negative error code. */
int process_init(Process *process, int proc_fd, pid_t pid) {
        int r;

        *process = (Process){ .uid = (uid_t) -1 };

        r = read_command(proc_fd, pid, &process->command);
        if (r >= 0)
                r = read_status(proc_fd, pid, process);
        /* A user may be in so many groups that it has no room: whose it is is not known then. */
        if (r == -E2BIG || (r == PROCESS_E_GONE && process_is_there(proc_fd, pid)))
                r = 0;
        if (r) {
                process_deinit(process);
                return r;
        }
        r = read_owner(proc_fd, pid, &process->owner);
        if (r < 0)
                process_deinit(process);
        else
                process->serves = serves_display(proc_fd, pid);
        return r;
}

/* Likewise its name and user alone, and of one that ends meanwhile as much as could be read. */
void process_init_name(Process *process, int proc_fd, pid_t pid) {
        *process = (Process){ .uid = (uid_t) -1 };
        if (read_command(proc_fd, pid, &process->command) == 0)
                (void) read_status(proc_fd, pid, process);
}

void process_deinit(Process *process) {
        free(process->command);
        owner_deinit(&process->owner);
        *process = (Process){ .uid = (uid_t) -1 };
}

/**
 * process_login_uid() - the user whose login started a process, also after sudo or su
 *
 * Return: 0 on success, PROCESS_E_NONE if it does not come from a login, or has
 *         gone, or this kernel keeps no such account; negative error code on failure.
 */
int process_login_uid(int proc_fd, pid_t pid, uid_t *ret) {
        _cleanup_(freep) char *text = NULL;
        uint64_t uid;
        int r;

        r = read_file(proc_fd, pid, "loginuid", &text);
        if (r)
                return r == PROCESS_E_GONE ? PROCESS_E_NONE : r;

        text[strcspn(text, "\n")] = 0;
        if (text_to_uint(text, 10, UINT32_MAX, &uid) < 0)
                return -EBADMSG;
        if (uid == UINT32_MAX)
                return PROCESS_E_NONE;

        *ret = (uid_t) uid;
        return 0;
}

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

static int list_numbers(int proc_fd, const char *path, pid_t **ret_pids, size_t *ret_n) {
        _cleanup_(closedirp) DIR *dir = NULL;
        _cleanup_(freep) pid_t *pids = NULL;
        size_t n = 0, n_allocated = 0;
        struct dirent *entry;
        uint64_t number;
        int r;

        r = file_open_dirp(proc_fd, path, 0, &dir);
        if (r)
                return r == FILE_E_MISSING || r == -ESRCH ? PROCESS_E_GONE : r;

        for (errno = 0; (entry = readdir(dir)); errno = 0) {
                if (text_to_uint(entry->d_name, 10, INT32_MAX, &number) < 0 || number == 0)
                        continue;
                r = pids_push(&pids, &n, &n_allocated, (pid_t) number);
                if (r < 0)
                        return r;
        }
        if (errno > 0)
                return errno == ENOENT || errno == ESRCH ? PROCESS_E_GONE : -errno;

        *ret_n = n;
        *ret_pids = TAKE_PTR(pids);
        return 0;
}

/* All processes there are, ascending. Return: 0, or a negative error code. @ret_pids: free() it */
int process_list(int proc_fd, pid_t **ret_pids, size_t *ret_n) {
        return error_fold(list_numbers(proc_fd, ".", ret_pids, ret_n));
}

/* Likewise all threads of a process. Return: 0, PROCESS_E_GONE, or a negative error code. */
int process_list_threads(int proc_fd, pid_t pid, pid_t **ret_tids, size_t *ret_n) {
        char path[PROCESS_PATH_MAX];

        snprintf(path, sizeof(path), "%d/task", pid);
        return list_numbers(proc_fd, path, ret_tids, ret_n);
}

/**
 * process_count_threads() - how many threads does a process have?
 * @ret_n:      how many, those that have ended but one included
 *
 * From the number of links of its "task" directory, which costs one call
 * (fs/proc/base.c: proc_task_getattr()).
 *
 * Return: 0 on success, PROCESS_E_GONE, or a negative error code.
 */
int process_count_threads(int proc_fd, pid_t pid, size_t *ret_n) {
        char path[PROCESS_PATH_MAX];
        struct stat st;

        snprintf(path, sizeof(path), "%d/task", pid);
        if (fstatat(proc_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT || errno == ESRCH ? PROCESS_E_GONE : -errno;

        *ret_n = st.st_nlink > 2 ? st.st_nlink - 2 : 0;
        return 0;
}

/**
 * process_of_thread() - which process does a number belong to?
 * @tid:        number of a process, or of a thread
 * @ret:        number of the process, which is that of its first thread
 *
 * Threads have numbers of the same kind, which are not listed, and can be opened all the same
 * (fs/proc/base.c: proc_pid_lookup()).
 *
 * Return: 0 on success, PROCESS_E_GONE, or a negative error code.
 */
int process_of_thread(int proc_fd, pid_t tid, pid_t *ret) {
        _cleanup_(freep) char *status = NULL;
        size_t n_threads = 0;
        unsigned int pid;
        int r;

        r = process_count_threads(proc_fd, tid, &n_threads);
        if (r)
                return r;
        *ret = tid;
        if (n_threads == 1)
                return 0;
        r = read_file(proc_fd, tid, "status", &status);
        if (r)
                return r;
        if (!find_number(status, "\nTgid:", &pid))
                return -EBADMSG;
        *ret = (pid_t) pid;
        return 0;
}

/**
 * process_last_number() - the number that was given out last, to a process or to a thread
 * @loadavg_fd: /proc/loadavg
 *
 * They are given out in ascending order, all around (kernel/pid.c: alloc_pid()), each before it
 * can be seen. The last one is the last word of the file (fs/proc/loadavg.c), which is made anew
 * by each read from its beginning.
 *
 * Return: 0 on success, negative error code on failure.
 */
int process_last_number(int loadavg_fd, pid_t *ret) {
        char text[128];
        const char *word;
        uint64_t number;
        ssize_t n;

        n = pread(loadavg_fd, text, sizeof(text) - 1, 0);
        if (n < 0)
                return -errno;
        text[n] = 0;
        text[strcspn(text, "\n")] = 0;
        word = strrchr(text, ' ');
        if (!word || text_to_uint(word + 1, 10, INT32_MAX, &number) < 0)
                return -EBADMSG;
        *ret = (pid_t) number;
        return 0;
}

/* What /proc/PID/stat has of a process, or of a thread its own file. */
typedef struct Stat {
        char state;
        unsigned int flags;
        uint64_t start; /* 0 if it is not there */
} Stat;

/* Return: 0, PROCESS_E_GONE, or a negative error code. */
static int read_stat(int proc_fd, pid_t pid, const char *name, Stat *ret) {
        _cleanup_(freep) char *stat = NULL;
        const char *rest;
        Stat found = {};
        int r, n = 0;

        r = read_file(proc_fd, pid, name, &stat);
        if (r)
                return r;

        /* "pid (name) state ppid pgrp session tty tpgid flags …", and a name may hold anything. */
        rest = strrchr(stat, ')');
        if (!rest ||
                        sscanf(rest, ") %c %*d %*d %*d %*d %*d %u%n", &found.state, &found.flags,
                                        &n) != 2)
                return -EBADMSG;
        (void) sscanf(rest + n, "%*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %" SCNu64,
                        &found.start);
        *ret = found;
        return 0;
}

static bool is_dead(const Stat *stat) {
        return stat->state == 'Z' || stat->state == 'X';
}

static bool is_ending(const Stat *stat) {
        return stat->flags & FLAG_IS_ENDING && !is_dead(stat);
}

/* The process that has a number now. What cannot be read of it is not known. */
ProcessId process_identify(int proc_fd, pid_t pid) {
        Stat stat = {};

        if (pid > 0 && read_stat(proc_fd, pid, "stat", &stat) != 0)
                stat.start = 0;
        return (ProcessId){ .pid = pid, .start = stat.start };
}

/* Is it surely still there? One that is not known by its start, or has only to be reaped, is not. */
bool process_is_alive(int proc_fd, const ProcessId *process) {
        Stat stat;

        return process->pid > 0 && process->start > 0 &&
                        read_stat(proc_fd, process->pid, "stat", &stat) == 0 &&
                        stat.start == process->start && !is_dead(&stat);
}

/* Has its number surely been given to another process? */
bool process_is_over(int proc_fd, const ProcessId *process) {
        const ProcessId now = process_identify(proc_fd, process->pid);

        return process->start > 0 && now.start > 0 && now.start != process->start;
}

/*
 * How long ago it began; 0 if that is not known. /proc/uptime has the clock that its start is a time of
 * (fs/proc/uptime.c; fs/proc/array.c, do_task_stat(): both of CLOCK_BOOTTIME, in the reader's time namespace).
 */
uint64_t process_age_usec(int proc_fd, const ProcessId *process) {
        const uint64_t ticks = (uint64_t) sysconf(_SC_CLK_TCK);
        _cleanup_(freep) char *uptime = NULL;
        uint64_t start, seconds, hundredths, now;

        if (process->start == 0 || file_read(proc_fd, "uptime", 256, &uptime, NULL) != 0 ||
                        sscanf(uptime, "%" SCNu64 ".%2" SCNu64, &seconds, &hundredths) != 2)
                return 0;
        start = process->start / ticks * USEC_PER_SEC +
                        process->start % ticks * USEC_PER_SEC / ticks;
        now = seconds * USEC_PER_SEC + hundredths * (USEC_PER_SEC / 100);
        return now > start ? now - start : 0;
}

/* Is this one of the kernel's own, which has no files? Any user may ask this of any process. */
bool process_is_kernel_thread(int proc_fd, pid_t pid) {
        Stat stat;

        return read_stat(proc_fd, pid, "stat", &stat) == 0 && stat.flags & FLAG_IS_KERNEL_THREAD;
}

/*
 * Does any thread of a process release what it had? A dead one has done so (kernel/exit.c:
 * exit_notify() comes behind exit_files() and exit_task_work()), even if it stays because it is
 * traced. Return: 0, PROCESS_E_LATE if one does, or a negative error code.
 */
static int look_for_ending(int proc_fd, pid_t pid) {
        _cleanup_(freep) pid_t *tids = NULL;
        size_t n = 0;
        Stat stat;
        int r;

        r = read_stat(proc_fd, pid, "stat", &stat);
        if (r)
                return r == PROCESS_E_GONE ? 0 : r;
        if (stat.flags & FLAG_IS_KERNEL_THREAD)
                return 0;
        if (is_ending(&stat))
                return PROCESS_E_LATE;

        r = process_list_threads(proc_fd, pid, &tids, &n);
        for (size_t i = 0; r >= 0 && i < n; ++i) {
                char name[PROCESS_PATH_MAX];

                if (tids[i] == pid)
                        continue;
                snprintf(name, sizeof(name), "task/%d/stat", tids[i]);
                r = read_stat(proc_fd, pid, name, &stat);
                if (r == 0 && is_ending(&stat))
                        return PROCESS_E_LATE;
        }
        return r < 0 ? r : 0;
}

/**
 * process_wait_for_end() - wait for the end of a process that is ending
 * @deadline_usec: how long, by CLOCK_MONOTONIC; 0 to ask only
 *
 * A pidfd becomes readable when the last thread has become a zombie, which is behind the release
 * of all files (kernel/exit.c: exit_notify()). It does not for one whose first thread alone ends,
 * and never while a dead thread is traced: so the threads are asked once more when the time is up.
 *
 * Return: 0 if it has ended, or is not ending at all; PROCESS_E_LATE if it still is then;
 *         negative error code on failure.
 */
int process_wait_for_end(int proc_fd, pid_t pid, uint64_t deadline_usec) {
        struct pollfd fds = { .events = POLLIN };
        _cleanup_(closep) int pidfd = -1;
        int r;

        r = look_for_ending(proc_fd, pid);
        /* The number means nothing elsewhere. */
        if (r != PROCESS_E_LATE || deadline_usec == 0 || !procfs_is_real(proc_fd))
                return r;

        pidfd = pidfd_open(pid, 0);
        if (pidfd < 0)
                return errno == ESRCH ? 0 : -errno;

        fds.fd = pidfd;
        do
                r = poll_until(&fds, 1, deadline_usec);
        while (r == -EINTR);
        return r < 0 ? r : r > 0 ? 0 : look_for_ending(proc_fd, pid);
}
