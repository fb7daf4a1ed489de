/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Kernel Modules, for a Program that only looks
 *
 * Stands in for os/module.c, which asks the kernel that runs: vfio-pci is a module here, and so are
 * the drivers of a card's functions, as on a usual machine. So a plan is the same wherever the tests
 * run; where the working directory has a file "root/no-modules", vfio-pci is the only one. Loading is not
 * to be tried by anything that only looks.
 */

#include <fnmatch.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "os/module.h"

struct Modules {
        char nothing;
};

int modules_new(Modules **ret_modules) {
        *ret_modules = calloc(1, sizeof(**ret_modules));
        return *ret_modules ? 0 : -ENOMEM;
}

int modules_new_for(const Roots *roots _unused_, Modules **ret_modules) {
        return modules_new(ret_modules);
}

Modules *modules_free(Modules *modules) {
        free(modules);
        return NULL;
}

static const struct {
        const char *alias;
        const char *module;
} known[] = {
        { "vfio_pci:*", "vfio_pci" },
        { "vfio-pci", "vfio_pci" },
        { "pci:v000010DE*bc03sc0[02]i*", "nvidia" },
        { "nvidia", "nvidia" },
        { "pci:v000010DE*bc04sc03i*", "snd_hda_intel" },
        { "pci:*bc0Csc03i30*", "xhci_pci" },
        { "pci:v000010DE*bc0Csc80i*", "i2c_nvidia_gpu" },
};

int modules_resolve(Modules *modules _unused_,
                const char *alias,
                bool blacklisted _unused_,
                char ***ret_names,
                size_t *ret_n) {
        const bool all = access("root/no-modules", F_OK) < 0;

        for (size_t i = 0; i < ARRAY_SIZE(known); ++i) {
                _cleanup_(strv_freep) char **names = NULL;
                size_t n = 0;
                int r;

                if ((!all && strcmp(known[i].module, "vfio_pci")) ||
                                fnmatch(known[i].alias, alias, 0))
                        continue;
                r = strv_push(&names, &n, known[i].module);
                if (r < 0)
                        return r;
                *ret_names = TAKE_PTR(names);
                *ret_n = n;
                return 0;
        }
        return MODULES_E_MISSING;
}

int modules_read_info(
                Modules *modules _unused_, const char *name _unused_, ModuleInfo *ret _unused_) {
        return MODULES_E_MISSING;
}

void module_info_deinit(ModuleInfo *info) {
        free(info->release);
        free(info->version);
}

int modules_read_options(Modules *modules _unused_, const char *name _unused_, char **ret) {
        *ret = NULL;
        return 0;
}

int modules_has_softdep(Modules *modules _unused_, const char *name _unused_, bool *ret) {
        *ret = false;
        return 0;
}

int modules_load(Modules *modules _unused_,
                const char *name _unused_,
                bool plainly _unused_,
                int *ret_errno _unused_) {
        abort();
}
