/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Judgements
 *
 * A card has a pin for each of its functions, which udev's rule finds by address and ids
 * (record/pin.h). Cards of one family have the same audio, USB and UCSI functions; and as
 * the rule sees one function at a time, those of another card in the slot are reserved, too.
 * Function 0 tells who it is: where that has no pin and the others have, they are not meant.
 *
 * That undoes what our own rule has done, and so is no matter of who manages the card.
 */

#include "policy/judge.h"
#include "policy/unfinished.h"
#include "record/intent.h"
#include "record/pin.h"

/* With the GPU itself on vfio somebody has put it there by hand, who may want the rest there, too. */
static int look_for_reserved(const Policy *policy, const Roots *roots, const Gpu *gpu, bool *ret) {
        const FunctionSet display = 1U << gpu->functions[0].address.function;
        FunctionSet pinned;
        Intent intent = {};
        int r;

        *ret = false;
        if ((policy->kernel.is_set && policy->kernel.mode == MODE_UNSET) ||
                        policy->config.incomplete || roots->run_fd < 0 ||
                        driver_is_vfio(roots->sysfs, gpu->functions[0].driver))
                return 0;

        /* Whoever has begun to give it back may have removed the pins. Any other switch of it that
         * was cut off comes first, and sees to its own pins. */
        r = intent_load(&intent, roots->run_fd, gpu->address);
        if (r < 0)
                return r;
        if (r == 0 && identity_equal(intent.identity, gpu->functions[0].identity)) {
                *ret = intent.give_back;
                return 0;
        }

        r = pins_test(roots->run_fd, gpu, &pinned);
        if (r < 0)
                return r;
        *ret = pinned && !(pinned & display);
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
        bool managed = policy_manages(policy, gpu);
        Judgement judgement = {};
        Mode back;
        int r;

        r = flags & JUDGE_LOCKED ? unfinished_rest(roots, gpu, &judgement.unfinished, &back)
                                 : unfinished_look(roots, gpu, &judgement.unfinished, &back);
        if (r < 0)
                return r;

        if (managed)
                judgement.verdict = policy_judge(policy, gpu, flags & JUDGE_AT_BOOT);
        if (judgement.verdict.wish != MODE_PASSTHROUGH) {
                r = look_for_reserved(policy, roots, gpu, &judgement.reserved);
                if (r < 0)
                        return r;
        }
        if (judgement.reserved)
                judgement.verdict.wish = MODE_HOST;
        else if (judgement.unfinished && managed && policy_allows_recovery(&judgement.verdict))
                judgement.verdict.wish = back;

        *ret = judgement;
        return 0;
}
