/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The look gives numbers; the few processes that were found get their names after it, and by then
 * some have ended. What is read for a name (comm, status, cgroup) waits for nothing that a user
 * could hold (KERNEL.md 5.7).
 */

#include <string.h>

#include "base/text.h"
#include "model/nvidia.h"
#include "os/child.h"
#include "os/process.h"
#include "os/systemd.h"
#include "probe/holder-look.h"
#include "probe/holder-scan.h"

/* The child gives up by itself; one that does not is killed. */
#define LIMIT_CHILD_USEC (LOOK_LIMIT_USEC + 500 * USEC_PER_MSEC)

typedef struct Scan {
        const Roots *roots;
        DevNodes *sets;
        size_t n_sets;
        LookReply *reply;
        bool *has_users; /* for each set, whether a process has a node of its GPU alone */
} Scan;

/* NULL: the process could not be looked into */
static const DevNode *node_of(const Scan *scan, const Hit *hit) {
        return hit->node < 0 ? NULL : &scan->sets[hit->set].items[hit->node];
}

/*
 * Does an open node hold this GPU? One that is shared by all may be open for another one. It
 * is not for a GPU that is not started, nor for one that somebody else is known to have started; and
 * who has the nodes of another GPU open has it for that (KERNEL.md 1.6). Otherwise it counts.
 * @first, @end: the hits of the same process
 */
