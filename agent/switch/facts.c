/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/text.h"
#include "switch/facts.h"

void facts_deinit(Facts *facts) {
        overrides_free(facts->overrides, facts->n_overrides);
        free(facts->vfio_driver);
        strv_free(facts->vfio_modules);
        free(facts->vfio_script);
        obstacle_deinit(&facts->vfio_obstacle);
        for (size_t i = 0; i < ARRAY_SIZE(facts->homes); ++i)
                host_drivers_deinit(&facts->homes[i]);
        *facts = (Facts) FACTS_NULL;
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

/* Of those that are known, what would load, best first; of siblings one. */
static void choose_homes(PlanFunction *function, HostDrivers *homes) {
        const bool passes_over = homes->n > 0 && homes->items[0].obstacle.kind != OBSTACLE_NONE;
        size_t n = 0;

        for (size_t i = 0; i < homes->n; ++i) {
                HostDriver home = homes->items[i];

                if (home.obstacle.kind != OBSTACLE_NONE)
                        continue;
                /* The others keep their order. */
                memmove(&homes->items[n + 1], &homes->items[n], (i - n) * sizeof(home));
                homes->items[n++] = home;
        }
        /* The first of those that would not load is now behind the others. */
        function->passed_over = passes_over ? &homes->items[n] : NULL;
        function->homes = homes->items;
        function->n_homes = function->address.function == 0 ? n : n > 0;
}

/*
 * A GPU that was kept for a guest by another name was not at home, and neither were the siblings that
 * went with it. A sibling alone on such a driver is its owner's wish.
 */
static bool was_inert(
                Sysfs *sysfs, const Device *device, const GpuRecord *record, const char *before) {
        const HostFunction *display =
                        gpu_record_find_host(record, address_of_function(device->address, 0));

        return driver_is_inert(sysfs, before) &&
                        (device->address.function == 0 ||
                                        (display && driver_is_stub(display->driver)));
}

/*
 * A host driver that has it already goes first, for whoever bound it there knew, and it may be in
 * use; then the one that it had before. To have had none is no knowledge: it was not loaded yet, or
 * the card was plugged in for a guest. But a move that is undone leaves it as it was.
 */
static int find_homes(Facts *facts,
                const Roots *roots,
                Modules *modules,
                const Device *device,
                PlanFunction *function,
                const GpuRecord *record,
                size_t i) {
        const bool undoes = record->has_move && record->move.from != MODE_PASSTHROUGH;
        const char *now = function->on_vfio || function->on_stub ? NULL : function->driver;
        const char *before = function->host ? function->host->driver : NULL;
        const char *only = function->host && !before ? function->host->override : NULL;
        int r;

        if (before && !now && !undoes && was_inert(roots->sysfs, device, record, before))
                before = NULL;
        r = host_drivers_find(roots, modules, device, now ?: before ?: only,
                        !now && before ? function->host->module : NULL, &facts->homes[i]);
        if (r < 0)
                return r;
        choose_homes(function, &facts->homes[i]);
        if (!function->host || function->host->driver || now)
                return 0;
        /* An override that no driver answers to was meant to keep them all away. */
        if (only)
                function->stays_idle = function->n_homes == 0 ||
                                strcmp(function->homes->driver, only) != 0;
        else
                function->stays_idle = undoes;
        if (only || function->stays_idle)
                function->n_homes = !function->stays_idle;
        return 0;
}

/*
 * Function 1 is not left to whichever driver is asked first where none of the host's takes it: vfio-pci
 * may have ids= of it, and must not have it beside nvidia (KERNEL.md 1.27, 2.16).
 */
static void park(PlanFunction *function) {
        if (function->address.function == 1 && function->n_homes == 0 && !function->stays_idle)
                function->parked = function->passed_over ? function->passed_over->driver : "none";
}

/* The kernel has no such attribute where it does not cut the power. */
static int find_d3cold(Sysfs *sysfs, PlanFunction *function) {
        _cleanup_(freep) char *value = NULL;
        char path[DEVICE_PATH_MAX];
        int r;

        r = sysfs_read(sysfs, device_path(function->address, "d3cold_allowed", path), &value);
        function->allows_d3cold = r == 0 && !strcmp(value, "1");
        return r < 0 ? r : 0;
}

static int add_function(Facts *facts,
                const Roots *roots,
                Modules *modules,
                const Gpu *gpu,
                size_t i,
                const GpuRecord *record) {
        const Device *device = &gpu->functions[i];
        PlanFunction *function = &facts->input.functions[facts->input.n_functions++];
        Sysfs *sysfs = roots->sysfs;
        int r;

        *function = (PlanFunction){
                .address = device->address,
                .iommu_group = device->iommu_group,
                .modalias = device->modalias,
                .driver = device->driver,
                .on_vfio = driver_is_vfio(sysfs, device->driver),
                /* A sibling alone on one is its owner's wish. */
                .on_stub = driver_is_stub(device->driver) &&
                                driver_is_stub(gpu->functions[0].driver),
                .override = facts->overrides[i],
                .override_is_vfio = driver_is_vfio(sysfs, facts->overrides[i]),
                .host = gpu_record_find_host(record, device->address),
                .interrupted = record->has_move &&
                                record->move.moved & 1U << device->address.function,
        };
        if (facts->input.to != MODE_HOST)
                return find_d3cold(sysfs, function);
        r = find_homes(facts, roots, modules, device, function, record, i);
        park(function);
        return r;
}

/**
 * facts_init() - gather what a plan needs to know
 * @facts:      to initialise; facts_deinit() it
 * @roots:      where from
 * @modules:    index of modules
 * @gpu:        which GPU; outlives @facts
 * @to:         where it shall go
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
                GpuRecord *record) {
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
        if (r == 0 && facts->vfio_modules && *facts->vfio_modules)
                r = obstacle_find(roots, modules, *facts->vfio_modules, &facts->vfio_obstacle);
        if (r == 0 && facts->vfio_modules && *facts->vfio_modules)
                r = obstacle_find_script(roots, modules, "vfio_pci", &facts->vfio_script);

        facts->input.vfio_driver = facts->vfio_driver;
        facts->input.vfio_modules = facts->vfio_modules;
        facts->input.vfio_script = facts->vfio_script;
        for (size_t i = 0; r >= 0 && i < gpu->n_functions && i < ARRAY_SIZE(facts->input.functions);
                        ++i)
                r = add_function(facts, roots, modules, gpu, i, record);
        if (r < 0)
                facts_deinit(facts);
        return r;
}
