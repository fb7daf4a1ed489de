/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/text.h"
#include "switch/plan.h"

/* Append a step. @ret, if given, is the step, until the next is appended. */
static int push(Plan *plan, StepKind kind, Address function, const char *value, Step **ret) {
        _cleanup_(freep) char *copy = NULL;
        Step *more;

        if (value) {
                copy = strdup(value);
                if (!copy)
                        return -ENOMEM;
        }
        more = realloc(plan->steps, (plan->n_steps + 1) * sizeof(*more));
        if (!more)
                return -ENOMEM;

        plan->steps = more;
        more[plan->n_steps] = (Step){ .kind = kind, .function = function, .value = TAKE_PTR(copy) };
        if (ret)
                *ret = &more[plan->n_steps];
        ++plan->n_steps;
        return 0;
}

static int push_optional(Plan *plan, StepKind kind, Address function, const char *value) {
        Step *step;
        int r;

        r = push(plan, kind, function, value, &step);
        if (r >= 0)
                step->optional = true;
        return r;
}

static int push_verify(Plan *plan, const PlanFunction *function, const char *driver) {
        Step *step;
        int r;

        plan->functions |= (FunctionSet) (1U << function->address.function);
        r = push(plan, STEP_VERIFY, function->address, driver, &step);
        if (r >= 0)
                step->number = function->iommu_group;
        return r;
}

/* A step that may be at work together with one of its kind before it. */
static int push_along(Plan *plan, StepKind kind, Address function, const char *value) {
        Step *step;
        int r;

        r = push(plan, kind, function, value, &step);
        if (r >= 0)
                step->along = plan->n_steps > 1 && plan->steps[plan->n_steps - 2].kind == kind;
        return r;
}

/* The driver that a function shall have at home; NULL: none. */
static const char *home_of(const PlanFunction *function) {
        return function->n_homes > 0 ? function->homes[0].driver : NULL;
}

/* Whether no driver uses it. */
static bool is_idle(const PlanFunction *function) {
        return !function->driver || function->on_stub;
}

/* Idle between others that are on vfio: another program had it there, and nothing is known. */
static bool is_lost(const PlanInput *input, const PlanFunction *function) {
        if ((!is_idle(function) || (function->override && !function->on_stub)) || function->host ||
                        function->n_homes == 0)
                return false;
        for (size_t i = 0; i < input->n_functions; ++i)
                if (input->functions[i].on_vfio)
                        return true;
        return false;
}

/* Whether a function has to come home. */
static bool is_away(const PlanInput *input, const PlanFunction *function) {
        if (function->on_vfio || function->override_is_vfio || is_lost(input, function))
                return true;
        if (input->is_of_no_use && is_idle(function) && function->n_homes > 0 &&
                        (!function->override || function->on_stub ||
                                        text_equal(function->override, home_of(function))))
                return true;
        /* That it had no driver is so still. */
        if (function->host && !function->host->driver && !function->driver &&
                        !function->interrupted)
                return !text_equal(function->override, function->host->override);
        /* An interrupted move: its driver or its override is not as it was. */
        if (function->host)
                return !text_equal(function->driver, home_of(function)) ||
                                !text_equal(function->override, function->host->override);
        /* Likewise, and nothing is remembered but that it was on its way. */
        return function->interrupted && (!function->driver || function->override);
}

/* Whether a driver that is none of the host's has to let it go. */
static bool leaves_for_home(const PlanInput *input, const PlanFunction *function) {
        return function->on_vfio || (function->on_stub && is_away(input, function));
}

/*
 * Unbind every function that is on the other side, last function first: the unbind of a
 * sibling can be undone, while that of function 0 is the point of no return, since NVIDIA's
 * remove() cannot be called back once it waits. A sibling may take its time; so holders are
 * looked for anew before function 0 leaves the host, whenever they were looked for before.
 */
