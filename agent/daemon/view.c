/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Views
 *
 * Needs no privilege: what was cut off or is stuck stands in files that everybody may
 * read, and who holds a lock the kernel tells everybody.
 */

#include "daemon/view.h"

/**
 * view_init() - look at a GPU
 * @view:       to fill in; owns nothing
 * @roots:      our own directories may be missing
 * @policy:     what is said
 * @gpu:        which
 *
 * Return: 0 on success, negative error code on failure.
 */
int view_init(View *view, const Roots *roots, const Policy *policy, const Gpu *gpu) {
        _cleanup_(runtime_deinit) Runtime runtime = RUNTIME_NULL;
        const LockHolders *lock = &runtime.lock;
        Decision decision;
        View seen = {};
        int r;

        r = runtime_init(&runtime, roots, gpu);
        if (r < 0)
                return r;

        decision = policy_decide(policy, roots->sysfs, gpu, &runtime, 0);
        seen.decision = decision;
        /* The kernel knows better than the record who it is. */
        seen.stuck = runtime_is_stuck(&runtime) ? lock->writer : 0;
        seen.owner = lock->locked ? lock->owner : 0;
        seen.sight.locked = runtime_is_stuck(&runtime) || lock->locked;
        fingerprint_set(&seen.sight.fingerprint, gpu, decision.mode, decision.interrupted);
        /* Where only overrides are left, which are not read here as that may take long. */
        seen.sight.fulfilled = mode_fulfils(decision.mode, gpu->mode) &&
                        decision.functions == FUNCTION_SET_ALL;
        if (runtime.record.has_refusal)
                seen.refusal = runtime.record.refusal;
        *view = seen;
        return 0;
}

/**
 * view_is_current() - is the wish still the same?
 * @view:       nobody was at the GPU
 * @roots:      as for view_init()
 * @gpu:        which
 * @ret:        whether it is
 *
 * A switch that ended while we looked leaves another wish behind than the policy that was
 * read before. Who acted on that one would undo what a person has just asked for.
 *
 * Return: 0 on success, negative error code on failure.
 */
int view_is_current(const View *view, const Roots *roots, const Gpu *gpu, bool *ret) {
        Policy policy = POLICY_NULL;
        View now;
        int r;

        r = policy_load(&policy, roots);
        if (r < 0)
                return r;
        r = view_init(&now, roots, &policy, gpu);
        policy_deinit(&policy);
        if (r < 0)
                return r;

        *ret = now.decision.mode == view->decision.mode;
        return 0;
}
