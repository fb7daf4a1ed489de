/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Plans
 *
 * The list of steps, and what both directions have in common: whatever has to
 * leave its driver leaves last function first, after one more look at who uses
 * it. The unbind of a sibling can be undone, while that of function 0 is the
 * point of no return: NVIDIA's remove() cannot be called back once it waits.
 */

#include <string.h>

#include "switch/plan-parts.h"

/* Append a step. @ret, if given, is the step, until the next is appended. */
int plan_push(Plan *plan, StepKind kind, Address function, const char *value, Step **ret) {
        char *copy = NULL;
        Step *more;

        if (value) {
                copy = strdup(value);
                if (!copy)
                        return -ENOMEM;
        }
        more = realloc(plan->steps, (plan->n_steps + 1) * sizeof(*more));
        if (!more) {
                free(copy);
                return -ENOMEM;
        }

        plan->steps = more;
        more[plan->n_steps] = (Step){ .kind = kind, .function = function, .value = copy };
        if (ret)
                *ret = &more[plan->n_steps];
        ++plan->n_steps;
        return 0;
}

/* Append a step that the switch can do without. */
int plan_push_optional(Plan *plan, StepKind kind, Address function, const char *value) {
        Step *step;
        int r;

        r = plan_push(plan, kind, function, value, &step);
        if (r >= 0)
                step->optional = true;
        return r;
}

/*
 * Unbind what has a driver and wants another one, last function first. A sibling may
 * take its time; so who uses the card is looked at anew before function 0 leaves the
 * host, from which there is no way back.
 */
int plan_leave(Plan *plan, const PlanInput *input, bool vfio) {
        bool checked = false;
        int r;

        for (size_t i = input->gpu->n_functions; i-- > 0;) {
                const Device *function = &input->gpu->functions[i];

                if (!function->driver || driver_is_vfio(input->sysfs, function->driver) != vfio)
                        continue;
                if (!checked ||
                                (i == 0 && !vfio &&
                                                plan->steps[plan->n_steps - 1].kind ==
                                                                STEP_UNBIND)) {
                        r = plan_push(plan, STEP_CHECK, input->gpu->address, NULL, NULL);
                        if (r < 0)
                                return r;
                        checked = true;
                }
                r = plan_push(plan, STEP_UNBIND, function->address, function->driver, NULL);
                if (r < 0)
                        return r;
        }
        return 0;
}

/**
 * plan_init() - plan how to bring a GPU to a mode
 * @plan:       to initialise; plan_deinit() it
 * @input:      the facts
 *
 * Return: 0 on success (with no steps if nothing has to be done), negative error
 *         code on failure.
 */
int plan_init(Plan *plan, const PlanInput *input) {
        int r;

        *plan = (Plan){
                .gpu = input->gpu->address,
                .from = input->gpu->mode,
                .to = input->to,
        };

        r = input->to == MODE_PASSTHROUGH ? plan_passthrough(plan, input) : plan_host(plan, input);
        if (r < 0)
                plan_deinit(plan);
        return r;
}

void plan_deinit(Plan *plan) {
        for (size_t i = 0; i < plan->n_steps; ++i)
                free(plan->steps[i].value);
        free(plan->steps);
        *plan = (Plan) PLAN_NULL;
}

/* Which functions it moves: it makes sure of each in the end. */
FunctionSet plan_functions(const Plan *plan) {
        FunctionSet functions = 0;

        for (size_t i = 0; i < plan->n_steps; ++i)
                if (plan->steps[i].kind == STEP_VERIFY)
                        functions |= (FunctionSet) (1U << plan->steps[i].function.function);
        return functions;
}

/* Whether a host driver loses a function, and so users of it have to be looked for. */
bool plan_unbinds_host(const Plan *plan, Sysfs *sysfs) {
        for (size_t i = 0; i < plan->n_steps; ++i)
                if (plan->steps[i].kind == STEP_UNBIND &&
                                !driver_is_vfio(sysfs, plan->steps[i].value))
                        return true;
        return false;
}
