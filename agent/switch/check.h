/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Checks
 *
 * Everything that is looked at before a GPU is touched, from all sides: the
 * hardware and its users (probe), and what we remember of it (record).
 */

#include "probe/preflight.h"
#include "switch/switch.h"

int check(SwitchContext *context, const PreflightInput *input, bool give_back, Findings *findings)
                _warn_unused_result_;
int check_stuck(SwitchContext *context, const Gpu *gpu, Findings *findings) _warn_unused_result_;
SwitchResult check_result(const Findings *findings);
