/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "os/sysfs.h"

/* The kernel limits an attribute to one page. */
#define SYSFS_VALUE_MAX 4096U

/* A disk's partition behind five hubs is 14 levels below the USB controller. */
#define WALK_DEPTH_MAX 32U
#define WALK_PATH_MAX  1024U

struct Sysfs {
        int root_fd;
        SysfsWriteFn writer;
        void *userdata;
};

/*
 * Open the tree below a directory, which is duplicated; or an empty one, below FILE_NO_DIR. Return: 0, or a negative
 * error code.
 */
int sysfs_new(int root_fd, Sysfs **ret_sysfs) {
        _cleanup_(freep) Sysfs *sysfs = calloc(1, sizeof(*sysfs));

        if (!sysfs)
                return -ENOMEM;
        sysfs->root_fd = root_fd == FILE_NO_DIR ? FILE_NO_DIR : fcntl(root_fd, F_DUPFD_CLOEXEC, 3);
        if (root_fd != FILE_NO_DIR && sysfs->root_fd < 0)
                return -errno;

        *ret_sysfs = TAKE_PTR(sysfs);
        return 0;
}

/* Takes and returns NULL. */
Sysfs *sysfs_free(Sysfs *sysfs) {
        if (!sysfs)
                return NULL;

        closep(&sysfs->root_fd);
        free(sysfs);
        return NULL;
}

/* The directory of the tree; a child that uses the tree has to keep it (os/child.h). */
int sysfs_root_fd(const Sysfs *sysfs) {
        return sysfs->root_fd;
}

void sysfs_set_writer(Sysfs *sysfs, SysfsWriteFn fn, void *userdata) {
        sysfs->writer = fn;
        sysfs->userdata = userdata;
}

static int sysfs_missing(int e) {
        return e == ENOENT || e == ENOTDIR ? SYSFS_E_MISSING : -e;
}

/* Read the start of a binary attribute: @n bytes at most, *@ret_n bytes that there were. */
int sysfs_read_bytes(Sysfs *sysfs, const char *path, void *buffer, size_t n, size_t *ret_n) {
        _cleanup_(closep) int fd = -1;
        ssize_t k;

        fd = file_open_within(sysfs->root_fd, path, O_RDONLY | O_NOCTTY);
        if (fd < 0)
                return sysfs_missing(-fd);

        k = read(fd, buffer, n);
        if (k < 0)
                return -errno;

        *ret_n = k;
        return 0;
}

/* Read an attribute without the newline at its end. @ret_value: free() it */
int sysfs_read(Sysfs *sysfs, const char *path, char **ret_value) {
        char buffer[SYSFS_VALUE_MAX + 1];
        char *value;
        size_t n = 0;
        int r;

        r = sysfs_read_bytes(sysfs, path, buffer, sizeof(buffer), &n);
        if (r)
                return r;
        if (n > SYSFS_VALUE_MAX)
                return -E2BIG;
        if (n > 0 && buffer[n - 1] == '\n')
                --n;

        value = strndup(buffer, n);
        if (!value)
                return -ENOMEM;

        *ret_value = value;
        return 0;
}

/**
 * sysfs_read_at() - read an attribute of a device that may go meanwhile
 * @sysfs:      tree to read from
 * @dir:        the device's directory, relative to the root
 * @name:       attribute
 * @ret_value:  as sysfs_read()
 *
 * Return: 0 on success, SYSFS_E_MISSING if there is no such attribute, or the device has
 *         gone, negative error code on failure.
 */
int sysfs_read_at(Sysfs *sysfs, const char *dir, const char *name, char **ret_value) {
        _cleanup_(freep) char *path = NULL;
        int r;

        path = text_format("%s/%s", dir, name);
        if (!path)
                return -ENOMEM;

        r = sysfs_read(sysfs, path, ret_value);
        return r == -ENODEV ? SYSFS_E_MISSING : r;
}

/* Read a number of base 10, or 16 for "0x…". -EBADMSG if it is none, or larger than @max. */
int sysfs_read_uint(
                Sysfs *sysfs, const char *path, unsigned int base, uint64_t max, uint64_t *ret) {
        _cleanup_(freep) char *value = NULL;
        const char *digits;
        int r;

        r = sysfs_read(sysfs, path, &value);
        if (r)
                return r;

        if (base != 16 || !text_starts_with(value, "0x", &digits))
                digits = value;
        return text_to_uint(digits, base, max, ret) < 0 ? -EBADMSG : 0;
}

/*
 * Write an attribute. A write of nothing would do nothing (fs/sysfs/file.c: sysfs_kf_write()),
 * so @value is never empty. Return: 0, or the negative errno that the kernel answered with.
 */