static int push_unbinds(Plan *plan, const PlanInput *input, bool from_vfio) {
        /* To load a module takes its time as well, and so does to wake the card up. */
        bool checked = input->looked && !from_vfio &&
                        !(input->vfio_modules && *input->vfio_modules) &&
                        !(plan->n_steps > 0 && plan->steps[plan->n_steps - 1].kind == STEP_D3COLD);
        bool due = checked;
        int r;

        for (size_t i = input->n_functions; i-- > 0;) {
                const PlanFunction *function = &input->functions[i];

                if (!function->driver ||
                                (from_vfio ? !leaves_for_home(input, function) : function->on_vfio))
                        continue;
                if (!checked || (function->address.function == 0 && !from_vfio && due)) {
                        r = push(plan, STEP_CHECK, input->gpu, NULL, NULL);
                        if (r < 0)
                                return r;
                        checked = true;
                }
                r = push_along(plan, STEP_UNBIND, function->address, function->driver);
                if (r < 0)
                        return r;
                /* Alone, when no sibling is on the other side any more. */
                if (function->address.function == 0)
                        plan->steps[plan->n_steps - 1].along = false;
                due = true;
                plan->leaves_host |= !from_vfio;
        }
        return 0;
}

/*
 * to passthrough
 *
 * The override of every function comes first: from here on no other driver takes a function,
 * whatever module is loaded and whoever writes to drivers_probe.
 */

/* Variants exist for display functions only. */
static const char *vfio_driver_of(const PlanInput *input, const PlanFunction *function) {
        return function->address.function == 0 ? input->vfio_driver : "vfio-pci";
}

/*
 * A sibling without a driver would be taken by vfio-pci as soon as that is loaded, by its
 * override or by ids=, with nvidia still on function 0: NVIDIA's display code may panic then.
 * "none" is the name of no driver. It is about this GPU alone: another one's sibling in that
 * state is the work of a person.
 */
static bool has_to_be_parked(const PlanInput *input, const PlanFunction *function) {
        const PlanFunction *display = &input->functions[0];

        return input->vfio_modules && *input->vfio_modules && display->address.function == 0 &&
                        display->driver && !display->on_vfio && !function->driver &&
                        (function->override_is_vfio || !function->override);
}

/* Not where it is there already, whatever the library for modules thinks of the driver. */
static bool needs_modules(const PlanInput *input) {
        for (size_t i = 0; i < input->n_functions; ++i) {
                const PlanFunction *function = &input->functions[i];

                if (!function->on_vfio ||
                                !text_equal(function->override, vfio_driver_of(input, function)))
                        return true;
        }
        return false;
}

/* An install line for vfio_pci mostly has a script write an override on every card (KERNEL.md 7.7). */
static int push_vfio_load(Plan *plan, const PlanInput *input, const char *module) {
        Step *step;
        int r;

        r = push(plan, STEP_LOAD, input->gpu, module, &step);
        return r < 0 || strcmp(module, "vfio_pci") != 0
                        ? r
                        : text_copy(input->vfio_script, &step->script);
}

/* Before the host's drivers let go: without one, the power is cut as soon as the port above sleeps. */
static int push_awake(Plan *plan, const PlanInput *input) {
        int r = 0;

        for (size_t i = 0; r >= 0 && input->keeps_awake && i < input->n_functions; ++i)
                if (input->functions[i].allows_d3cold)
                        r = push_optional(plan, STEP_D3COLD, input->functions[i].address, "0");
        return r;
}

static int plan_passthrough(Plan *plan, const PlanInput *input) {
        char *const *module = needs_modules(input) ? input->vfio_modules : NULL;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < input->n_functions; ++i)
                if (has_to_be_parked(input, &input->functions[i]))
                        r = push(plan, STEP_OVERRIDE, input->functions[i].address, "none", NULL);
        for (; r >= 0 && module && *module; ++module)
                r = push_vfio_load(plan, input, *module);
        for (size_t i = 0; r >= 0 && i < input->n_functions; ++i) {
                const PlanFunction *function = &input->functions[i];
                const char *driver = vfio_driver_of(input, function);

                if (!text_equal(function->override, driver) || has_to_be_parked(input, function))
                        r = push(plan, STEP_OVERRIDE, function->address, driver, NULL);
        }
        if (r >= 0)
                r = push_awake(plan, input);
        if (r >= 0)
                r = push_unbinds(plan, input, false);
        for (size_t i = 0; r >= 0 && i < input->n_functions; ++i) {
                const PlanFunction *function = &input->functions[i];

                /* One by one: vfio-pci does next to nothing there, less than to start a worker takes. */
                if (!function->on_vfio)
                        r = push(plan, STEP_BIND, function->address,
                                        vfio_driver_of(input, function), NULL);
        }

        /* There already, overrides included: nothing to verify either. */
        if (plan->n_steps == 0)
                return r;
        for (size_t i = 0; r >= 0 && i < input->n_functions; ++i) {
                const PlanFunction *function = &input->functions[i];

                r = push_verify(plan, function,
                                function->on_vfio ? function->driver
                                                  : vfio_driver_of(input, function));
        }
        return r;
}

