/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Holders
 *
 * The scan gives numbers; here they get names. Only the few that were found are
 * looked at closer, after the scan is over.
 */

#include <string.h>

#include "base/text.h"
#include "os/process.h"
#include "probe/holders.h"
#include "probe/scan.h"

static int push_hit(Findings *findings, const Gpu *gpu, const Hit *hit, Process *process) {
        Finding *finding;
        int r;

        r = findings_push(findings, hit->node ? FINDING_HOLDER : FINDING_UNKNOWN,
                        hit->node ? hit->node->function : gpu->address, &finding);
        if (r < 0)
                return r;

        finding->pid = hit->pid;
        finding->error = hit->error;
        finding->mapped = hit->mapped;
        finding->uid = process->uid;
        finding->user_unit = process->user_unit;
        finding->command = TAKE_PTR(process->command);
        finding->unit = TAKE_PTR(process->unit);
        finding->session = TAKE_PTR(process->session);
        if (hit->node) {
                finding->node = text_format("/dev/%s", hit->node->name);
                if (!finding->node)
                        return -ENOMEM;
        }
        return 0;
}

/**
 * holders_find() - find all processes that use a GPU
 * @roots:      roots
 * @gpu:        GPU
 * @nodes:      its nodes
 * @deep:       see scan_processes()
 * @findings:   where to add them: FINDING_HOLDER, one for each process and node,
 *              and FINDING_UNKNOWN for processes that could not be looked into
 *
 * Return: 0 on success, negative error code on failure.
 */
int holders_find(const Roots *roots,
                const Gpu *gpu,
                const Nodes *nodes,
                bool deep,
                Findings *findings) {
        Hits hits = HITS_NULL;
        int r;

        r = scan_processes(roots, nodes, deep, &hits);
        for (size_t i = 0; r >= 0 && i < hits.n; ++i) {
                Process process;

                r = process_init(&process, roots->proc_fd, hits.items[i].pid);
                if (r == PROCESS_E_GONE)
                        continue;
                if (r == 0)
                        r = push_hit(findings, gpu, &hits.items[i], &process);
                process_deinit(&process);
        }
        hits_deinit(&hits);
        return r < 0 ? r : 0;
}
