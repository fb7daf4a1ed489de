/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Parking
 *
 * While a module is loaded for one GPU, the idle function of another one that it would bind into a
 * clash (model/clash.h) is kept from all drivers by its override. A GPU that is treated so is
 * locked, whether it moves or stands by, and meanwhile its record says that a move of that
 * function is under way: after a crash, its recovery puts the override back.
 */

#include "model/inventory.h"
#include "switch/move.h"

const char *park_module(Mode to);
int park_find_bystanders(Sysfs *sysfs, Inventory *inventory, Mode to, Gpu *const *gpus, size_t n)
                _warn_unused_result_;
int park_look(Parking *parking) _warn_unused_result_;
int park_begin(Parking *parking, Address loader) _warn_unused_result_;
int park_end(Parking *parking, Address loader) _warn_unused_result_;
