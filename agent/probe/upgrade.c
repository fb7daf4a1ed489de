/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/text.h"
#include "model/nvidia.h"
#include "probe/upgrade.h"

/* Whether one of these modules of NVIDIA's has the version; else the version of the first that has one. */
static int compare_versions(
                Modules *modules, char *const *names, const char *loaded, char **other) {
        for (; names && *names; ++names) {
                _cleanup_(module_info_deinit) ModuleInfo info = {};
                int r;

                if (!text_starts_with(*names, NVIDIA_DRIVER, NULL))
                        continue;
                r = modules_read_info(modules, *names, &info);
                if (r < 0)
                        return r;
                if (r != 0 || !info.version)
                        continue;
                if (!strcmp(info.version, loaded))
                        return UPGRADE_E_NONE;
                if (!*other)
                        *other = TAKE_PTR(info.version);
        }
        return 0;
}

/**
 * upgrade_find() - is another version on disk than the one in the kernel?
 * @modules:    index of modules
 * @modalias:   of a GPU: a distribution may call the module as it likes
 * @ret_loaded: the version in the kernel; free() it
 * @ret_on_disk: the other one; free() it
 *
 * Of several on disk, as a distribution may have for cards of several ages, one that is the same is
 * enough.
 *
 * Return: 0 if so, UPGRADE_E_NONE, also where that is not known, or a negative error code.
 */
int upgrade_find(const Roots *roots,
                Modules *modules,
                const char *modalias,
                char **ret_loaded,
                char **ret_on_disk) {
        const char *const names[] = { modalias, NVIDIA_DRIVER };
        _cleanup_(freep) char *loaded = NULL, *other = NULL;
        int r;

        r = nvidia_read_version(roots->sysfs, &loaded);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); ++i) {
                _cleanup_(strv_freep) char **found = NULL;
                size_t n;

                r = modules_resolve(modules, names[i], true, &found, &n);
                r = r > 0 ? 0 : r < 0 ? r : compare_versions(modules, found, loaded, &other);
        }
        if (r < 0)
                return r;
        if (r > 0 || !other)
                return UPGRADE_E_NONE;
        *ret_loaded = TAKE_PTR(loaded);
        *ret_on_disk = TAKE_PTR(other);
        return 0;
}
