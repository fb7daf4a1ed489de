/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Kernel Modules, for a Program that only looks
 *
 * Stands in for os/module.c, which asks the kernel that runs: vfio-pci is a
 * module here, so that a plan is the same wherever the tests run. Loading is not to
 * be tried by anything that only looks.
 */

#include <string.h>

#include "base/text.h"
#include "os/module.h"

struct Modules {
        char nothing;
};

int modules_new(Modules **ret_modules) {
        *ret_modules = calloc(1, sizeof(**ret_modules));
        return *ret_modules ? 0 : -ENOMEM;
}

Modules *modules_free(Modules *modules) {
        free(modules);
        return NULL;
}

int modules_resolve(Modules *modules _unused_,
                const char *alias,
                bool blacklisted _unused_,
                char ***ret_names,
                size_t *ret_n) {
        char **names;

        if (!text_starts_with(alias, "vfio_pci:", NULL) && strcmp(alias, "vfio-pci") != 0)
                return MODULES_E_MISSING;

        names = calloc(2, sizeof(*names));
        if (!names)
                return -ENOMEM;
        names[0] = strdup("vfio_pci");
        if (!names[0]) {
                free(names);
                return -ENOMEM;
        }

        *ret_names = names;
        *ret_n = 1;
        return 0;
}

int modules_read_info(
                Modules *modules _unused_, const char *name _unused_, ModuleInfo *ret _unused_) {
        return MODULES_E_MISSING;
}

void module_info_deinit(ModuleInfo *info) {
        free(info->release);
}

int modules_load(Modules *modules _unused_, const char *name _unused_, int *ret_errno _unused_) {
        abort();
}
