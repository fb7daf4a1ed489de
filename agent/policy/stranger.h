/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Strangers
 *
 * Another card sits where we remember one. What was said of that one is not said of this.
 */

#include "probe/finding.h"
#include "record/state.h"

int stranger_find(const State *state, const Gpu *gpu, Findings *findings) _warn_unused_result_;
int stranger_tell(const State *state, const Gpu *gpu, char **ret_reason) _warn_unused_result_;
