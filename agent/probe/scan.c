/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Scan
 *
 * Asks the kernel about each open file of each process, by the links in
 * /proc/<pid>/fd: stat through such a link gives the file itself, whatever mount
 * namespace it was opened in, and opens nothing. Rules:
 *
 *  * What could not be looked into is reported, not skipped. What has gone
 *    meanwhile is none: its files were closed before its number went away.
 *
 *  * The question must not wait for a dead file server, nor be refused by a FUSE
 *    mount of another user: so no attributes are asked for, and none that would
 *    have to be fetched (fuse_getattr(), nfs_getattr()). Type and number of a
 *    device node are always there.
 *
 *  * Threads usually share their files, but need not, and the first of them may
 *    have ended. kcmp(2) says which do.
 *
 *  * No memory is allocated and no path is read for a file that is no device:
 *    there are tens of thousands.
 */

#include <fcntl.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "kernel/procfs.h"
#include "probe/maps.h"
#include "probe/scan.h"

#define SCAN_BUFFER 65536U

enum {
        SEEN_OPEN = 1 << 0,
        SEEN_MAPPED = 1 << 1,
};

typedef struct Scan {
        int proc_fd;
        const Nodes *nodes;
        Hits *hits;
        /* of the process at hand */
        pid_t pid;
        int error;
        unsigned char *seen; /* for each node */
        char buffer[SCAN_BUFFER];
} Scan;

void hits_deinit(Hits *hits) {
        free(hits->items);
        *hits = (Hits) HITS_NULL;
}

static int hits_push(Hits *hits, Hit hit) {
        Hit *more;

        more = realloc(hits->items, (hits->n + 1) * sizeof(*more));
        if (!more)
                return -ENOMEM;

        hits->items = more;
        more[hits->n++] = hit;
        return 0;
}

static bool is_gone(int e) {
        return e == ENOENT || e == ESRCH || e == ENOTDIR;
}

/* Anything else than "not there" means that we do not know. Keeps the first reason. */
static void scan_failed(Scan *scan, int e) {
        if (!is_gone(e) && scan->error == 0)
                scan->error = e;
}

/*
 * A file opened with O_PATH names the node and does not hold the device. Asked only
 * for files that were opened neither for reading nor for writing: these are either
 * such, or opened with access mode 3, for ioctl(2) alone.
 */
