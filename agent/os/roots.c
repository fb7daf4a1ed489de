/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/file.h"
#include "os/roots.h"
#include "vfiopt/names.h"

/*
 * Open any directory of the machine, "boot" or "usr/lib"; links are followed, and none out of it. Return: 0,
 * ROOTS_E_MISSING, or a negative error code. @ret_fd: close() it
 */
int roots_open(const Roots *roots, const char *path, int *ret_fd) {
        int fd;

        fd = file_open_within(roots->root_fd, path, O_RDONLY | O_DIRECTORY);
        if (fd < 0)
                return fd == -ENOENT ? ROOTS_E_MISSING : fd;

        *ret_fd = fd;
        return 0;
}

/* A path for what takes nothing else: of the very file that is open, whatever its name is now. */
const char *fd_path(int fd, char buffer[static FD_PATH_MAX]) {
        snprintf(buffer, FD_PATH_MAX, "/proc/self/fd/%d", fd);
        return buffer;
}

/*
 * Connect to a socket of a type below /run; it does not block. Return: 0, or a negative error code.
 * @ret_fd: close() it
 */
int roots_connect(const Roots *roots, const char *name, int type, int *ret_fd) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_(closep) int dir_fd = -1, fd = -1;
        char path[FD_PATH_MAX];
        int r;

        r = roots_open(roots, "run", &dir_fd);
        if (r)
                return r < 0 ? r : -ENOENT;
        /* The name of a test's directory may be too long for an address. */
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", fd_path(dir_fd, path), name);
        fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;

        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int open_existing(const Roots *roots, const char *path, int *ret_fd) {
        int r;

        r = roots_open(roots, path, ret_fd);
        return r == ROOTS_E_MISSING ? -ENOENT : r;
}

/* @may_lack: the kernel's directories may be missing */
static int init(Roots *roots, const char *prefix, bool may_lack) {
        _cleanup_(roots_deinit) Roots opened = ROOTS_NULL;
        _cleanup_(closep) int sys_fd = -1;
        const struct {
                const char *name;
                int *fd;
        } dirs[] = { { "sys", &sys_fd }, { "proc", &opened.proc_fd }, { "dev", &opened.dev_fd } };
        int r = 0;

        *roots = (Roots) ROOTS_NULL;
        opened.is_real = !prefix[0];
        opened.root_fd = open(prefix[0] ? prefix : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (opened.root_fd < 0)
                return -errno;

        for (size_t i = 0; i < ARRAY_SIZE(dirs) && r >= 0; ++i) {
                r = open_existing(&opened, dirs[i].name, dirs[i].fd);
                if (r == -ENOENT && may_lack) {
                        *dirs[i].fd = FILE_NO_DIR;
                        r = 0;
                }
        }
        opened.is_image = sys_fd == FILE_NO_DIR;
        if (r >= 0)
                r = sysfs_new(sys_fd, &opened.sysfs);
        if (r < 0)
                return r;

        *roots = opened;
        opened = (Roots) ROOTS_NULL;
        return 0;
}

/* Open the kernel's directories. @prefix: "" in production, the top of a tree in tests */
int roots_init(Roots *roots, const char *prefix) {
        return init(roots, prefix, false);
}

/* Likewise of what may be no more than the files of a machine. */
int roots_init_image(Roots *roots, const char *prefix) {
        return init(roots, prefix, true);
}

void roots_deinit(Roots *roots) {
        sysfs_free(roots->sysfs);
        closep(&roots->root_fd);
        closep(&roots->proc_fd);
        closep(&roots->dev_fd);
        closep(&roots->run_fd);
        closep(&roots->etc_fd);
        *roots = (Roots) ROOTS_NULL;
}

/* Whether the directory is still the one that we have open. */
static bool is_current(int parent_fd, int fd) {
        struct stat here, there;

        return fd >= 0 && fstat(fd, &here) == 0 &&
                        fstatat(parent_fd, VFIOPT_NAME, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
                        here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

static int open_own(const Roots *roots, const char *parent, bool make, int *fd) {
        _cleanup_(closep) int parent_fd = -1;
        int r;

        r = open_existing(roots, parent, &parent_fd);
        if (r < 0)
                return r;
        if (is_current(parent_fd, *fd))
                return 0;

        closep(fd);
        *fd = -1;
        r = make ? file_make_dir(parent_fd, VFIOPT_NAME, 0755, fd)
                 : file_open_dir(parent_fd, VFIOPT_NAME, fd);
        return r == FILE_E_MISSING ? ROOTS_E_MISSING : r;
}

/*
 * Open our directory for what must not survive a reboot, again if it was removed or replaced
 * since. Return: 0, ROOTS_E_MISSING (never with @make), or a negative error code.
 */
int roots_open_run(Roots *roots, bool make) {
        return open_own(roots, "run", make, &roots->run_fd);
}

/* Likewise for our directory of state and configuration. */
int roots_open_etc(Roots *roots, bool make) {
        return open_own(roots, "etc", make, &roots->etc_fd);
}
