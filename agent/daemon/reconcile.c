/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "daemon/reconcile.h"

bool fingerprint_equal(const Fingerprint *a, const Fingerprint *b) {
        return identity_equal(a->identity, b->identity) && a->wish == b->wish &&
                        a->interrupted == b->interrupted && !strcmp(a->drivers, b->drivers);
}

/* Drivers are listed as "0:nvidia 1:snd_hda_intel ". Eight module names fit; a longer list is cut. */
Fingerprint fingerprint_of(const Gpu *gpu, Mode wish, bool interrupted) {
        Fingerprint made = {
                .identity = gpu->functions[0].identity,
                .wish = wish,
                .interrupted = interrupted,
        };
        size_t n = 0;

        for (size_t i = 0; i < gpu->n_functions && n < sizeof(made.drivers); ++i) {
                const Device *function = &gpu->functions[i];
                int k = snprintf(made.drivers + n, sizeof(made.drivers) - n, "%u:%s ",
                                function->address.function, function->driver ?: "");

                n += k > 0 ? (size_t) k : 0;
        }
        return made;
}

/* A person acts, or the card is a new one: everything may be tried again. A running job goes on. */
void attempts_forgive(Attempts *attempts) {
        *attempts = (Attempts){
                .state = attempts->state == ATTEMPT_RUNNING ? ATTEMPT_RUNNING : ATTEMPT_IDLE,
                .seen = attempts->seen,
                .moved = attempts->moved,
                .on_vfio = attempts->on_vfio,
        };
}

/*
 * The running job, if any, is over. @outcome is ATTEMPT_DONE, ATTEMPT_FAILED, or ATTEMPT_IDLE if
 * the job never ran to its end for a reason that has nothing to do with the GPU.
 */
void attempts_end(Attempts *attempts, AttemptState outcome) {
        if (attempts->state == ATTEMPT_RUNNING)
                attempts->state = outcome;
}

static bool is_too_often(const uint64_t *starts, uint64_t now_usec) {
        return starts[0] > 0 && now_usec - starts[0] < RECONCILE_WINDOW_USEC;
}

/**
 * attempts_release() - note that all processes that the last job was refused for have exited
 * @attempts:   of the GPU, no job is under way
 * @now_usec:   CLOCK_MONOTONIC
 *
 * New ones may be there by now. As that is no fight, these jobs are counted apart.
 *
 * Return: whether another job is worth it. If not, the caller reports that: nothing is waited for
 *         then.
 */
bool attempts_release(Attempts *attempts, uint64_t now_usec) {
        if (is_too_often(attempts->released_starts, now_usec))
                return false;
        if (attempts->state != ATTEMPT_GAVE_UP)
                attempts->state = ATTEMPT_RELEASED;
        return true;
}

/* Notes which functions are on vfio. Return: whether another program is about to take the GPU. */
static bool is_being_taken(Attempts *attempts, const Observation *now) {
        const bool is_first = !attempts->seen.drivers[0];

        if (attempts->on_vfio & ~now->on_vfio)
                attempts->is_taken = false;
        else if (now->on_vfio & ~attempts->on_vfio)
                attempts->is_taken = !is_first;
        attempts->on_vfio = now->on_vfio;
        return attempts->is_taken && now->may_be_taken;
}

/**
 * reconcile() - decide what to do about a GPU
 * @attempts:   kept up to date. After RECONCILE_START the job counts as running until attempts_end()
 * @now:        how the GPU looks
 * @now_usec:   CLOCK_MONOTONIC
 */
Action reconcile(Attempts *attempts, const Observation *now, uint64_t now_usec) {
        const Fingerprint *print = &now->fingerprint;
        bool in_vain, released;
        uint64_t *starts;

        /* A move changes the wish on its way. That is not the act of a person. */
        if (attempts->state == ATTEMPT_RUNNING || now->locked)
                return RECONCILE_WAIT;

        if (is_being_taken(attempts, now)) {
                attempts->seen = *print;
                return RECONCILE_WAIT;
        }

        /* A new wish is, and so is a new card. */
        if (attempts->seen.wish != print->wish ||
                        !identity_equal(attempts->seen.identity, print->identity))
                attempts_forgive(attempts);
        attempts->seen = *print;

        /* A GPU that was given up may be brought home by another program. */
        if (print->wish == MODE_UNSET || (now->fulfilled && !print->interrupted)) {
                attempts->state = ATTEMPT_IDLE;
                return RECONCILE_NOTHING;
        }

        in_vain = attempts->state == ATTEMPT_FAILED ||
                        (attempts->state == ATTEMPT_DONE && !attempts->moved);
        if (attempts->state == ATTEMPT_GAVE_UP ||
                        (in_vain && fingerprint_equal(&attempts->from, print)))
                return RECONCILE_NOTHING;

        released = attempts->state == ATTEMPT_RELEASED;
        if (!released && is_too_often(attempts->starts, now_usec)) {
                attempts->state = ATTEMPT_GAVE_UP;
                return RECONCILE_GIVE_UP;
        }

        starts = released ? attempts->released_starts : attempts->starts;
        memmove(starts, starts + 1, (RECONCILE_JOBS_MAX - 1) * sizeof(*starts));
        starts[RECONCILE_JOBS_MAX - 1] = now_usec;
        attempts->from = *print;
        attempts->moved = false;
        attempts->state = ATTEMPT_RUNNING;
        return RECONCILE_START;
}
