/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Automatic Moves
 *
 * A job that waits for another switch of its GPU does so with a policy that it has read
 * before. What that switch has left behind is another wish, and a person's: it must not be
 * undone by somebody who came late.
 */

#include "cli/automatic.h"
#include "switch/unfinished.h"

/* What was cut off is finished or undone, though nobody has a wish. */
static int judge_rest(const Cli *cli, const Gpu *gpu, Wish *wish) {
        bool unfinished;
        Wish back;
        int r;

        r = roots_open_run(cli->roots, cli->prefix, false);
        if (r >= 0)
                r = unfinished_look(cli->roots, gpu, &unfinished, &back);
        if (r < 0)
                return r;
        if (unfinished)
                *wish = back;
        return 0;
}

/**
 * automatic_judge() - where does the policy want a GPU?
 * @policy:     what is said
 * @cli:        where, and whether this is for the boot
 * @gpu:        which
 * @ret:        the wish, which is WISH_UNSET where it is left alone; and whose it is
 *
 * Return: 0 on success, negative error code on failure.
 */
int automatic_judge(const Policy *policy, const Cli *cli, const Gpu *gpu, Verdict *ret) {
        Verdict verdict = {};
        int r = 0;

        if (policy_manages(policy, gpu)) {
                verdict = policy_judge(policy, gpu, cli->trigger == TRIGGER_BOOT);
                if (policy_allows_recovery(&verdict))
                        r = judge_rest(cli, gpu, &verdict.wish);
        }
        if (r < 0)
                return r;

        *ret = verdict;
        return 0;
}

/* The same for a GPU whose lock is ours. */
static int judge_again(const Policy *policy, const Cli *cli, const Gpu *gpu, Wish *ret) {
        Verdict verdict;
        bool unfinished;
        Wish back;
        int r;

        *ret = WISH_UNSET;
        if (!policy_manages(policy, gpu))
                return 0;

        verdict = policy_judge(policy, gpu, cli->trigger == TRIGGER_BOOT);
        if (policy_allows_recovery(&verdict)) {
                r = unfinished_rest(cli->roots, gpu, &unfinished, &back);
                if (r < 0)
                        return r;
                if (unfinished)
                        verdict.wish = back;
        }
        *ret = verdict.wish;
        return 0;
}

/**
 * automatic_still() - does the policy still want a GPU there?
 * @userdata:   Cli
 * @gpu:        which; its lock is ours
 * @to:         where it was to go
 *
 * Return: 1 if it does, 0 if not, negative error code on failure.
 */
int automatic_still(void *userdata, const Gpu *gpu, Mode to) {
        const Cli *cli = userdata;
        Policy policy = POLICY_NULL;
        Wish wish;
        int r;

        r = policy_load(&policy, cli->roots);
        if (r < 0)
                return r;
        r = judge_again(&policy, cli, gpu, &wish);
        policy_deinit(&policy);
        return r < 0 ? r : wish == wish_of_mode(to);
}
