/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The Blacklist for modules-load
 *
 * Distributions have nvidia-drm or nvidia-uvm loaded at each boot, by name
 * (modules-load.d(5)). With all GPUs in passthrough that fails with ENODEV, and the unit
 * fails with it, though nothing is wrong. A module that is blacklisted is left out there,
 * and that is no failure.
 *
 * Elsewhere it would do harm: udev would not load the driver for a GPU that is plugged in.
 * So the file is not in a directory that modprobe.d(5) names, and is made to appear there
 * for that one unit (units/modules-load.conf).
 */

#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "os/systemd.h"
#include "policy/policy.h"
#include "vfiopt/names.h"

/* While a driver is at work on a GPU it is not free. */
#define OVERRIDES_LIMIT_USEC (USEC_PER_SEC / 2)

/* As they call themselves, and as modules-load.d(5) may call them; not by the names of files. */
static const char blacklist[] =
                "# Made by vfiopt for systemd-modules-load.service; see vfiopt@.service(8).\n"
                "blacklist nvidia\n"
                "blacklist nvidia_drm\n"
                "blacklist nvidia_modeset\n"
                "blacklist nvidia_peermem\n"
                "blacklist nvidia_uvm\n";

/* Where vfio has function 1, nvidia must not get function 0 by the way (KERNEL.md 1.27). */
static bool is_free_for_nvidia(Sysfs *sysfs, const Gpu *gpu) {
        const Device *sound = gpu_find_function(gpu, address_of_function(gpu->address, 1));
        char **overrides;
        bool is_free;

        if (gpu->functions[0].driver || (sound && driver_is_vfio(sysfs, sound->driver)) ||
                        gpu_read_overrides(sysfs, gpu, OVERRIDES_LIMIT_USEC, &overrides) != 0)
                return false;
        is_free = !overrides[0] || !strcmp(overrides[0], "nvidia");
        overrides_free(overrides, gpu->n_functions);
        return is_free;
}

/*
 * Whether NVIDIA's driver would refuse to load, or better did not: no GPU is left that it could have,
 * since each has another driver, or is kept from it. Once it is loaded it has no need of one, and neither have the modules that go
 * with it.
 */
static int would_refuse(const Roots *roots, bool *ret) {
        _cleanup_(inventory_deinit) Inventory inventory = {};
        bool all;
        int r;

        *ret = false;
        if (sysfs_exists(roots->sysfs, "module/nvidia"))
                return 0;
        r = inventory_init(&inventory, roots);
        if (r < 0)
                return r;
        all = inventory.n_gpus > 0;
        for (size_t i = 0; i < inventory.n_gpus; ++i)
                all = all && !is_free_for_nvidia(roots->sysfs, &inventory.gpus[i]);

        *ret = all;
        return 0;
}

/**
 * modules_load_update() - write or remove the blacklist, as the GPUs are now
 *
 * The modules that a boot has left out are loaded with the first GPU that comes home.
 *
 * Return: 0 on success, MODULES_LOAD_E_SAME if nothing is new, negative error code on failure.
 */
int modules_load_update(const Roots *roots) {
        bool refuses;
        int r;

        r = would_refuse(roots, &refuses);
        if (r < 0)
                return r;
        if (refuses && faccessat(roots->run_fd, VFIOPT_RUN_MODPROBE, F_OK, 0) == 0)
                return MODULES_LOAD_E_SAME;
        if (refuses)
                return file_replace(roots->run_fd, VFIOPT_RUN_MODPROBE, 0644, blacklist, false);

        r = file_remove(roots->run_fd, VFIOPT_RUN_MODPROBE);
        if (r == FILE_E_MISSING)
                return MODULES_LOAD_E_SAME;
        return r == 0 && roots->is_real ? systemd_load_modules() : r;
}
