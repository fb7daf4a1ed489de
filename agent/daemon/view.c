/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Views
 *
 * Needs no privilege: what was cut off or is stuck stands in files that everybody may
 * read, and who holds a lock the kernel tells everybody.
 */

#include "daemon/view.h"
#include "record/lock.h"
#include "record/stuck.h"

static int look_at_locks(View *view, const Roots *roots, const Gpu *gpu) {
        LockHolders holders;
        Stuck stuck = {};
        int r, marked;

        if (roots->run_fd < 0)
                return 0;

        marked = stuck_load(&stuck, roots->run_fd, roots->proc_fd, gpu->address);
        if (marked < 0)
                return marked;
        if (marked != STUCK_E_NONE)
                stuck_deinit(&stuck);
        r = lock_test(roots->run_fd, roots->proc_fd, gpu->address, &holders);
        if (r < 0)
                return r;

        /* The kernel knows better than the marker who it is. */
        view->stuck = marked == 0 && holders.writing ? holders.writer : 0;
        view->owner = holders.locked ? holders.owner : 0;
        view->sight.locked = marked == 0 || holders.locked;
        return 0;
}

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
        View seen = {};
        Mode wish;
        int r;

        r = look_at_locks(&seen, roots, gpu);
        if (r >= 0)
                r = judge(policy, roots, gpu, 0, &seen.judgement);
        if (r < 0)
                return r;

        wish = seen.judgement.verdict.wish;
        fingerprint_set(&seen.sight.fingerprint, gpu, wish, seen.judgement.unfinished);
        /* Where only overrides are left, which are not read here as that may take long. */
        seen.sight.fulfilled = mode_fulfils(wish, gpu->mode) && !seen.judgement.reserved;
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

        *ret = now.judgement.verdict.wish == view->judgement.verdict.wish;
        return 0;
}
