/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Committing
 *
 * The state file is what the next boot goes by. Whether it is also what the agent goes by
 * until then is asked of the policy itself, once the file is written or could not be: if that
 * would have the GPU elsewhere, the wish is kept in /run besides.
 */

#include "switch/commit.h"
#include "policy/policy.h"
#include "record/lock.h"
#include "record/pending.h"

/* Errors that say nothing about the state file. */
static bool is_ours(int error) {
        return error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -EINTR;
}

/* Where nothing is new but the functions, the mode is remembered whether they are or not. */
static int change_state(State *state, int etc_fd, const Gpu *gpu, Mode mode) {
        const StateEntry *entry = state_find(state, gpu->address);
        const Card card = card_of_gpu(gpu);
        bool is_known;
        int r;

        is_known = entry && entry->mode == mode &&
                        identity_equal(entry->identity, gpu->functions[0].identity);
        if (is_known && card_equal(&entry->card, &card))
                return 0;

        r = state_set_gpu(state, gpu, mode);
        if (r >= 0)
                r = state_save(state, etc_fd);
        return is_known ? 0 : r;
}

/* One that cannot be read or understood makes way for a new one, with just this GPU. */
static int remember(int etc_fd, const Gpu *gpu, Mode mode, char **ret_aside) {
        State state = STATE_NULL;
        int r;

        r = state_load(&state, etc_fd);
        if (r == STATE_E_INVALID || (r < 0 && !is_ours(r)))
                r = state_set_aside(etc_fd, ret_aside);
        if (r >= 0)
                r = change_state(&state, etc_fd, gpu, mode);
        state_deinit(&state);
        return r;
}

/* Who is killed before all is written must not leave an earlier wish behind that is heard first. */
static int outdate(const Roots *roots, const Gpu *gpu, Mode mode) {
        State pending;
        bool known;
        int r;

        r = pending_load(&pending, roots->run_fd);
        if (r < 0)
                return r;
        if (r == PENDING_E_INVALID)
                return pending_set(roots->run_fd, gpu->address, gpu->functions[0].identity, mode);
        known = state_find(&pending, gpu->address);
        state_deinit(&pending);
        if (!known)
                return 0;
        return pending_set(roots->run_fd, gpu->address, gpu->functions[0].identity, mode);
}

/* See to it that the policy wants it there, for as long as this boot lasts. */
static int keep(const Roots *roots, const Gpu *gpu, Mode mode) {
        Policy policy = POLICY_NULL;
        Verdict verdict;
        bool known;
        int r;

        r = policy_load(&policy, roots);
        if (r < 0)
                return r;
        known = state_forget(&policy.pending, gpu->address);
        verdict = policy_judge(&policy, gpu, false);
        policy_deinit(&policy);

        if (verdict.wish == mode)
                return known ? pending_clear(roots->run_fd, gpu->address) : 0;
        return pending_set(roots->run_fd, gpu->address, gpu->functions[0].identity, mode);
}

/**
 * commit() - remember where a GPU is
 * @context:    of the switch
 * @gpu:        which
 * @mode:       where it was verified to be
 * @transient:  it is there for this boot only: the state file is left as it is
 * @ret_aside:  if a state file that is no use was set aside, its new name; free() it
 * @ret_error:  with COMMIT_E_PENDING, the negative error code of writing the state file
 *
 * Return: 0 on success, COMMIT_E_PENDING if it will be forgotten with the next boot, negative
 *         error code if it is not remembered at all.
 */
int commit(SwitchContext *context,
                const Gpu *gpu,
                Mode mode,
                bool transient,
                char **ret_aside,
                int *ret_error) {
        const Roots *roots = context->roots;
        int r, written = 0;
        Lock lock = LOCK_NULL;

        r = lock_take_state(&lock, roots->run_fd);
        if (r)
                return error_fold(r);
        r = outdate(roots, gpu, mode);
        if (!transient && roots->etc_fd >= 0)
                written = remember(roots->etc_fd, gpu, mode, ret_aside);
        if (r >= 0)
                r = keep(roots, gpu, mode);
        lock_release(&lock);
        if (r < 0 || written >= 0)
                return r;

        *ret_error = written;
        return COMMIT_E_PENDING;
}
