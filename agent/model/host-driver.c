/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Modules are found by the function's modalias, as udev finds them, but also those that a
 * blacklist names: that is about aliases, and here a person has asked for the host. Which driver
 * a module brings is not written in any index. sysfs tells once it is loaded; before, the few
 * names are known that differ.
 */

#include <string.h>

#include "base/text.h"
#include "model/host-driver.h"

/* Of functions of NVIDIA's cards. Others are called as their modules are. */
static const struct {
        const char *module;
        const char *driver;
} renamed[] = {
        { "i2c_nvidia_gpu", "nvidia-gpu" },
        { "snd_hda_intel", "snd_hda_intel" },
        { "xhci_pci", "xhci_hcd" },
};

/* Where the kernel tells of no module: the drivers of the functions that cards have, built in. */
static const struct {
        uint32_t class; /* with the interface, as far as .mask goes */
        uint32_t mask;
        const char *driver;
} by_class[] = {
        { 0x040300, 0xffff00, "snd_hda_intel" },
        { 0x0c0330, 0xffffff, "xhci_hcd" },
        { 0x0c8000, 0xffff00, "nvidia-gpu" },
};

/* For the display function, best first. */
static const char *const display_modules[] = { "nvidia", "nouveau", "nova_core" };

void host_drivers_deinit(HostDrivers *drivers) {
        for (size_t i = 0; i < drivers->n; ++i) {
                free(drivers->items[i].driver);
                free(drivers->items[i].module);
                obstacle_deinit(&drivers->items[i].obstacle);
        }
        free(drivers->items);
        *drivers = (HostDrivers) HOST_DRIVERS_NULL;
}

/*
 * Modules that have the alias of a function and are no driver of the host for it: those that hand
 * it out, and those that come with NVIDIA's driver and use it. nvidiafb is older than all of its
 * cards here. A line of modprobe.d may give any module any alias.
 */
static bool is_for_another_purpose(const char *module) {
        static const char *const others[] = { "_drm", "_modeset", "_uvm", "_peermem", "_fs" };

        if (!strcmp(module, "pci_stub") || !strcmp(module, "xen_pciback") ||
                        !strcmp(module, "nvidiafb") || strstr(module, "vfio"))
                return true;
        for (size_t i = 0; text_starts_with(module, "nvidia", NULL) && i < ARRAY_SIZE(others); ++i)
                if (text_ends_with(module, others[i]))
                        return true;
        return false;
}

/* NVIDIA's driver is "nvidia" whatever a distribution calls the module, as nvidia_current. */
static const char *known_driver(const char *module) {
        if (text_starts_with(module, "nvidia", NULL) && !is_for_another_purpose(module))
                return "nvidia";
        if (!strcmp(module, "nouveau"))
                return "nouveau";
        for (size_t i = 0; i < ARRAY_SIZE(renamed); ++i)
                if (!strcmp(module, renamed[i].module))
                        return renamed[i].driver;
        return NULL;
}

/* a search */

typedef struct HostSearch {
        const Roots *roots;
        Modules *modules;
        HostDrivers drivers;
        char **allowed; /* what udev would load for it: no blacklist names it */
} HostSearch;

static bool has_driver(const HostSearch *search, const char *driver) {
        for (size_t i = 0; i < search->drivers.n; ++i)
                if (!strcmp(search->drivers.items[i].driver, driver))
                        return true;
        return false;
}

static bool has_module(const HostSearch *search, const char *module) {
        for (size_t i = 0; i < search->drivers.n; ++i)
                if (search->drivers.items[i].module &&
                                !strcmp(search->drivers.items[i].module, module))
                        return true;
        return false;
}

static bool is_allowed(const HostSearch *search, const char *module) {
        for (char *const *name = search->allowed; name && *name; ++name)
                if (!strcmp(*name, module))
                        return true;
        return false;
}

static int push(HostSearch *search, const char *driver, const char *module, bool is_guess) {
        HostDrivers *drivers = &search->drivers;
        HostDriver *more;
        int r;

        more = reallocarray(drivers->items, drivers->n + 1, sizeof(*more));
        if (!more)
                return -ENOMEM;
        drivers->items = more;
        more += drivers->n++;
        *more = (HostDriver){ .is_guess = is_guess };
        r = text_copy(driver, &more->driver);
        if (r >= 0)
                r = text_copy(module, &more->module);
        if (r >= 0 && module)
                r = obstacle_find(search->roots, search->modules, module, &more->obstacle);
        return r;
}

/* A driver that is there already. */
static int add_driver(HostSearch *search, const char *driver) {
        if (!driver_is_registered(search->roots->sysfs, driver) || has_driver(search, driver))
                return 0;
        return push(search, driver, NULL, false);
}

