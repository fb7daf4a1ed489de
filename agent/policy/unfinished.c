/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Unfinished Switches
 *
 * While somebody holds the lock, a switch is under way and not unfinished. The lock is
 * looked at between two looks for the rest: who began after the first one is not taken for
 * somebody who was cut off, and who ended before the second has left nothing.
 */

#include "policy/unfinished.h"
#include "record/intent.h"
#include "record/lock.h"
#include "record/stuck.h"

/**
 * unfinished_rest() - is something left of a switch?
 * @roots:      with run_fd
 * @gpu:        which
 * @ret:        whether there is; one that is under way counts, unless it is known that none is
 * @ret_back:   where the GPU came from
 *
 * Return: 0 on success, negative error code on failure.
 */
int unfinished_rest(const Roots *roots, const Gpu *gpu, bool *ret, Mode *ret_back) {
        Intent intent = {};
        Stuck stuck = {};
        Mode from = gpu->mode;
        int intended, marked;

        intended = intent_load(&intent, roots->run_fd, gpu->address);
        if (intended < 0)
                return intended;
        marked = stuck_load(&stuck, roots->run_fd, roots->proc_fd, gpu->address);
        if (marked < 0)
                return marked;
        if (marked != STUCK_E_NONE)
                stuck_deinit(&stuck);

        if (intended == 0 && identity_equal(intent.identity, gpu->functions[0].identity))
                from = intent.from;
        *ret = intended != INTENT_E_MISSING || marked == STUCK_E_OVER;
        *ret_back = from == MODE_PASSTHROUGH ? MODE_PASSTHROUGH : MODE_HOST;
        return 0;
}

/**
 * unfinished_look() - was a switch of this GPU cut off?
 * @roots:      run_fd may be missing
 * @gpu:        which
 * @ret_unfinished: whether it was, and nobody is at it
 * @ret_back:   if so, where the GPU goes if nobody wishes it to be anywhere: where it was
 *
 * Return: 0 on success, negative error code on failure.
 */
int unfinished_look(const Roots *roots, const Gpu *gpu, bool *ret_unfinished, Mode *ret_back) {
        bool unfinished = false;
        Mode back = MODE_UNSET;
        LockHolders holders;
        int r = 0;

        if (roots->run_fd >= 0)
                r = unfinished_rest(roots, gpu, &unfinished, &back);
        if (r >= 0 && unfinished) {
                r = lock_test(roots->run_fd, roots->proc_fd, gpu->address, &holders);
                if (r >= 0 && holders.locked)
                        unfinished = false;
                else if (r >= 0)
                        r = unfinished_rest(roots, gpu, &unfinished, &back);
        }
        if (r < 0)
                return r;

        *ret_unfinished = unfinished;
        *ret_back = back;
        return 0;
}
