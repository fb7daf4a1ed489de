/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Nearly all of the time is spent in the kernel, process by process, so a few threads
 * share the work. They end with it: nothing that forks runs beside them. The scan gives
 * numbers; the few processes that were found get their names after it, and by then some
 * have ended.
 */

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/text.h"
#include "os/process.h"
#include "probe/holder-scan.h"
#include "probe/nvidia.h"
#include "probe/open-files.h"

/* More of them only wait for each other, and for fewer processes none is worth starting. */
#define THREADS_MAX          4U
#define PROCESSES_PER_THREAD 32U

typedef struct Hit {
        pid_t pid;
        size_t set;          /* of .node */
        const DevNode *node; /* NULL: the process could not be looked into */
        bool mapped;         /* no open file, a mapping only */
        int error;           /* positive errno, where .node is NULL */
} Hit;

typedef struct Scan {
        const Roots *roots;
        DevNodes *sets;
        size_t n_sets;
        bool deep;
        pid_t *pids;
        size_t n_pids;
        atomic_size_t next;   /* of .pids: whichever thread is free takes it */
        pthread_mutex_t lock; /* of .hits */
        Hit *hits;
        size_t n_hits;
        atomic_int error; /* what a thread gave up with, or 0 */
} Scan;

static int push_hit(Scan *scan, Hit hit) {
        Hit *more;

        pthread_mutex_lock(&scan->lock);
        more = realloc(scan->hits, (scan->n_hits + 1) * sizeof(*more));
        if (more) {
                scan->hits = more;
                more[scan->n_hits++] = hit;
        }
        pthread_mutex_unlock(&scan->lock);
        return more ? 0 : -ENOMEM;
}

/* Those of one GPU in a process. @seen: SEEN_*, for each of its nodes */
static int push_hits(Scan *scan, size_t set, const unsigned char *seen, pid_t pid) {
        const DevNodes *nodes = &scan->sets[set];
        int r = 0;

        for (size_t i = 0; i < nodes->n && r >= 0; ++i)
                if (seen[i])
                        r = push_hit(scan,
                                        (Hit){ .pid = pid,
                                                        .set = set,
                                                        .node = &nodes->items[i],
                                                        .mapped = !(seen[i] & SEEN_OPEN) });
        return r;
}

/* By process, and then by node: those of a GPU are in one array. */
static int compare_hits(const void *a, const void *b) {
        const Hit *one = a, *other = b;
        uintptr_t node = (uintptr_t) one->node, other_node = (uintptr_t) other->node;

        if (one->pid != other->pid)
                return one->pid < other->pid ? -1 : 1;
        return (node > other_node) - (node < other_node);
}

/* The work of one thread. */
static void *look_at_processes(void *userdata) {
        _cleanup_(open_files_freep) OpenFiles *files = NULL;
        Scan *scan = userdata;
        pid_t self = getpid();
        size_t k;
        int r;

        r = open_files_new(scan->roots, scan->sets, scan->n_sets, scan->deep, &files);
        while (r >= 0 && (k = atomic_fetch_add(&scan->next, 1)) < scan->n_pids) {
                pid_t pid = scan->pids[k];

                if (pid == self)
                        continue;
                r = open_files_look(files, pid);
                if (r >= 0 && files->error > 0 && !process_is_kernel_thread(files->proc_fd, pid))
                        r = push_hit(scan, (Hit){ .pid = pid, .error = files->error });
                for (size_t i = 0; i < scan->n_sets && r >= 0; ++i)
                        r = push_hits(scan, i, files->seen + files->firsts[i], pid);
        }
        if (r < 0)
                atomic_store(&scan->error, r);
        return NULL;
}

/* Look at all processes, with the help of as many threads as there is work and CPUs for. */
static int scan_run(Scan *scan) {
        size_t n_wanted = scan->n_pids / PROCESSES_PER_THREAD, n = 0;
        pthread_t helpers[THREADS_MAX];
        cpu_set_t cpus;

        if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
                n_wanted = 0;
        else if (n_wanted > (size_t) CPU_COUNT(&cpus))
                n_wanted = CPU_COUNT(&cpus);
        if (n_wanted > THREADS_MAX)
                n_wanted = THREADS_MAX;

        /* This thread is one of them. Without help it only takes longer. */
        while (n + 1 < n_wanted && pthread_create(&helpers[n], NULL, look_at_processes, scan) == 0)
                ++n;
        (void) look_at_processes(scan);
        while (n > 0)
                (void) pthread_join(helpers[--n], NULL);

        if (scan->n_hits > 0)
                qsort(scan->hits, scan->n_hits, sizeof(*scan->hits), compare_hits);
        return atomic_load(&scan->error);
}

