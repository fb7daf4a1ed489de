/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Scan
 *
 * Nearly all of its time is spent in the kernel, process by process, so a few
 * threads share the work. They end with it: nothing that forks runs beside them.
 */

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "os/process.h"
#include "probe/look.h"
#include "probe/scan.h"

/* More of them only wait for each other, and for fewer processes none is worth starting. */
#define WORKERS_MAX          4U
#define PROCESSES_PER_WORKER 32U

typedef struct Scan {
        const Roots *roots;
        const Nodes *nodes;
        MapsFilter filter;
        pid_t self;
        const pid_t *pids;
        size_t n_pids;
        atomic_size_t next; /* of .pids: whoever is free takes it */
} Scan;

typedef struct Worker {
        Scan *scan;
        pthread_t thread;
        Hits hits;
        int r;
} Worker;

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

/* By process, and then by node: all of them are in one array. */
static int compare_hits(const void *a, const void *b) {
        const Hit *one = a, *other = b;
        uintptr_t node = (uintptr_t) one->node, other_node = (uintptr_t) other->node;

        if (one->pid != other->pid)
                return one->pid < other->pid ? -1 : 1;
        return (node > other_node) - (node < other_node);
}

/* What was seen of a process, as hits. */
static int report(const Look *look, Hits *hits) {
        int r;

        if (look->error > 0 && !process_is_kernel_thread(look->proc_fd, look->pid)) {
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

static int work(Scan *scan, Hits *hits) {
        _cleanup_(look_freep) Look *look = NULL;
        size_t i;
        int r;

        r = look_new(scan->roots->proc_fd, scan->nodes, &scan->filter, &look);
        if (r < 0)
                return r;

        while ((i = atomic_fetch_add(&scan->next, 1)) < scan->n_pids) {
                if (scan->pids[i] == scan->self)
                        continue;
                r = look_at_process(look, scan->pids[i]);
                if (r >= 0)
                        r = report(look, hits);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void *worker_main(void *userdata) {
        Worker *worker = userdata;

        worker->r = work(worker->scan, &worker->hits);
        return NULL;
}

/* How many threads may help this one. */
static size_t count_helpers(const Scan *scan) {
        size_t n = scan->n_pids / PROCESSES_PER_WORKER;
        cpu_set_t cpus;

        if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
                return 0;
        if (n > (size_t) CPU_COUNT(&cpus))
                n = CPU_COUNT(&cpus);
        if (n > WORKERS_MAX)
                n = WORKERS_MAX;
        return n > 0 ? n - 1 : 0;
}

static int scan_together(Scan *scan, Hits *hits) {
        Worker helpers[WORKERS_MAX] = {};
        size_t n_wanted = count_helpers(scan), n = 0;
        int r;

        for (; n < n_wanted; ++n) {
                helpers[n].scan = scan;
                /* Without help it only takes longer. */
                if (pthread_create(&helpers[n].thread, NULL, worker_main, &helpers[n]) != 0)
                        break;
        }

        r = work(scan, hits);
        for (size_t i = 0; i < n; ++i) {
                (void) pthread_join(helpers[i].thread, NULL);
                error_gather(&r, helpers[i].r);
                for (size_t k = 0; r >= 0 && k < helpers[i].hits.n; ++k)
                        r = hits_push(hits, helpers[i].hits.items[k]);
                hits_deinit(&helpers[i].hits);
        }
        return r;
}

/**
 * scan_processes() - who has one of these nodes open, or mapped?
 * @roots:      roots
 * @nodes:      the nodes
 * @deep:       whether to look for private mappings too. No program is known that
 *              has a device mapped so, and to look for it takes several times longer.
 * @ret:        what is found: one hit for each process and node, and one for each
 *              process that could not be looked into, in their order; hits_deinit()
 *              it. Our own process is left out.
 *
 * Return: 0 on success, negative error code on failure.
 */
int scan_processes(const Roots *roots, const Nodes *nodes, bool deep, Hits *ret) {
        Scan scan = { .roots = roots, .nodes = nodes, .self = getpid() };
        _cleanup_(freep) pid_t *pids = NULL;
        Hits hits = HITS_NULL;
        int r = 0;

        if (nodes->n > 0)
                r = process_list(roots->proc_fd, &pids, &scan.n_pids);
        if (r < 0)
                return r;

        scan.pids = pids;
        maps_filter_init(&scan.filter, roots->dev_fd, !deep);
        r = scan_together(&scan, &hits);
        if (r < 0) {
                hits_deinit(&hits);
                return r;
        }

        if (hits.n > 0)
                qsort(hits.items, hits.n, sizeof(*hits.items), compare_hits);
        *ret = hits;
        return 0;
}
