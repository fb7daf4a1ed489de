/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "os/child.h"
#include "record/lock.h"
#include "vfiopt/names.h"

#define FOLDER        VFIOPT_RUN_LOCK
#define GUARD_SUFFIX  ".writer"
#define LOCK_NAME_MAX (ADDRESS_STRING_MAX + sizeof(GUARD_SUFFIX))

/* " 00:1a:1234 ", device and inode */
#define FILE_ID_MAX 64

/* Any user may make the list as long as memory allows. */
#define LIST_LIMIT_USEC (1 * USEC_PER_SEC)

static const struct flock whole_file = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

/* Of mode 0600: who may only read it could hold it against us. */
static int open_lock_file(int dir_fd, const char *name, int *ret_fd) {
        int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);

        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}

/* One attempt. Return: 0, LOCK_E_BUSY, -ESTALE if somebody has removed the file meanwhile. */
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
        if (fcntl(fd, F_OFD_SETLK, &whole_file) < 0)
                return -errno;

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

/* Has its file been removed since, so that another process may have taken the same lock beside this one? */
bool lock_is_lost(const Lock *lock) {
        struct stat st;

        return fstat(lock->lock_fd, &st) < 0 || st.st_nlink == 0;
}

/*
 * Let go. The file of the guard is closed last, and tells those that watch the folder that the lock is
 * free: a file is told to be closed before its own lock is dropped (fs/file_table.c, __fput()).
 */
void lock_release(Lock *lock) {
        closep(&lock->lock_fd);
        closep(&lock->guard_fd);
        closep(&lock->dir_fd);
        free(lock->name);
        *lock = (Lock) LOCK_NULL;
}

/* asking */

/* A lock that is looked for in /proc/locks. */
typedef struct Wanted {
        char file[FILE_ID_MAX]; /* "": there is no such file */
        const char *kind;
        bool found;
        pid_t pid; /* whose, or 0 */
} Wanted;

/* "1: FLOCK  ADVISORY  WRITE 708 00:1a:1234 0 EOF"; a waiter has "->" behind the number. */
static void look_in_line(Wanted *wanted, const char *line) {
        char kind[16];
        int pid;

        if (!wanted->file[0] || !strstr(line, wanted->file) ||
                        sscanf(line, "%*u: %15s %*s %*s %d", kind, &pid) != 2 ||
                        strcmp(kind, wanted->kind) != 0)
                return;
        wanted->found = true;
        wanted->pid = pid > 0 ? pid : 0;
}

/* Read the list once. Return: 0 on success, also if the time is up; negative error code on failure. */
static int read_list(int proc_fd, Wanted *wanted, size_t n) {
        const uint64_t deadline = monotonic_usec() + LIST_LIMIT_USEC;
        _cleanup_(fclosep) FILE *list = NULL;
        _cleanup_(freep) char *line = NULL;
        size_t n_allocated = 0, n_lines = 0;
        int fd;

        fd = openat(proc_fd, "locks", O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;
        list = fdopen(fd, "re");
        if (!list) {
                close(fd);
                return -ENOMEM;
        }

        errno = 0;
        while (getline(&line, &n_allocated, list) > 0) {
                for (size_t i = 0; i < n; ++i)
                        look_in_line(&wanted[i], line);
                if (++n_lines % 1024 == 0 && monotonic_usec() >= deadline)
                        return 0;
        }
        return ferror(list) || !feof(list) ? -(errno ?: EIO) : 0;
}

/*
 * The list is read page by page, and what comes to stand before a page meanwhile hides
 * what is at its edge (KERNEL.md 12.2): a lock that is not found is looked for again.
 */
static int look_in_list(int proc_fd, Wanted *wanted, size_t n) {
        bool missing = true;
        int r = 0;

        for (size_t round = 0; round < 2 && missing && r == 0; ++round) {
                r = read_list(proc_fd, wanted, n);
                missing = false;
                for (size_t i = 0; i < n; ++i)
                        missing = missing || (wanted[i].file[0] && !wanted[i].found);
        }
        return r;
}

/* The list tells the file system and the inode, but not which file. */
static void name_file(Wanted *wanted, const struct stat *file) {
        snprintf(wanted->file, sizeof(wanted->file), " %02x:%02x:%lu ", major(file->st_dev),
                        minor(file->st_dev), (unsigned long) file->st_ino);
}

/* Open a file of locks only to ask. Return: 0 with a descriptor, or with -1 if there is none; or negative. */
static int open_to_ask(int run_fd, const char *path, int *ret_fd) {
        *ret_fd = openat(run_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
        return *ret_fd >= 0 || errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
}

/* Ask the locks themselves. Return: 0 on success, -EACCES if this user may not, or negative. */
static int ask(int run_fd, const char *lock, const char *guard, LockHolders *holders) {
        _cleanup_(closep) int lock_fd = -1, guard_fd = -1;
        struct flock held = whole_file;
        int r;

        r = open_to_ask(run_fd, lock, &lock_fd);
        if (r == 0)
                r = open_to_ask(run_fd, guard, &guard_fd);
        if (r < 0)
                return r;
        if (lock_fd >= 0 && fcntl(lock_fd, F_OFD_GETLK, &held) < 0)
                return -errno;
        if (guard_fd >= 0)
                r = child_guard_test(guard_fd, &holders->writer);
        if (r < 0)
                return r;
        holders->certain = true;
        holders->locked = lock_fd >= 0 && held.l_type != F_UNLCK;
        holders->writing = r == CHILD_GUARD_E_HELD;
        return 0;
}

/**
 * lock_test() - look who switches a GPU, or still writes to it
 * @run_fd:     our directory in /run
 * @ret:        who; without .certain, a holder may have been missed
 *
 * Needs no privilege and disturbs nobody. Where nobody has ever switched it, or nobody does, the list
 * of all locks of the machine is not read by root.
 *
 * Return: 0 on success, negative error code on failure.
 */
int lock_test(int run_fd, int proc_fd, Address gpu, LockHolders *ret) {
        char name[ADDRESS_STRING_MAX], paths[2][sizeof(FOLDER) + LOCK_NAME_MAX];
        Wanted wanted[] = { { .kind = "FLOCK" }, { .kind = "POSIX" } };
        LockHolders holders = {};
        int r;

        address_format(address_of_function(gpu, 0), name);
        snprintf(paths[0], sizeof(paths[0]), FOLDER "/%s", name);
        snprintf(paths[1], sizeof(paths[1]), FOLDER "/%s" GUARD_SUFFIX, name);
        r = ask(run_fd, paths[0], paths[1], &holders);
        if (r < 0 && r != -EACCES)
                return r;

        for (size_t i = 0; i < ARRAY_SIZE(wanted); ++i) {
                struct stat file;

                /* Of the lock itself it is not told whose it is. */
                if (holders.certain && (i > 0 || !holders.locked))
                        continue;
                if (fstatat(run_fd, paths[i], &file, AT_SYMLINK_NOFOLLOW) == 0)
                        name_file(&wanted[i], &file);
                else if (errno != ENOENT && errno != ENOTDIR)
                        return -errno;
        }
        if (wanted[0].file[0] || wanted[1].file[0]) {
                r = look_in_list(proc_fd, wanted, ARRAY_SIZE(wanted));
                if (r < 0)
                        return r;
        }
        holders.owner = wanted[0].pid;
        if (!holders.certain) {
                holders.locked = wanted[0].found;
                holders.writing = wanted[1].found;
                holders.writer = wanted[1].pid;
        }

        *ret = holders;
        return 0;
}
