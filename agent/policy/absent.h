/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Absent Cards
 *
 * Cards that are remembered and not there, as an external one before it is plugged in.
 */

#include "model/inventory.h"
#include "os/module.h"
#include "os/roots.h"
#include "record/state.h"

int absent_pin(Roots *roots, Modules *modules, const Inventory *present, const State *state)
                _warn_unused_result_;
