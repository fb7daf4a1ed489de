/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Driver Overrides of a GPU
 *
 * Read in a child, because the attribute may hang behind a stuck driver.
 */

#include "model/gpu.h"

enum {
        _OVERRIDE_E_SUCCESS,

        OVERRIDE_E_LATE, /* the kernel did not answer in time */
};

int gpu_read_overrides(Sysfs *sysfs, const Gpu *gpu, uint64_t limit_usec, char ***ret_overrides)
                _warn_unused_result_;
char **overrides_free(char **overrides, size_t n);