/*
 * to the host
 *
 * Each override is aimed at its host driver by name, because vfio-pci by its ids=, nouveau,
 * nova_core or nvidia may otherwise win by the order of loading, and because nvidia refuses to
 * load while all its GPUs are kept from it by their overrides (KERNEL.md 1.20, 1.26). It is put
 * back as it was last of all. The IOMMU group is held meanwhile, so that no guest starts on a GPU that is leaving.
 */

/* Whether it is on the driver that it has at home, or has to be bound. */
static bool is_bound_home(const PlanFunction *function) {
        return function->stays_idle
                        ? !function->driver
                        : function->driver && text_equal(function->driver, home_of(function));
}

static int push_group_holds(Plan *plan, const PlanInput *input) {
        for (size_t i = 0; i < input->n_functions; ++i) {
                const PlanFunction *function = &input->functions[i];
                bool seen = false;
                Step *step;
                int r;

                if (!function->on_vfio || function->iommu_group < 0)
                        continue;
                for (size_t k = 0; k < plan->n_steps; ++k)
                        seen = seen || plan->steps[k].number == function->iommu_group;
                if (seen)
                        continue;

                r = push(plan, STEP_HOLD_GROUP, function->address, NULL, &step);
                if (r < 0)
                        return r;
                step->number = function->iommu_group;
        }
        return 0;
}

/* A sibling that is missed by nobody: that it has a driver at all is found out here. */
static bool is_optional(const PlanFunction *function) {
        return function->address.function != 0 && !(function->host && function->host->driver) &&
                        (is_idle(function) || function->on_vfio);
}

/* To @driver of @home, under the name that it has once its module is loaded. */
static int push_of_module(
                Plan *plan, StepKind kind, const PlanFunction *function, const HostDriver *home) {
        Step *step;
        int r;

        r = push(plan, kind, function->address, home->driver, &step);
        if (r < 0 || !home->is_guess)
                return r;
        step->module = strdup(home->module);
        return step->module ? 0 : -ENOMEM;
}

/* What has to be there before a bind by name can work. Siblings that nobody has seen at home may do without. */
static int push_load(Plan *plan, const PlanInput *input _unused_, const PlanFunction *function) {
        const HostDriver *home = function->homes;
        size_t first = plan->n_steps;
        int r;

        if (is_bound_home(function) || function->n_homes == 0 || !home->module)
                return 0;
        r = push(plan, STEP_LOAD, function->address, home->module, NULL);
        if (r >= 0)
                plan->steps[plan->n_steps - 1].optional = is_optional(function);
        if (r >= 0 && home->is_guess)
                r = push_of_module(plan, STEP_OVERRIDE, function, home);
        for (; function->n_homes > 1 && first < plan->n_steps; ++first)
                plan->steps[first].candidate = 1;
        return r;
}

/* The first of the drivers of function 0, and what to do where it does not take it. */
static int push_candidates(Plan *plan, const PlanFunction *function) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < function->n_homes; ++i) {
                const HostDriver *home = &function->homes[i];
                size_t first = plan->n_steps;

                if (i > 0)
                        r = push(plan, STEP_OVERRIDE, function->address, home->driver, NULL);
                if (r >= 0 && i > 0 && home->module)
                        r = push(plan, STEP_LOAD, function->address, home->module, NULL);
                if (r >= 0 && i > 0 && home->is_guess)
                        r = push_of_module(plan, STEP_OVERRIDE, function, home);
                if (r >= 0)
                        r = push_of_module(plan, STEP_BIND, function, home);
                for (; function->n_homes > 1 && first < plan->n_steps; ++first)
                        plan->steps[first].candidate = (uint8_t) (i + 1);
        }
        return r;
}

