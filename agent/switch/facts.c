/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Facts for a Plan
 *
 * What is remembered of a GPU on the host goes before what can be guessed; what is
 * there goes before both, where nothing is under way.
 */

#include <string.h>

#include "base/text.h"
#include "model/override.h"
#include "model/vfio-driver.h"
#include "record/intent.h"
#include "switch/facts.h"

#define LIMIT_OVERRIDES_USEC (10 * USEC_PER_SEC)

void facts_deinit(Facts *facts) {
        overrides_free(facts->overrides, facts->n_functions);
        free(facts->vfio_driver);
        strv_free(facts->vfio_modules);
        origin_deinit(&facts->origin);
        free(facts->host_driver);
        *facts = (Facts) FACTS_NULL;
}

static int copy_to(char **destination, const char *s) {
        free(*destination);
        *destination = strdup(s);
        return *destination ? 0 : -ENOMEM;
}

/* The host driver for a GPU of which nothing is remembered, as after booting in passthrough. */
static int find_host_driver(Facts *facts, Sysfs *sysfs, Modules *modules, const Gpu *gpu) {
        static const struct {
                const char *module;
                const char *driver;
        } known[] = {
                { "nvidia", "nvidia" },
                { "nouveau", "nouveau" },
        };
        _cleanup_(strv_freep) char **names = NULL;
        char path[DEVICE_PATH_MAX];
        size_t n;
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(known); ++i)
                if (sysfs_exists(sysfs, driver_path(known[i].driver, "bind", path)))
                        return copy_to(&facts->host_driver, known[i].driver);

        r = modules_resolve(modules, gpu->functions[0].modalias, &names, &n);
        if (r)
                return r < 0 ? r : 0;

        /* Distributions rename the module (nvidia-current), never the driver. */
        for (size_t i = 0; i < ARRAY_SIZE(known); ++i)
                for (size_t k = 0; k < n; ++k)
                        if (text_starts_with(names[k], known[i].module, NULL))
                                return copy_to(&facts->host_driver, known[i].driver);
        return 0;
}

static int find_origin(Facts *facts, Roots *roots, const Gpu *gpu, Mode to) {
        Intent intent;
        bool unfinished, came_from_vfio = false;
        int r;

        r = intent_load(&intent, roots->run_fd, gpu->address);
        if (r < 0)
                return r;
        unfinished = r != INTENT_E_MISSING;
        if (r == 0) {
                unfinished = identity_equal(intent.identity, gpu->functions[0].identity);
                came_from_vfio = unfinished && intent.from == MODE_PASSTHROUGH;
                facts->unfinished = unfinished ? intent.functions : 0;
        }

        /* At home with nothing going on, what there is counts, and not what was once. */
        if (to == MODE_HOST || unfinished || gpu->mode != MODE_HOST) {
                r = origin_load(&facts->origin, roots->run_fd, gpu);
                if (r < 0)
                        return r;
                if (r == 0) {
                        facts->has_origin = true;
                        return 0;
                }
        }
        /* What a function is like half-way home is nothing to be remembered. */
        if (to != MODE_PASSTHROUGH || gpu->mode == MODE_PASSTHROUGH || came_from_vfio)
                return 0;

        r = origin_init(&facts->origin, roots->sysfs, gpu, facts->overrides);
        if (r < 0)
                return r;
        facts->has_origin = true;
        facts->fresh_origin = true;
        return 0;
}

/**
 * facts_init() - gather what a plan needs to know
 * @facts:      to initialise; facts_deinit() it
 * @roots:      where from
 * @modules:    index of modules
 * @gpu:        which GPU
 * @to:         where it shall go
 *
 * Return: 0 on success, FACTS_E_LATE if the kernel did not answer in time,
 *         negative error code on failure.
 */
int facts_init(Facts *facts, Roots *roots, Modules *modules, const Gpu *gpu, Mode to) {
        int r;

        *facts = (Facts){ .n_functions = gpu->n_functions };

        r = gpu_read_overrides(roots->sysfs, gpu, LIMIT_OVERRIDES_USEC, &facts->overrides);
        if (r == OVERRIDE_E_LATE)
                r = FACTS_E_LATE;
        if (r == 0)
                r = find_origin(facts, roots, gpu, to);
        if (r == 0 && to == MODE_PASSTHROUGH)
                r = vfio_driver_find(roots->sysfs, modules, gpu->functions[0].modalias,
                                &facts->vfio_driver, &facts->vfio_modules);
        if (r == 0 && to == MODE_HOST &&
                        !(facts->has_origin && origin_find(&facts->origin, gpu->address)))
                r = find_host_driver(facts, roots->sysfs, modules, gpu);
        if (r)
                facts_deinit(facts);
        return r;
}

/* Make the plan. Return: 0 on success, negative error code on failure. */
int facts_plan(const Facts *facts, Sysfs *sysfs, const Gpu *gpu, Mode to, Plan *ret_plan) {
        PlanInput input = {
                .gpu = gpu,
                .sysfs = sysfs,
                .overrides = facts->overrides,
                .vfio_driver = facts->vfio_driver,
                .vfio_modules = facts->vfio_modules,
                .origin = facts->has_origin ? &facts->origin : NULL,
                .unfinished = facts->unfinished,
                .host_driver = facts->host_driver,
                .to = to,
        };

        return plan_init(ret_plan, &input);
}
