/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Transactions
 *
 * Origin and intent are on disk before the first write. When a step fails, the
 * way back is planned from where the GPU is then, not replayed from a list of what
 * was done: the truth is in sysfs. When that fails too, the intent stays, so that
 * the next one who comes tries again before anything else; nothing is retried in a
 * loop. When a write does not come back, nothing more is written at all: the GPU is
 * marked, and left to the kernel.
 */

#include <string.h>

#include "base/text.h"
#include "probe/explain.h"
#include "record/pin.h"
#include "switch/facts.h"
#include "switch/refuse.h"
#include "switch/run.h"
#include "switch/transaction.h"

#define NO_OVERRIDES "the kernel does not tell its overrides: something it does with it is stuck"

/*
 * Everything is over, well or as before: what was written down is not needed any more.
 * The intent goes first: with an intent and no origin, everything would be a guess.
 */
static int forget(const Transaction *transaction, Mode where) {
        int run_fd = transaction->move->context->roots->run_fd, r;
        Address gpu = transaction->move->gpu->address;

        r = intent_remove(run_fd, gpu);
        /* That of the card which is remembered, if this is another one. */
        if (r >= 0 && where == MODE_HOST && !transaction->move->give_back)
                r = origin_forget(run_fd, gpu);
        return r < 0 ? r : 0;
}

/*
 * Have udev do the right thing with functions that appear from now on. That is a help, and
 * no condition. Before a GPU goes home, since a rule that is run again meanwhile (udevadm
 * trigger) would reserve it again; but after it has come to vfio.
 */
static void pin(const Transaction *transaction, const Gpu *gpu, const char *vfio_driver) {
        Move *move = transaction->move;
        int r;

        r = pins_set(move->context->roots->run_fd, gpu, vfio_driver);
        if (r < 0)
                notify(move, EVENT_WARNING, "pin", strerror(-r));
}

static void unpin(const Transaction *transaction, const Gpu *gpu) {
        Move *move = transaction->move;
        int r;

        r = pins_clear(move->context->roots->run_fd, gpu);
        if (r < 0)
                notify(move, EVENT_WARNING, "pin", strerror(-r));
}

/* A holder that only an errno showed (EBUSY of the group node): look who it is. */
static int find_holders(const Transaction *transaction, Trouble *trouble) {
        Findings *findings = &trouble->result.findings;
        Finding *finding;
        int r;

        if (findings->n == 0) {
                r = preflight_holders(transaction->preflight, findings);
                if (r < 0)
                        return r;
        }
        if (findings->n > 0)
                return 0;

        r = findings_push(findings, FINDING_UNKNOWN, trouble->step->function, &finding);
        if (r >= 0)
                finding->error = EBUSY;
        return r;
}

/*
 * On its way back to vfio the GPU leaves a host driver that has had it for a moment
 * only. That driver may not be able to let go (kernel.md 1.5), or wait for a card that
 * does not answer any more (1.8): then it has to stay there.
 */
static int may_leave_host(const PreflightInput *preflight, char **ret_reason) {
        _cleanup_(freep) char *holders = NULL;
        Findings findings = FINDINGS_NULL;
        int r;

        r = preflight_preconditions(preflight, &findings);
        if (r >= 0 && findings.n > 0) {
                r = explain_findings(
                                &findings, preflight->gpu, preflight->to, ret_reason, &holders);
                if (r >= 0)
                        r = STEP_E_REFUSED;
        }
        findings_deinit(&findings);
        return r;
}

/*
 * Bring the GPU back to where it came from. As run_plan(), but -ENODEV if it is gone;
 * @ret_reason says why not.
 */
static int roll_back(const Transaction *transaction, Trouble *trouble, char **ret_reason) {
        SwitchContext *context = transaction->move->context;
        Mode back = transaction->move->from == MODE_PASSTHROUGH ? MODE_PASSTHROUGH : MODE_HOST;
        PreflightInput preflight = *transaction->preflight;
        Transaction way_back = *transaction;
        Facts facts = FACTS_NULL;
        Plan plan = PLAN_NULL;
        Gpu gpu;
        int r;

        r = gpu_init(&gpu, context->roots->sysfs, transaction->move->gpu->address);
        if (r)
                return r < 0 ? r : -ENODEV;

        /* Who uses it is asked about where it is now, not about where it was. */
        preflight.gpu = &gpu;
        preflight.to = back;
        way_back.preflight = &preflight;

        r = facts_init(&facts, context->roots, context->modules, &gpu, back);
        if (r == FACTS_E_LATE) {
                r = STEP_E_LATE;
                *ret_reason = strdup(NO_OVERRIDES);
        }
        if (r == 0)
                r = facts_plan(&facts, context->roots->sysfs, &gpu, back, &plan);
        if (r == 0 && plan_unbinds_host(&plan, context->roots->sysfs))
                r = may_leave_host(&preflight, ret_reason);
        if (r == 0) {
                r = run_plan(&way_back, &gpu, &plan, trouble);
                if (r > 0)
                        *ret_reason = trouble_format(trouble);
                if (r == STEP_E_LATE && mark_stuck(transaction, trouble) < 0)
                        r = -EIO;
                if (r == 0 && back == MODE_PASSTHROUGH)
                        pin(transaction, &gpu, facts.vfio_driver);
        }

        plan_deinit(&plan);
        facts_deinit(&facts);
        gpu_deinit(&gpu);
        return r;
}

