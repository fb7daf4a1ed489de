/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/text.h"
#include "switch/facts.h"

void facts_deinit(Facts *facts) {
        overrides_free(facts->overrides, facts->n_overrides);
        free(facts->vfio_driver);
        strv_free(facts->vfio_modules);
        free(facts->host_driver);
        *facts = (Facts) FACTS_NULL;
}

/* The host driver for a GPU of which nothing is recorded, as after booting in passthrough. */
static int find_host_driver(Facts *facts, Sysfs *sysfs, Modules *modules, const Gpu *gpu) {
        static const char *const known[] = { "nvidia", "nouveau" };
        _cleanup_(strv_freep) char **names = NULL;
        const char *found = NULL;
        size_t n = 0;
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(known) && !found; ++i)
                if (driver_is_registered(sysfs, known[i]))
                        found = known[i];
        if (!found)
                r = modules_resolve(modules, gpu->functions[0].modalias, &names, &n);
        if (r)
                return r < 0 ? r : 0;
        facts->has_host_module = n > 0;

        /* Distributions rename the module (nvidia-current), never the driver. nvidiafb is another one. */
        for (size_t i = 0; i < ARRAY_SIZE(known) && !found; ++i)
                for (size_t k = 0; k < n && !found; ++k)
                        if (strcmp(names[k], "nvidiafb") &&
                                        text_starts_with(names[k], known[i], NULL))
                                found = known[i];
        facts->host_driver = found ? strdup(found) : NULL;
        return found && !facts->host_driver ? -ENOMEM : 0;
}

/* At home with no move interrupted, the GPU as it is counts, and not as it was once. */
static int find_host(Facts *facts, Sysfs *sysfs, const Gpu *gpu, Mode to, GpuRecord *record) {
        bool interrupted = record->has_move;
        int r;

        if (record->n_host > 0 && (to == MODE_HOST || interrupted || gpu->mode != MODE_HOST))
                return 0;
        /* What a function is like half-way home is nothing to be recorded. */
        if (to != MODE_PASSTHROUGH || gpu->mode == MODE_PASSTHROUGH ||
                        (interrupted && record->move.from == MODE_PASSTHROUGH))
                return 0;

        r = gpu_record_note_host(record, sysfs, gpu, facts->overrides);
        facts->fresh_host = r >= 0;
        return r;
}

static void add_function(
                Facts *facts, Sysfs *sysfs, const Gpu *gpu, size_t i, const GpuRecord *record) {
        const Device *device = &gpu->functions[i];
        PlanFunction *function = &facts->input.functions[facts->input.n_functions++];

        *function = (PlanFunction){
                .address = device->address,
                .iommu_group = device->iommu_group,
                .modalias = device->modalias,
                .driver = device->driver,
                .on_vfio = driver_is_vfio(sysfs, device->driver),
                .override = facts->overrides[i],
                .override_is_vfio = driver_is_vfio(sysfs, facts->overrides[i]),
                .host = gpu_record_find_host(record, device->address),
                .interrupted = record->has_move &&
                                record->move.moved & 1U << device->address.function,
        };

        /* A host driver that has it already: whoever bound it there knew, and it may be in use. */
        function->home = function->driver && !function->on_vfio ? function->driver
                        : function->host                        ? function->host->driver
                                                                : NULL;
        if (!function->home && device->address.function == 0)
                function->home = facts->host_driver;
        /* For the GPU itself, to have had no driver is no knowledge: it was not loaded yet. */
        function->home_is_known =
                        function->home || (function->host && device->address.function != 0);
        function->home_is_registered = driver_is_registered(sysfs, function->home);
}

/**
 * facts_init() - gather what a plan needs to know
 * @facts:      to initialise; facts_deinit() it
 * @roots:      where from
 * @modules:    index of modules
 * @gpu:        which GPU; outlives @facts
 * @to:         where it shall go
 * @functions:  which of its functions
 * @record:     of the GPU; outlives @facts. How it is on the host is noted there on its way to
 *              passthrough.
 *
 * Return: 0 on success, FACTS_E_LATE if the kernel did not answer in time,
 *         negative error code on failure.
 */
int facts_init(Facts *facts,
                Roots *roots,
                Modules *modules,
                const Gpu *gpu,
                Mode to,
                FunctionSet functions,
                GpuRecord *record) {
        const HostFunction *display;
        int r;

        *facts = (Facts){ .input = { .gpu = gpu->address, .to = to } };

        r = gpu_read_overrides(roots->sysfs, gpu, FACTS_LIMIT_USEC, &facts->overrides);
        if (r)
                return r == GPU_E_LATE ? FACTS_E_LATE : r;
        facts->n_overrides = gpu->n_functions;

        r = find_host(facts, roots->sysfs, gpu, to, record);
        if (r == 0 && to == MODE_PASSTHROUGH)
                r = vfio_driver_find(roots->sysfs, modules, gpu->functions[0].modalias,
                                &facts->vfio_driver, &facts->vfio_modules);
        display = gpu_record_find_host(record, gpu->address);
        if (r == 0 && to == MODE_HOST && !(display && display->driver))
                r = find_host_driver(facts, roots->sysfs, modules, gpu);
        if (r < 0) {
                facts_deinit(facts);
                return r;
        }

        facts->input.vfio_driver = facts->vfio_driver;
        facts->input.vfio_modules = facts->vfio_modules;
        for (size_t i = 0; i < gpu->n_functions && i < ARRAY_SIZE(facts->input.functions); ++i)
                if (functions & 1U << gpu->functions[i].address.function)
                        add_function(facts, roots->sysfs, gpu, i, record);
        return 0;
}
