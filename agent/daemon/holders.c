/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Holders
 *
 * A process that has ended before, and whose number is another one's by now, is waited for in
 * vain: then it is as if nobody waited.
 */

#include "daemon/holders.h"

struct Holders {
        Vigil *vigils[REFUSAL_PIDS_MAX];
        size_t n_vigils;
        size_t n_left;
        VigilFn fn;
        void *userdata;
};

static void on_end(void *userdata) {
        Holders *holders = userdata;

        if (--holders->n_left == 0)
                holders->fn(holders->userdata);
}

/**
 * holders_new() - wait for the end of all processes that hold a GPU
 * @event:      loop
 * @refusal:    who they are
 * @fn:         called when all have ended
 * @userdata:   for it
 * @ret:        holders; holders_free() it, not in @fn
 *
 * Return: 0 on success, negative error code on failure.
 */
int holders_new(struct sd_event *event,
                const Refusal *refusal,
                VigilFn fn,
                void *userdata,
                Holders **ret) {
        _cleanup_(holders_freep) Holders *holders = calloc(1, sizeof(*holders));
        int r;

        if (!holders)
                return -ENOMEM;
        *holders = (Holders){ .fn = fn, .userdata = userdata };

        for (size_t i = 0; i < refusal->n_holders; ++i) {
                r = vigil_new(event, refusal->holders[i].pid, on_end, holders,
                                &holders->vigils[holders->n_vigils]);
                if (r < 0)
                        return r;
                if (r == VIGIL_E_GONE)
                        continue;
                ++holders->n_vigils;
        }

        holders->n_left = holders->n_vigils;
        *ret = TAKE_PTR(holders);
        return 0;
}

/* Takes and returns NULL. */
Holders *holders_free(Holders *holders) {
        if (!holders)
                return NULL;

        for (size_t i = 0; i < holders->n_vigils; ++i)
                vigil_free(holders->vigils[i]);
        free(holders);
        return NULL;
}

/* Whether there is none, or none any more. */
bool holders_have_ended(const Holders *holders) {
        return holders->n_left == 0;
}
