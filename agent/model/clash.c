/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/text.h"
#include "model/clash.h"

#define LIMIT_USEC (10 * USEC_PER_SEC)

void clash_deinit(Clash *clash) {
        free(clash->override);
        *clash = (Clash){};
}

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

/* Variants match by override alone; vfio-pci by ids= as well, which nobody can look up here in full. */
static bool would_take(const char *driver, const char *override) {
        if (override)
                return !strcmp(driver, override);
        return !strcmp(driver, "vfio-pci") || !strcmp(driver, "nvidia");
}

/**
 * clash_foresee() - would a module, once loaded, bind a function of a GPU into a clash?
 * @gpu:        as it is now
 * @module:     its name, with underscores
 * @ret:        with CLASH_E_FORESEEN, which function; clash_deinit() it
 *
 * That vfio-pci has ids= of an idle function is taken for granted (KERNEL.md 2.16).
 *
 * Return: 0 if not, CLASH_E_FORESEEN, CLASH_E_LATE, negative error code on failure.
 */
int clash_foresee(Sysfs *sysfs, const Gpu *gpu, const char *module, Clash *ret) {
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
        if (would_take(driver, overrides[i])) {
                *ret = (Clash){ .function = idle->address, .override = TAKE_PTR(overrides[i]) };
                r = CLASH_E_FORESEEN;
        }
        overrides_free(overrides, gpu->n_functions);
        return r;
}
