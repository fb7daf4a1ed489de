/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Walking a Device's Subtree
 *
 * Two rules. No symbolic link is followed but the one at the top: a link leads to
 * another device, or back up. And nothing is left out silently: a tree that is
 * deeper than we go is an error, since what is below could be what somebody uses.
 *
 * A directory that goes away while we walk had nothing that is still there.
 */

#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "os/walk.h"

/* A disk's partition behind five hubs is 14 levels below the USB controller. */
#define WALK_DEPTH_MAX 32U
#define WALK_PATH_MAX  1024U

typedef struct Walk {
        const char *const *wanted;
        size_t n_wanted;
        WalkFn fn;
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
 * walk_subtree() - visit a directory and all below that has certain attributes
 * @sysfs:      tree
 * @top:        where to start, relative to its root, with at least one slash; may be
 *              a link, and may be missing
 * @wanted:     names of the attributes, at most 32
 * @n_wanted:   how many
 * @fn:         called for each directory that has one of them, after those below it
 * @userdata:   its argument
 *
 * Return: 0 on success, what @fn returned if that is not 0, -ELOOP if the tree is
 *         too deep, other negative error code on failure.
 */
int walk_subtree(Sysfs *sysfs,
                const char *top,
                const char *const *wanted,
                size_t n_wanted,
                WalkFn fn,
                void *userdata) {
        Walk walk = { .wanted = wanted, .n_wanted = n_wanted, .fn = fn, .userdata = userdata };

        return walk_dir(&walk, sysfs_root_fd(sysfs), top, 0, 0);
}
