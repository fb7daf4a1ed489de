/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Traces of Others
 *
 * Lines in the files of other programs that explain what a person sees in `status`: a driver that
 * comes first, an override, a card that is not there.
 */

#include "base/json.h"
#include "model/inventory.h"
#include "os/roots.h"
#include "record/state.h"

int traces_print(const Roots *roots, const Gpu *gpu, Mode wish, char *const *overrides)
                _warn_unused_result_;
int traces_push_absent(Json *array, const Inventory *inventory, const State *state)
                _warn_unused_result_;
int traces_print_absent(const Roots *roots, const Inventory *inventory, const State *state)
                _warn_unused_result_;
