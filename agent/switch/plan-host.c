/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Plans to the Host
 *
 * Each override is aimed at its host driver by name, because nouveau, nova_core
 * or nvidia may otherwise win by the order of loading, and because nvidia refuses
 * to load while all its GPUs are fenced for somebody else (kernel.md 1.20, 1.26).
 * It is put back as it was last of all. The IOMMU group is held meanwhile, so
 * that no guest starts on a GPU that is leaving.
 */

#include "switch/plan-parts.h"

static bool driver_is_registered(const PlanInput *input, const char *driver) {
        char path[DEVICE_PATH_MAX];

        return sysfs_exists(input->sysfs, driver_path(driver, "bind", path));
}

/* Where one function goes on the way home. */
typedef struct Home {
        bool away;          /* it is on vfio, or fenced for it: it has to come home */
        bool known;         /* whether we know its driver there */
        const char *driver; /* which; NULL: none */
        const OriginFunction *origin;
} Home;

static Home home_of(const PlanInput *input, size_t i) {
        const Device *function = &input->gpu->functions[i];
        Home home = {};

        home.origin = input->origin ? origin_find(input->origin, function->address) : NULL;
        home.driver = home.origin ? home.origin->driver : NULL;
        home.known = home.origin != NULL;
        if (i == 0 && !home.driver && input->host_driver) {
                home.driver = input->host_driver;
                home.known = true;
        }
        /* On a host driver already: whoever bound it there knew, and it may be in use. */
        if (function->driver && !driver_is_vfio(input->sysfs, function->driver)) {
                home.driver = function->driver;
                home.known = true;
        }

        home.away = driver_is_vfio(input->sysfs, function->driver) ||
                        driver_is_vfio(input->sysfs, input->overrides[i]) ||
                        /* a switch was cut off: its driver or its override is not as it was */
                        (home.origin &&
                                        (!same(function->driver, home.driver) ||
                                                        !same(input->overrides[i],
                                                                        home.origin->override))) ||
                        /* likewise, and nothing is remembered but that it was on its way */
                        (!home.origin && (input->unfinished & 1U << function->address.function) &&
                                        (!function->driver || input->overrides[i]));
        return home;
}

static int plan_hold_groups(Plan *plan, const PlanInput *input) {
        const Gpu *gpu = input->gpu;
        Step *step;
        int r;

        for (size_t i = 0; i < gpu->n_functions; ++i) {
                bool seen = false;

                if (!driver_is_vfio(input->sysfs, gpu->functions[i].driver) ||
                                gpu->functions[i].iommu_group < 0)
                        continue;
                for (size_t k = 0; k < plan->n_steps; ++k)
                        seen = seen || plan->steps[k].number == gpu->functions[i].iommu_group;
                if (seen)
                        continue;

                r = plan_push(plan, STEP_HOLD_GROUP, gpu->functions[i].address, NULL, &step);
                if (r < 0)
                        return r;
                step->number = gpu->functions[i].iommu_group;
        }
        return 0;
}

/* Aim each fence at the host driver; a function with none there is only let off the leash. */
static int plan_aim(Plan *plan, const PlanInput *input) {
        int r;

        for (size_t i = 0; i < input->gpu->n_functions; ++i) {
                Home home = home_of(input, i);

                if (!home.away || same(input->overrides[i], home.driver))
                        continue;
                r = plan_push(plan, STEP_OVERRIDE, input->gpu->functions[i].address, home.driver,
                                NULL);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The drivers that have to be there before a bind by name can work. */
static int plan_load_host(Plan *plan, const PlanInput *input) {
        const Gpu *gpu = input->gpu;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < gpu->n_functions; ++i) {
                Home home = home_of(input, i);

                if (!home.away || (home.known && same(gpu->functions[i].driver, home.driver)))
                        continue;
                if (home.driver && !driver_is_registered(input, home.driver))
                        r = plan_push(plan, STEP_LOAD, gpu->functions[i].address, home.driver,
                                        NULL);
                else if (!home.known)
                        r = plan_push_optional(plan, STEP_LOAD, gpu->functions[i].address,
                                        gpu->functions[i].modalias);
        }
        return r;
}

static int plan_bind_host(Plan *plan, const PlanInput *input) {
        const Gpu *gpu = input->gpu;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < gpu->n_functions; ++i) {
                Home home = home_of(input, i);

                if (!home.away || (home.known && same(gpu->functions[i].driver, home.driver)))
                        continue;
                if (home.driver)
                        r = plan_push(plan, STEP_BIND, gpu->functions[i].address, home.driver,
                                        NULL);
                else if (!home.known)
                        r = plan_push(plan, STEP_PROBE, gpu->functions[i].address, NULL, NULL);
        }
        for (size_t i = 0; r >= 0 && i < gpu->n_functions; ++i) {
                Home home = home_of(input, i);

                if (home.away)
                        r = plan_push(plan, STEP_VERIFY, gpu->functions[i].address, home.driver,
                                        NULL);
        }
        return r;
}

