/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Drivers of the Host
 *
 * Which drivers a function may be bound to on the host, best first, whoever has it now. A driver
 * that is not there yet comes with a module, and perhaps with what stands in that module's way.
 */

#include "model/device.h"
#include "os/obstacle.h"

typedef struct HostDriver {
        char *driver;
        bool is_guess;     /* until the module is loaded, the driver is called as it */
        char *module;      /* to be loaded for it first; NULL: it is registered */
        Obstacle obstacle; /* to that module */
} HostDriver;

typedef struct HostDrivers {
        HostDriver *items;
        size_t n;
} HostDrivers;

#define HOST_DRIVERS_NULL \
        {}

int host_drivers_find(const Roots *roots,
                Modules *modules,
                const Device *device,
                const char *first,
                const char *first_module,
                HostDrivers *ret) _warn_unused_result_;
void host_drivers_deinit(HostDrivers *drivers);
