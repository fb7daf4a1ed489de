/* SPDX-License-Identifier: LGPL-2.1-or-later */

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

#define FOLDER        VFIOPT_RUN_LOCK
#define GUARD_SUFFIX  ".writer"
#define LOCK_NAME_MAX (ADDRESS_STRING_MAX + sizeof(GUARD_SUFFIX))

#define LOCKS_SIZE_MAX (4U * 1024U * 1024U)

/* Of mode 0600: who may only read it could hold it against us. */
static int open_lock_file(int dir_fd, const char *name, int *ret_fd) {
        int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);

        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}

/* One attempt. Return: 0, LOCK_E_BUSY, -ESTALE if the file lost its name meanwhile. */
static int lock_try(Lock *lock, bool wait) {
        _cleanup_(closep) int fd = -1;
        struct stat ours, theirs;
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
        if (fstat(fd, &ours) < 0)
                return -errno;
        if (fstatat(lock->dir_fd, lock->name, &theirs, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? -ESTALE : -errno;
        if (ours.st_ino != theirs.st_ino || ours.st_dev != theirs.st_dev)
                return -ESTALE;

        lock->lock_fd = TAKE_FD(fd);
        return 0;
}

static int lock_take_named(Lock *lock, int run_fd, const char *name, bool wait) {
        int r;

        *lock = (Lock) LOCK_NULL;
        r = text_copy(name, &lock->name);
        if (r >= 0)
                r = file_make_dir(run_fd, FOLDER, 0755, &lock->dir_fd);
        if (r >= 0)
                do
                        r = lock_try(lock, wait);
                while (r == -ESTALE);
        if (r)
                lock_release(lock);
        return r;
}

/*
 * Take the lock of a GPU, and wait for its holder if @wait; lock_release() it.
 *
 * Return: 0 on success, LOCK_E_BUSY if another process has it (never with @wait), negative error
 *         code on failure.
 */
int lock_take(Lock *lock, int run_fd, Address gpu, bool wait) {
        char name[LOCK_NAME_MAX];
        int r;

        r = lock_take_named(lock, run_fd, address_format(address_of_function(gpu, 0), name), wait);
        if (r)
                return r;

        snprintf(name, sizeof(name), "%s" GUARD_SUFFIX, lock->name);
        r = open_lock_file(lock->dir_fd, name, &lock->guard_fd);
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
        char guard[LOCK_NAME_MAX];

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

/*
 * Find a lock of @type on a file in /proc/locks: "1: FLOCK  ADVISORY  WRITE 708 00:1a:1234 0 EOF";
 * a waiter has "->" behind the number.
 */
static bool find_holder(
                const char *locks, const struct stat *file, const char *type, pid_t *ret_pid) {
        for (const char *line = locks; line; line = strchr(line, '\n')) {
                unsigned int major_, minor_;
                unsigned long inode;
                char kind[16];
                int pid;

                line += line[0] == '\n';
                if (sscanf(line, "%*u: %15s %*s %*s %d %x:%x:%lu", kind, &pid, &major_, &minor_,
                                    &inode) != 5)
                        continue;
                if (strcmp(kind, type) != 0 || inode != file->st_ino ||
                                major(file->st_dev) != major_ || minor(file->st_dev) != minor_)
                        continue;
                *ret_pid = pid > 0 ? pid : 0;
                return true;
        }
        return false;
}

/*
 * Look who switches a GPU, or still writes to it. Needs no privilege and disturbs nobody. Without
 * lock files nothing is going on, and the list of all locks of the machine is not read.
 *
 * Return: 0 on success, negative error code on failure.
 */
int lock_test(int run_fd, int proc_fd, Address gpu, LockHolders *ret) {
        static const char *const suffixes[] = { "", GUARD_SUFFIX };
        _cleanup_(freep) char *locks = NULL;
        char name[ADDRESS_STRING_MAX], path[sizeof(FOLDER) + LOCK_NAME_MAX];
        bool is_there[ARRAY_SIZE(suffixes)];
        struct stat files[ARRAY_SIZE(suffixes)];
        LockHolders holders = {};
        int r;

        address_format(address_of_function(gpu, 0), name);
        for (size_t i = 0; i < ARRAY_SIZE(suffixes); ++i) {
                snprintf(path, sizeof(path), FOLDER "/%s%s", name, suffixes[i]);
                is_there[i] = fstatat(run_fd, path, &files[i], AT_SYMLINK_NOFOLLOW) == 0;
                if (!is_there[i] && errno != ENOENT && errno != ENOTDIR)
                        return -errno;
        }
        if (is_there[0] || is_there[1]) {
                r = file_read(proc_fd, "locks", LOCKS_SIZE_MAX, &locks, NULL);
                if (r)
                        return r < 0 ? r : -ENOENT;
        }
        holders.locked = is_there[0] && find_holder(locks, &files[0], "FLOCK", &holders.owner);
        holders.writing = is_there[1] && find_holder(locks, &files[1], "POSIX", &holders.writer);

        *ret = holders;
        return 0;
}
