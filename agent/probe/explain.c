/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What is in the way is told in one line, and of a GPU that is in use all who hold it: for a desktop
 * these are a dozen of processes, and to end one of them only shows the next. So they come in groups,
 * each with the one remedy that it has; and as any user can make any number of them, not without end.
 */

#include <string.h>

#include "probe/advice.h"
#include "probe/explain.h"

/* So many nodes are named of those that are open, so many remedies, and so many processes for each. */
#define NODES_MAX  3U
#define GROUPS_MAX 8U
#define NAMES_MAX  8U

/* What is named first: what waiting does not help against, and then what can be ended. */
static unsigned int rank(const Findings *findings, const Finding *finding) {
        if (!finding_is_busy(finding))
                return 0;
        return finding->kind == FINDING_UNKNOWN ? UINT32_MAX : 1 + advice_rank(findings, finding);
}

/* How one finding is told. */
typedef struct Told {
        unsigned int rank;
        const char *remedy;
        unsigned int group; /* of those that are told at once, from 1 on; 0: only counted */
} Told;

/* Whether what helps against one helps against the other too. */
static bool is_told_with(const Findings *findings, const Told *told, size_t a, size_t b) {
        const Finding *first = &findings->items[a], *finding = &findings->items[b];

        return finding_is_same_culprit(first, finding) ||
                        (first->kind == FINDING_HOLDER && finding->kind == FINDING_HOLDER &&
                                        told[a].rank == told[b].rank &&
                                        told[a].remedy == told[b].remedy &&
                                        advice_fits_both(told[a].remedy, first, finding));
}

/* Put what is told with finding @first into group @group, and all that those processes have open. */
static void group_findings(const Findings *findings, Told *told, size_t first, unsigned int group) {
        for (size_t i = 0; i < findings->n; ++i) {
                if (told[i].group > 0 || !is_told_with(findings, told, first, i))
                        continue;
                for (size_t k = 0; k < findings->n; ++k)
                        if (finding_is_same_culprit(&findings->items[i], &findings->items[k]))
                                told[k].group = group;
        }
}

/* The next that is to be told, and after the first one only who holds it; or .n if there is none. */
static size_t find_next(const Findings *findings, const Told *told, bool is_first) {
        size_t best = findings->n;

        for (size_t i = 0; i < findings->n; ++i)
                if (told[i].group == 0 && (is_first || findings->items[i].kind == FINDING_HOLDER) &&
                                (best == findings->n || told[i].rank < told[best].rank))
                        best = i;
        return best;
}

/* Whether a finding is the first of its process, or other culprit. */
static bool is_new(const Findings *findings, size_t i) {
        for (size_t k = 0; k < i; ++k)
                if (finding_is_same_culprit(&findings->items[i], &findings->items[k]))
                        return false;
        return true;
}

static size_t count_culprits(const Findings *findings, const Told *told, unsigned int group) {
        size_t n = 0;

        for (size_t i = 0; i < findings->n; ++i)
                n += told[i].group == group && is_new(findings, i);
        return n;
}

/* The nodes that the processes of a group have open, each of them once. */
static int append_nodes(Text *out,
                const Findings *findings,
                const Told *told,
                unsigned int group,
                const Gpu *gpu) {
        size_t n = 0;
        int r = 0;

        for (size_t i = 0; i < findings->n && r >= 0 && n <= NODES_MAX; ++i) {
                const Finding *finding = &findings->items[i];
                bool seen = told[i].group != group;

                for (size_t k = 0; k < i && !seen; ++k) {
                        const Finding *other = &findings->items[k];

                        seen = told[k].group == group && finding->mapped == other->mapped &&
                                        finding->node && other->node &&
                                        !strcmp(finding->node, other->node);
                }
                if (seen)
                        continue;
                r = text_append(out, "%s", n == 0 ? ": " : ", ");
                if (r >= 0)
                        r = words_append(out, n < NODES_MAX ? WORDS_NODE : "...", finding, gpu,
                                        MODE_UNSET);
                ++n;
        }
        return r;
}

/* "in use by a (pid 8) and b (pid 9): /dev/nvidia0, /dev/nvidiactl"; @pids: "8 9" */
static int append_holders(Text *out,
                const Findings *findings,
                const Told *told,
                unsigned int group,
                const Gpu *gpu,
                Text *pids) {
        const size_t n = count_culprits(findings, told, group);
        const size_t n_named = n > NAMES_MAX + 1 ? NAMES_MAX : n;
        size_t k = 0;
        int r;

        r = text_append(out, group > 1 ? "also in use by " : "in use by ");
        for (size_t i = 0; i < findings->n && r >= 0; ++i) {
                if (told[i].group != group || !is_new(findings, i))
                        continue;
                r = text_append(pids, "%s%d", k > 0 ? " " : "", (int) findings->items[i].pid);
                if (r >= 0 && k > 0 && k < n_named)
                        r = text_append(out, "%s", k + 1 < n ? ", " : " and ");
                if (r >= 0 && k < n_named)
                        r = words_append(out, WORDS_WHO, &findings->items[i], gpu, MODE_UNSET);
                ++k;
        }
        if (r >= 0 && n > n_named)
                r = text_append(out, " and %zu others", n - n_named);
        return r < 0 ? r : append_nodes(out, findings, told, group, gpu);
}

/*
 * A group, and what would help against it, behind what is in @remedies. @n_more: how many culprits are only
 * counted, told with the last
 */
