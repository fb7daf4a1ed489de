/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Strangers
 *
 * Apart from the other checks, for the agent asks for this one alone: it moves nothing, and
 * what the rest of them needs (libkmod above all) would stay in memory for as long as it runs.
 */

#include <string.h>

#include "policy/stranger.h"
#include "probe/explain.h"

/**
 * stranger_find() - is this another card than the one that is remembered?
 * @state:      what is remembered
 * @gpu:        which
 * @findings:   gets FINDING_OTHER_CARD, if so
 *
 * Return: 0 on success, whatever was found; negative error code on failure.
 */
int stranger_find(const State *state, const Gpu *gpu, Findings *findings) {
        const StateEntry *entry = state_find(state, gpu->address);
        Identity identity = gpu->functions[0].identity;
        char id[IDENTITY_STRING_MAX];
        Finding *finding;
        int r;

        if (!entry || identity_equal(entry->identity, identity))
                return 0;

        r = findings_push(findings, FINDING_OTHER_CARD, gpu->address, &finding);
        if (r < 0)
                return r;
        identity_format_id(entry->identity, id);
        /* The same model of another maker differs in the subsystem only. */
        if (entry->identity.device == identity.device)
                identity_format_subsystem(entry->identity, id);
        finding->detail = strdup(id);
        return finding->detail ? 0 : -ENOMEM;
}

/**
 * stranger_tell() - say that this is another card than the one that is remembered
 * @state:      what is remembered
 * @gpu:        which
 * @ret_reason: in a sentence, or NULL if it is the same; free() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int stranger_tell(const State *state, const Gpu *gpu, char **ret_reason) {
        _cleanup_(freep) char *reason = NULL, *holders = NULL;
        Findings findings = FINDINGS_NULL;
        int r;

        r = stranger_find(state, gpu, &findings);
        if (r >= 0 && findings.n > 0)
                r = explain_findings(&findings, gpu, gpu->mode, &reason, &holders);
        findings_deinit(&findings);
        if (r < 0)
                return r;

        *ret_reason = TAKE_PTR(reason);
        return 0;
}
