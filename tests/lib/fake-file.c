/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Files of a Fake Tree
 *
 * A fake attribute is a plain file, and changes while others read it: the model
 * writes from several processes. Hence each is replaced by a rename, never
 * written in place, so that a reader sees the old value or the new one as with
 * the real thing. Paths are names, not file descriptors, because the model runs
 * in children which have closed them all.
 */

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "lib/fake-file.h"

void fake_fail(const char *what, const char *path) {
        fprintf(stderr, "fake tree: cannot %s %s: %m\n", what, path);
        abort();
}

static void absolute(const char *root, const char *path, char buffer[static FAKE_PATH_MAX]) {
        int n;

        n = snprintf(buffer, FAKE_PATH_MAX, "%s/%s", root, path);
        if (n < 0 || n >= FAKE_PATH_MAX) {
                errno = ENAMETOOLONG;
                fake_fail("name", path);
        }
}

const char *fake_path(char buffer[static FAKE_PATH_MAX], const char *format, ...) {
        va_list args;
        int n;

        va_start(args, format);
        n = vsnprintf(buffer, FAKE_PATH_MAX, format, args);
        va_end(args);
        if (n < 0 || n >= FAKE_PATH_MAX) {
                errno = ENAMETOOLONG;
                fake_fail("name", format);
        }
        return buffer;
}

/* Make all directories above an absolute path. For when they are missed: most are there already. */
static void make_parents(char *path) {
        for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = 0;
                if (mkdir(path, 0755) < 0 && errno != EEXIST)
                        fake_fail("make", path);
                *slash = '/';
        }
}

void fake_make_dir(const char *root, const char *path) {
        char whole[FAKE_PATH_MAX];

        absolute(root, path, whole);
        if (mkdir(whole, 0755) == 0 || errno == EEXIST)
                return;
        make_parents(whole);
        if (mkdir(whole, 0755) < 0 && errno != EEXIST)
                fake_fail("make", whole);
}

static int open_temporary(const char *path) {
        return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

/* Create or replace a file, with all directories above it. */
void fake_write_bytes(const char *root, const char *path, const void *data, size_t n) {
        char whole[FAKE_PATH_MAX], temporary[FAKE_PATH_MAX + 32];
        int fd;

        absolute(root, path, whole);
        snprintf(temporary, sizeof(temporary), "%s.%d.fake", whole, getpid());

        fd = open_temporary(temporary);
        if (fd < 0 && errno == ENOENT) {
                make_parents(whole);
                fd = open_temporary(temporary);
        }
        if (fd < 0)
                fake_fail("write", temporary);
        if (write(fd, data, n) != (ssize_t) n)
                fake_fail("write", temporary);
        close(fd);
        if (rename(temporary, whole) < 0)
                fake_fail("replace", whole);
}

void fake_write(const char *root, const char *path, const char *format, ...) {
        char data[4096];
        va_list args;
        int n;

        va_start(args, format);
        n = vsnprintf(data, sizeof(data), format, args);
        va_end(args);
        if (n < 0 || (size_t) n >= sizeof(data)) {
                errno = E2BIG;
                fake_fail("write", path);
        }
        fake_write_bytes(root, path, data, n);
}

/* Read a file's first line without its newline; "" and false if there is none. */
bool fake_read(const char *root, const char *path, char *buffer, size_t n) {
        char whole[FAKE_PATH_MAX];
        ssize_t k = -1;
        int fd;

        buffer[0] = 0;
        absolute(root, path, whole);
        fd = open(whole, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return false;

        k = read(fd, buffer, n - 1);
        close(fd);
        buffer[k > 0 ? k : 0] = 0;
        buffer[strcspn(buffer, "\n")] = 0;
        return k >= 0;
}

/* Make @path a relative link to @target, both relative to the root. */
void fake_link(const char *root, const char *target, const char *path) {
        char whole[FAKE_PATH_MAX], relative[FAKE_PATH_MAX] = "";

        const char *from = path, *top = strchr(path, '/');

        /* Those of sysfs do not go above it. */
        if (top && !strncmp(target, path, (size_t) (top - path) + 1)) {
                target += top - path + 1;
                from = top + 1;
        }
        for (const char *slash = strchr(from, '/'); slash; slash = strchr(slash + 1, '/'))
                strncat(relative, "../", sizeof(relative) - strlen(relative) - 1);
        strncat(relative, target, sizeof(relative) - strlen(relative) - 1);

        absolute(root, path, whole);
        if (symlink(relative, whole) == 0)
                return;
        make_parents(whole);
        if (symlink(relative, whole) < 0)
                fake_fail("link", whole);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        int r;

        (void) st;
        (void) ftw;
        r = type == FTW_DP || type == FTW_DNR ? rmdir(path) : unlink(path);
        return r < 0 && errno != ENOENT ? -1 : 0;
}

/* Remove a file, link or whole directory, if it is there. */
void fake_remove(const char *root, const char *path) {
        char whole[FAKE_PATH_MAX];

        absolute(root, path, whole);
        if (nftw(whole, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0 && errno != ENOENT)
                fake_fail("remove", whole);
}

/* Whether anybody has a flock(2) on a file, which must be there. */
bool fake_is_locked(const char *root, const char *path) {
        _cleanup_(closep) int fd = -1;
        char whole[FAKE_PATH_MAX];

        fd = open(fake_path(whole, "%s/%s", root, path), O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                fake_fail("open", whole);
        return flock(fd, LOCK_EX | LOCK_NB) < 0;
}

bool fake_exists(const char *root, const char *path) {
        char whole[FAKE_PATH_MAX];

        absolute(root, path, whole);
        return faccessat(AT_FDCWD, whole, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int not_dots(const struct dirent *entry) {
        return strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
}

void fake_each(const char *root, const char *path, FakeEachFn fn, void *userdata) {
        char whole[FAKE_PATH_MAX];
        struct dirent **entries;
        int n;

        absolute(root, path, whole);
        n = scandir(whole, &entries, not_dots, alphasort);
        if (n < 0) {
                if (errno != ENOENT)
                        fake_fail("list", whole);
                return;
        }
        for (int i = 0; i < n; ++i) {
                fn(userdata, entries[i]->d_name);
                free(entries[i]);
        }
        free(entries);
}