static bool is_path_only(int fd_dir, const char *name) {
        _cleanup_(freep) char *info = NULL;
        char path[64];
        unsigned int flags;
        const char *line;
        struct stat st;

        if (fstatat(fd_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_mode & 0600)
                return false;

        snprintf(path, sizeof(path), "../fdinfo/%.20s", name);
        if (file_read(fd_dir, path, 65536, &info, NULL))
                return false;
        line = strstr(info, "flags:");
        return line && sscanf(line, "flags: %o", &flags) == 1 && flags & O_PATH;
}

static void scan_fd(Scan *scan, int fd_dir, const char *name) {
        const Node *node;
        struct statx stx;

        if (statx(fd_dir, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &stx) < 0) {
                scan_failed(scan, errno);
                return;
        }
        if (!S_ISCHR(stx.stx_mode) && !S_ISBLK(stx.stx_mode))
                return;

        node = nodes_find(scan->nodes, stx.stx_mode & S_IFMT,
                        makedev(stx.stx_rdev_major, stx.stx_rdev_minor));
        if (node && !is_path_only(fd_dir, name))
                scan->seen[node - scan->nodes->items] |= SEEN_OPEN;
}

/* All files of one thread. Return: whether there are any. */
static bool scan_fds(Scan *scan, const char *path) {
        _cleanup_(closep) int fd = -1;
        bool any = false;
        ssize_t n;

        fd = openat(scan->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
                scan_failed(scan, errno);
                return false;
        }

        while ((n = getdents64(fd, scan->buffer, sizeof(scan->buffer))) > 0)
                for (ssize_t i = 0; i < n;) {
                        const struct dirent64 *entry = (void *) (scan->buffer + i);

                        i += entry->d_reclen;
                        if (entry->d_name[0] == '.')
                                continue;
                        any = true;
                        scan_fd(scan, fd, entry->d_name);
                }
        if (n < 0)
                scan_failed(scan, errno);
        return any;
}

/* The files of all threads that have a table of files of their own. */
static int scan_threads(Scan *scan) {
        _cleanup_(freep) pid_t *tids = NULL;
        pid_t like = scan->pid;
        char path[PROCFS_PATH_MAX];
        size_t n = 0;
        int r;

        r = procfs_list_threads(scan->proc_fd, scan->pid, &tids, &n);
        if (r == -ENOMEM)
                return r;
        if (r) {
                if (r < 0)
                        scan_failed(scan, -r);
                return 0;
        }

        for (size_t i = 0; i < n; ++i) {
                if (tids[i] == scan->pid ||
                                syscall(SYS_kcmp, like, tids[i], KCMP_FILES, 0UL, 0UL) == 0)
                        continue;
                like = tids[i];
                snprintf(path, sizeof(path), "%d/task/%d/fd", scan->pid, like);
                (void) scan_fds(scan, path);
        }
        return 0;
}

/* Which node is mapped? By number where the kernel lets us, by name elsewhere. */
static const Node *find_mapped(Scan *scan, const Mapping *mapping) {
        char path[PROCFS_PATH_MAX + 64];
        struct statx stx;
        int n;

        n = snprintf(path, sizeof(path), "%d/map_files/%.*s", scan->pid, (int) mapping->n_range,
                        mapping->range);
        if (n > 0 && (size_t) n < sizeof(path) &&
                        statx(scan->proc_fd, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &stx) ==
                                        0)
                return nodes_find(scan->nodes, stx.stx_mode & S_IFMT,
                                makedev(stx.stx_rdev_major, stx.stx_rdev_minor));

        if (mapping->n_path < 5 || memcmp(mapping->path, "/dev/", 5) != 0)
                return NULL;
        return nodes_find_name(scan->nodes, mapping->path + 5, mapping->n_path - 5);
}

static void scan_map_lines(Scan *scan, const char *text, size_t n) {
        const char *end = text + n, *line_end;
        Mapping mapping;
        const Node *node;

        for (const char *line = text; line < end; line = line_end + 1) {
                line_end = memchr(line, '\n', end - line) ?: end;
                if (!maps_parse_line(line, line_end - line, &mapping))
                        continue;
                node = find_mapped(scan, &mapping);
                if (node)
                        scan->seen[node - scan->nodes->items] |= SEEN_MAPPED;
        }
}

/* Return: whether there was anything to read. */
static bool scan_maps(Scan *scan, const char *path) {
        _cleanup_(closep) int fd = -1;
        const char *last;
        size_t n = 0, n_whole;
        bool any = false;
        ssize_t k;

        fd = openat(scan->proc_fd, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
                scan_failed(scan, errno);
                return false;
        }

        while (n < sizeof(scan->buffer) &&
                        (k = read(fd, scan->buffer + n, sizeof(scan->buffer) - n)) > 0) {
                any = true;
                n += k;
                last = memrchr(scan->buffer, '\n', n);
                n_whole = last ? (size_t) (last + 1 - scan->buffer) : 0;
                scan_map_lines(scan, scan->buffer, n_whole);
                memmove(scan->buffer, scan->buffer + n_whole, n - n_whole);
                n -= n_whole;
        }
        if (k < 0)
                scan_failed(scan, errno);
        scan_map_lines(scan, scan->buffer, n);
        return any;
}

static int scan_report(Scan *scan) {
        int r;

        if (scan->error > 0 && !procfs_has_no_files(scan->proc_fd, scan->pid)) {
                r = hits_push(scan->hits, (Hit){ .pid = scan->pid, .error = scan->error });
                if (r < 0)
                        return r;
        }

        for (size_t i = 0; i < scan->nodes->n; ++i) {
                if (!scan->seen[i])
                        continue;
                r = hits_push(scan->hits,
                                (Hit){
                                                .pid = scan->pid,
                                                .node = &scan->nodes->items[i],
                                                .mapped = !(scan->seen[i] & SEEN_OPEN),
                                });
                if (r < 0)
                        return r;
        }
        return 0;
}

static int scan_process(Scan *scan, pid_t pid) {
        char path[PROCFS_PATH_MAX];
        size_t n_threads = 0;
        int r;

        scan->pid = pid;
        scan->error = 0;
        if (scan->nodes->n > 0)
                memset(scan->seen, 0, scan->nodes->n);

        snprintf(path, sizeof(path), "%d/fd", pid);
        (void) scan_fds(scan, path);
        snprintf(path, sizeof(path), "%d/maps", pid);
        (void) scan_maps(scan, path);

        r = procfs_count_threads(scan->proc_fd, pid, &n_threads);
        if (r < 0)
                scan_failed(scan, -r);
        if (n_threads > 1) {
                r = scan_threads(scan);
                if (r < 0)
                        return r;
        }
        return scan_report(scan);
}

/**
 * scan_processes() - who has one of these nodes open, or mapped?
 * @proc_fd:    root of procfs
 * @nodes:      the nodes
 * @hits:       where to add what is found: one for each process and node, and one
 *              for each process that could not be looked into. Our own is left out.
 *
 * Return: 0 on success, negative error code on failure.
 */
int scan_processes(int proc_fd, const Nodes *nodes, Hits *hits) {
        _cleanup_(freep) unsigned char *seen = NULL;
        _cleanup_(freep) Scan *scan = NULL;
        _cleanup_(freep) pid_t *pids = NULL;
        pid_t self = getpid();
        size_t n;
        int r;

        r = procfs_list_processes(proc_fd, &pids, &n);
        if (r < 0)
                return r;

        scan = malloc(sizeof(*scan));
        seen = malloc(nodes->n ?: 1);
        if (!scan || !seen)
                return -ENOMEM;

        scan->proc_fd = proc_fd;
        scan->nodes = nodes;
        scan->hits = hits;
        scan->seen = seen;
        for (size_t i = 0; i < n; ++i) {
                if (pids[i] == self)
                        continue;
                r = scan_process(scan, pids[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}
