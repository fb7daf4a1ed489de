/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Recovery
 *
 * As long as function 0 is on its host driver, nothing irrevocable has happened, and an
 * interrupted move is undone: that needs no unbind of anything that may be in use. Afterwards
 * both ways are open, and the one is taken that is wanted now. Siblings that are moved without
 * their card have one way only, to the host.
 */

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "os/child.h"
#include "record/pin.h"
#include "switch/move.h"
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
                /* Of several that were late, one may have come back. */
                if (pid > 0)
                        record->late.pid = pid;
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

/* A child may still write for a parent that was killed: wait as long as for our own. Return: as above. */
static int wait_for_writer(Move *move) {
        pid_t pid = 0;
        int r;

        r = child_guard_wait(move->lock.guard_fd, STEP_SLOW_USEC, &pid);
        if (r == CHILD_GUARD_E_HELD) {
                notify(move, EVENT_WARNING, "recover",
                                "an interrupted switch still writes; waiting for that to end");
                r = child_guard_wait(move->lock.guard_fd, STEP_LIMIT_USEC - STEP_SLOW_USEC, &pid);
        }
        if (r <= 0)
                return r;

        move->record.move.is_late = true;
        move->record.move.late = (LateWrite){
                .function = move->gpu->address,
                .pid = pid,
                .since_usec = realtime_usec(),
        };
        r = gpu_record_save(&move->record, move->context->roots->run_fd);
        if (r < 0)
                return r;
        r = move_push_stuck(move);
        return r < 0 ? r : 1;
}

/*
 * Where function 0 is on vfio, or has an override for it, a person has done that by hand, and
 * may want its siblings there as well. Overrides that the kernel does not tell now are no
 * answer: whatever goes on will see that, and say so.
 */
static int siblings_may_move(const Move *move, bool *ret) {
        const Gpu *gpu = move->gpu;
        char **overrides;
        int r;

        r = gpu_read_overrides(move->context->roots->sysfs, gpu, FACTS_LIMIT_USEC, &overrides);
        if (r < 0)
                return r;
        *ret = r == GPU_E_LATE || !move_display_is_taken(move, overrides[0]);
        if (r == 0)
                overrides_free(overrides, gpu->n_functions);
        return 0;
}

/**
 * move_check_siblings() - is a move of siblings without their card still due?
 * @move:       which; if not, its pins are removed, and it is skipped
 *
 * Return: 0 on success, negative error code on failure.
 */
int move_check_siblings(Move *move) {
        int run_fd = move->context->roots->run_fd, r;
        bool due;

        r = siblings_may_move(move, &due);
        if (r < 0 || due)
                return r;

        notify(move, EVENT_WARNING, "policy",
                        "function 0 was bound to or overridden for vfio-pci manually; leaving the "
                        "other functions alone");
        move->skip = true;
        r = pins_clear(run_fd, move->gpu);
        if (r < 0)
                return r;
        if (move->record.has_move && !(move->record.move.asked & 1U))
                gpu_record_forget_move(&move->record);
        return gpu_record_save(&move->record, run_fd);
}

/* Make the interrupted move one that finishes or undoes it. Return: whether there is anything to do. */
static int plan_recovery(const Move *next, Move *recovery, bool *ret_due) {
        const MoveRecord *record = &recovery->record.move;
        const Gpu *gpu = recovery->gpu;
        const char *driver = gpu->functions[0].driver;

        *ret_due = true;
        recovery->functions = record->asked;
        recovery->from = record->from;
        if (!move_is_whole(recovery)) {
                recovery->to = MODE_HOST;
                /* A request for just that says so itself, and one for all of it goes on from there. */
                return siblings_may_move(recovery, ret_due);
        }
        if (driver && !driver_is_vfio(recovery->context->roots->sysfs, driver))
                recovery->to = MODE_HOST;
        /* To be where it is wanted is remembered with it, or the agent would undo it. */
        recovery->uncommitted |= recovery->to != next->to || !move_is_whole(next);
        return 0;
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
        bool due;
        int r;

        recovery.trigger = TRIGGER_RECOVERY;
        recovery.allow_display = true;
        recovery.along = along;
        recovery.n_along = 1;
        recovery.start_usec = monotonic_usec();
        recovery.findings = (Findings) FINDINGS_NULL;

        r = plan_recovery(next, &recovery, &due);
        if (r == 0 && due)
                r = check_leaving(&recovery);
        if (r == 0 && due && recovery.findings.n == 0)
                r = move_plan(&recovery, false);
        if (r == 0 && due && recovery.findings.n > 0) {
                *ret = move_result(&recovery);
                notify_findings(&recovery, &recovery.findings, "recover");
        } else if (r == 0 && due) {
                r = move_execute(&recovery, ret);
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
        if (r == 0 && next->record.has_move)
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