/* Something stopped us on the way. Return: one of TRANSACTION_E_*, or a negative error code. */
static int give_up(const Transaction *transaction, int why, Trouble *trouble) {
        _cleanup_(freep) char *reason = NULL, *again = NULL, *both = NULL, *advice = NULL;
        Mode back = transaction->move->from == MODE_PASSTHROUGH ? MODE_PASSTHROUGH : MODE_HOST;
        const char *phase = step_kind_to_string(trouble->step->kind);
        Trouble next = {};
        int r;

        reason = trouble_format(trouble);
        if (why == STEP_E_LATE) {
                r = mark_stuck(transaction, trouble);
                if (r < 0)
                        return r;
                advice = text_format("%s; " STUCK_ADVICE, reason ?: "a write did not come back");
                notify(transaction->move, EVENT_STUCK, phase, advice);
                return TRANSACTION_E_STUCK;
        }
        if (why == STEP_E_BUSY) {
                r = find_holders(transaction, trouble);
                if (r < 0)
                        return r;
        }

        r = roll_back(transaction, &next, &again);
        step_result_deinit(&next.result);
        if (r == 0)
                r = forget(transaction, back);
        if (r == 0 && why == STEP_E_BUSY) {
                refuse(transaction->move, &trouble->result.findings, phase);
                return findings_are_busy(&trouble->result.findings) ? TRANSACTION_E_BUSY
                                                                    : TRANSACTION_E_PRECONDITION;
        }
        if (r == 0) {
                notify(transaction->move, EVENT_ROLLED_BACK, phase, reason);
                return TRANSACTION_E_FAILED;
        }

        if (r < 0)
                again = strdup(strerror(-r));
        both = text_format("%s; and on the way back: %s%s", reason ?: "it failed",
                        again ?: "it failed", r == STEP_E_LATE ? "; " STUCK_ADVICE : "");
        notify(transaction->move, r == STEP_E_LATE ? EVENT_STUCK : EVENT_ROLLBACK_FAILED, phase,
                        both);
        return r == STEP_E_LATE ? TRANSACTION_E_STUCK : TRANSACTION_E_BROKEN;
}

static int write_down(const Transaction *transaction, const Facts *facts, const Plan *plan) {
        Move *move = transaction->move;
        Intent intent = {
                .address = move->gpu->address,
                .identity = move->gpu->functions[0].identity,
                .from = move->from,
                .to = move->to,
                .trigger = move->trigger,
                .functions = plan_functions(plan),
                .give_back = move->give_back,
        };
        int run_fd = move->context->roots->run_fd, r = 0;

        if (facts->fresh_origin)
                r = origin_save(&facts->origin, run_fd);
        return r < 0 ? r : intent_save(&intent, run_fd);
}

static int run_noted(const Transaction *transaction, Facts *facts, const Plan *plan) {
        Move *move = transaction->move;
        Trouble trouble = {};
        int r;

        r = write_down(transaction, facts, plan);
        if (r < 0)
                return r;
        if (move->to == MODE_HOST)
                unpin(transaction, move->gpu);

        notify(move, EVENT_STARTED, "start", NULL);
        r = run_plan(transaction, move->gpu, plan, &trouble);
        if (r > 0)
                r = give_up(transaction, r, &trouble);
        else if (r == 0 && move->trigger == TRIGGER_BOOT && facts->fresh_origin)
                r = origin_drop_idle(&facts->origin, move->context->roots->run_fd);
        if (r == 0)
                r = forget(transaction, move->to);
        step_result_deinit(&trouble.result);
        return r;
}

/**
 * transaction_run() - move a GPU
 * @transaction: which, and where to; its lock is held
 *
 * Checks for users once more before the first unbind, but for nothing else: that
 * is done before (see switch.c). Tells the observer of whatever goes wrong, and of
 * each function that moves.
 *
 * Return: 0 if it is moved and verified, one of TRANSACTION_E_* if not, negative
 *         error code on failure; then the intent is still there.
 */
int transaction_run(const Transaction *transaction) {
        SwitchContext *context = transaction->move->context;
        const Gpu *gpu = transaction->move->gpu;
        Mode to = transaction->move->to;
        Facts facts = FACTS_NULL;
        Plan plan = PLAN_NULL;
        int r;

        r = facts_init(&facts, context->roots, context->modules, gpu, to);
        if (r == FACTS_E_LATE) {
                notify(transaction->move, EVENT_STUCK, "check", NO_OVERRIDES "; " STUCK_ADVICE);
                return TRANSACTION_E_STUCK;
        }
        if (r < 0)
                return r;

        r = facts_plan(&facts, context->roots->sysfs, gpu, to, &plan);
        if (r == 0 && plan.n_steps == 0) {
                if (to == MODE_HOST)
                        unpin(transaction, gpu);
                r = forget(transaction, to);
                if (r == 0)
                        r = TRANSACTION_E_NOTHING;
        } else if (r == 0) {
                r = run_noted(transaction, &facts, &plan);
        }
        if (to == MODE_PASSTHROUGH && (r == 0 || r == TRANSACTION_E_NOTHING))
                pin(transaction, gpu, facts.vfio_driver);

        plan_deinit(&plan);
        facts_deinit(&facts);
        return r;
}
