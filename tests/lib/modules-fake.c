/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Kernel Modules, faked
 *
 * Stands in for os/module.c, symbol for symbol: the modules of the newest
 * fake tree, which register their drivers with the model when they are loaded.
 * A load is numbered, recorded and disturbed like a write.
 */

#include <fnmatch.h>
#include <string.h>

#include "base/text.h"
#include "lib/fake-tree.h"
#include "os/module.h"

struct Modules {
        FakeTree *tree;
};

int modules_new(Modules **ret_modules) {
        Modules *modules;

        modules = calloc(1, sizeof(*modules));
        if (!modules)
                return -ENOMEM;
        modules->tree = fake_tree_newest();

        *ret_modules = modules;
        return 0;
}

int modules_new_for(const Roots *roots _unused_, Modules **ret_modules) {
        return modules_new(ret_modules);
}

Modules *modules_free(Modules *modules) {
        free(modules);
        return NULL;
}

/* Dashes and underscores are the same in the name of a module. */
static bool same_name(const char *a, const char *b) {
        for (; *a && *b; ++a, ++b)
                if (*a != *b && !(strchr("-_", *a) && strchr("-_", *b)))
                        return false;
        return *a == *b;
}

static bool stands_for(const MachineModule *module, const char *alias) {
        if (same_name(module->name, alias))
                return true;
        for (size_t i = 0; i < ARRAY_SIZE(module->aliases); ++i)
                if (module->aliases[i][0] && !fnmatch(module->aliases[i], alias, 0))
                        return true;
        return false;
}

int modules_resolve(Modules *modules,
                const char *alias,
                bool blacklisted,
                char ***ret_names,
                size_t *ret_n) {
        Machine *machine = modules->tree->machine;
        char **names;
        size_t n = 0;

        names = calloc(machine->n_modules + 1, sizeof(*names));
        if (!names)
                return -ENOMEM;
        for (unsigned int i = 0; i < machine->n_modules; ++i)
                if (stands_for(&machine->modules[i], alias) &&
                                (blacklisted || !machine->modules[i].is_blacklisted))
                        names[n++] = strdup(machine->modules[i].name);
        if (n == 0) {
                free(names);
                return MODULES_E_MISSING;
        }

        *ret_names = names;
        *ret_n = n;
        return 0;
}

void module_info_deinit(ModuleInfo *info) {
        free(info->release);
        free(info->version);
        *info = (ModuleInfo){};
}

int modules_read_info(Modules *modules, const char *name, ModuleInfo *ret) {
        const MachineModule *module = machine_find_module(modules->tree->machine, name);

        if (!module)
                return MODULES_E_MISSING;
        *ret = (ModuleInfo){ .is_signed = !module->is_unsigned };
        if (module->release[0])
                ret->release = strdup(module->release);
        if (module->version[0])
                ret->version = strdup(module->version);
        return 0;
}

/* Of the ids, those that tests give vfio-pci. */
int modules_read_options(Modules *modules, const char *name, char **ret) {
        const MachineModule *module = machine_find_module(modules->tree->machine, name);

        return text_copy(module && module->driver.is_vfio && module->driver.match[0][0]
                                        ? "disable_idle_d3=1 ids=10de:2d04,10de:22eb"
                                        : NULL,
                        ret);
}

int modules_has_softdep(Modules *modules, const char *name, bool *ret) {
        const MachineModule *module = machine_find_module(modules->tree->machine, name);

        *ret = module && module->has_softdep;
        return 0;
}

static int load(FakeTree *tree, const Act *act) {
        if (act->blocks)
                machine_meet_gate(tree->machine);
        return fake_module_insert(tree, act->driver);
}

int modules_load(Modules *modules, const char *name, bool plainly, int *ret_errno) {
        Machine *machine = modules->tree->machine;
        int r, error = 0;
        bool any = false;

        for (unsigned int i = 0; i < machine->n_modules; ++i) {
                MachineModule *module = &machine->modules[i];
                Act act = { .kind = ACT_LOAD, .path = "(load)", .value = module->name };

                if (!stands_for(module, name) ||
                                (module->is_blacklisted && !same_name(module->name, name)))
                        continue;
                any = true;
                strcpy(act.driver, module->name);
                if (module->has_script && !plainly)
                        r = module->script_succeeds ? 0 : -ECHILD;
                else
                        r = faults_act(modules->tree, &act, load);
                if (r < 0)
                        error = -r;
        }
        if (!any)
                return MODULES_E_MISSING;
        if (error) {
                *ret_errno = error;
                return MODULES_E_REFUSED;
        }
        return 0;
}
