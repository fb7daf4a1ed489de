/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Running a Plan
 *
 * Step by step until the first that is not done. What is to become of the GPU then
 * is not decided here (see transaction.c).
 */

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "record/stuck.h"
#include "switch/run.h"

/* The end of a sentence, or NULL for want of memory; free() it. "could not bind 0000:01:00.2 to vfio-pci: No such device" */
char *trouble_format(const Trouble *trouble) {
        _cleanup_(freep) char *what = NULL;

        if (step_describe(trouble->step, &what) < 0)
                return NULL;
        return trouble->result.reason
                        ? text_format("could not %s: %s", what, trouble->result.reason)
                        : text_format("could not %s", what);
}

/**
 * mark_stuck() - leave word that a write to a GPU hangs
 * @transaction: whose
 * @trouble:    the step that did not come back
 *
 * Return: 0 on success, negative error code on failure.
 */
int mark_stuck(const Transaction *transaction, const Trouble *trouble) {
        Stuck stuck = {
                .gpu = transaction->move->gpu->address,
                .function = trouble->step->function,
                .pid = trouble->result.pid,
                .action = (char *) step_kind_to_string(trouble->step->kind),
                .driver = trouble->step->value,
                .since_usec = realtime_usec(),
        };

        return stuck_save(&stuck, transaction->move->context->roots->run_fd);
}

static bool is_notable(const Step *step) {
        return step->kind == STEP_UNBIND || step->kind == STEP_BIND || step->kind == STEP_PROBE;
}

/* Tell that a step takes long. */
static void tell_slow(void *userdata, const Step *step) {
        _cleanup_(freep) char *what = NULL, *reason = NULL;
        Move *move = userdata;

        if (step_describe(step, &what) < 0)
                return;
        reason = text_format("%s has not come back after %u s; waiting for it up to %u s", what,
                        (unsigned int) (STEP_SLOW_USEC / USEC_PER_SEC),
                        (unsigned int) (STEP_LIMIT_USEC / USEC_PER_SEC));
        notify(move, EVENT_WARNING, step_kind_to_string(step->kind), reason);
}

/**
 * run_plan() - carry out a plan
 * @transaction: whose
 * @gpu:        as it was when the plan was made
 * @plan:       the plan
 * @trouble:    what stopped it; step_result_deinit() its result. Refers to @plan.
 *
 * An error of ours is taken like a refusal of the kernel's: half-way there is no place
 * to stop, so it is undone as well.
 *
 * Return: 0 if all of it is done; STEP_E_REFUSED, STEP_E_BUSY or STEP_E_LATE, with
 *         @trouble, if not. Never a negative error code.
 */
int run_plan(const Transaction *transaction, const Gpu *gpu, const Plan *plan, Trouble *trouble) {
        Move *move = transaction->move;
        StepContext context = {
                .roots = move->context->roots,
                .modules = move->context->modules,
                .lock = transaction->lock,
                .gpu = gpu,
                .preflight = transaction->preflight,
                .worker = WORKER_NULL,
                .slow = tell_slow,
                .slow_userdata = move,
        };
        int r = 0;

        for (size_t i = 0; r == 0 && i < plan->n_steps; ++i) {
                const Step *step = &plan->steps[i];
                StepResult result;

                r = step_run(&context, step, &result);
                if (r < 0) {
                        free(result.reason);
                        result.reason = strdup(strerror(-r));
                        result.error = -r;
                        r = STEP_E_REFUSED;
                }
                if (r == STEP_E_NOTHING || (r == STEP_E_REFUSED && step->optional)) {
                        _cleanup_(freep) char *reason = NULL;

                        reason = trouble_format(&(Trouble){ .step = step, .result = result });
                        notify(move, EVENT_WARNING, step_kind_to_string(step->kind), reason);
                        r = 0;
                }
                if (r > 0) {
                        *trouble = (Trouble){ .step = step, .result = result };
                        break;
                }
                if (r == 0 && is_notable(step))
                        notify_step(move, step, result.usec);
                step_result_deinit(&result);
        }

        step_context_deinit(&context);
        return r;
}