int sysfs_write(Sysfs *sysfs, const char *path, const char *value) {
        const size_t n_value = strlen(value);
        _cleanup_(closep) int fd = -1;
        ssize_t n;

        if (sysfs->writer)
                return sysfs->writer(sysfs->userdata, path, value);

        fd = openat(sysfs->root_fd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;

        n = write(fd, value, n_value);
        if (n < 0)
                return -errno;

        return (size_t) n == n_value ? 0 : -EIO;
}

/* The target of a link, as it is written there. @ret_target: free() it */
int sysfs_link_target(Sysfs *sysfs, const char *path, char **ret_target) {
        _cleanup_(closep) int fd = -1;
        char target[PATH_MAX];
        ssize_t n;

        fd = file_open_within(sysfs->root_fd, path, O_PATH | O_NOFOLLOW);
        if (fd < 0)
                return sysfs_missing(-fd);
        n = readlinkat(fd, "", target, sizeof(target));
        if (n < 0)
                /* Of what is no link there is no such name to the kernel. */
                return errno == ENOENT ? -EINVAL : -errno;
        if ((size_t) n >= sizeof(target))
                return -ENAMETOOLONG;
        target[n] = 0;

        return text_copy(target, ret_target);
}

/* The last component of the target of a link, like a device's "driver". @ret_name: free() it */
int sysfs_link(Sysfs *sysfs, const char *path, char **ret_name) {
        _cleanup_(freep) char *target = NULL;
        const char *slash;
        int r;

        r = sysfs_link_target(sysfs, path, &target);
        if (r)
                return r;

        slash = strrchr(target, '/');
        return text_copy(slash ? slash + 1 : target, ret_name);
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/*
 * Names in a directory, without "." and "..", sorted: the kernel's order depends on how devices
 * came and went, and what we print and plan must not. @ret_names: strv_free() it
 */
int sysfs_list(Sysfs *sysfs, const char *path, char ***ret_names, size_t *ret_n) {
        _cleanup_(strv_freep) char **names = NULL;
        _cleanup_(closedirp) DIR *dir = NULL;
        _cleanup_(closep) int fd = -1;
        struct dirent *entry;
        size_t n = 0;
        int r;

        names = calloc(1, sizeof(*names));
        if (!names)
                return -ENOMEM;

        fd = file_open_within(sysfs->root_fd, path, O_RDONLY | O_DIRECTORY);
        if (fd < 0)
                return sysfs_missing(-fd);
        r = file_open_dirp(fd, ".", 0, &dir);
        if (r)
                return error_fold(r);

        for (errno = 0; (entry = readdir(dir)); errno = 0) {
                if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
                        continue;
                r = strv_push(&names, &n, entry->d_name);
                if (r < 0)
                        return r;
        }
        if (errno > 0)
                return -errno;

        qsort(names, n, sizeof(*names), compare_names);
        *ret_n = n;
        *ret_names = TAKE_PTR(names);
        return 0;
}

bool sysfs_exists(Sysfs *sysfs, const char *path) {
        _cleanup_(closep) int fd = file_open_within(sysfs->root_fd, path, O_PATH | O_NOFOLLOW);

        return fd >= 0;
}

/* walks */

typedef struct Walk {
        const char *const *wanted;
        size_t n_wanted;
        SysfsWalkFn fn;
        void *userdata;
        char path[WALK_PATH_MAX];
} Walk;

/* Every device has one or the other, and neither has nodes below. */
static bool is_barren(const char *name) {
        return !strcmp(name, "power") || !strcmp(name, "msi_irqs");
}

static bool is_gone(int e) {
        return e == ENOENT || e == ENODEV || e == ENOTDIR || e == ELOOP;
}

static unsigned int find_wanted(const Walk *walk, const char *name) {
        for (size_t i = 0; i < walk->n_wanted; ++i)
                if (!strcmp(walk->wanted[i], name))
                        return 1U << i;
        return 0;
}

static int walk_dir(Walk *walk, int parent_fd, const char *name, size_t n_path, size_t depth);

static int walk_below(Walk *walk, DIR *dir, size_t n_path, size_t depth) {
        unsigned int found = 0;
        struct dirent *entry;
        int r;

        for (errno = 0; (entry = readdir(dir)); errno = 0) {
                if (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN) {
                        found |= find_wanted(walk, entry->d_name);
                        continue;
                }
                if (entry->d_name[0] == '.' || is_barren(entry->d_name))
                        continue;
                r = walk_dir(walk, dirfd(dir), entry->d_name, n_path, depth + 1);
                if (r)
                        return r;
        }
        if (errno > 0)
                return is_gone(errno) ? 0 : -errno;

        return found ? walk->fn(walk->userdata, walk->path, strrchr(walk->path, '/') + 1, found)
                     : 0;
}

/* @n_path: length of the parent's path, to which ours is appended, and cut off again. */
static int walk_dir(Walk *walk, int parent_fd, const char *name, size_t n_path, size_t depth) {
        _cleanup_(closedirp) DIR *dir = NULL;
        const char *slash = depth > 0 ? "/" : "";
        int n, r;

        if (depth > WALK_DEPTH_MAX)
                return -ELOOP;

        n = snprintf(walk->path + n_path, sizeof(walk->path) - n_path, "%s%s", slash, name);
        if (n < 0 || n_path + n >= sizeof(walk->path))
                return -ENAMETOOLONG;

        r = file_open_dirp(parent_fd, name, depth > 0 ? O_NOFOLLOW : 0, &dir);
        if (r)
                return r == FILE_E_MISSING || is_gone(-r) ? 0 : r;

        r = walk_below(walk, dir, n_path + n, depth);
        walk->path[n_path] = 0;
        return r;
}

/**
 * sysfs_walk() - visit a directory and all below that has certain attributes
 * @top:        where to start, with at least one slash; may be a link, and may be missing
 * @wanted:     names of the attributes, at most 32
 * @fn:         called for each directory that has one of them, after those below it
 *
 * No link is followed but the one at the top: it leads to another device, or back up. And
 * nothing is left out silently: a tree that is deeper than we go is an error, as a holder could
 * be below. A directory that goes away while we walk counts as empty.
 *
 * Return: 0 on success, what @fn returned if that is not 0, -ELOOP if the tree is
 *         too deep, other negative error code on failure.
 */
int sysfs_walk(Sysfs *sysfs,
                const char *top,
                const char *const *wanted,
                size_t n_wanted,
                SysfsWalkFn fn,
                void *userdata) {
        Walk walk = { .wanted = wanted, .n_wanted = n_wanted, .fn = fn, .userdata = userdata };

        return walk_dir(&walk, sysfs_root_fd(sysfs), top, 0, 0);
}
