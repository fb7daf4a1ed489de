/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Findings
 *
 * A list that grows. Each finding owns its strings.
 */

#include "probe/finding.h"

static void finding_deinit(Finding *finding) {
        free(finding->detail);
        free(finding->command);
        free(finding->unit);
        free(finding->session);
        free(finding->node);
}

void findings_deinit(Findings *findings) {
        for (size_t i = 0; i < findings->n; ++i)
                finding_deinit(&findings->items[i]);
        free(findings->items);
        *findings = (Findings) FINDINGS_NULL;
}

/**
 * findings_push() - add a finding
 * @findings:   list
 * @kind:       what
 * @function:   which function it is about
 * @ret:        the new finding, to be filled in before the next push; may be NULL
 *
 * Return: 0 on success, negative error code on failure.
 */
int findings_push(Findings *findings, FindingKind kind, Address function, Finding **ret) {
        Finding *more;

        more = realloc(findings->items, (findings->n + 1) * sizeof(*more));
        if (!more)
                return -ENOMEM;

        findings->items = more;
        more[findings->n] = (Finding){ .kind = kind, .function = function };
        if (ret)
                *ret = &more[findings->n];
        ++findings->n;
        return 0;
}

/* Whether it is somebody's use of the GPU, rather than a precondition. */
bool finding_is_busy(const Finding *finding) {
        return finding->kind >= FINDING_HOLDER;
}

/* Whether all that is in the way is somebody's use, so that waiting may help. */
bool findings_are_busy(const Findings *findings) {
        for (size_t i = 0; i < findings->n; ++i)
                if (!finding_is_busy(&findings->items[i]))
                        return false;
        return findings->n > 0;
}

/* Whether the kernel hangs over it. */
bool findings_are_stuck(const Findings *findings) {
        for (size_t i = 0; i < findings->n; ++i)
                if (findings->items[i].kind == FINDING_STUCK)
                        return true;
        return false;
}
