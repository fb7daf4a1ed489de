/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Kernel Modules
 *
 * Which modules an alias stands for, and loading one with its dependencies, by libkmod: it reads
 * the very index files, blacklists, options and softdeps that modprobe(8) and udev use. It spells
 * /sys/module and /lib/modules itself, so tests replace this module whole. Facts about modules
 * that are loaded (version, parameters, reference count) come from sysfs instead.
 */

#include "os/roots.h"

typedef struct Modules Modules;

enum {
        _MODULES_E_SUCCESS,

        MODULES_E_MISSING, /* no such module, or none for this alias */
        MODULES_E_REFUSED, /* it is there but did not load; see @ret_errno */
};

int modules_new(Modules **ret_modules) _warn_unused_result_;
int modules_new_for(const Roots *roots, Modules **ret_modules) _warn_unused_result_;
Modules *modules_free(Modules *modules);
DEFINE_CLEANUP(Modules, modules_free);

/* What the file of a module says of itself. */
typedef struct ModuleInfo {
        char *release; /* of the kernel that it was built for; NULL: not said */
        char *version; /* its own; NULL: not said */
        bool is_signed;
} ModuleInfo;

int modules_resolve(Modules *modules,
                const char *alias,
                bool blacklisted,
                char ***ret_names,
                size_t *ret_n) _warn_unused_result_;
int modules_read_info(Modules *modules, const char *name, ModuleInfo *ret) _warn_unused_result_;
void module_info_deinit(ModuleInfo *info);
int modules_read_options(Modules *modules, const char *name, char **ret) _warn_unused_result_;
int modules_has_softdep(Modules *modules, const char *name, bool *ret) _warn_unused_result_;
int modules_load(Modules *modules, const char *name, bool plainly, int *ret_errno)
                _warn_unused_result_;
