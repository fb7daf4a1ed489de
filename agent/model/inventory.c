/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/text.h"
#include "model/inventory.h"

#define PCI_CLASS_DISPLAY 0x03U

static int inventory_look_at(Inventory *inventory, Sysfs *sysfs, const char *name) {
        char path[DEVICE_PATH_MAX];
        Gpu gpu, *more;
        uint64_t class;
        Address address;
        int r;

        r = address_parse(name, &address);
        if (r < 0)
                return r;

        /* A device may go while we look; it is not there then. */
        r = sysfs_read_uint(sysfs, device_path(address, "class", path), 16, 0xffffff, &class);
        if (r || class >> 16 != PCI_CLASS_DISPLAY)
                return r < 0 ? r : 0;
        if (!sysfs_exists(sysfs, device_path(address, "physfn", path)))
                ++inventory->n_displays;
        if (address.function != 0)
                return 0;

        r = gpu_init(&gpu, sysfs, address);
        if (r)
                return r < 0 ? r : 0;
        more = reallocarray(inventory->gpus, inventory->n_gpus + 1, sizeof(*more));
        if (!more) {
                gpu_deinit(&gpu);
                return -ENOMEM;
        }
        inventory->gpus = more;
        inventory->gpus[inventory->n_gpus++] = gpu;
        return 0;
}

static int compare_gpus(const void *a, const void *b) {
        return address_compare(((const Gpu *) a)->address, ((const Gpu *) b)->address);
}

/*
 * Find all GPUs; inventory_deinit() it. Return: 0 on success (also if there are none), negative
 * error code on failure.
 */
int inventory_init(Inventory *inventory, Sysfs *sysfs) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n;
        int r;

        *inventory = (Inventory){};

        r = sysfs_list(sysfs, "bus/pci/devices", &names, &n);
        if (r)
                return r < 0 ? r : 0;

        for (size_t i = 0; i < n; ++i) {
                r = inventory_look_at(inventory, sysfs, names[i]);
                if (r < 0) {
                        inventory_deinit(inventory);
                        return r;
                }
        }

        if (inventory->n_gpus > 0)
                qsort(inventory->gpus, inventory->n_gpus, sizeof(*inventory->gpus), compare_gpus);
        for (size_t i = 0; i < inventory->n_gpus; ++i) {
                Gpu *gpu = &inventory->gpus[i];

                gpu->is_boot_display = gpu->functions[0].boot_vga == 1 && inventory->n_displays > 1;
        }
        return 0;
}

void inventory_deinit(Inventory *inventory) {
        for (size_t i = 0; i < inventory->n_gpus; ++i)
                gpu_deinit(&inventory->gpus[i]);
        free(inventory->gpus);
        *inventory = (Inventory){};
}

/* Whether one of the GPUs is in this slot. */
bool inventory_has_slot(const Inventory *inventory, Address address) {
        for (size_t i = 0; i < inventory->n_gpus; ++i)
                if (address_same_slot(inventory->gpus[i].address, address))
                        return true;
        return false;
}

/*
 * Find the GPU that is meant by @selector: an address, with or without domain and function, or
 * "vendor:device". Return: 0 on success, one of INVENTORY_E_* if there is no (single) one.
 */
int inventory_select(Inventory *inventory, Sysfs *sysfs, const char *selector, Gpu **ret) {
        bool by_id, has_function;
        uint16_t vendor, device;
        char path[DEVICE_PATH_MAX];
        Gpu *found = NULL;
        Address address;

        by_id = identity_parse_id(selector, &vendor, &device) == 0;
        if (!by_id && address_parse_loose(selector, &address, &has_function) < 0)
                return INVENTORY_E_INVALID;

        for (size_t i = 0; i < inventory->n_gpus; ++i) {
                Gpu *gpu = &inventory->gpus[i];
                Identity identity = gpu->functions[0].identity;

                if (by_id ? identity.vendor != vendor || identity.device != device
                          : !address_same_slot(gpu->address, address))
                        continue;
                if (found)
                        return INVENTORY_E_AMBIGUOUS;
                found = gpu;
        }
        if (!found && !by_id && sysfs_exists(sysfs, device_path(address, "", path)))
                return INVENTORY_E_NO_GPU;
        if (!found || (!by_id && !gpu_find_function(found, address)))
                return INVENTORY_E_NONE;

        *ret = found;
        return 0;
}
