/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Display
 *
 * Whether somebody looks at a GPU's picture.
 */

#include "model/gpu.h"
#include "probe/finding.h"

int display_check(Sysfs *sysfs, const Gpu *gpu, Findings *findings) _warn_unused_result_;
