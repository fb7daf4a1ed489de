/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/file.h"
#include "base/text.h"
#include "os/tree.h"

/* As many links in a row as the kernel follows. */
#define LINKS_MAX 40U

#define XATTR_SIZE (64U * 1024)

/* looking */

static int open_inside(int root_fd, const char *path, int flags, int *ret_fd) {
        int fd = file_open_within(root_fd, path[0] ? path : ".", flags);

        if (fd < 0)
                return fd == -ENOENT || fd == -ENOTDIR ? TREE_E_MISSING : fd;

        *ret_fd = fd;
        return 0;
}

/* Open a directory, to list it or to find what is in it. @ret_fd: close() it */
int tree_open_dir(int root_fd, const char *path, int *ret_fd) {
        return open_inside(root_fd, path, O_RDONLY | O_DIRECTORY, ret_fd);
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* The names in a directory, sorted by their bytes, without those that start with a dot. strv_free() them */
int tree_list(int root_fd, const char *path, char ***ret_names, size_t *ret_n) {
        _cleanup_(strv_freep) char **names = NULL;
        _cleanup_(closedirp) DIR *dir = NULL;
        const struct dirent *entry;
        size_t n = 0;
        int fd, r;

        r = tree_open_dir(root_fd, path, &fd);
        if (r)
                return r;
        dir = fdopendir(fd);
        if (!dir) {
                r = -errno;
                close(fd);
                return r;
        }
        for (errno = 0; r == 0 && (entry = readdir(dir)); errno = 0)
                if (entry->d_name[0] != '.')
                        r = strv_push(&names, &n, entry->d_name);
        if (r < 0 || errno)
                return r < 0 ? r : -errno;
        if (n > 0)
                qsort(names, n, sizeof(*names), compare_names);

        *ret_names = TAKE_PTR(names);
        *ret_n = n;
        return 0;
}

/* Where a file is in the end: its directory, and its name there, which is no link. */
typedef struct Place {
        int dir_fd;
        char *name;
} Place;

static void place_deinit(Place *place) {
        closep(&place->dir_fd);
        free(place->name);
}

static int split(const char *path, char **ret_dir, const char **ret_name) {
        const char *slash = strrchr(path, '/');

        *ret_name = slash ? slash + 1 : path;
        *ret_dir = strndup(path, slash ? (size_t) (slash - path) : 0);
        return *ret_dir ? 0 : -ENOMEM;
}

/* Where a link leads to, seen from the root of the machine. */
static int follow(int dir_fd, const char *dir, const char *name, char **ret) {
        char target[PATH_MAX];
        ssize_t n;

        n = readlinkat(dir_fd, name, target, sizeof(target) - 1);
        if (n < 0)
                return -errno;
        target[n] = '\0';
        *ret = target[0] == '/' ? text_format("%s", target + 1) : text_format("%s/%s", dir, target);
        return *ret ? 0 : -ENOMEM;
}

/*
 * Find a file through all links, of which the last may lead to nothing; its directory must be there.
 * Return: 0, TREE_E_MISSING, TREE_E_SPECIAL, or a negative error code. @ret: place_deinit() it
 */
static int locate(int root_fd, const char *path, Place *ret) {
        _cleanup_(freep) char *current = strdup(path);

        if (!current)
                return -ENOMEM;
        for (unsigned int i = 0; i < LINKS_MAX; ++i) {
                _cleanup_(freep) char *dir = NULL, *next = NULL;
                _cleanup_(closep) int dir_fd = -1;
                const char *name;
                struct stat st;
                int r;

                r = split(current, &dir, &name);
                if (r < 0)
                        return r;
                if (!name[0] || !strcmp(name, ".") || !strcmp(name, ".."))
                        return TREE_E_SPECIAL;
                r = open_inside(root_fd, dir, O_RDONLY | O_DIRECTORY, &dir_fd);
                if (r)
                        return r;
                r = fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
                if (r < 0 && r != -ENOENT)
                        return r;
                if (r < 0 || !S_ISLNK(st.st_mode)) {
                        ret->name = strdup(name);
                        if (!ret->name)
                                return -ENOMEM;
                        ret->dir_fd = TAKE_FD(dir_fd);
                        return 0;
                }
                r = follow(dir_fd, dir, name, &next);
                if (r < 0)
                        return r;
                free(current);
                current = TAKE_PTR(next);
        }
        return TREE_E_SPECIAL;
}

/* The path that the kernel has for a directory that is open; free() it */
static int name_of(int fd, char **ret) {
        char link[32], target[PATH_MAX];
        ssize_t n;

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, target, sizeof(target));
        if (n < 0)
                return -errno;
        *ret = strndup(target, (size_t) n);
        return *ret ? 0 : -ENOMEM;
}