static int push_bind(Plan *plan, const PlanInput *input _unused_, const PlanFunction *function) {
        const Step *before;
        Step *step;
        int r;

        if (is_bound_home(function) || function->n_homes == 0)
                return 0;
        /* Function 0 comes home first and alone. */
        if (function->address.function == 0)
                return push_candidates(plan, function);
        r = push_of_module(plan, STEP_BIND, function, function->homes);
        if (r < 0)
                return r;
        step = &plan->steps[plan->n_steps - 1];
        before = plan->n_steps > 1 ? step - 1 : NULL;
        step->along = before && before->kind == STEP_BIND && before->function.function != 0;
        step->optional = is_optional(function);
        return 0;
}

/*
 * Power settings as they were, also of a function that is back already. snd_hda_intel goes on
 * behind its probe(), and allows runtime power management last of all (sound/pci/hda/hda_intel.c,
 * azx_probe_continue()): a setting against that, made before, would be lost.
 */
static int push_settings(Plan *plan, const PlanInput *input, const PlanFunction *function) {
        const HostFunction *host = function->host;
        int r = 0;

        if (!host)
                return 0;
        if (is_away(input, function) && text_equal(home_of(function), "snd_hda_intel") &&
                        text_equal(host->power_control, "on"))
                r = push_optional(plan, STEP_SETTLE, function->address, home_of(function));
        if (r >= 0 && host->power_control)
                r = push_optional(plan, STEP_POWER, function->address, host->power_control);
        if (r >= 0 && host->d3cold_allowed)
                r = push_optional(plan, STEP_D3COLD, function->address, host->d3cold_allowed);
        return r;
}

typedef int (*PushFn)(Plan *plan, const PlanInput *input, const PlanFunction *function);

/* For each function that is away, in order: @fn of it. */
static int push_away(Plan *plan, const PlanInput *input, PushFn fn) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < input->n_functions; ++i)
                if (is_away(input, &input->functions[i]))
                        r = fn(plan, input, &input->functions[i]);
        return r;
}

static int push_aim(Plan *plan, const PlanInput *input _unused_, const PlanFunction *function) {
        const char *home = function->stays_idle ? function->host->override
                                                : home_of(function) ?: function->parked;

        if (text_equal(function->override, home))
                return 0;
        return push(plan, STEP_OVERRIDE, function->address, home, NULL);
}

static int push_home_verify(
                Plan *plan, const PlanInput *input _unused_, const PlanFunction *function) {
        bool is_sure = function->n_homes == 1 && !is_optional(function);
        int r;

        r = push_verify(plan, function, is_sure ? home_of(function) : NULL);
        if (r >= 0 && is_sure && function->homes->is_guess) {
                plan->steps[plan->n_steps - 1].module = strdup(function->homes->module);
                if (!plan->steps[plan->n_steps - 1].module)
                        r = -ENOMEM;
        }
        return r;
}

static int push_override_back(
                Plan *plan, const PlanInput *input _unused_, const PlanFunction *function) {
        const char *override = function->host ? function->host->override : NULL;
        bool is_as_aimed =
                        function->n_homes <= 1 && !(function->n_homes && function->homes->is_guess);

        if (function->parked)
                return 0;
        if (is_as_aimed &&
                        text_equal(function->stays_idle ? override : home_of(function), override))
                return 0;
        return push(plan, STEP_OVERRIDE, function->address, override, NULL);
}

/*
 * Other modules that were there with its driver, if that was; else those that the machine would
 * have loaded for it: nvidia-drm has the same aliases. Where the driver is still there, they are.
 * Last, for they may hold the GPU from then on, and there is no way back any more.
 */
static int push_company(Plan *plan, const PlanInput *input) {
        const PlanFunction *display = &input->functions[0];
        _cleanup_(freep) char *company = NULL;
        size_t first = plan->n_steps;
        char *rest, *module;
        int r;

        if (display->address.function != 0 || !is_away(input, display) || display->n_homes == 0 ||
                        !display->homes->module)
                return 0;
        if (!display->host || !display->host->driver)
                r = push_optional(plan, STEP_LOAD, display->address, display->modalias);
        else
                r = text_copy(display->host->company, &company);
        for (rest = company; r >= 0 && (module = strsep(&rest, " "));)
                if (*module)
                        r = push_optional(plan, STEP_LOAD, display->address, module);
        /* It is that of the first driver. */
        for (; display->n_homes > 1 && first < plan->n_steps; ++first)
                plan->steps[first].candidate = 1;
        return r;
}

