/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Plans to Passthrough
 *
 * The override of every function comes first. It is the fence: whatever the rest
 * of the system does from here on (a module is loaded, somebody writes to
 * drivers_probe), no other driver takes a function. Function 0 is bound first; it
 * is what the others belong to.
 */

#include "switch/plan-parts.h"

/* The vfio driver for a function. Variants exist for display functions only. */
static const char *vfio_driver_of(const PlanInput *input, size_t i) {
        return i == 0 ? input->vfio_driver : "vfio-pci";
}

static int plan_fence(Plan *plan, const PlanInput *input) {
        int r;

        for (size_t i = 0; i < input->gpu->n_functions; ++i) {
                const char *driver = vfio_driver_of(input, i);

                if (same(input->overrides[i], driver))
                        continue;
                r = plan_push(plan, STEP_OVERRIDE, input->gpu->functions[i].address, driver, NULL);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Bring it to vfio, wherever it is. */
int plan_passthrough(Plan *plan, const PlanInput *input) {
        const Gpu *gpu = input->gpu;
        int r = 0;

        for (char *const *module = input->vfio_modules; r >= 0 && module && *module; ++module)
                r = plan_push(plan, STEP_LOAD, gpu->address, *module, NULL);
        if (r >= 0)
                r = plan_fence(plan, input);
        if (r >= 0)
                r = plan_leave(plan, input, false);
        for (size_t i = 0; r >= 0 && i < gpu->n_functions; ++i)
                if (!driver_is_vfio(input->sysfs, gpu->functions[i].driver))
                        r = plan_push(plan, STEP_BIND, gpu->functions[i].address,
                                        vfio_driver_of(input, i), NULL);

        /* There already, fence included: nothing to verify either. */
        if (plan->n_steps == 0)
                return r;

        for (size_t i = 0; r >= 0 && i < gpu->n_functions; ++i) {
                Step *step;

                r = plan_push(plan, STEP_VERIFY, gpu->functions[i].address,
                                driver_is_vfio(input->sysfs, gpu->functions[i].driver)
                                                ? gpu->functions[i].driver
                                                : vfio_driver_of(input, i),
                                &step);
                if (r >= 0)
                        step->number = gpu->functions[i].iommu_group;
        }
        return r;
}
