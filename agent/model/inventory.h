/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Inventory
 *
 * All NVIDIA GPUs of this machine, and which of them somebody means.
 */

#include "model/display.h"
#include "model/gpu.h"

typedef struct Inventory {
        Gpu *gpus; /* by address, ascending */
        size_t n_gpus;
        Displays displays; /* of all vendors, these GPUs included */
} Inventory;

enum {
        _INVENTORY_E_SUCCESS,

        INVENTORY_E_INVALID,   /* neither an address nor an id */
        INVENTORY_E_NONE,      /* no GPU there, or none with this id */
        INVENTORY_E_NO_GPU,    /* there is a device at the address, but it is no NVIDIA GPU */
        INVENTORY_E_AMBIGUOUS, /* several GPUs have this id */
};

int inventory_init(Inventory *inventory, const Roots *roots) _warn_unused_result_;
void inventory_deinit(Inventory *inventory);
bool inventory_has_slot(const Inventory *inventory, Address address);
int inventory_select(Inventory *inventory, Sysfs *sysfs, const char *selector, Gpu **ret)
                _warn_unused_result_;
