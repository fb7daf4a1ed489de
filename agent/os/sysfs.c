/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Sysfs Access
 *
 * Sysfs is not a file system but a remote procedure call in disguise. Three
 * rules follow, and they are the reason this file exists:
 *
 *  * An attribute is read with exactly one read(2). A second one may call into
 *    the driver again and return a newer value instead of the end of the file.
 *
 *  * An attribute is written with exactly one write(2), unbuffered. Its return
 *    value is the driver's answer, so it has to reach the caller. It blocks for
 *    as long as the driver does, which can be for ever: only a disposable child
 *    may call sysfs_write() (see os/child.h).
 *
 *  * Some attributes take the device lock even to be read (driver_override on
 *    older kernels, sriov_numvfs on all: drivers/pci/iov.c), and hang behind a
 *    driver that hangs. Those are read by a child too, or not at all.
 */

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

/**
 * sysfs_new() - open a sysfs tree
 * @root_fd:    directory to use as root, that of "/sys" in production; duplicated
 * @ret_sysfs:  the new object
 *
 * Return: 0 on success, negative error code on failure.
 */
int sysfs_new(int root_fd, Sysfs **ret_sysfs) {
        _cleanup_(closep) int fd = -1;
        Sysfs *sysfs;

        fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
                return -errno;

        sysfs = malloc(sizeof(*sysfs));
        if (!sysfs)
                return -ENOMEM;

        *sysfs = (Sysfs){ .root_fd = TAKE_FD(fd) };

        *ret_sysfs = sysfs;
        return 0;
}

/* Release a tree. Takes and returns NULL. */
Sysfs *sysfs_free(Sysfs *sysfs) {
        if (!sysfs)
                return NULL;

        close(sysfs->root_fd);
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

/**
 * sysfs_read_bytes() - read the start of a binary attribute
 * @sysfs:      tree to read from
 * @path:       attribute, relative to the root
 * @buffer:     where to put it
 * @n:          most bytes to read
 * @ret_n:      how many there were
 *
 * Return: 0 on success, SYSFS_E_MISSING if there is no such attribute, negative
 *         error code on failure.
 */
int sysfs_read_bytes(Sysfs *sysfs, const char *path, void *buffer, size_t n, size_t *ret_n) {
        _cleanup_(closep) int fd = -1;
        ssize_t k;

        fd = openat(sysfs->root_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return sysfs_missing(errno);

        k = read(fd, buffer, n);
        if (k < 0)
                return -errno;

        *ret_n = k;
        return 0;
}

/**
 * sysfs_read() - read one attribute
 * @sysfs:      tree to read from
 * @path:       attribute, relative to the root
 * @ret_value:  its value, without the trailing newline; free() it
 *
 * Return: 0 on success, SYSFS_E_MISSING if there is no such attribute, negative
 *         error code on failure.
 */
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
 * sysfs_read_uint() - read one attribute that is a number
 * @sysfs:      tree to read from
 * @path:       attribute, relative to the root
 * @base:       10, or 16 for "0x…"
 * @max:        largest value that makes sense
 * @ret:        its value
 *
 * Return: 0 on success, SYSFS_E_MISSING if there is no such attribute, -EBADMSG
 *         if it is no such number, other negative error code on failure.
 */
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

static int sysfs_write_attribute(Sysfs *sysfs, const char *path, const char *value) {
        const size_t n_value = strlen(value);
        _cleanup_(closep) int fd = -1;
        ssize_t n;

        fd = openat(sysfs->root_fd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;

        n = write(fd, value, n_value);
        if (n < 0)
                return -errno;

        return (size_t) n == n_value ? 0 : -EIO;
}

/**
 * sysfs_write() - write one attribute
 * @sysfs:      tree to write to
 * @path:       attribute, relative to the root
 * @value:      value to write; never empty, since a write of nothing does nothing
 *              (fs/sysfs/file.c: sysfs_kf_write)
 *
 * Return: 0 on success, or the negative errno that the kernel answered with.
 */
int sysfs_write(Sysfs *sysfs, const char *path, const char *value) {
        if (sysfs->writer)
                return sysfs->writer(sysfs->userdata, path, value);

        return sysfs_write_attribute(sysfs, path, value);
}

/**
 * sysfs_link() - the last component of a link's target
 * @sysfs:      tree to read from
 * @path:       link, relative to the root, like "bus/pci/devices/…/driver"
 * @ret_name:   the name it leads to; free() it
 *
 * Return: 0 on success, SYSFS_E_MISSING if there is no such link, negative error
 *         code on failure.
 */
int sysfs_link(Sysfs *sysfs, const char *path, char **ret_name) {
        char target[PATH_MAX];
        const char *slash;
        ssize_t n;

        n = readlinkat(sysfs->root_fd, path, target, sizeof(target));
        if (n < 0)
                return sysfs_missing(errno);
        if ((size_t) n >= sizeof(target))
                return -ENAMETOOLONG;
        target[n] = 0;

        slash = strrchr(target, '/');
        return text_copy(slash ? slash + 1 : target, ret_name);
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/**
 * sysfs_list() - names in a directory, sorted
 * @sysfs:      tree to read from
 * @path:       directory, relative to the root
 * @ret_names:  its entries without "." and "..", NULL-terminated; strv_free() it
 * @ret_n:      how many
 *
 * Sorted, because the kernel's order depends on how devices came and went, and
 * what we print and plan must not.
 *
 * Return: 0 on success, SYSFS_E_MISSING if there is no such directory, negative
 *         error code on failure.
 */
int sysfs_list(Sysfs *sysfs, const char *path, char ***ret_names, size_t *ret_n) {
        _cleanup_(strv_freep) char **names = NULL;
        _cleanup_(closedirp) DIR *dir = NULL;
        struct dirent *entry;
        size_t n = 0;
        int r;

        names = calloc(1, sizeof(*names));
        if (!names)
                return -ENOMEM;

        r = file_open_dirp(sysfs->root_fd, path, 0, &dir);
        if (r)
                return r == FILE_E_MISSING || r == -ENOTDIR ? SYSFS_E_MISSING : r;

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
        return faccessat(sysfs->root_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
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
 * @sysfs:      tree
 * @top:        where to start, with at least one slash; may be a link, and may be missing
 * @wanted:     names of the attributes, at most 32
 * @n_wanted:   how many
 * @fn:         called for each directory that has one of them, after those below it
 * @userdata:   its argument
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
