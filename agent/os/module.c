/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <libkmod.h>
#include <string.h>
#include <sys/mman.h>

#include "base/file.h"
#include "base/text.h"
#include "os/conf.h"
#include "os/module.h"

struct Modules {
        struct kmod_ctx *kmod; /* NULL until it is needed: it reads all of modprobe.d */
        bool is_copy;          /* of another machine: these are what it is asked about */
        int index_fd, conf_fd;
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

        modules = malloc(sizeof(*modules));
        if (!modules)
                return -ENOMEM;

        *modules = (Modules){ .index_fd = -1, .conf_fd = -1 };
        *ret_modules = modules;
        return 0;
}

/* Where libkmod has no index it knows of no module: at the top of a machine there is none. */
static int open_index(const Roots *roots, int *ret_fd) {
        _cleanup_(freep) char *release = NULL, *path = NULL;
        int fd = -ENOENT, r;

        r = file_read(roots->proc_fd, "sys/kernel/osrelease", 256, &release, NULL);
        if (r < 0)
                return r;
        if (r == 0) {
                release[strcspn(release, "\n")] = '\0';
                path = text_format("lib/modules/%s", release);
                if (!path)
                        return -ENOMEM;
                fd = file_open_within(roots->root_fd, path, O_RDONLY | O_DIRECTORY);
        }
        if (fd == -ENOENT)
                fd = file_open_within(roots->root_fd, ".", O_RDONLY | O_DIRECTORY);
        if (fd < 0)
                return fd;
        *ret_fd = fd;
        return 0;
}

static int
copy_line(void *userdata, const char *path _unused_, unsigned int number _unused_, char *line) {
        const int *fd = userdata;

        return dprintf(*fd, "%s\n", line) < 0 ? -errno : 0;
}

/**
 * modules_new_for() - likewise of the machine below a root, which may be a copy
 *
 * libkmod would follow links of the copy to files of this machine, so it gets the lines of modprobe.d in
 * one file. It takes them all to be from before modules.softdep, which in the copy itself lies between
 * them; and blacklists of this machine's command line count as well.
 *
 * Return: 0 on success, negative error code on failure.
 */
int modules_new_for(const Roots *roots, Modules **ret_modules) {
        _cleanup_(modules_freep) Modules *modules = NULL;
        int r;

        r = modules_new(&modules);
        if (r < 0)
                return r;
        if (!roots->is_real) {
                modules->is_copy = true;
                r = open_index(roots, &modules->index_fd);
                if (r < 0)
                        return r;
                modules->conf_fd = memfd_create("modprobe.d", MFD_CLOEXEC);
                if (modules->conf_fd < 0)
                        return -errno;
                r = conf_read_modprobe(roots->root_fd, copy_line, &modules->conf_fd);
                if (r < 0)
                        return r;
        }

        *ret_modules = TAKE_PTR(modules);
        return 0;
}

static int modules_open(Modules *modules) {
        if (modules->kmod)
                return 0;

        if (modules->is_copy) {
                char index[FD_PATH_MAX], conf[FD_PATH_MAX];
                const char *const confs[] = { fd_path(modules->conf_fd, conf), NULL };

                modules->kmod = kmod_new(fd_path(modules->index_fd, index), confs);
        } else {
                modules->kmod = kmod_new(NULL, NULL);
        }
        if (!modules->kmod)
                return -ENOMEM;
        kmod_set_log_fn(modules->kmod, log_nothing, NULL);
        return 0;
}

Modules *modules_free(Modules *modules) {
        if (!modules)
                return NULL;

        kmod_unref(modules->kmod);
        closep(&modules->index_fd);
        closep(&modules->conf_fd);
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
