/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Roots
 *
 * The only file that spells the top-level directories. A missing /dev or /proc
 * is an error; our own directories in /run and /etc come and go, so opening
 * them is a separate question with an answer of its own.
 */

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "os/roots.h"

static int open_below(const char *prefix, const char *name, int *ret_fd) {
        _cleanup_(freep) char *path = NULL;
        int fd;

        path = text_format("%s/%s", prefix, name);
        if (!path)
                return -ENOMEM;

        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;

        *ret_fd = fd;
        return 0;
}

/**
 * roots_init() - open the kernel's directories
 * @roots:      to initialise; roots_deinit() it
 * @prefix:     "" in production, the top of a fake tree in tests
 *
 * Return: 0 on success, negative error code on failure.
 */
int roots_init(Roots *roots, const char *prefix) {
        _cleanup_(closep) int sys_fd = -1;
        int r;

        *roots = (Roots) ROOTS_NULL;

        r = open_below(prefix, "sys", &sys_fd);
        if (r >= 0)
                r = sysfs_new(sys_fd, &roots->sysfs);
        if (r >= 0)
                r = open_below(prefix, "proc", &roots->proc_fd);
        if (r >= 0)
                r = open_below(prefix, "dev", &roots->dev_fd);
        if (r < 0)
                roots_deinit(roots);
        return r;
}

/* Whether the directory is still the one that we have open. */
static bool is_current(int parent_fd, int fd) {
        struct stat here, there;

        return fd >= 0 && fstat(fd, &here) == 0 &&
                        fstatat(parent_fd, "vfiopt", &there, AT_SYMLINK_NOFOLLOW) == 0 &&
                        here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

static int open_own(const char *prefix, const char *parent, bool make, int *fd) {
        _cleanup_(closep) int parent_fd = -1;
        int r;

        r = open_below(prefix, parent, &parent_fd);
        if (r < 0)
                return r;
        if (is_current(parent_fd, *fd))
                return 0;

        closep(fd);
        *fd = -1;
        if (make)
                return file_make_dir(parent_fd, "vfiopt", 0755, fd);

        *fd = openat(parent_fd, "vfiopt", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (*fd < 0)
                return errno == ENOENT ? ROOTS_E_MISSING : -errno;
        return 0;
}

/**
 * roots_open_run() - open our directory for what must not survive a reboot
 * @roots:      roots
 * @prefix:     as for roots_init()
 * @make:       whether to make it if it is not there
 *
 * If it is open already, but was removed or replaced since, it is opened anew.
 *
 * Return: 0 on success, ROOTS_E_MISSING if there is none (never with @make),
 *         negative error code on failure.
 */
int roots_open_run(Roots *roots, const char *prefix, bool make) {
        return open_own(prefix, "run", make, &roots->run_fd);
}

/* Likewise for our directory of state and configuration. */
int roots_open_etc(Roots *roots, const char *prefix, bool make) {
        return open_own(prefix, "etc", make, &roots->etc_fd);
}

void roots_deinit(Roots *roots) {
        sysfs_free(roots->sysfs);
        closep(&roots->proc_fd);
        closep(&roots->dev_fd);
        closep(&roots->run_fd);
        closep(&roots->etc_fd);
        *roots = (Roots) ROOTS_NULL;
}
