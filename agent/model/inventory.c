/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/text.h"
#include "model/inventory.h"

static int add_gpu(Inventory *inventory, Sysfs *sysfs, Address address) {
        Gpu gpu, *more;
        int r;

        /* A device may go while we look; it is not there then. */
        r = gpu_init(&gpu, sysfs, address);
        if (r)
                return r < 0 ? r : 0;
        gpu.boots_machine = displays_boot_on(&inventory->displays, address);
        gpu.is_boot_display = gpu.boots_machine && inventory->displays.n > 1;
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
int inventory_init(Inventory *inventory, const Roots *roots) {
        int r;

        *inventory = (Inventory){};

        r = displays_init(&inventory->displays, roots);
        for (size_t i = 0; i < inventory->displays.n && r >= 0; ++i) {
                Address address = inventory->displays.items[i].address;

                if (address.function == 0)
                        r = add_gpu(inventory, roots->sysfs, address);
        }
        if (r < 0) {
                inventory_deinit(inventory);
                return r;
        }

        if (inventory->n_gpus > 0)
                qsort(inventory->gpus, inventory->n_gpus, sizeof(*inventory->gpus), compare_gpus);
        return 0;
}

void inventory_deinit(Inventory *inventory) {
        for (size_t i = 0; i < inventory->n_gpus; ++i)
                gpu_deinit(&inventory->gpus[i]);
        free(inventory->gpus);
        displays_deinit(&inventory->displays);
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
