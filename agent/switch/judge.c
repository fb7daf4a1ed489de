/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Judgements
 *
 * A card has a pin for each of its functions, which udev's rule finds by address and ids
 * (record/pin.h). Cards of one family have the same audio, USB and UCSI functions; and as
 * the rule sees one function at a time, those of another card in the slot are reserved, too.
 * Function 0 tells who it is: so this is where it is known, and where the rest of a stranger
 * is given back to the host.
 */

#include "switch/judge.h"
#include "record/pin.h"
#include "switch/unfinished.h"

/*
 * With the display function on vfio somebody has put it there by hand, who may want the rest
 * there as well. What was begun here and cut off counts like a pin, which it may have removed.
 */
static int judge_stranger(
                const Policy *policy, const Roots *roots, const Gpu *gpu, Judgement *judgement) {
        bool reserved = judgement->unfinished;
        int r;

        if (policy->config.incomplete || roots->run_fd < 0 ||
                        driver_is_vfio(roots->sysfs, gpu->functions[0].driver))
                return 0;

        for (size_t i = 1; i < gpu->n_functions && !reserved; ++i) {
                r = pin_test(roots->run_fd, &gpu->functions[i], &reserved);
                if (r < 0)
                        return r;
        }
        if (reserved)
                judgement->verdict.wish = WISH_HOST;
        judgement->reserved = reserved;
        return 0;
}

/**
 * judge() - where does a GPU belong?
 * @policy:     what is said
 * @roots:      run_fd may be missing, unless JUDGE_LOCKED
 * @gpu:        which
 * @flags:      of JudgeFlags
 * @ret:        the judgement
 *
 * Return: 0 on success, negative error code on failure.
 */
int judge(const Policy *policy,
                const Roots *roots,
                const Gpu *gpu,
                unsigned int flags,
                Judgement *ret) {
        Judgement judgement = {};
        Wish back;
        int r;

        r = flags & JUDGE_LOCKED ? unfinished_rest(roots, gpu, &judgement.unfinished, &back)
                                 : unfinished_look(roots, gpu, &judgement.unfinished, &back);
        if (r < 0)
                return r;

        if (policy_manages(policy, gpu)) {
                judgement.verdict = policy_judge(policy, gpu, flags & JUDGE_AT_BOOT);
                if (judgement.verdict.source == POLICY_STRANGER)
                        r = judge_stranger(policy, roots, gpu, &judgement);
                else if (judgement.unfinished && policy_allows_recovery(&judgement.verdict))
                        judgement.verdict.wish = back;
        }
        if (r < 0)
                return r;

        *ret = judgement;
        return 0;
}
