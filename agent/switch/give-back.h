/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Giving Back
 *
 * The host gets back what was reserved of a card for another one (policy/judge.h). That is a
 * switch like any other, but it is not about the GPU itself.
 */

#include "model/gpu.h"

bool give_back_is_moot(Sysfs *sysfs, const Gpu *gpu, char *const *overrides);
int give_back_look(Sysfs *sysfs, const Gpu *gpu, bool *ret) _warn_unused_result_;
int give_back_drop(int run_fd, const Gpu *gpu) _warn_unused_result_;
