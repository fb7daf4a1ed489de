/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Recovery
 *
 * As long as function 0 is on its host driver, nothing irrevocable has happened,
 * and the switch is undone: that needs no unbind of anything that may be in use.
 * Afterwards both ways are open, and the one is taken that is wanted now. What is given back
 * (give-back.h) has one way only.
 */

#include <string.h>

#include "base/clock.h"
#include "os/child.h"
#include "record/stuck.h"
#include "switch/give-back.h"
#include "switch/recover.h"

static int push_stuck(Findings *findings, const Stuck *stuck) {
        Finding *finding;
        int r;

        r = findings_push(findings, FINDING_STUCK, stuck->function, &finding);
        if (r < 0)
                return r;

        finding->pid = stuck->pid;
        if (stuck->action)
                finding->detail = strdup(stuck->action);
        return RECOVER_E_STUCK;
}

/* Is a write stuck? If one was and has come back, clear the marker. */
static int look_for_stuck(const Move *move, Findings *findings) {
        int run_fd = move->context->roots->run_fd, r;
        Stuck stuck;

        r = stuck_load(&stuck, run_fd, move->context->roots->proc_fd, move->gpu->address);
        if (r < 0 || r == STUCK_E_NONE)
                return r < 0 ? r : 0;

        if (r == STUCK_E_OVER) {
                r = stuck_clear(run_fd, move->gpu->address);
                if (r >= 0)
                        notify(move, EVENT_UNSTUCK, "recover", NULL);
                r = r < 0 ? r : 0;
        } else {
                r = push_stuck(findings, &stuck);
        }
        stuck_deinit(&stuck);
        return r;
}

/* A child may still write for a parent that was killed: wait as long as for our own. */
static int wait_for_writer(const Move *move, const Lock *lock, Findings *findings) {
        Stuck stuck = { .gpu = move->gpu->address, .function = move->gpu->address };
        int r;

        r = child_guard_wait(lock->guard_fd, STEP_SLOW_USEC, &stuck.pid);
        if (r == CHILD_GUARD_E_HELD) {
                notify(move, EVENT_WARNING, "recover",
                                "a switch was cut off while it wrote; waiting for that to end");
                r = child_guard_wait(lock->guard_fd, STEP_LIMIT_USEC - STEP_SLOW_USEC, &stuck.pid);
        }
        if (r <= 0)
                return r;

        stuck.since_usec = realtime_usec();
        r = stuck_save(&stuck, move->context->roots->run_fd);
        if (r < 0)
                return r;
        notify(move, EVENT_STUCK, "recover", NULL);
        return push_stuck(findings, &stuck);
}

static int finish(Move *move, const Lock *lock) {
        PreflightInput preflight = {
                .roots = move->context->roots,
                .gpu = move->gpu,
                .to = move->to,
                .moving = &move->gpu,
                .n_moving = 1,
                .allow_display = true,
        };
        Transaction transaction = { .move = move, .lock = lock, .preflight = &preflight };
        int r;

        r = transaction_run(&transaction);
        switch (r) {
        case 0:
        case TRANSACTION_E_NOTHING:
                notify(move, EVENT_RECOVERED, "recover", NULL);
                return 0;
        case TRANSACTION_E_STUCK:
                return RECOVER_E_STUCK;
        case TRANSACTION_E_BUSY:
        case TRANSACTION_E_PRECONDITION:
                return RECOVER_E_BUSY;
        default:
                return r < 0 ? r : RECOVER_E_FAILED;
        }
}

/**
 * recover() - finish or undo what was cut off
 * @next:       what comes next
 * @lock:       the GPU's lock, held
 * @gpu:        which; read anew if anything was done
 * @findings:   gets what is stuck, with RECOVER_E_STUCK
 *
 * Return: 0 if there is nothing (left) to recover, one of RECOVER_E_*, negative
 *         error code on failure.
 */
int recover(const Move *next, const Lock *lock, Gpu *gpu, Findings *findings) {
        SwitchContext *context = next->context;
        const char *driver;
        Intent intent = {};
        Move move = {
                .context = context,
                .gpu = gpu,
                .from = gpu->mode,
                .to = next->to,
                .trigger = TRIGGER_RECOVERY,
                .start_usec = monotonic_usec(),
        };
        bool due;
        int r, found;

        r = look_for_stuck(&move, findings);
        if (r)
                return r;
        found = intent_load(&intent, context->roots->run_fd, gpu->address);
        if (found < 0 || found == INTENT_E_MISSING)
                return found < 0 ? found : 0;

        r = wait_for_writer(&move, lock, findings);
        if (r == 0)
                r = gpu_refresh(gpu, context->roots->sysfs);
        if (r)
                return r;

        /* What was begun with another card is not finished with this one. */
        if (found == 0 && !identity_equal(intent.identity, gpu->functions[0].identity)) {
                notify(&move, EVENT_WARNING, "recover",
                                "another card is there than the one whose switch was cut off");
                r = intent_remove(context->roots->run_fd, gpu->address);
                return r < 0 ? r : 0;
        }

        move.give_back = found == 0 ? intent.give_back : next->give_back;
        if (move.give_back) {
                r = give_back_look(context->roots->sysfs, gpu, &due);
                /* Who asks for just that says so, and who asks for all of it goes on from there. */
                if (r < 0 || !due)
                        return r < 0 ? r : 0;
        }
        driver = gpu->functions[0].driver;
        if (move.give_back || (driver && !driver_is_vfio(context->roots->sysfs, driver)))
                move.to = MODE_HOST;
        /* From where it started, not from half-way: should this be cut off as well. */
        move.from = found == 0 ? intent.from : gpu->mode;

        r = finish(&move, lock);
        return r ? r : gpu_refresh(gpu, context->roots->sysfs);
}
