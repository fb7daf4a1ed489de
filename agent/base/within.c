/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * openat2(2) does all of it, and is not always there: before Linux 5.6, and where RestrictSUIDSGID= of a
 * unit has it say ENOSYS (systemd src/shared/seccomp-util.c), as for each job and the agent. There the root is this
 * machine, whose links are as good as its files, and an ordinary open will do. In a copy of a machine
 * the way is gone step by step then.
 */

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include "base/file.h"
#include "base/text.h"

/* Each takes microseconds, and hardly one of them meets a rename. */
#define TRIES_MAX 1000U

/* As in the kernel (include/linux/namei.h: MAXSYMLINKS). */
#define LINKS_MAX 40U

#define DEPTH_MAX 64U

typedef struct Way {
        int root_fd;
        int fds[DEPTH_MAX]; /* directories below the root that it has led through */
        size_t n;
        char *rest; /* of the path */
        unsigned int n_links;
} Way;

static void way_leave(Way *way, size_t n) {
        while (way->n > n)
                close(way->fds[--way->n]);
}

static void way_deinit(Way *way) {
        way_leave(way, 0);
        free(way->rest);
}

static int way_fd(const Way *way) {
        return way->n > 0 ? way->fds[way->n - 1] : way->root_fd;
}

/* Put what a link says in front of the rest. An absolute one begins at the root. */
static int way_follow(Way *way, int link_fd, const char *rest) {
        char target[PATH_MAX];
        char *joined;
        ssize_t n;

        if (++way->n_links > LINKS_MAX)
                return -ELOOP;
        n = readlinkat(link_fd, "", target, sizeof(target));
        if (n < 0 || n == sizeof(target))
                return n < 0 ? -errno : -ENAMETOOLONG;
        if (n > 0 && target[0] == '/')
                way_leave(way, 0);
        joined = text_format("%.*s%s", (int) n, target, rest);
        if (!joined)
                return -ENOMEM;
        free(way->rest);
        way->rest = joined;
        return 0;
}

/* One name further. @rest: the slash behind the name, or the end */
static int way_step(Way *way, const char *name, const char *rest) {
        _cleanup_(closep) int fd = -1;
        struct stat st;

        if (!strcmp(name, "..")) {
                if (way->n > 0)
                        way_leave(way, way->n - 1);
                return 0;
        }
        fd = openat(way_fd(way), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (S_ISLNK(st.st_mode)) {
                int r = way_follow(way, fd, rest);

                return r < 0 ? r : 1;
        }
        if (!S_ISDIR(st.st_mode))
                return -ENOTDIR;
        if (way->n == DEPTH_MAX)
                return -ENAMETOOLONG;
        way->fds[way->n++] = TAKE_FD(fd);
        return 0;
}

/* The last name, or what it leads to. Return: a file descriptor, or a negative error code; @ret_on: go on instead */
static int way_end(Way *way, const char *name, int flags, bool *ret_on) {
        _cleanup_(closep) int fd = -1;
        struct stat st;
        int r;

        *ret_on = false;
        if (name[0] == 0 || !strcmp(name, "..")) {
                if (name[0])
                        way_leave(way, way->n > 0 ? way->n - 1 : 0);
                name = ".";
        } else if (!(flags & O_NOFOLLOW)) {
                fd = openat(way_fd(way), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
                if (fd < 0 || fstat(fd, &st) < 0)
                        return -errno;
                if (S_ISLNK(st.st_mode)) {
                        r = way_follow(way, fd, "");
                        *ret_on = r == 0;
                        return r;
                }
        }
        r = openat(way_fd(way), name, flags | O_CLOEXEC | O_NOFOLLOW);
        return r < 0 ? -errno : r;
}

static int open_by_steps(int root_fd, const char *path, int flags) {
        _cleanup_(way_deinit) Way way = { .root_fd = root_fd, .rest = strdup(path) };
        char name[NAME_MAX + 1];
        const char *s;
        bool on = true;
        size_t n;
        int r = way.rest ? 0 : -ENOMEM;

        for (s = way.rest; r >= 0 && on;) {
                s += strspn(s, "/");
                n = strcspn(s, "/");
                if (n > NAME_MAX)
                        return -ENAMETOOLONG;
                memcpy(name, s, n);
                name[n] = 0;
                s += n;
                if (!strcmp(name, "."))
                        name[0] = 0;
                if (s[strspn(s, "/")] == 0) {
                        r = way_end(&way, name, flags, &on);
                        s = way.rest;
                } else if (name[0]) {
                        r = way_step(&way, name, s);
                        if (r > 0)
                                s = way.rest;
                }
        }
        return r;
}

/* Do its links lead where this machine has them? Those of sysfs and procfs do, wherever these are mounted. */
static bool is_of_this_machine(int root_fd) {
        struct stat root, ours;
        struct statfs fs;

        if (fstatfs(root_fd, &fs) == 0 &&
                        (fs.f_type == SYSFS_MAGIC || fs.f_type == PROC_SUPER_MAGIC))
                return true;
        return fstat(root_fd, &root) == 0 && stat("/", &ours) == 0 && root.st_dev == ours.st_dev &&
                        root.st_ino == ours.st_ino;
}

/**
 * file_open_within() - open a file of a machine, be it this one or a copy
 * @root_fd:    top of its tree
 * @path:       below it, without a slash in front
 * @flags:      for openat(2), without O_CREAT; O_CLOEXEC is added
 *
 * Whoever has made the tree of a copy cannot have a file outside it opened, by no link and by no "..". Where a
 * directory is renamed meanwhile, anywhere, the kernel cannot tell, and wants to be asked again
 * (fs/namei.c: handle_dots()).
 *
 * Return: a file descriptor, close() it; or a negative error code.
 */
int file_open_within(int root_fd, const char *path, int flags) {
        const struct open_how how = {
                .flags = (uint64_t) (flags | O_CLOEXEC),
                .resolve = RESOLVE_IN_ROOT,
        };
        /* It does not come back in a process. */
        static atomic_bool is_missing;
        long fd = -1;

        if (root_fd == FILE_NO_DIR)
                return -ENOENT;
        for (unsigned int i = 0; i < TRIES_MAX && !is_missing; ++i) {
                fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
                if (fd >= 0 || errno != EAGAIN)
                        break;
        }
        if (fd < 0 && !is_missing)
                is_missing = errno == ENOSYS;
        if (fd < 0 && is_missing) {
                if (!is_of_this_machine(root_fd))
                        return open_by_steps(root_fd, path, flags);
                fd = openat(root_fd, path, flags | O_CLOEXEC);
        }
        return fd < 0 ? -errno : (int) fd;
}

/* A link to nothing is not there. */
bool file_exists_within(int root_fd, const char *path) {
        _cleanup_(closep) int fd = file_open_within(root_fd, path, O_PATH);

        return fd >= 0;
}
