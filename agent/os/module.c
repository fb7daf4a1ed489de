/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <libkmod.h>
#include <string.h>

#include "base/text.h"
#include "os/module.h"

struct Modules {
        struct kmod_ctx *kmod; /* NULL until it is needed: it reads all of modprobe.d */
};

static void log_nothing(void *data _unused_,
                int priority _unused_,
                const char *file _unused_,
                int line _unused_,
                const char *fn _unused_,
                const char *format _unused_,
                va_list args _unused_) {
}

static void list_unrefp(struct kmod_list **list) {
        kmod_module_unref_list(*list);
}

/* The index of the running kernel's modules, which is opened at the first question. */
int modules_new(Modules **ret_modules) {
        Modules *modules;

        modules = calloc(1, sizeof(*modules));
        if (!modules)
                return -ENOMEM;

        *ret_modules = modules;
        return 0;
}

static int modules_open(Modules *modules) {
        if (modules->kmod)
                return 0;

        modules->kmod = kmod_new(NULL, NULL);
        if (!modules->kmod)
                return -ENOMEM;
        kmod_set_log_fn(modules->kmod, log_nothing, NULL);
        return 0;
}

Modules *modules_free(Modules *modules) {
        if (!modules)
                return NULL;

        kmod_unref(modules->kmod);
        free(modules);
        return NULL;
}

/**
 * modules_resolve() - modules that an alias or a name stands for
 * @alias:      module name, or alias like "pci:v000010DEd…"
 * @blacklisted: also those which a blacklist keeps from being loaded by alias
 * @ret_names:  names of modules, at least one, in kmod's order; strv_free() it
 *
 * A driver that is built into the kernel counts as a module here, as it does for
 * modprobe.
 *
 * Return: 0 on success, MODULES_E_MISSING, or a negative error code.
 */
int modules_resolve(Modules *modules,
                const char *alias,
                bool blacklisted,
                char ***ret_names,
                size_t *ret_n) {
        _cleanup_(list_unrefp) struct kmod_list *all = NULL, *list = NULL;
        struct kmod_list *item;
        _cleanup_(strv_freep) char **names = NULL;
        size_t n = 0;
        int r;

        r = modules_open(modules);
        if (r < 0)
                return r;
        r = kmod_module_new_from_lookup(modules->kmod, alias, &all);
        if (r < 0)
                return r == -ENOSYS || r == -ENOENT ? MODULES_E_MISSING : r;

        if (!blacklisted) {
                r = kmod_module_apply_filter(modules->kmod, KMOD_FILTER_BLACKLIST, all, &list);
                if (r < 0)
                        return r;
        }
        if (blacklisted ? !all : !list)
                return MODULES_E_MISSING;

        kmod_list_foreach(item, blacklisted ? all : list) {
                struct kmod_module *module = kmod_module_get_module(item);

                r = strv_push(&names, &n, kmod_module_get_name(module));
                kmod_module_unref(module);
                if (r < 0)
                        return r;
        }

        *ret_names = TAKE_PTR(names);
        *ret_n = n;
        return 0;
}

void module_info_deinit(ModuleInfo *info) {
        free(info->release);
        free(info->version);
        *info = (ModuleInfo){};
}

static void info_freep(struct kmod_list **list) {
        kmod_module_info_free_list(*list);
}

static void module_unrefp(struct kmod_module **module) {
        kmod_module_unref(*module);
}

/**
 * modules_read_info() - what the file of a module says
 * @name:       of the module, not an alias
 * @ret:        module_info_deinit() it
 *
 * Return: 0 on success, MODULES_E_MISSING if it has no file, or none that can be read; or a
 *         negative error code.
 */
int modules_read_info(Modules *modules, const char *name, ModuleInfo *ret) {
        _cleanup_(module_unrefp) struct kmod_module *module = NULL;
        _cleanup_(info_freep) struct kmod_list *list = NULL;
        struct kmod_list *item;
        _cleanup_(module_info_deinit) ModuleInfo info = {};
        int r;

        r = modules_open(modules);
        if (r < 0)
                return r;
        r = kmod_module_new_from_name(modules->kmod, name, &module);
        if (r < 0)
                return r;
        if (!kmod_module_get_path(module))
                return MODULES_E_MISSING;
        r = kmod_module_get_info(module, &list);
        if (r < 0)
                return r == -ENOMEM ? r : MODULES_E_MISSING;

        kmod_list_foreach(item, list) {
                const char *key = kmod_module_info_get_key(item);
                const char *value = kmod_module_info_get_value(item);

                if (!strcmp(key, "sig_id"))
                        info.is_signed = true;
                if (!strcmp(key, "version") && !info.version) {
                        info.version = strdup(value);
                        if (!info.version)
                                return -ENOMEM;
                }
                /* With versions of symbols the release does not count (kernel/module/version.c, same_magic()). */
                if (strcmp(key, "vermagic") || info.release || strstr(value, " modversions"))
                        continue;
                info.release = strndup(value, strcspn(value, " "));
                if (!info.release)
                        return -ENOMEM;
        }
        *ret = info;
        info = (ModuleInfo){};
        return 0;
}