/*
 * The driver of a module. One that a blacklist names is not loaded in place of another one that
 * fails or is kept from loading, only where there is no other.
 */
static int add_module(HostSearch *search, const char *module) {
        _cleanup_(freep) char *loaded = NULL;
        const char *driver;
        int r;

        if (is_for_another_purpose(module) || has_module(search, module))
                return 0;
        r = module_read_driver(search->roots->sysfs, module, &loaded);
        if (r < 0)
                return r;
        driver = loaded ?: known_driver(module) ?: module;
        if (driver_is_registered(search->roots->sysfs, driver))
                return add_driver(search, driver);
        if (has_driver(search, driver) || (search->drivers.n > 0 && !is_allowed(search, module)))
                return 0;
        return push(search, driver, module, !loaded && !known_driver(module));
}

/* Those of @names whose driver is @driver; NULL: all. */
static int add_modules(HostSearch *search, char *const *names, const char *driver) {
        int r = 0;

        for (; r >= 0 && names && *names; ++names)
                if (!driver || !strcmp(known_driver(*names) ?: *names, driver))
                        r = add_module(search, *names);
        return r;
}

/* A module may have its name for its only alias. */
static int add_by_name(HostSearch *search, const char *name) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n;
        int r;

        r = modules_resolve(search->modules, name, true, &names, &n);
        return r ? (r < 0 ? r : 0) : add_modules(search, names, NULL);
}

static int search_display(HostSearch *search, char *const *names) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(display_modules); ++i) {
                r = add_driver(search, display_modules[i]);
                if (r >= 0)
                        r = add_modules(search, names, display_modules[i]);
                if (r >= 0 && !has_driver(search, display_modules[i]))
                        r = add_by_name(search, display_modules[i]);
        }
        return r < 0 ? r : add_modules(search, names, NULL);
}

static int search_sibling(HostSearch *search, const Device *device, char *const *names) {
        int r;

        r = add_modules(search, names, NULL);
        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(by_class); ++i)
                if ((device->class & by_class[i].mask) == by_class[i].class)
                        r = add_driver(search, by_class[i].driver);
        return r;
}

/* The module that is known to bring a driver, if it is still there. */
static int add_known(HostSearch *search, const char *driver, const char *module) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n;
        int r;

        r = modules_resolve(search->modules, module, true, &names, &n);
        return r ? (r < 0 ? r : 0) : push(search, driver, names[0], false);
}

/* Where it was before, if that can still be had. */
static int search_first(
                HostSearch *search, char *const *names, const char *first, const char *module) {
        int r;

        r = add_modules(search, names, first);
        if (r >= 0 && !has_driver(search, first) && module)
                r = add_known(search, first, module);
        if (r >= 0 && !has_driver(search, first))
                r = add_by_name(search, first);
        return r;
}

/**
 * host_drivers_find() - find the drivers of the host for a function
 * @roots:      where drivers are registered, and where modules' obstacles are
 * @modules:    index of modules
 * @device:     the function
 * @first:      the driver that it had before, or NULL
 * @first_module: the module that it was in, or NULL where that is not known
 * @ret:        best first, each driver once, also those whose module would not load;
 *              host_drivers_deinit() it. None if none is known
 *
 * Of a sibling, a driver that it had before, and that is still there, is the only one, as is one
 * that it has now. That is the usual case, and needs no index of modules.
 *
 * Return: 0 on success, negative error code on failure.
 */
int host_drivers_find(const Roots *roots,
                Modules *modules,
                const Device *device,
                const char *first,
                const char *first_module,
                HostDrivers *ret) {
        _cleanup_(strv_freep) char **names = NULL, **allowed = NULL;
        HostSearch search = { .roots = roots, .modules = modules };
        size_t n;
        int r;

        r = first ? add_driver(&search, first) : 0;
        if (r == 0 && search.drivers.n > 0 &&
                        (device->address.function != 0 ||
                                        (device->driver && !strcmp(device->driver, first)))) {
                *ret = search.drivers;
                return 0;
        }
        if (r == 0)
                r = modules_resolve(modules, device->modalias, true, &names, &n);
        if (r == 0)
                r = modules_resolve(modules, device->modalias, false, &allowed, &n);
        search.allowed = allowed;
        if (r >= 0 && first)
                r = search_first(&search, names, first, first_module);
        if (r >= 0)
                r = device->address.function == 0 ? search_display(&search, names)
                                                  : search_sibling(&search, device, names);
        if (r < 0) {
                host_drivers_deinit(&search.drivers);
                return r;
        }
        *ret = search.drivers;
        return 0;
}
