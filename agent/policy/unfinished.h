/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Unfinished Switches
 *
 * A switch that was cut off, or whose write came back too late, waits for the next one to
 * finish or undo it (switch/recover.h). Who carries out the policy is that next one, even
 * for a GPU that nobody wishes to be anywhere.
 */

#include "model/gpu.h"
#include "os/roots.h"

int unfinished_rest(const Roots *roots, const Gpu *gpu, bool *ret, Mode *ret_back)
                _warn_unused_result_;
int unfinished_look(const Roots *roots, const Gpu *gpu, bool *ret_unfinished, Mode *ret_back)
                _warn_unused_result_;
