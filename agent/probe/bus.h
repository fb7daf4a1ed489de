/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bus Check
 *
 * Whether a GPU still answers, and did so all along.
 */

#include "model/gpu.h"
#include "os/roots.h"
#include "probe/finding.h"

int bus_check(Sysfs *sysfs, const Gpu *gpu, uint64_t limit_usec, Findings *findings)
                _warn_unused_result_;
int bus_check_log(int dev_fd, const Gpu *gpu, Findings *findings) _warn_unused_result_;