/*
 * Does an open node hold this GPU? One that is shared by all may be open for another one. It
 * is not for a GPU that is not started, nor for one that somebody else is known to have started; and
 * who has the nodes of another GPU open has it for that (KERNEL.md 1.6). Otherwise it counts.
 */
static bool hit_counts(const Scan *scan, const Hit *hit) {
        bool explained = false;

        if (!hit->node || !hit->node->is_shared)
                return true;
        if (scan->sets[hit->set].is_idle)
                return false;
        for (size_t i = 0; i < scan->n_hits; ++i) {
                const Hit *other = &scan->hits[i];

                if (!other->node || !devnode_is_gpu(other->node))
                        continue;
                if (other->set == hit->set && other->pid == hit->pid)
                        return true;
                explained = explained || other->set == hit->set || other->pid == hit->pid;
        }
        return !explained;
}

/* What was idle when the scan began may have been started by one of those that it has found. */
static void look_for_starts(const Scan *scan) {
        for (size_t i = 0; i < scan->n_sets; ++i) {
                DevNodes *nodes = &scan->sets[i];
                bool started = false;

                if (nodes->is_idle)
                        nodes->is_idle = nvidia_is_started(scan->roots->sysfs, nodes->gpu,
                                                         &started) == 0 &&
                                        !started;
        }
}

/* A process that could not be looked into may use each of the GPUs. */
static int push_holder(Findings *const findings[], const Scan *scan, const Hit *hit) {
        _cleanup_(process_deinit) Process process = {};
        _cleanup_(freep) char *node = NULL;
        int r;

        r = process_init(&process, scan->roots->proc_fd, hit->pid);
        if (r)
                return r == PROCESS_E_GONE ? 0 : r;
        if (hit->node) {
                node = text_format("/dev/%s", hit->node->name);
                if (!node)
                        return -ENOMEM;
        }
        for (size_t i = 0; i < scan->n_sets && r >= 0; ++i) {
                const Finding finding = {
                        .kind = hit->node ? FINDING_HOLDER : FINDING_UNKNOWN,
                        .function = hit->node ? hit->node->function : scan->sets[i].gpu,
                        .error = hit->error,
                        .pid = hit->pid,
                        .uid = process.uid,
                        .command = process.command,
                        .owner = process.owner,
                        .node = node,
                        .mapped = hit->mapped,
                };

                if (!scan->sets[i].is_witness && (hit->node ? hit->set == i : scan->sets[i].n > 0))
                        r = findings_push(findings[i], &finding);
        }
        return r;
}

/**
 * holders_find() - find all processes that use some GPUs
 * @roots:      roots
 * @sets:       the nodes of each of them, and of others as witnesses; those that are not idle any
 *              more are marked
 * @n_sets:     how many GPUs
 * @deep:       whether to look for private mappings too. No program is known that
 *              has a device mapped so, and to look for it takes several times longer.
 * @findings:   for each GPU but the witnesses, where to add them, by process and node: FINDING_HOLDER, one for each
 *              process and node, and FINDING_UNKNOWN for processes that could not be
 *              looked into. Our own process is left out.
 *
 * Return: 0 on success, negative error code on failure.
 */
int holders_find(const Roots *roots,
                DevNodes *sets,
                size_t n_sets,
                bool deep,
                Findings *const findings[]) {
        Scan scan = {
                .roots = roots,
                .sets = sets,
                .n_sets = n_sets,
                .deep = deep,
                .lock = PTHREAD_MUTEX_INITIALIZER,
        };
        _cleanup_(freep) pid_t *pids = NULL;
        _cleanup_(freep) Hit *hits = NULL;
        size_t n_nodes = 0;
        int r;

        for (size_t i = 0; i < n_sets; ++i)
                n_nodes += sets[i].is_witness ? 0 : sets[i].n;
        if (n_nodes == 0)
                return 0;
        r = process_list(roots->proc_fd, &pids, &scan.n_pids);
        if (r < 0)
                return r;

        scan.pids = pids;
        r = scan_run(&scan);
        hits = scan.hits;
        look_for_starts(&scan);
        for (size_t i = 0; i < scan.n_hits && r >= 0; ++i)
                if (hit_counts(&scan, &hits[i]))
                        r = push_holder(findings, &scan, &hits[i]);
        return r;
}