/**
 * modules_read_options() - which parameters a module gets when it is loaded
 * @name:       of the module, not an alias
 * @ret:        "ids=10de:2204 disable_vga=1", from modprobe.d and the kernel's command line; or NULL;
 *              free() it
 *
 * Return: 0 on success, negative error code on failure.
 */
int modules_read_options(Modules *modules, const char *name, char **ret) {
        _cleanup_(module_unrefp) struct kmod_module *module = NULL;
        int r;

        r = modules_open(modules);
        if (r >= 0)
                r = kmod_module_new_from_name(modules->kmod, name, &module);
        return r < 0 ? r : text_copy(kmod_module_get_options(module), ret);
}

/**
 * modules_has_softdep() - whether libkmod loads a module with others that are only wished for
 * @name:       of the module, not an alias
 *
 * What counts is the first line of modprobe.d or modules.softdep for it, and in that a name which
 * stands for a module (libkmod-module.c, kmod_module_get_softdeps()).
 *
 * Return: 0 on success, negative error code on failure.
 */
int modules_has_softdep(Modules *modules, const char *name, bool *ret) {
        _cleanup_(list_unrefp) struct kmod_list *before = NULL, *after = NULL;
        _cleanup_(module_unrefp) struct kmod_module *module = NULL;
        int r;

        r = modules_open(modules);
        if (r < 0)
                return r;
        r = kmod_module_new_from_name(modules->kmod, name, &module);
        if (r >= 0)
                r = kmod_module_get_softdeps(module, &before, &after);
        if (r < 0)
                return r;
        *ret = before || after;
        return 0;
}

static int insert(struct kmod_module *module, bool plainly) {
        unsigned int flags = KMOD_PROBE_APPLY_BLACKLIST_ALIAS_ONLY;
        int r;

        if (plainly)
                flags |= KMOD_PROBE_IGNORE_COMMAND;
        r = kmod_module_probe_insert_module(module, flags, NULL, NULL, NULL, NULL);
        return r == -EEXIST ? 0 : r;
}

/* All that a name or alias stands for; with several, the last error. */
static int insert_all(Modules *modules, const char *name, bool plainly) {
        _cleanup_(list_unrefp) struct kmod_list *list = NULL;
        struct kmod_list *item;
        int r, error = 0;

        r = kmod_module_new_from_lookup(modules->kmod, name, &list);
        if (r < 0)
                return r == -ENOSYS ? -ENOENT : r;
        if (!list)
                return -ENOENT;

        kmod_list_foreach(item, list) {
                struct kmod_module *module = kmod_module_get_module(item);

                r = insert(module, plainly);
                kmod_module_unref(module);
                if (r == -ENOENT)
                        return r;
                error = r < 0 ? r : error;
        }
        return error;
}

/**
 * modules_load() - load a module with all that it needs
 * @name:       module name or alias; all modules of an alias are loaded
 * @plainly:    itself, and no command of an install line in its place. Those of modules that it
 *              needs are run
 * @ret_errno:  with MODULES_E_REFUSED, the (positive) errno that the kernel gave
 *
 * Where there is a module of that name, an alias of the same name, even to nothing, has no say.
 *
 * Blocks for as long as the module's init does, and that of a PCI driver waits for the lock of
 * each device it matches (drivers/base/dd.c: __driver_attach()): call it in a child.
 *
 * Return: 0 if it is loaded now, MODULES_E_MISSING, MODULES_E_REFUSED, or a negative error code.
 */
int modules_load(Modules *modules, const char *name, bool plainly, int *ret_errno) {
        _cleanup_(module_unrefp) struct kmod_module *module = NULL;
        int r;

        r = modules_open(modules);
        if (r < 0)
                return r;
        if (!strchr(name, ':')) {
                r = kmod_module_new_from_name(modules->kmod, name, &module);
                if (r < 0)
                        return r;
        }
        r = module && kmod_module_get_path(module) ? insert(module, plainly)
                                                   : insert_all(modules, name, plainly);
        if (r == -ENOENT)
                return MODULES_E_MISSING;
        if (r < 0) {
                *ret_errno = -r;
                return MODULES_E_REFUSED;
        }
        return 0;
}