/**
 * tree_find() - where a file is, without any link on the way
 * @ret_place:  path below @root_fd, for who has no openat2(2); free() it
 *
 * The file itself may be missing, its directory may not.
 *
 * Return: 0, TREE_E_MISSING, TREE_E_SPECIAL, or a negative error code.
 */
int tree_find(int root_fd, const char *path, char **ret_place) {
        _cleanup_(place_deinit) Place place = { .dir_fd = -1 };
        _cleanup_(freep) char *root = NULL, *dir = NULL;
        const char *rest;
        int r;

        r = locate(root_fd, path, &place);
        if (r)
                return r;
        r = name_of(root_fd, &root);
        if (r >= 0)
                r = name_of(place.dir_fd, &dir);
        if (r < 0)
                return r;
        if (!text_starts_with(dir, root, &rest))
                return -EXDEV;
        rest += strspn(rest, "/");
        *ret_place = text_format("%s%s%s", rest, rest[0] ? "/" : "", place.name);
        return *ret_place ? 0 : -ENOMEM;
}

/* Whether there is anything of that name, links followed. */
bool tree_has(int root_fd, const char *path) {
        _cleanup_(closep) int fd = -1;

        return open_inside(root_fd, path, O_PATH, &fd) == 0;
}

/* Whether the name itself is a link, wherever that leads to. */
bool tree_is_link(int root_fd, const char *path) {
        _cleanup_(closep) int fd = -1;
        struct stat st;

        return open_inside(root_fd, path, O_PATH | O_NOFOLLOW, &fd) == 0 && fstat(fd, &st) == 0 &&
                        S_ISLNK(st.st_mode);
}

/* What the kernel knows of a file, links followed. Return: 0, TREE_E_MISSING, or a negative error code. */
int tree_stat(int root_fd, const char *path, struct stat *ret) {
        _cleanup_(closep) int fd = -1;
        int r;

        r = open_inside(root_fd, path, O_PATH, &fd);
        if (r)
                return r;
        return fstat(fd, ret) < 0 ? -errno : 0;
}

/* content */

void tree_file_deinit(TreeFile *file) {
        free(file->data);
        strv_free(file->attributes);
        *file = (TreeFile) TREE_FILE_NULL;
}

/* Whether two files have the same bytes, or are both missing. */
bool tree_file_equal(const TreeFile *a, const TreeFile *b) {
        if (!a->data || !b->data)
                return !a->data && !b->data;
        return a->n == b->n && memcmp(a->data, b->data, a->n) == 0;
}

static int copy_bytes(const char *data, size_t n, char **ret) {
        char *copy = malloc(n + 1);

        if (!copy)
                return -ENOMEM;
        memcpy(copy, data, n);
        copy[n] = '\0';
        *ret = copy;
        return 0;
}

/* @ret: tree_file_deinit() it */
int tree_file_copy(const TreeFile *file, TreeFile *ret) {
        _cleanup_(tree_file_deinit) TreeFile copy = *file;
        size_t n = 0;
        int r = 0;

        copy.data = NULL;
        copy.attributes = NULL;
        if (file->data)
                r = copy_bytes(file->data, file->n, &copy.data);
        for (char **s = file->attributes; r >= 0 && s && *s; ++s)
                r = strv_push(&copy.attributes, &n, *s);
        if (r < 0)
                return r;
        *ret = copy;
        copy = (TreeFile) TREE_FILE_NULL;
        return 0;
}

static int read_attribute(int fd, const char *name, char *buffer, char **ret) {
        _cleanup_(text_deinit) Text word = TEXT_NULL;
        ssize_t n;
        int r;

        n = fgetxattr(fd, name, buffer, XATTR_SIZE);
        if (n < 0)
                return -errno;
        r = text_append(&word, "%s=", name);
        for (ssize_t i = 0; r >= 0 && i < n; ++i)
                r = text_append(&word, "%02x", (unsigned char) buffer[i]);
        if (r < 0)
                return r;
        *ret = text_take(&word);
        return 0;
}

