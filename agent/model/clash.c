/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/text.h"
#include "model/clash.h"

#define LIMIT_USEC (10 * USEC_PER_SEC)

/* The driver that a module brings, if that is one of the two which clash; a distribution may rename nvidia. */
static const char *driver_of(const char *module) {
        if (!strcmp(module, "vfio_pci"))
                return "vfio-pci";
        if (text_starts_with(module, "nvidia", NULL) && !strstr(module, "vfio") &&
                        strcmp(module, "nvidiafb"))
                return "nvidia";
        return strstr(module, "vfio") ? module : NULL;
}

/* Whether a load of the module registers a driver that may clash with another one. */
bool clash_is_possible(Sysfs *sysfs, const char *module) {
        const char *driver = driver_of(module);

        return driver && !driver_is_registered(sysfs, driver);
}

/* Which function would have to be bound for a clash; or NULL. */
static const Device *find_idle(Sysfs *sysfs, const Gpu *gpu, bool loads_nvidia) {
        const Device *display = &gpu->functions[0];
        const Device *sound = gpu->n_functions > 1 ? &gpu->functions[1] : NULL;

        if (!sound || sound->address.function != 1)
                return NULL;
        if (loads_nvidia)
                return !display->driver && driver_is_vfio(sysfs, sound->driver) ? display : NULL;
        return !sound->driver && display->driver && !strcmp(display->driver, "nvidia") ? sound
                                                                                       : NULL;
}

/* Whether "ids=10de:22eb:ffffffff,..." has one of these ids. What is no number counts as any. */
bool clash_has_id(const char *options, Identity identity) {
        const char *ids = NULL;
        uint64_t vendor, device;

        for (const char *word = options; word && *word && !ids;
                        word += strcspn(word, " "), word += *word == ' ')
                if (!text_starts_with(word, "ids=", &ids))
                        ids = NULL;
        for (; ids && *ids && *ids != ' '; ids += strcspn(ids, ", "), ids += *ids == ',') {
                const size_t n = strcspn(ids, ":, ");
                const char *second = ids[n] == ':' ? ids + n + 1 : "";

                if (text_n_to_uint(ids, n, 16, UINT32_MAX, &vendor) < 0 ||
                                text_n_to_uint(second, strcspn(second, ":, "), 16, UINT32_MAX,
                                                &device) < 0)
                        return true;
                if ((vendor == identity.vendor || vendor == UINT32_MAX) &&
                                (device == identity.device || device == UINT32_MAX))
                        return true;
        }
        return false;
}

/* Variants match by override alone, vfio-pci by ids= as well. Return: 1, 0, or a negative error code. */
static int would_take(
                Modules *modules, const char *driver, const char *override, const Device *idle) {
        _cleanup_(freep) char *options = NULL;
        int r;

        if (override)
                return !strcmp(driver, override);
        if (!strcmp(driver, "nvidia"))
                return 1;
        if (strcmp(driver, "vfio-pci"))
                return 0;
        r = modules_read_options(modules, "vfio_pci", &options);
        return r < 0 ? r : clash_has_id(options, idle->identity);
}

/**
 * clash_foresee() - would a module, once loaded, bind a function of a GPU into a clash?
 * @gpu:        as it is now
 * @module:     its name, with underscores
 * @ret:        with CLASH_E_FORESEEN, the idle function that the load would bind
 *
 * vfio-pci has ids= of modprobe.d and of the kernel's command line; by new_id it has none before it is
 * loaded (KERNEL.md 2.16).
 *
 * Return: 0 if not, CLASH_E_FORESEEN, CLASH_E_LATE, negative error code on failure.
 */
int clash_foresee(
                Sysfs *sysfs, Modules *modules, const Gpu *gpu, const char *module, Address *ret) {
        const char *driver = driver_of(module);
        const Device *idle;
        char **overrides;
        size_t i;
        int r;

        if (!clash_is_possible(sysfs, module))
                return 0;
        idle = find_idle(sysfs, gpu, !strcmp(driver, "nvidia"));
        if (!idle)
                return 0;
        r = gpu_read_overrides(sysfs, gpu, LIMIT_USEC, &overrides);
        if (r)
                return r == GPU_E_LATE ? CLASH_E_LATE : r;

        i = (size_t) (idle - gpu->functions);
        r = would_take(modules, driver, overrides[i], idle);
        if (r > 0) {
                *ret = idle->address;
                r = CLASH_E_FORESEEN;
        }
        overrides_free(overrides, gpu->n_functions);
        return r;
}
