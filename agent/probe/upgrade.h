/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Upgrades of NVIDIA's Driver
 *
 * Its module stays in the kernel as long as it is used, whatever is on disk by now.
 */

#include "os/module.h"
#include "os/roots.h"

enum {
        _UPGRADE_E_SUCCESS,

        UPGRADE_E_NONE, /* what is on disk is what is loaded */
};

int upgrade_find(const Roots *roots,
                Modules *modules,
                const char *modalias,
                char **ret_loaded,
                char **ret_on_disk) _warn_unused_result_;
