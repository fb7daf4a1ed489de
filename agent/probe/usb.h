/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * USB
 *
 * What is plugged into the card's own port.
 */

#include "model/gpu.h"
#include "probe/finding.h"

int usb_check(Sysfs *sysfs, const Gpu *gpu, Findings *findings) _warn_unused_result_;
