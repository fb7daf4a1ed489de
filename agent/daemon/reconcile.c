/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reconciling
 *
 * Our own jobs make events, too. So a wish that is not fulfilled is no reason to act by
 * itself: it is one only if the GPU looks other than when it was last tried. What a job
 * could not change, another one would not change either. But where a job says that it has
 * done all, and drivers have moved, it was somebody else who has undone that before we looked.
 *
 * Somebody may undo what a job has done, each time anew. That is a fight, which more jobs
 * do not win: after a few of them in a minute there are no more until a person acts. The
 * minute is compared, never waited for.
 */

#include <string.h>

#include "daemon/reconcile.h"

bool fingerprint_equal(const Fingerprint *a, const Fingerprint *b) {
        return identity_equal(a->identity, b->identity) && a->wish == b->wish &&
                        a->unfinished == b->unfinished && !strcmp(a->drivers, b->drivers);
}

/**
 * fingerprint_set() - take the fingerprint of a GPU
 * @fingerprint: to fill in
 * @gpu:        how it looks
 * @wish:       where it shall be
 * @unfinished: whether a switch of it was cut off
 */
void fingerprint_set(Fingerprint *fingerprint, const Gpu *gpu, Mode wish, bool unfinished) {
        size_t n = 0;

        *fingerprint = (Fingerprint){
                .identity = gpu->functions[0].identity,
                .wish = wish,
                .unfinished = unfinished,
        };
        /* Eight names of modules fit; of one that does not, the beginning has to do. */
        for (size_t i = 0; i < gpu->n_functions && n < sizeof(fingerprint->drivers); ++i) {
                const Device *function = &gpu->functions[i];
                int k = snprintf(fingerprint->drivers + n, sizeof(fingerprint->drivers) - n,
                                "%u:%s ", function->address.function, function->driver ?: "");

                n += k > 0 ? (size_t) k : 0;
        }
}

/* Somebody acts: all that was in vain may be tried again. */
void memory_forgive(Memory *memory) {
        memory->tried = false;
        memory->gave_up = false;
        memory->starts = memory->let_go = (Tries){};
        memory->is_let_go = false;
}

/* Our job is over; @done: it says that the GPU is where it shall be. */
void memory_end(Memory *memory, bool done) {
        memory->busy = false;
        memory->done = done;
}

/* A driver of the GPU has come or gone, whoever has moved it. */
void memory_note_move(Memory *memory) {
        memory->moved = true;
}

/* Our job has not come about, for a reason that is none of the GPU's. */
void memory_untry(Memory *memory) {
        memory->busy = false;
        memory->tried = false;
}

/* Whether it was tried as often as it may be within the time. */
static bool is_too_often(const Tries *tries, uint64_t now_usec) {
        size_t n = 0;

        for (size_t i = 0; i < tries->n; ++i)
                n += now_usec - tries->usec[i] < RECONCILE_WINDOW_USEC;
        return n >= RECONCILE_JOBS_MAX;
}

static void note_try(Tries *tries, uint64_t now_usec) {
        if (tries->n == RECONCILE_JOBS_MAX)
                memmove(tries->usec, tries->usec + 1, --tries->n * sizeof(tries->usec[0]));
        tries->usec[tries->n++] = now_usec;
}

/*
 * Those who were in the way of our job have gone, and others may be there by now: that is no
 * fight, but as often as they come and go it is not tried either.
 *
 * Return: whether that is worth another try; to be told if not, for nobody is waited for then.
 */
bool memory_let_go(Memory *memory, uint64_t now_usec) {
        if (is_too_often(&memory->let_go, now_usec))
                return false;
        memory->tried = false;
        memory->is_let_go = true;
        return true;
}

static void note_start(Memory *memory, const Fingerprint *from, uint64_t now_usec) {
        note_try(memory->is_let_go ? &memory->let_go : &memory->starts, now_usec);
        memory->is_let_go = false;
        memory->from = *from;
        memory->tried = true;
        memory->busy = true;
        memory->done = memory->moved = false;
}

static bool was_in_vain(const Memory *memory, const Fingerprint *now) {
        bool undone = memory->done && memory->moved;

        return memory->tried && !undone && fingerprint_equal(&memory->from, now);
}

/* Another wish, or another card, is the act of a person. */
static void note_change(Memory *memory, const Fingerprint *now) {
        if (memory->known &&
                        (memory->last.wish != now->wish ||
                                        !identity_equal(memory->last.identity, now->identity)))
                memory_forgive(memory);
        memory->last = *now;
        memory->known = true;
}

/**
 * reconcile() - what shall be done about a GPU?
 * @memory:     of it; kept up to date
 * @sight:      how it looks now
 * @now_usec:   CLOCK_MONOTONIC
 *
 * After RECONCILE_START the job counts as under way until memory_end() or memory_untry().
 *
 * Return: the decision.
 */
Action reconcile(Memory *memory, const Sight *sight, uint64_t now_usec) {
        const Fingerprint *now = &sight->fingerprint;

        /* Who is at it changes what is wished on its way, too: that is no person's act. */
        if (memory->busy || sight->locked)
                return RECONCILE_WAIT;
        note_change(memory, now);
        if (now->wish == MODE_UNSET || (sight->fulfilled && !now->unfinished)) {
                /* Nor is it given up, if somebody else has brought it there. */
                memory->tried = memory->gave_up = memory->is_let_go = false;
                return RECONCILE_NOTHING;
        }
        if (memory->gave_up || was_in_vain(memory, now))
                return RECONCILE_NOTHING;
        if (!memory->is_let_go && is_too_often(&memory->starts, now_usec)) {
                memory->gave_up = true;
                return RECONCILE_GIVE_UP;
        }
        note_start(memory, now, now_usec);
        return RECONCILE_START;
}
