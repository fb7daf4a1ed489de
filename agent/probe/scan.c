/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Scan
 *
 * Threads usually share their files, but need not; and the first thread, which a
 * process is named after, may have ended, and shows neither files nor memory then
 * while the others go on. Hence processes of several threads are asked which of
 * them have files of their own (kcmp(2)). Memory they share always.
 */

#include <linux/kcmp.h>
#include <sys/syscall.h>

#include "kernel/procfs.h"
#include "probe/look.h"
#include "probe/scan.h"

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

static bool share_files(pid_t a, pid_t b) {
        return a == b || syscall(SYS_kcmp, a, b, KCMP_FILES, 0UL, 0UL) == 0;
}

/*
 * The files of all threads that have a table of their own, and, where the first
 * thread has no memory any more, the memory as another one has it.
 */
static int scan_threads(Look *look, bool has_maps) {
        _cleanup_(freep) pid_t *tids = NULL;
        char path[PROCFS_PATH_MAX];
        pid_t like = look->pid;
        size_t n = 0;
        int r;

        r = procfs_list_threads(look->proc_fd, look->pid, &tids, &n);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                look_failed(look, -r);

        for (size_t i = 0; i < n; ++i) {
                if (!has_maps && tids[i] != look->pid) {
                        snprintf(path, sizeof(path), "%d/task/%d/maps", look->pid, tids[i]);
                        has_maps = look_at_maps(look, path);
                }
                if (share_files(like, tids[i]))
                        continue;
                like = tids[i];
                snprintf(path, sizeof(path), "%d/task/%d/fd", look->pid, like);
                look_at_files(look, path);
        }
        return 0;
}

static int scan_process(Look *look) {
        char path[PROCFS_PATH_MAX];
        size_t n_threads = 0;
        bool has_maps;
        int r;

        r = procfs_count_threads(look->proc_fd, look->pid, &n_threads);
        if (r < 0)
                look_failed(look, -r);

        snprintf(path, sizeof(path), "%d/maps", look->pid);
        has_maps = look_at_maps(look, path);
        /* A kernel thread, or a zombie. */
        if (!has_maps && n_threads == 1 && look->error == 0)
                return 0;

        snprintf(path, sizeof(path), "%d/fd", look->pid);
        look_at_files(look, path);
        return n_threads > 1 ? scan_threads(look, has_maps) : 0;
}

static int report(const Look *look, Hits *hits) {
        int r;

        if (look->error > 0 && !procfs_is_kernel_thread(look->proc_fd, look->pid)) {
                r = hits_push(hits, (Hit){ .pid = look->pid, .error = look->error });
                if (r < 0)
                        return r;
        }

        for (size_t i = 0; i < look->nodes->n; ++i) {
                Hit hit = {
                        .pid = look->pid,
                        .node = &look->nodes->items[i],
                        .mapped = !(look->seen[i] & SEEN_OPEN),
                };

                if (!look->seen[i])
                        continue;
                r = hits_push(hits, hit);
                if (r < 0)
                        return r;
        }
        return 0;
}

/**
 * scan_processes() - who has one of these nodes open, or mapped?
 * @roots:      roots
 * @nodes:      the nodes
 * @deep:       whether to look for private mappings too. A driver has to be asked
 *              for a mapping in ways that no program uses to get such a one, and
 *              to look for it takes several times longer.
 * @hits:       where to add what is found: one for each process and node, and one
 *              for each process that could not be looked into. Our own is left out.
 *
 * Return: 0 on success, negative error code on failure.
 */
int scan_processes(const Roots *roots, const Nodes *nodes, bool deep, Hits *hits) {
        _cleanup_(look_freep) Look *look = NULL;
        _cleanup_(freep) pid_t *pids = NULL;
        MapsFilter filter;
        pid_t self = getpid();
        size_t n;
        int r;

        if (nodes->n == 0)
                return 0;

        maps_filter_init(&filter, roots->dev_fd, !deep);
        r = look_new(roots->proc_fd, nodes, &filter, &look);
        if (r < 0)
                return r;
        r = procfs_list_processes(roots->proc_fd, &pids, &n);
        if (r < 0)
                return r;

        for (size_t i = 0; i < n; ++i) {
                if (pids[i] == self)
                        continue;
                look_start(look, pids[i]);
                r = scan_process(look);
                if (r >= 0)
                        r = report(look, hits);
                if (r < 0)
                        return r;
        }
        return 0;
}
