/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Clashes
 *
 * nvidia on function 0 while vfio has function 1 of the same card may panic the kernel
 * (KERNEL.md 1.27). A driver that is registered takes every function that is idle and matches, of
 * whatever card, so to load a module for one GPU may make a clash on another.
 */

#include "model/gpu.h"

enum {
        _CLASH_E_SUCCESS,

        CLASH_E_FORESEEN, /* the load would make one */
        CLASH_E_LATE,     /* the kernel did not tell driver_override in time */
};

bool clash_has_id(const char *options, Identity identity);
bool clash_is_possible(Sysfs *sysfs, const char *module);
int clash_foresee(Sysfs *sysfs, Modules *modules, const Gpu *gpu, const char *module, Address *ret)
                _warn_unused_result_;