/*
 * snd_hda_intel goes on behind its probe(), and allows runtime power management last of
 * all (sound/pci/hda/hda_intel.c, azx_probe_continue()). A setting against that, made
 * before, would be lost.
 */
static int plan_settle(Plan *plan, const Home *home, Address address) {
        if (!home->away || !same(home->driver, "snd_hda_intel") ||
                        !same(home->origin->power_control, "on"))
                return 0;
        return plan_push_optional(plan, STEP_SETTLE, address, home->driver);
}

/*
 * Power settings and overrides as they were. The overrides come last of all: as
 * long as one is not as it was, who finds the GPU after a crash knows that the
 * rest is not done either.
 */
static int plan_restore(Plan *plan, const PlanInput *input) {
        const Gpu *gpu = input->gpu;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < gpu->n_functions; ++i) {
                const Address address = gpu->functions[i].address;
                Home home = home_of(input, i);

                /* Also of one that is back already: its settings are put back behind that. */
                if (!home.origin)
                        continue;
                r = plan_settle(plan, &home, address);
                if (r >= 0 && home.origin->power_control)
                        r = plan_push_optional(
                                        plan, STEP_POWER, address, home.origin->power_control);
                if (r >= 0 && home.origin->d3cold_allowed)
                        r = plan_push_optional(
                                        plan, STEP_D3COLD, address, home.origin->d3cold_allowed);
        }
        for (size_t i = 0; r >= 0 && i < gpu->n_functions; ++i) {
                Home home = home_of(input, i);
                const char *override = home.origin ? home.origin->override : NULL;

                /* What plan_aim() left there, against what was there before us. */
                if (home.away && !same(home.driver, override))
                        r = plan_push(plan, STEP_OVERRIDE, gpu->functions[i].address, override,
                                        NULL);
        }
        return r;
}

/*
 * What else the machine would have loaded for it: nvidia-drm has the same aliases. Where the
 * driver was not there, as after a boot in passthrough, nothing of that was either. Last,
 * for it may hold the GPU from then on, and there is no way back any more.
 */
static int plan_load_company(Plan *plan, const PlanInput *input) {
        const Device *function = &input->gpu->functions[0];
        Home home = home_of(input, 0);

        if (!home.away || home.origin || !home.driver || driver_is_registered(input, home.driver))
                return 0;
        return plan_push_optional(plan, STEP_LOAD, function->address, function->modalias);
}

/* Bring it home, wherever it is. */
int plan_host(Plan *plan, const PlanInput *input) {
        size_t n_held;
        int r;

        r = plan_hold_groups(plan, input);
        n_held = plan->n_steps;
        if (r >= 0)
                r = plan_aim(plan, input);
        if (r >= 0)
                r = plan_leave(plan, input, true);
        if (r >= 0)
                r = plan_load_host(plan, input);
        if (r >= 0)
                r = plan_bind_host(plan, input);
        if (r >= 0)
                r = plan_restore(plan, input);
        if (r >= 0 && n_held > 0)
                r = plan_push(plan, STEP_RELEASE_GROUP, input->gpu->address, NULL, NULL);
        if (r >= 0)
                r = plan_load_company(plan, input);
        return r;
}