static int append_group(Text *out,
                Text *remedies,
                const Findings *findings,
                const Told *told,
                size_t first,
                size_t n_more,
                const Gpu *gpu,
                Mode to) {
        _cleanup_(text_deinit) Text pids = TEXT_NULL;
        Finding finding = findings->items[first];
        Words chosen = words_choose(findings, &finding);
        int r;

        if (finding.kind == FINDING_GROUP_MEMBER) {
                r = words_append_members(out, findings, &findings->items[first], gpu);
        } else if (finding.kind == FINDING_HOLDER) {
                r = append_holders(out, findings, told, told[first].group, gpu, &pids);
                chosen.remedy = told[first].remedy;
                finding.detail = pids.data;
        } else {
                r = words_append(out, chosen.sentence, &finding, gpu, to);
        }
        if (r >= 0 && n_more > 0)
                r = text_append(out, ", and %zu more", n_more);
        if (r >= 0 && remedies->n > 0)
                r = text_append(remedies, "; ");
        if (r < 0)
                return r;
        return finding.kind == FINDING_GROUP_MEMBER
                        ? words_append_group_remedy(
                                          remedies, findings, &findings->items[first], gpu, to)
                        : words_append(remedies, chosen.remedy, &finding, gpu, to);
}

/* All processes that are kept: "812 (ollama) /dev/nvidia0, 977 (Xorg) /dev/dri/card1" */
static int append_processes(Text *out, const Findings *findings, const Gpu *gpu) {
        int r;

        for (size_t i = 0; i < findings->n; ++i) {
                const Finding *finding = &findings->items[i];

                if (finding->pid == 0 ||
                                (finding->kind != FINDING_HOLDER &&
                                                finding->kind != FINDING_UNKNOWN))
                        continue;
                r = text_append(out, "%s", out->n > 0 ? ", " : "");
                if (r < 0)
                        return r;
                r = words_append(out,
                                finding->node ? "@pid@ (@command@) " WORDS_NODE
                                              : "@pid@ (@command@) ?",
                                finding, gpu, MODE_UNSET);
                if (r < 0)
                        return r;
        }
        return findings->n_more > 0 ? text_append(out, ", and %zu more processes", findings->n_more)
                                    : 0;
}

/* The first culprit, and where that is use of the GPU, all who hold it. @remedies: where they go; maybe @out */
static int append_reason(
                Text *out, Text *remedies, const Findings *findings, const Gpu *gpu, Mode to) {
        _cleanup_(freep) Told *told = calloc(findings->n, sizeof(*told));
        size_t firsts[GROUPS_MAX], n = 0, n_more;
        int r = 0;

        if (!told)
                return -ENOMEM;
        for (size_t i = 0; i < findings->n; ++i) {
                const Finding *finding = &findings->items[i];

                told[i].rank = rank(findings, finding);
                if (finding->kind == FINDING_HOLDER)
                        told[i].remedy = advice_for_holder(findings, finding);
        }
        do {
                firsts[n] = find_next(findings, told, n == 0);
                if (firsts[n] == findings->n)
                        break;
                group_findings(findings, told, firsts[n], (unsigned int) n + 1);
        } while (finding_is_busy(&findings->items[firsts[0]]) && ++n < GROUPS_MAX);
        n = n ?: 1;

        n_more = count_culprits(findings, told, 0) + findings->n_more;
        for (size_t i = 0; i < n && r >= 0; ++i) {
                r = text_append(out, "%s", i > 0 ? "; " : "");
                if (r >= 0)
                        r = append_group(out, remedies, findings, told, firsts[i],
                                        i + 1 == n ? n_more : 0, gpu, to);
        }
        return r;
}

/**
 * findings_explain() - all findings of one GPU in one line
 * @findings:   at least one
 * @gpu:        the GPU that they are in the way of
 * @to:         where that was to go
 * @ret_reason: the first culprit in full, what would help against it, and how many more there are;
 *              then the hint; free() it. If waiting may help, all holders follow, in groups that have one
 *              owner and one remedy. All other members of an IOMMU group are one culprit.
 * @ret_holders: all processes with what they hold, or NULL if there are none; free() it
 *
 * A precondition that does not hold comes before all holders, as waiting would not help; what
 * computes before what a desktop is made of, and what could not be looked into last.
 *
 * Return: 0 on success, negative error code on failure.
 */
int findings_explain(const Findings *findings,
                const Gpu *gpu,
                Mode to,
                char **ret_reason,
                char **ret_holders) {
        _cleanup_(text_deinit) Text reason = TEXT_NULL, holders = TEXT_NULL;
        int r;

        r = append_reason(&reason, &reason, findings, gpu, to);
        if (r >= 0 && findings->hint) {
                r = text_append(&reason, "; ");
                if (r >= 0)
                        r = words_append_printable(&reason, findings->hint);
        }
        if (r >= 0)
                r = append_processes(&holders, findings, gpu);
        if (r < 0)
                return r;

        *ret_reason = text_take(&reason);
        *ret_holders = text_take(&holders);
        return 0;
}

/**
 * findings_explain_apart() - what is in the way, and what would help, each in one line
 * @findings:   at least one; a hint of theirs is left out
 * @ret_what:   as @ret_reason of findings_explain(), without the remedies; free() it
 * @ret_remedy: what would help, in the same order; free() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int findings_explain_apart(const Findings *findings,
                const Gpu *gpu,
                Mode to,
                char **ret_what,
                char **ret_remedy) {
        _cleanup_(text_deinit) Text what = TEXT_NULL, remedy = TEXT_NULL;
        int r;

        r = append_reason(&what, &remedy, findings, gpu, to);
        if (r < 0)
                return r;

        *ret_what = text_take(&what);
        *ret_remedy = text_take(&remedy);
        return 0;
}
