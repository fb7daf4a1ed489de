/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Unplugged Cards
 *
 * Cards that are remembered and not there, as an external one before it is plugged in. Pins
 * do not survive a reboot, and nothing moves a card that is not there, which would set them
 * anew. Without them its first driver is the host's, which may never let go again.
 */

#include "model/inventory.h"
#include "os/module.h"
#include "os/roots.h"
#include "record/state.h"

int unplugged_pin(Roots *roots, Modules *modules, const Inventory *present, const State *state)
                _warn_unused_result_;
