/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * IOMMU Groups
 *
 * Whether a guest could own the groups of a GPU, and what is in the way.
 */

#include "probe/preflight.h"

int group_check(const PreflightInput *input, Findings *findings) _warn_unused_result_;