static bool hit_counts(const Scan *scan, const Hit *hit, const Hit *first, const Hit *end) {
        const DevNode *node = node_of(scan, hit);
        bool explained;

        if (!node || !node->is_shared)
                return true;
        if (scan->sets[hit->set].is_idle)
                return false;
        explained = scan->has_users[hit->set];
        for (const Hit *other = first; other < end; ++other) {
                node = node_of(scan, other);
                if (!node || !devnode_is_gpu(node))
                        continue;
                if (other->set == hit->set)
                        return true;
                explained = true;
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

/* The set may be in use by what could not be looked into. */
static bool is_asked_about(const Scan *scan, size_t set) {
        return !scan->sets[set].is_witness && scan->sets[set].n > 0;
}

/*
 * A process that could not be looked into may use each of the GPUs. One that has ended since may
 * have passed on what it had.
 */
static int push_holder(Findings *const findings[], const Scan *scan, const Hit *hit) {
        const DevNode *node = node_of(scan, hit);
        _cleanup_(process_deinit) Process process = {};
        _cleanup_(freep) char *path = NULL;
        bool has_room = false, has_ended, of_person;
        int r = 0;

        /* Where no more are named, they are counted. */
        for (size_t i = 0; i < scan->n_sets; ++i)
                has_room |= !scan->sets[i].is_witness && findings_have_room(findings[i]);
        if (has_room)
                r = process_init(&process, scan->roots->proc_fd, hit->pid);
        if (r < 0)
                return r;
        has_ended = r == PROCESS_E_GONE;
        if (has_ended) {
                process.uid = hit->uid;
                r = hit->command[0] ? text_copy(hit->command, &process.command) : 0;
                if (r < 0)
                        return r;
        }
        of_person = scan->roots->is_real && (process.owner.session || process.owner.of_user) &&
                        systemd_is_of_person(process.owner.session, process.uid);
        if (node && !has_ended) {
                path = text_format("/dev/%s", node->name);
                if (!path)
                        return -ENOMEM;
        }
        for (size_t i = 0; i < scan->n_sets && r >= 0; ++i) {
                const Finding finding = {
                        .kind = path ? FINDING_HOLDER : FINDING_UNKNOWN,
                        .function = node ? node->function : scan->sets[i].gpu,
                        .error = has_ended ? EAGAIN : hit->error,
                        .pid = hit->pid,
                        .uid = process.uid,
                        .command = process.command,
                        .owner = process.owner,
                        .node = path,
                        .mapped = hit->mapped,
                        .leads = process.leads,
                        .serves = process.serves,
                        .of_person = of_person,
                };

                if (is_asked_about(scan, i) && (!node || hit->set == i))
                        r = findings_push(findings[i], &finding);
        }
        return r;
}

/* Those that were found; and where they are more than are named, holders before others. */
static int push_holders(Findings *const findings[], const Scan *scan) {
        const Hit *hits = scan->reply->hits, *all_end = hits + scan->reply->n_hits;
        bool many = scan->reply->n_hits > FINDINGS_PROCESSES_MAX;
        int r = 0;

        for (const Hit *hit = hits; hit < all_end; ++hit)
                if (hit->node >= 0 && devnode_is_gpu(node_of(scan, hit)))
                        scan->has_users[hit->set] = true;
        for (int round = many ? 0 : 1; round < 2; ++round)
                for (const Hit *first = hits, *end; first < all_end && r >= 0; first = end) {
                        for (end = first; end < all_end && end->pid == first->pid; ++end)
                                ;
                        for (const Hit *hit = first; hit < end && r >= 0; ++hit)
                                if ((!many || (hit->node < 0) == round) &&
                                                hit_counts(scan, hit, first, end))
                                        r = push_holder(findings, scan, hit);
                }
        return r;
}

/* @n: processes that were not come to; 0: not one was */
static int push_unseen(Findings *const findings[], const Scan *scan, size_t n) {
        int r = 0;

        for (size_t i = 0; i < scan->n_sets && r >= 0; ++i)
                if (is_asked_about(scan, i))
                        r = findings_push(findings[i],
                                        &(Finding){ .kind = FINDING_UNKNOWN,
                                                        .function = scan->sets[i].gpu,
                                                        .error = ETIME,
                                                        .number = (int) n });
        return r;
}

/* Have a child look. Return: 0 with @ret, free() it; CHILD_E_LATE or _DIED; or a negative error code. */
static int run_look(const LookInput *input, LookReply **ret) {
        const int keep[] = { input->roots->proc_fd, input->roots->dev_fd };
        ChildOptions options = CHILD_OPTIONS_NULL;
        _cleanup_(freep) char *reply = NULL;
        ChildResult result = {};
        int r, checked;

        options.limit_usec = LIMIT_CHILD_USEC;
        options.reads_only = true;
        options.keep = keep;
        options.n_keep = keep[1] >= 0 ? 2 : 1;
        r = child_run(&options, holder_look, (void *) input, &result);
        if (r < 0)
                return r;
        reply = result.reply;
        if (r == 0 && result.answer < 0)
                return result.answer;
        /* One that has replied and does not end has a thread that does not; its reply is whole. */
        checked = look_reply_check(input, reply, result.n_reply);
        if (checked < 0)
                return r > 0 ? r : checked;
        *ret = (LookReply *) TAKE_PTR(reply);
        return 0;
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
 *              looked into, or could not be in time. Our own process is left out.
 *
 * Takes no longer than a few seconds, whatever other users do: a child looks, which is killed
 * where it must be.
 *
 * Return: 0 on success, negative error code on failure.
 */
int holders_find(const Roots *roots,
                DevNodes *sets,
                size_t n_sets,
                bool deep,
                Findings *const findings[]) {
        const LookInput input = {
                .roots = roots,
                .sets = sets,
                .n_sets = n_sets,
                .deep = deep,
                .self = getpid(),
        };
        Scan scan = { .roots = roots, .sets = sets, .n_sets = n_sets };
        _cleanup_(freep) LookReply *reply = NULL;
        _cleanup_(freep) bool *has_users = NULL;
        size_t n_nodes = 0;
        int r;

        for (size_t i = 0; i < n_sets; ++i)
                n_nodes += sets[i].is_witness ? 0 : sets[i].n;
        if (n_nodes == 0)
                return 0;
        if (roots->proc_fd < 0)
                return -EBADF;
        has_users = calloc(n_sets, sizeof(*has_users));
        if (!has_users)
                return -ENOMEM;
        r = run_look(&input, &reply);
        if (r)
                return r < 0 ? r : push_unseen(findings, &scan, 0);

        scan.reply = reply;
        scan.has_users = has_users;
        look_for_starts(&scan);
        r = push_holders(findings, &scan);
        if (r >= 0 && reply->n_left > 0)
                r = push_unseen(findings, &scan, reply->n_left);
        return r;
}
