/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Explanations
 *
 * The first culprit is told in full, with what would help against it: one line has
 * room for one. The others are counted, and all processes are listed for machines.
 */

#include "probe/explain.h"
#include "probe/words.h"

/* So many nodes are named where one process has several open. */
#define NODES_MAX 3U

/**
 * explain_finding() - a finding in words
 * @finding:    finding
 * @gpu:        the GPU that it is in the way of
 * @to:         where that was to go
 * @ret_sentence: what is in the way, without a full stop; free() it
 * @ret_remedy: what would help: a command, or an action; free() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int explain_finding(const Finding *finding,
                const Gpu *gpu,
                Mode to,
                char **ret_sentence,
                char **ret_remedy) {
        const Subject subject = { finding, gpu, to };
        Text sentence = TEXT_NULL, remedy = TEXT_NULL;
        int r;

        r = words_append_sentence(&sentence, &subject);
        if (r >= 0)
                r = words_append_remedy(&remedy, &subject);
        if (r < 0) {
                text_deinit(&sentence);
                text_deinit(&remedy);
                return r;
        }

        *ret_sentence = text_take(&sentence);
        *ret_remedy = text_take(&remedy);
        return 0;
}

/* lists */

/* A precondition that does not hold outweighs all holders: waiting would not help. */
static const Finding *find_first(const Findings *findings) {
        for (size_t i = 0; i < findings->n; ++i)
                if (!finding_is_busy(&findings->items[i]))
                        return &findings->items[i];
        return &findings->items[0];
}

static bool same_culprit(const Finding *a, const Finding *b) {
        return a == b || (a->pid > 0 && a->pid == b->pid && a->kind == b->kind);
}

/* How many culprits there are besides @first; a process counts once. */
static size_t count_others(const Findings *findings, const Finding *first) {
        size_t n = 0;

        for (size_t i = 0; i < findings->n; ++i) {
                const Finding *finding = &findings->items[i];
                bool seen = same_culprit(finding, first);

                for (size_t k = 0; k < i && !seen; ++k)
                        seen = same_culprit(finding, &findings->items[k]);
                n += !seen;
        }
        return n;
}

static int append_more_nodes(Text *out, const Findings *findings, const Finding *first) {
        size_t n = 1;
        int r;

        for (size_t i = 0; i < findings->n; ++i) {
                const Subject subject = { .finding = &findings->items[i] };

                if (subject.finding == first || first->kind != FINDING_HOLDER ||
                                !same_culprit(subject.finding, first))
                        continue;
                if (n++ == NODES_MAX)
                        return text_append(out, ", ...");
                r = text_append(out, ", ");
                if (r >= 0)
                        r = words_append_node(out, &subject);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int explain_first(const Findings *findings, const Gpu *gpu, Mode to, Text *out) {
        const Finding *first = find_first(findings);
        const Subject subject = { first, gpu, to };
        size_t n = count_others(findings, first);
        int r;

        r = words_append_sentence(out, &subject);
        if (r >= 0)
                r = append_more_nodes(out, findings, first);
        if (r >= 0 && n > 0)
                r = text_append(out, ", and %zu more", n);
        if (r >= 0)
                r = text_append(out, "; ");
        return r < 0 ? r : words_append_remedy(out, &subject);
}

static bool is_process(const Finding *finding) {
        return finding->kind == FINDING_HOLDER || finding->kind == FINDING_UNKNOWN;
}

/* "812 (ollama) /dev/nvidia0, 977 (Xorg) /dev/dri/card1" */
static int list_holders(const Findings *findings, Text *out) {
        int r;

        for (size_t i = 0; i < findings->n; ++i) {
                const Subject subject = { .finding = &findings->items[i] };

                if (subject.finding->pid == 0 || !is_process(subject.finding))
                        continue;
                r = text_append(out, "%s", out->n > 0 ? ", " : "");
                if (r >= 0)
                        r = words_append_holder(out, &subject);
                if (r < 0)
                        return r;
        }
        return 0;
}

/**
 * explain_findings() - all findings of one GPU in one line
 * @findings:   at least one
 * @gpu:        the GPU that they are in the way of
 * @to:         where that was to go
 * @ret_reason: the first culprit in full, how many more there are, and what would
 *              help against the first; free() it
 * @ret_holders: all processes with what they hold, or NULL if there are none; free() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int explain_findings(const Findings *findings,
                const Gpu *gpu,
                Mode to,
                char **ret_reason,
                char **ret_holders) {
        Text reason = TEXT_NULL, holders = TEXT_NULL;
        int r;

        r = explain_first(findings, gpu, to, &reason);
        if (r >= 0)
                r = list_holders(findings, &holders);
        if (r < 0) {
                text_deinit(&reason);
                text_deinit(&holders);
                return r;
        }

        *ret_reason = text_take(&reason);
        *ret_holders = text_take(&holders);
        return 0;
}
