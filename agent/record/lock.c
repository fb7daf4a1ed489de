/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Locks
 *
 * A lock is a flock(2) on a file of mode 0600: who may only read it could hold it
 * against us. So that nothing is left in /run when nothing goes on, the holder
 * removes the file before it lets go; whoever waited then has a lock on a file
 * that has no name any more, sees that, and starts again.
 *
 * Who only wants to know asks /proc/locks, which everybody may read, and takes
 * nothing.
 */

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "base/text.h"
#include "os/child.h"
#include "record/lock.h"
#include "vfiopt/names.h"

#define FOLDER       VFIOPT_RUN_LOCK
#define GUARD_SUFFIX ".writer"

#define LOCKS_SIZE_MAX (4U * 1024U * 1024U)

static int same_file(int fd, int dir_fd, const char *name) {
        struct stat ours, theirs;

        if (fstat(fd, &ours) < 0)
                return -errno;
        if (fstatat(dir_fd, name, &theirs, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : -errno;
        return ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

static int open_lock_file(int dir_fd, const char *name, int *ret_fd) {
        int fd;

        fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
        if (fd < 0)
                return -errno;

        *ret_fd = fd;
        return 0;
}

/* One attempt. Return: 0, LOCK_E_BUSY, -ESTALE if the file lost its name meanwhile. */
static int lock_try(Lock *lock, bool wait) {
        _cleanup_(closep) int fd = -1;
        int r;

        r = open_lock_file(lock->dir_fd, lock->name, &fd);
        if (r < 0)
                return r;
        while (flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) < 0) {
                if (errno == EWOULDBLOCK)
                        return LOCK_E_BUSY;
                if (errno != EINTR)
                        return -errno;
        }
        r = same_file(fd, lock->dir_fd, lock->name);
        if (r <= 0)
                return r < 0 ? r : -ESTALE;

        lock->lock_fd = TAKE_FD(fd);
        return 0;
}

static int lock_take_named(Lock *lock, int run_fd, const char *name, bool wait) {
        int r;

        *lock = (Lock) LOCK_NULL;

        lock->name = strdup(name);
        r = lock->name ? file_make_dir(run_fd, FOLDER, 0755, &lock->dir_fd) : -ENOMEM;
        if (r < 0)
                goto fail;

        do
                r = lock_try(lock, wait);
        while (r == -ESTALE);
        if (r)
                goto fail;
        return 0;

fail:
        lock_release(lock);
        return r;
}

static int lock_open_guard(Lock *lock) {
        char name[ADDRESS_STRING_MAX + sizeof(GUARD_SUFFIX)];

        snprintf(name, sizeof(name), "%s" GUARD_SUFFIX, lock->name);
        return open_lock_file(lock->dir_fd, name, &lock->guard_fd);
}

/**
 * lock_take() - take the lock of a GPU
 * @lock:       to initialise; lock_release() it
 * @run_fd:     our directory in /run
 * @gpu:        which
 * @wait:       wait for whoever has it
 *
 * Return: 0 on success, LOCK_E_BUSY if somebody else has it (never with @wait),
 *         negative error code on failure.
 */
int lock_take(Lock *lock, int run_fd, Address gpu, bool wait) {
        char name[ADDRESS_STRING_MAX];
        int r;

        r = lock_take_named(lock, run_fd, address_format(address_of_function(gpu, 0), name), wait);
        if (r)
                return r;

        r = lock_open_guard(lock);
        if (r < 0)
                lock_release(lock);
        return r;
}

/* Take the lock under which the state file is read, changed and replaced. */
int lock_take_state(Lock *lock, int run_fd) {
        return lock_take_named(lock, run_fd, "state", true);
}

/* Let go, and remove the files unless a child still writes. */
void lock_release(Lock *lock) {
        char guard[ADDRESS_STRING_MAX + sizeof(GUARD_SUFFIX)];

        if (lock->lock_fd >= 0) {
                if (lock->guard_fd >= 0 && child_guard_test(lock->guard_fd, NULL) == 0) {
                        snprintf(guard, sizeof(guard), "%s" GUARD_SUFFIX, lock->name);
                        (void) unlinkat(lock->dir_fd, guard, 0);
                }
                (void) unlinkat(lock->dir_fd, lock->name, 0);
        }
        closep(&lock->guard_fd);
        closep(&lock->lock_fd);
        closep(&lock->dir_fd);
        free(lock->name);
        *lock = (Lock) LOCK_NULL;
}

/* "1: FLOCK  ADVISORY  WRITE 708 00:1a:1234 0 EOF"; a waiter has "->" behind the number. */
static bool parse_lock_line(
                const char *line, const struct stat *file, const char *type, pid_t *ret_pid) {
        unsigned int major_, minor_;
        unsigned long inode;
        char kind[16];
        int pid;

        if (sscanf(line, "%*u: %15s %*s %*s %d %x:%x:%lu", kind, &pid, &major_, &minor_, &inode) !=
                        5)
                return false;
        if (strcmp(kind, type) || inode != file->st_ino || major(file->st_dev) != major_ ||
                        minor(file->st_dev) != minor_)
                return false;

        *ret_pid = pid > 0 ? pid : 0;
        return true;
}

static bool find_holder(
                const char *locks, const struct stat *file, const char *type, pid_t *ret_pid) {
        for (const char *line = locks; line && *line;) {
                const char *end = strchr(line, '\n');

                if (parse_lock_line(line, file, type, ret_pid))
                        return true;
                line = end ? end + 1 : NULL;
        }
        return false;
}

/* Return: 1 if the file is there, 0 if not, negative error code on failure. */
static int stat_file(int run_fd, const char *path, struct stat *file) {
        if (fstatat(run_fd, path, file, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
        return 1;
}

/**
 * lock_test() - does somebody switch this GPU, or still write to it?
 * @run_fd:     our directory in /run
 * @proc_fd:    root of procfs
 * @gpu:        which
 * @ret:        who
 *
 * Needs no privilege and disturbs nobody. Where there are no files nobody is at it, and the list
 * of all locks of the machine is not read.
 *
 * Return: 0 on success, negative error code on failure.
 */
int lock_test(int run_fd, int proc_fd, Address gpu, LockHolders *ret) {
        _cleanup_(freep) char *locks = NULL;
        char name[ADDRESS_STRING_MAX], path[64];
        struct stat lock, guard;
        LockHolders holders = {};
        int has_lock, has_guard, r;

        address_format(address_of_function(gpu, 0), name);
        snprintf(path, sizeof(path), FOLDER "/%s", name);
        has_lock = stat_file(run_fd, path, &lock);
        if (has_lock < 0)
                return has_lock;
        snprintf(path, sizeof(path), FOLDER "/%s" GUARD_SUFFIX, name);
        has_guard = stat_file(run_fd, path, &guard);
        if (has_guard < 0)
                return has_guard;

        if (has_lock || has_guard) {
                r = file_read(proc_fd, "locks", LOCKS_SIZE_MAX, &locks, NULL);
                if (r)
                        return r < 0 ? r : -ENOENT;
        }
        if (has_lock)
                holders.locked = find_holder(locks, &lock, "FLOCK", &holders.owner);
        if (has_guard)
                holders.writing = find_holder(locks, &guard, "POSIX", &holders.writer);

        *ret = holders;
        return 0;
}