static int plan_host(Plan *plan, const PlanInput *input) {
        size_t n_held;
        int r;

        r = push_group_holds(plan, input);
        n_held = plan->n_steps;
        if (r >= 0)
                r = push_away(plan, input, push_aim);
        if (r >= 0)
                r = push_unbinds(plan, input, true);
        if (r >= 0)
                r = push_away(plan, input, push_load);
        if (r >= 0)
                r = push_away(plan, input, push_bind);
        if (r >= 0)
                r = push_away(plan, input, push_home_verify);
        for (size_t i = 0; r >= 0 && i < input->n_functions; ++i)
                r = push_settings(plan, input, &input->functions[i]);
        /* As long as one override is not as it was, a recovery knows that the rest is not either. */
        if (r >= 0)
                r = push_away(plan, input, push_override_back);
        if (r >= 0 && n_held > 0)
                r = push(plan, STEP_RELEASE_GROUP, input->gpu, NULL, NULL);
        if (r >= 0)
                r = push_company(plan, input);
        return r;
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

        *plan = (Plan) PLAN_NULL;
        if (input->n_functions == 0)
                return 0;
        r = input->to == MODE_PASSTHROUGH ? plan_passthrough(plan, input) : plan_host(plan, input);
        if (r < 0)
                plan_deinit(plan);
        return r;
}

void plan_deinit(Plan *plan) {
        for (size_t i = 0; i < plan->n_steps; ++i) {
                free(plan->steps[i].value);
                free(plan->steps[i].module);
                free(plan->steps[i].script);
        }
        free(plan->steps);
        *plan = (Plan) PLAN_NULL;
}

/* words */

static const char *const step_names[_STEP_MAX] = {
        [STEP_LOAD] = "load",
        [STEP_HOLD_GROUP] = "hold-group",
        [STEP_OVERRIDE] = "override",
        [STEP_CHECK] = "check",
        [STEP_UNBIND] = "unbind",
        [STEP_BIND] = "bind",
        [STEP_VERIFY] = "verify",
        [STEP_SETTLE] = "settle",
        [STEP_POWER] = "power",
        [STEP_D3COLD] = "d3cold",
        [STEP_RELEASE_GROUP] = "release-group",
};

const char *step_kind_to_string(StepKind kind) {
        return kind < _STEP_MAX ? step_names[kind] : "unknown";
}

static char *describe(const Step *step) {
        char address[ADDRESS_STRING_MAX];

        address_format(step->function, address);
        switch (step->kind) {
        case STEP_LOAD:
                return text_format("load module %s%s%s", step->value,
                                step->script ? ", without running " : "", step->script ?: "");
        case STEP_HOLD_GROUP:
                return text_format(
                                "hold IOMMU group %d, so that no guest can take it", step->number);
        case STEP_OVERRIDE:
                return step->value ? text_format("set driver_override of %s to %s", address,
                                                     step->value)
                                   : text_format("clear driver_override of %s", address);
        case STEP_CHECK:
                return text_format("check again that %s has no holder", address);
        case STEP_UNBIND:
                return text_format("unbind %s from %s", address, step->value);
        case STEP_BIND:
                return text_format("bind %s to %s", address, step->value);
        case STEP_VERIFY:
                return step->value ? text_format("verify that %s is on %s", address, step->value)
                                   : text_format("verify that %s has left vfio", address);
        case STEP_SETTLE:
                return text_format("wait for %s to finish probing %s", step->value, address);
        case STEP_POWER:
                return text_format(
                                "set runtime power management of %s to %s", address, step->value);
        case STEP_D3COLD:
                return text_format("set d3cold_allowed of %s to %s", address, step->value);
        case STEP_RELEASE_GROUP:
                return text_format("release IOMMU group");
        default:
                return NULL;
        }
}

/* A step as a short phrase, like "unbind 0000:01:00.1 from snd_hda_intel"; free() it. Return: 0, or -ENOMEM. */
int step_describe(const Step *step, char **ret) {
        char *s = describe(step);

        if (!s)
                return -ENOMEM;
        *ret = s;
        return 0;
}
