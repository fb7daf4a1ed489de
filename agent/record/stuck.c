/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Stuck Markers
 *
 * The marker says what hangs; whether it still does, the writer's guard tells
 * (record/lock.h), which the kernel drops with the writer. A marker without a
 * readable content counts as one: it was put there for a reason.
 */

#include <limits.h>
#include <string.h>

#include "record/lock.h"
#include "record/store.h"
#include "record/stuck.h"

#define FOLDER "stuck"

void stuck_deinit(Stuck *stuck) {
        free(stuck->action);
        free(stuck->driver);
        *stuck = (Stuck){};
}

static int stuck_parse(Stuck *stuck, const Json *record) {
        const char *function;
        uint64_t pid;
        int r;

        if (json_get_string(record, "function", &function) ||
                        address_parse(function, &stuck->function) < 0 ||
                        json_get_uint(record, "pid", INT_MAX, &pid) ||
                        json_get_uint(record, "since", INT64_MAX, &stuck->since_usec))
                return STORE_E_INVALID;
        stuck->pid = (pid_t) pid;

        r = store_get_text(record, "action", &stuck->action);
        if (r == 0)
                r = store_get_text(record, "driver", &stuck->driver);
        return r;
}

/**
 * stuck_load() - is a write to this GPU stuck in the kernel?
 * @stuck:      what and who; stuck_deinit() it. Filled in for STUCK_E_OVER, too.
 * @run_fd:     our directory in /run
 * @proc_fd:    root of procfs
 * @gpu:        the GPU
 *
 * Return: 0 if it is stuck, STUCK_E_NONE if not, STUCK_E_OVER if it was and its
 *         marker is still there, negative error code on failure.
 */
int stuck_load(Stuck *stuck, int run_fd, int proc_fd, Address gpu) {
        _cleanup_(json_freep) Json *record = NULL;
        Stuck parsed = { .gpu = gpu, .function = gpu };
        LockHolders holders;
        int r;

        r = store_load(run_fd, FOLDER, gpu, &record);
        if (r == STORE_E_MISSING)
                return STUCK_E_NONE;
        if (r == 0)
                r = stuck_parse(&parsed, record);
        if (r >= 0)
                r = lock_test(run_fd, proc_fd, gpu, &holders);
        if (r < 0) {
                stuck_deinit(&parsed);
                return r;
        }

        *stuck = parsed;
        return holders.writing ? 0 : STUCK_E_OVER;
}

/* Mark a GPU. Return: 0 on success, negative error code on failure. */
int stuck_save(const Stuck *stuck, int run_fd) {
        _cleanup_(json_freep) Json *record = json_new_object();
        char address[ADDRESS_STRING_MAX];
        int r;

        if (!record)
                return -ENOMEM;

        r = json_add_string(record, "function", address_format(stuck->function, address));
        if (r >= 0)
                r = json_add_string(record, "action", stuck->action);
        if (r >= 0)
                r = json_add_string(record, "driver", stuck->driver);
        if (r >= 0)
                r = json_add_uint(record, "pid", (uint64_t) stuck->pid);
        if (r >= 0)
                r = json_add_uint(record, "since", stuck->since_usec);
        if (r >= 0)
                r = store_save(run_fd, FOLDER, stuck->gpu, record);
        return r;
}

/* Remove the marker. Return: 0, STUCK_E_NONE if there was none, or a negative error code. */
int stuck_clear(int run_fd, Address gpu) {
        int r;

        r = store_remove(run_fd, FOLDER, gpu);
        return r == STORE_E_MISSING ? STUCK_E_NONE : r;
}
