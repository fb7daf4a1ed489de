/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The Best VFIO Driver
 *
 * Which driver hands a function out, for a GPU that is to move as for one that is to come.
 * Found as libvirt and the kernel's own documentation have it: the modalias of the
 * function with "vfio_pci:" for "pci:" names all modules that could hand it out.
 * vfio_pci itself matches everything, so any other one is a variant made for this very
 * device, and better.
 *
 * Apart from device.c as the agent has no index of modules, and asks for none.
 */

#include <string.h>

#include "base/text.h"
#include "model/device.h"

/**
 * module_read_driver() - the PCI driver that a module has brought
 * @module:     name, with underscores
 * @ret:        name of the driver, which need not be the module's; NULL if the module is not
 *              loaded, or has none. free() it
 *
 * A driver that is built in has a directory below /sys/module as well (drivers/base/module.c,
 * module_add_driver()).
 *
 * Return: 0 on success, negative error code on failure.
 */
int module_read_driver(Sysfs *sysfs, const char *module, char **ret) {
        _cleanup_(strv_freep) char **names = NULL;
        _cleanup_(freep) char *path = NULL;
        const char *driver;
        size_t n;
        int r;

        *ret = NULL;
        path = text_format("module/%s/drivers", module);
        if (!path)
                return -ENOMEM;

        r = sysfs_list(sysfs, path, &names, &n);
        if (r)
                return r < 0 ? r : 0;
        for (size_t i = 0; i < n; ++i)
                if (text_starts_with(names[i], "pci:", &driver))
                        return text_copy(driver, ret);
        return 0;
}

/* A variant may call its driver as it likes; one that is not loaded yet is taken at its word. */
static int driver_of_module(Sysfs *sysfs, const char *module, char **ret) {
        int r;

        r = module_read_driver(sysfs, module, ret);
        if (r < 0 || *ret)
                return r;
        return text_copy(!strcmp(module, "vfio_pci") ? "vfio-pci" : module, ret);
}

/* The name of the best module, or NULL: a kernel that has vfio-pci built in may know no alias. */
static int find_module(Modules *modules, const char *modalias, char **ret) {
        _cleanup_(strv_freep) char **names = NULL;
        _cleanup_(freep) char *alias = NULL;
        const char *rest, *module = NULL;
        size_t n = 0;
        int r;

        if (!text_starts_with(modalias, "pci:", &rest))
                return -EBADMSG;
        alias = text_format("vfio_pci:%s", rest);
        if (!alias)
                return -ENOMEM;

        r = modules_resolve(modules, alias, false, &names, &n);
        if (r < 0)
                return r;
        for (size_t i = 0; r == 0 && i < n; ++i)
                if (!module || strcmp(names[i], "vfio_pci"))
                        module = names[i];

        return text_copy(module, ret);
}

/* Those of them that are not loaded, vfio_pci first. */
static int list_missing(Sysfs *sysfs, const char *module, const char *driver, char ***ret_modules) {
        _cleanup_(strv_freep) char **missing = calloc(1, sizeof(*missing));
        size_t n = 0;
        int r = 0;

        if (!missing)
                return -ENOMEM;

        if (!driver_is_registered(sysfs, "vfio-pci"))
                r = strv_push(&missing, &n, "vfio_pci");
        if (r >= 0 && strcmp(driver, "vfio-pci") && !driver_is_registered(sysfs, driver))
                r = strv_push(&missing, &n, module);
        if (r < 0)
                return r;

        *ret_modules = TAKE_PTR(missing);
        return 0;
}

/**
 * vfio_driver_find() - find the best vfio driver for a function
 * @modalias:   of the function, "pci:…"; it need not be there
 * @ret_driver: name of the driver, or NULL if this kernel has none; free() it
 * @ret_modules: still to be loaded for it, NULL-terminated, or NULL; strv_free() it.
 *              May be NULL.
 *
 * Return: 0 on success, negative error code on failure.
 */
int vfio_driver_find(Sysfs *sysfs,
                Modules *modules,
                const char *modalias,
                char **ret_driver,
                char ***ret_modules) {
        _cleanup_(freep) char *module = NULL, *driver = NULL;
        int r;

        r = find_module(modules, modalias, &module);
        if (r < 0)
                return r;

        if (module || driver_is_registered(sysfs, "vfio-pci")) {
                r = driver_of_module(sysfs, module ?: "vfio_pci", &driver);
                if (r >= 0 && ret_modules)
                        r = list_missing(sysfs, module ?: "vfio_pci", driver, ret_modules);
                if (r < 0)
                        return r;
        } else if (ret_modules) {
                *ret_modules = NULL;
        }
        *ret_driver = TAKE_PTR(driver);
        return 0;
}
