/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Group Check
 *
 * Whether the IOMMU lets a GPU go to a guest without anybody else's device.
 */

#include "model/gpu.h"
#include "probe/finding.h"

int group_check(Sysfs *sysfs,
                const Gpu *gpu,
                const Gpu *const *moving,
                size_t n_moving,
                Findings *findings) _warn_unused_result_;
