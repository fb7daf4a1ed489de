/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"

/* More than an attribute of sysfs has: those must come with one read. */
#define READ_SIZE_MIN 8192U

/*
 * Make room for more, but for no more than @max bytes, one beyond, and the terminator.
 *
 * Allocating all of that at once would cost a long-running process two megabytes: malloc()
 * adapts its threshold to the size that was freed, and the kernel makes a huge page of it.
 */
static int file_grow(char **data, size_t *size, size_t max) {
        size_t n = *size > 0 ? *size * 2 : READ_SIZE_MIN;
        char *grown;

        if (n > max + 2)
                n = max + 2;
        grown = realloc(*data, n);
        if (!grown)
                return -ENOMEM;

        *data = grown;
        *size = n;
        return 0;
}

static int read_whole(int fd, size_t max, char **ret_data, size_t *ret_n) {
        _cleanup_(freep) char *data = NULL;
        size_t n = 0, size = 0;
        ssize_t k;
        int r;

        do {
                if (n + 1 >= size) {
                        r = file_grow(&data, &size, max);
                        if (r < 0)
                                return r;
                }
                k = read(fd, data + n, size - 1 - n);
                if (k < 0)
                        return -errno;
                n += k;
                if (n > max)
                        return -E2BIG;
        } while (k > 0);

        data[n] = 0;
        if (ret_n)
                *ret_n = n;
        *ret_data = TAKE_PTR(data);
        return 0;
}

#define READ_FLAGS (O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

/**
 * file_read() - read a small file whole
 * @max:        most bytes it may have
 * @ret_data:   its content, zero-terminated; free() it
 * @ret_n:      its size without the terminator, or NULL
 *
 * Return: 0 on success, FILE_E_MISSING, -E2BIG if it is larger than @max, other
 *         negative error code on failure.
 */
int file_read(int dir_fd, const char *path, size_t max, char **ret_data, size_t *ret_n) {
        _cleanup_(closep) int fd = -1;

        if (dir_fd == FILE_NO_DIR)
                return FILE_E_MISSING;
        fd = openat(dir_fd, path, READ_FLAGS);
        if (fd < 0)
                return errno == ENOENT || errno == ENOTDIR ? FILE_E_MISSING : -errno;
        return read_whole(fd, max, ret_data, ret_n);
}

/* Likewise, within a root. */
int file_read_within(int root_fd, const char *path, size_t max, char **ret_data, size_t *ret_n) {
        _cleanup_(closep) int fd = file_open_within(root_fd, path, READ_FLAGS);

        if (fd < 0)
                return fd == -ENOENT || fd == -ENOTDIR ? FILE_E_MISSING : fd;
        return read_whole(fd, max, ret_data, ret_n);
}

static int file_write_all(int fd, const char *data, size_t n) {
        while (n > 0) {
                ssize_t k = write(fd, data, n);

                if (k < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                data += k;
                n -= k;
        }
        return 0;
}

/* One name for all: files are replaced under a lock. */
static char *file_temporary(const char *name) {
        return text_format(".%s.tmp", name);
}

static int file_write_temporary(
                int dir_fd, const char *temporary, mode_t mode, const char *data, bool durable) {
        _cleanup_(closep) int fd = -1;
        int r;

        fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd < 0)
                return -errno;

        r = file_write_all(fd, data, strlen(data));
        if (r >= 0 && fchmod(fd, mode) < 0)
                r = -errno;
        if (r >= 0 && durable && fsync(fd) < 0)
                r = -errno;
        if (r < 0)
                (void) unlinkat(dir_fd, temporary, 0);
        return r;
}

/**
 * file_replace() - create or replace a file atomically
 * @name:       name in the directory, without any slash
 * @mode:       permissions, exactly (the umask is not applied)
 * @data:       the new content
 * @durable:    whether it must be on disk, not only visible, on return
 *
 * The caller holds a lock: two at a time would use one temporary file.
 *
 * Return: 0 on success, negative error code on failure; the old file is then
 *         still there, unchanged.
 */
int file_replace(int dir_fd, const char *name, mode_t mode, const char *data, bool durable) {
        _cleanup_(freep) char *temporary = NULL;
        int r;

        temporary = file_temporary(name);
        if (!temporary)
                return -ENOMEM;

        /* A leftover of a process that was killed right here. */
        (void) unlinkat(dir_fd, temporary, 0);

        r = file_write_temporary(dir_fd, temporary, mode, data, durable);
        if (r < 0)
                return r;

        if (renameat(dir_fd, temporary, dir_fd, name) < 0) {
                r = -errno;
                (void) unlinkat(dir_fd, temporary, 0);
                return r;
        }
        if (durable && fsync(dir_fd) < 0)
                return -errno;
        return 0;
}

/*
 * Remove a file, and what a killed file_replace() left of it. Return: 0, FILE_E_MISSING,
 * or a negative error code.
 */
int file_remove(int dir_fd, const char *name) {
        _cleanup_(freep) char *temporary = file_temporary(name);

        if (!temporary)
                return -ENOMEM;

        (void) unlinkat(dir_fd, temporary, 0);
        if (unlinkat(dir_fd, name, 0) < 0)
                return errno == ENOENT ? FILE_E_MISSING : -errno;
        return 0;
}

/*
 * Open a directory for reading; a link is none. Return: 0, FILE_E_MISSING, or a negative
 * error code. @ret_fd: close() it
 */
int file_open_dir(int dir_fd, const char *name, int *ret_fd) {
        int fd;

        fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return errno == ENOENT ? FILE_E_MISSING : -errno;

        *ret_fd = fd;
        return 0;
}

/* Likewise, making it with @mode if it is not there. Return: 0, or a negative error code. */
int file_make_dir(int dir_fd, const char *name, mode_t mode, int *ret_fd) {
        int r;

        if (mkdirat(dir_fd, name, mode) < 0 && errno != EEXIST)
                return -errno;

        r = file_open_dir(dir_fd, name, ret_fd);
        return r == FILE_E_MISSING ? -ENOENT : r;
}

/**
 * file_open_dirp() - open a directory to list it
 * @flags:      more of them for openat(2): O_NOFOLLOW, or 0
 * @ret:        directory; closedir() it
 *
 * Return: 0 on success, FILE_E_MISSING, or a negative error code.
 */
int file_open_dirp(int dir_fd, const char *path, int flags, DIR **ret) {
        _cleanup_(closep) int fd = -1;
        DIR *dir;

        if (dir_fd == FILE_NO_DIR)
                return FILE_E_MISSING;
        fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
        if (fd < 0)
                return errno == ENOENT ? FILE_E_MISSING : -errno;

        dir = fdopendir(fd);
        if (!dir)
                return -errno;
        (void) TAKE_FD(fd);

        *ret = dir;
        return 0;
}
