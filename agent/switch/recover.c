/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Recovery
 *
 * As long as function 0 is on its host driver, nothing irrevocable has happened, and an
 * interrupted move is undone: that needs no unbind of anything that may be in use. Afterwards
 * both ways are open, and the one is taken that is wanted now.
 */

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "os/child.h"
#include "record/pin.h"
#include "switch/move.h"
#include "switch/signals.h"
#include "switch/step.h"

/* A write that was late and has come back is late no more. Return: whether one still is, or an error. */
static int look_for_late(Move *move) {
        MoveRecord *record = &move->record.move;
        pid_t pid = 0;
        int r;

        if (!move->record.has_move || !record->is_late)
                return 0;
        r = child_guard_test(move->lock.guard_fd, &pid);
        if (r < 0)
                return r;
        if (r == CHILD_GUARD_E_HELD) {
                note_late(move, pid);
                r = move_push_stuck(move);
                return r < 0 ? r : 1;
        }

        free(record->late.action);
        free(record->late.driver);
        record->late = (LateWrite){};
        record->is_late = false;
        r = gpu_record_save(&move->record, move->context->roots->run_fd);
        if (r >= 0)
                notify(move, EVENT_UNSTUCK, "recover", NULL);
        return r;
}

/*
 * What is left of the time of a writer that its parent has left behind. It is at least as old as its
 * write, and older by all that it has done before: even an old one may have begun just now.
 */
static uint64_t time_left(const Move *move, pid_t pid) {
        const int proc_fd = move->context->roots->proc_fd;
        const ProcessId writer = process_identify(proc_fd, pid);
        uint64_t age = process_age_usec(proc_fd, &writer);

        return age + STEP_SLOW_USEC < WRITE_LIMIT_USEC ? WRITE_LIMIT_USEC - age : STEP_SLOW_USEC;
}

/*
 * A child may still write for a parent that was killed: wait as long as for our own. To say that it
 * hangs does not depend on whether it can be written down. Return: as above.
 */
static int wait_for_writer(Move *move) {
        pid_t pid = 0;
        uint64_t left;
        int r;

        r = child_guard_test(move->lock.guard_fd, &pid);
        if (r <= 0)
                return r;
        left = time_left(move, pid);
        r = child_guard_wait(move->lock.guard_fd, STEP_SLOW_USEC, &pid);
        if (r == CHILD_GUARD_E_HELD && left > STEP_SLOW_USEC) {
                notify(move, EVENT_WARNING, "recover",
                                "an interrupted switch still writes; waiting for that to end");
                r = child_guard_wait(move->lock.guard_fd, left - STEP_SLOW_USEC, &pid);
        }
        if (r <= 0)
                return r;

        note_late(move, pid);
        r = gpu_record_save(&move->record, move->context->roots->run_fd);
        if (r < 0)
                notify(move, EVENT_WARNING, "recover", strerror(-r));
        r = move_push_stuck(move);
        return r < 0 ? r : 1;
}

/* Make the interrupted move one that finishes or undoes it. */
static void turn_to_recovery(const Move *next, Move *recovery) {
        const char *driver = recovery->gpu->functions[0].driver;

        recovery->from = recovery->record.move.from;
        if (driver && !driver_is_vfio(recovery->context->roots->sysfs, driver))
                recovery->to = MODE_HOST;
        /* To be where it is wanted is remembered with it, or the agent would undo it. */
        recovery->uncommitted |= recovery->to != next->to;
}

/* Does an unbind hang that another tool asked for? Its lock on the device would hold us as well. */
static int check_leaving(Move *recovery) {
        bool leaving;
        int r;

        r = preflight_is_leaving(recovery->context->roots->proc_fd, recovery->gpu, &leaving);
        if (r < 0 || !leaving)
                return r;
        return findings_push(&recovery->findings,
                        &(Finding){ .kind = FINDING_STUCK, .function = recovery->gpu->address });
}

static int run_recovery(Move *next, SwitchResult *ret) {
        /* Nobody looks for holders before it begins: its plan does. */
        Move recovery = *next;
        const Gpu *along[] = { next->gpu };
        sigset_t old;
        int r;

        recovery.trigger = TRIGGER_RECOVERY;
        recovery.allow_display = true;
        recovery.along = along;
        recovery.n_along = 1;
        recovery.start_usec = monotonic_usec();
        recovery.findings = (Findings) FINDINGS_NULL;

        turn_to_recovery(next, &recovery);
        r = check_leaving(&recovery);
        if (r == 0 && recovery.findings.n == 0)
                r = move_plan(&recovery, false);
        if (r == 0 && recovery.findings.n > 0) {
                *ret = move_result(&recovery);
                notify_findings(&recovery, &recovery.findings, "recover");
        } else if (r == 0) {
                signals_hold(&old);
                r = move_execute(&recovery, ret);
                move_update_modules(&recovery);
                signals_release(&old);
                if (*ret == SWITCH_PRECONDITION)
                        *ret = SWITCH_BUSY;
        }

        plan_deinit(&recovery.plan);
        facts_deinit(&recovery.facts);
        findings_deinit(&recovery.findings);
        /* It is the same GPU's, with the lock. */
        next->record = recovery.record;
        return r;
}

/**
 * move_recover() - finish or undo an interrupted move of a GPU
 * @next:       the move that comes next; its lock is held, its record is loaded. Its GPU is read
 *              anew if anything was done, and gets a finding if a write to it is stuck.
 * @ret:        SWITCH_DONE if nothing is left to recover
 *
 * Return: 0 on success, whatever the result is; negative error code on failure.
 */
int move_recover(Move *next, SwitchResult *ret) {
        int r;

        *ret = SWITCH_DONE;
        r = look_for_late(next);
        if (r == 0)
                r = wait_for_writer(next);
        if (r == 1)
                *ret = SWITCH_STUCK;
        if (r != 0)
                return r < 0 ? r : 0;
        if (!next->record.has_move)
                return 0;

        r = gpu_refresh(next->gpu, next->context->roots->sysfs);
        if (r >= 0)
                r = run_recovery(next, ret);
        if (r >= 0 && *ret == SWITCH_DONE) {
                r = gpu_refresh(next->gpu, next->context->roots->sysfs);
                next->from = next->gpu->mode;
        }
        return r;
}
