/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Changes to our own Files
 *
 * Only those of the job's own process: its children write to sysfs, and that is
 * disturbed elsewhere (lib/faults.c).
 */

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "changes.h"

static unsigned int kill_at;
static unsigned int *count;
static const atomic_int *full_when;
static pid_t job;

void changes_kill_at(unsigned int n) {
        kill_at = n;
}

void changes_need_room(const atomic_int *when) {
        full_when = when;
}

void changes_start(unsigned int *ret_count) {
        count = ret_count;
        job = getpid();
}

static void before_change(void) {
        if (!count || getpid() != job)
                return;
        if (++*count == kill_at)
                kill(job, SIGKILL);
}

/* Room is needed for new files alone. */
static bool is_full(void) {
        if (!count || getpid() != job || !full_when || atomic_load(full_when) == 0)
                return false;
        errno = ENOSPC;
        return true;
}

int __real_openat64(int dir_fd, const char *path, int flags, ...);
int __wrap_openat64(int dir_fd, const char *path, int flags, ...);
int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __real_unlinkat(int dir_fd, const char *path, int flags);
int __wrap_unlinkat(int dir_fd, const char *path, int flags);
int __real_mkdirat(int dir_fd, const char *path, mode_t mode);
int __wrap_mkdirat(int dir_fd, const char *path, mode_t mode);
int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_openat64(int dir_fd, const char *path, int flags, ...) {
        mode_t mode = 0;
        va_list args;

        if (!(flags & O_CREAT))
                return __real_openat64(dir_fd, path, flags);

        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
        before_change();
        return flags & O_EXCL && is_full() ? -1 : __real_openat64(dir_fd, path, flags, mode);
}

int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to) {
        before_change();
        return __real_renameat(from_fd, from, to_fd, to);
}

int __wrap_unlinkat(int dir_fd, const char *path, int flags) {
        before_change();
        return __real_unlinkat(dir_fd, path, flags);
}

int __wrap_mkdirat(int dir_fd, const char *path, mode_t mode) {
        before_change();
        return __real_mkdirat(dir_fd, path, mode);
}

int __wrap_flock(int fd, int operation) {
        before_change();
        return __real_flock(fd, operation);
}

int __wrap_fsync(int fd) {
        before_change();
        return __real_fsync(fd);
}
