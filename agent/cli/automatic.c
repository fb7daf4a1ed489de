/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Automatic Moves
 *
 * A job that waits for another switch of its GPU does so with a policy that it has read
 * before. What that switch has left behind is another wish, and a person's: it must not be
 * undone by somebody who came late.
 */

#include "cli/automatic.h"

static unsigned int flags_of(const Cli *cli) {
        return cli->trigger == TRIGGER_BOOT ? JUDGE_AT_BOOT : 0;
}

/**
 * automatic_judge() - where does a GPU belong?
 * @policy:     what is said
 * @cli:        where, and whether this is for the boot
 * @gpu:        which
 * @ret:        the judgement
 *
 * Return: 0 on success, negative error code on failure.
 */
int automatic_judge(const Policy *policy, const Cli *cli, const Gpu *gpu, Judgement *ret) {
        int r;

        r = roots_open_run(cli->roots, false);
        if (r < 0)
                return r;
        return judge(policy, cli->roots, gpu, flags_of(cli), ret);
}

/**
 * automatic_still() - is a GPU still to move so?
 * @userdata:   Cli
 * @request:    how it was to
 * @gpu:        which; its lock is ours
 *
 * Return: 1 if it is, 0 if not, negative error code on failure.
 */
int automatic_still(void *userdata, const SwitchRequest *request, const Gpu *gpu) {
        const Cli *cli = userdata;
        Policy policy = POLICY_NULL;
        Judgement judgement;
        int r;

        r = policy_load(&policy, cli->roots);
        if (r < 0)
                return r;
        r = judge(&policy, cli->roots, gpu, flags_of(cli) | JUDGE_LOCKED, &judgement);
        policy_deinit(&policy);
        if (r < 0)
                return r;
        return judgement.verdict.wish == request->to && judgement.reserved == request->give_back;
}
