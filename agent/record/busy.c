/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Busy Marks
 *
 * What cannot be read says nothing, and so is taken for none: it is a help to try again at a
 * good moment, and nothing that is needed to be safe.
 */

#include <limits.h>

#include "record/busy.h"
#include "record/store.h"

#define FOLDER "busy"

/* One of them. Who is known already, or one too many, is left out. */
void busy_add(Busy *busy, pid_t pid) {
        for (size_t i = 0; i < busy->n_pids; ++i)
                if (busy->pids[i] == pid)
                        return;
        if (pid > 0 && busy->n_pids < BUSY_PIDS_MAX)
                busy->pids[busy->n_pids++] = pid;
}

/**
 * busy_load() - who was in the way when it was last tried?
 * @busy:       to fill in
 * @run_fd:     our directory in /run
 * @gpu:        which
 *
 * Return: 0 on success, BUSY_E_NONE if nobody is known to have been, negative error code on
 *         failure.
 */
int busy_load(Busy *busy, int run_fd, Address gpu) {
        _cleanup_(json_freep) Json *record = NULL;
        Busy parsed = {};
        Json *holders;
        uint64_t pid;
        int r;

        r = store_load(run_fd, FOLDER, gpu, &record);
        if (r)
                return r < 0 ? r : BUSY_E_NONE;
        if (json_get_array(record, "holders", &holders) ||
                        json_get_uint(record, "when", INT64_MAX, &parsed.when_usec))
                return BUSY_E_NONE;

        for (size_t i = 0; i < json_length(holders); ++i)
                if (!json_get_uint(json_at(holders, i), "pid", INT_MAX, &pid))
                        busy_add(&parsed, (pid_t) pid);
        *busy = parsed;
        return 0;
}

/* Mark a GPU. Return: 0 on success, negative error code on failure. */
int busy_save(const Busy *busy, int run_fd, Address gpu) {
        _cleanup_(json_freep) Json *record = json_new_object(), *holders = json_new_array();
        int r = 0;

        if (!record || !holders)
                return -ENOMEM;

        for (size_t i = 0; r >= 0 && i < busy->n_pids; ++i) {
                _cleanup_(json_freep) Json *holder = json_new_object();

                if (!holder)
                        return -ENOMEM;
                r = json_add_uint(holder, "pid", (uint64_t) busy->pids[i]);
                if (r >= 0)
                        r = json_push(holders, TAKE_PTR(holder));
        }
        if (r >= 0)
                r = json_add(record, "holders", TAKE_PTR(holders));
        if (r >= 0)
                r = json_add_uint(record, "when", busy->when_usec);
        return r < 0 ? r : store_save(run_fd, FOLDER, gpu, record);
}

/* Remove the mark. Return: 0, BUSY_E_NONE if there was none, or a negative error code. */
int busy_clear(int run_fd, Address gpu) {
        int r;

        r = store_remove(run_fd, FOLDER, gpu);
        return r == STORE_E_MISSING ? BUSY_E_NONE : r;
}