/* A file system without extended attributes has none. */
static int read_attributes(int fd, char ***ret) {
        _cleanup_(freep) char *names = malloc(XATTR_SIZE), *value = malloc(XATTR_SIZE);
        _cleanup_(strv_freep) char **attributes = NULL;
        size_t n_attributes = 0;
        ssize_t n;
        int r = 0;

        if (!names || !value)
                return -ENOMEM;
        n = flistxattr(fd, names, XATTR_SIZE);
        if (n < 0)
                return errno == ENOTSUP ? 0 : -errno;
        for (const char *name = names; r >= 0 && name < names + n; name += strlen(name) + 1) {
                _cleanup_(freep) char *word = NULL;

                r = read_attribute(fd, name, value, &word);
                if (r >= 0)
                        r = strv_push(&attributes, &n_attributes, word);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(attributes);
        return 0;
}

static int read_all(int fd, size_t n, char **ret) {
        _cleanup_(freep) char *data = malloc(n + 1);
        size_t done = 0;

        if (!data)
                return -ENOMEM;
        while (done < n) {
                ssize_t k = read(fd, data + done, n - done);

                if (k < 0)
                        return -errno;
                if (k == 0)
                        return -EAGAIN; /* it was cut in this moment */
                done += (size_t) k;
        }
        data[n] = '\0';
        *ret = TAKE_PTR(data);
        return 0;
}

/**
 * tree_read() - read a file, and what it has beside its content
 * @ret:        tree_file_deinit() it
 *
 * Return: 0, TREE_E_MISSING, TREE_E_SPECIAL, or a negative error code.
 */
int tree_read(int root_fd, const char *path, TreeFile *ret) {
        _cleanup_(tree_file_deinit) TreeFile file = TREE_FILE_NULL;
        _cleanup_(place_deinit) Place place = { .dir_fd = -1 };
        _cleanup_(closep) int fd = -1;
        struct stat st;
        int r;

        r = locate(root_fd, path, &place);
        if (r)
                return r;
        if (fstatat(place.dir_fd, place.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno != ENOENT                        ? -errno
                                : tree_is_link(root_fd, path) ? TREE_E_SPECIAL
                                                              : TREE_E_MISSING;
        if (!S_ISREG(st.st_mode))
                return TREE_E_SPECIAL;
        fd = openat(place.dir_fd, place.name,
                        O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_size > TREE_SIZE_MAX)
                return TREE_E_SPECIAL;

        file.n = (size_t) st.st_size;
        file.mode = st.st_mode & 07777;
        file.uid = st.st_uid;
        file.gid = st.st_gid;
        file.mtime = st.st_mtim;
        r = read_all(fd, file.n, &file.data);
        if (r >= 0)
                r = read_attributes(fd, &file.attributes);
        if (r < 0)
                return r;
        *ret = file;
        file = (TreeFile) TREE_FILE_NULL;
        return 0;
}

/* writing */

static int write_all(int fd, const char *data, size_t n) {
        while (n > 0) {
                ssize_t k = write(fd, data, n);

                if (k < 0)
                        return -errno;
                data += k;
                n -= (size_t) k;
        }
        return 0;
}

static int write_attribute(int fd, const char *attribute) {
        const char *value = strchr(attribute, '=');
        _cleanup_(freep) char *name = NULL, *bytes = NULL;
        uint64_t byte;
        size_t n;

        if (!value)
                return -EINVAL;
        name = strndup(attribute, (size_t) (value - attribute));
        n = strlen(++value) / 2;
        bytes = malloc(n + 1);
        if (!name || !bytes)
                return -ENOMEM;
        for (size_t i = 0; i < n; ++i) {
                if (text_n_to_uint(value + 2 * i, 2, 16, 0xff, &byte) < 0)
                        return -EINVAL;
                bytes[i] = (char) byte;
        }
        return fsetxattr(fd, name, bytes, n, 0) < 0 && errno != ENOTSUP ? -errno : 0;
}

/* Owner before permissions, which chown(2) may take from. */
static int write_properties(int fd, const TreeFile *file) {
        const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, file->mtime };
        struct stat st;
        int r = 0;

        if (fstat(fd, &st) < 0)
                return -errno;
        if ((st.st_uid != file->uid || st.st_gid != file->gid) &&
                        fchown(fd, file->uid, file->gid) < 0)
                return -errno;
        if (fchmod(fd, file->mode) < 0)
                return -errno;
        for (char **s = file->attributes; r >= 0 && s && *s; ++s)
                r = write_attribute(fd, *s);
        if (r >= 0 && file->mtime.tv_nsec != UTIME_OMIT && futimens(fd, times) < 0)
                r = -errno;
        return r;
}

/* A file, and what tree_write() calls it until it is whole. @ret_temporary: free() it */
static int locate_both(int root_fd, const char *path, Place *ret, char **ret_temporary) {
        int r;

        r = locate(root_fd, path, ret);
        if (r)
                return r;
        /* restore.sh uses the same name. */
        *ret_temporary = text_format(".%s.vfiopt-new", ret->name);
        return *ret_temporary ? 0 : -ENOMEM;
}

static int write_temporary(int dir_fd, const char *name, const TreeFile *file) {
        _cleanup_(closep) int fd = -1;
        int r;

        fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        r = write_all(fd, file->data, file->n);
        if (r >= 0)
                r = write_properties(fd, file);
        if (r >= 0 && fsync(fd) < 0)
                r = -errno;
        return r;
}

/**
 * tree_write() - make a file, or replace it, whole and durably
 * @path:       its directory must be there; a link is followed to what it leads to
 * @file:       all of it: content, permissions, owner, extended attributes, and its time where set
 *
 * Return: 0 on success; TREE_E_MISSING, TREE_E_SPECIAL or a negative error code on failure: the old file is
 *         then still there, unchanged, but for an error of making the new one durable.
 */
int tree_write(int root_fd, const char *path, const TreeFile *file) {
        _cleanup_(place_deinit) Place place = { .dir_fd = -1 };
        _cleanup_(freep) char *temporary = NULL;
        struct stat st;
        int r;

        r = locate_both(root_fd, path, &place, &temporary);
        if (r)
                return r;
        if (fstatat(place.dir_fd, place.name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                        !S_ISREG(st.st_mode))
                return TREE_E_SPECIAL;

        /* A leftover of a process that was killed right here. */
        (void) unlinkat(place.dir_fd, temporary, 0);
        r = write_temporary(place.dir_fd, temporary, file);
        if (r >= 0 && renameat(place.dir_fd, temporary, place.dir_fd, place.name) < 0)
                r = -errno;
        if (r < 0) {
                (void) unlinkat(place.dir_fd, temporary, 0);
                return r;
        }
        return fsync(place.dir_fd) < 0 ? -errno : 0;
}

/* Remove what a killed tree_write() left beside a file. Return: as tree_write(). */
int tree_clean(int root_fd, const char *path) {
        _cleanup_(place_deinit) Place place = { .dir_fd = -1 };
        _cleanup_(freep) char *temporary = NULL;
        int r;

        r = locate_both(root_fd, path, &place, &temporary);
        if (r)
                return r;
        return unlinkat(place.dir_fd, temporary, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* Remove a file, and what a killed tree_write() left of it. Return: as tree_write(). */
int tree_remove(int root_fd, const char *path) {
        _cleanup_(place_deinit) Place place = { .dir_fd = -1 };
        _cleanup_(freep) char *temporary = NULL;
        int r;

        r = locate_both(root_fd, path, &place, &temporary);
        if (r)
                return r;
        (void) unlinkat(place.dir_fd, temporary, 0);
        if (unlinkat(place.dir_fd, place.name, 0) < 0)
                return errno == ENOENT ? TREE_E_MISSING : -errno;
        return fsync(place.dir_fd) < 0 ? -errno : 0;
}

/* Make a directory in one that is there; it may be there itself. Return: as tree_write(). */
int tree_make_dir(int root_fd, const char *path, mode_t mode) {
        _cleanup_(place_deinit) Place place = { .dir_fd = -1 };
        int r;

        r = locate(root_fd, path, &place);
        if (r)
                return r;
        if (mkdirat(place.dir_fd, place.name, mode) < 0)
                return errno == EEXIST ? 0 : -errno;
        return fsync(place.dir_fd) < 0 ? -errno : 0;
}

/* Remove a directory, unless there is something in it. Return: as tree_write(). */
int tree_remove_dir(int root_fd, const char *path) {
        _cleanup_(place_deinit) Place place = { .dir_fd = -1 };
        int r;

        r = locate(root_fd, path, &place);
        if (r)
                return r;
        if (unlinkat(place.dir_fd, place.name, AT_REMOVEDIR) < 0)
                return errno == ENOENT || errno == ENOTEMPTY ? 0 : -errno;
        return fsync(place.dir_fd) < 0 ? -errno : 0;
}
