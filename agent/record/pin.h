/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Pins
 *
 * What udev's rule is to do with a function that appears, as data that the rule
 * imports: the driver to set as its driver_override, the alias of the modules to load, and no alias of
 * its own.
 *
 * A file per function, named after its address and its ids, as udev's rule has them from
 * the kernel's uevent: so another card at the address has no pin. The format is that of
 * IMPORT{file} (udev(7)). rules.d/70-vfiopt.rules is its reader.
 */

#include "model/gpu.h"

int pins_set(int run_fd, const Gpu *gpu, const char *vfio_driver, bool keeps_awake)
                _warn_unused_result_;
int pins_clear(int run_fd, const Gpu *gpu) _warn_unused_result_;
int pins_test(int run_fd, const Gpu *gpu, bool *ret) _warn_unused_result_;
int pins_clear_slot(int run_fd, Address address) _warn_unused_result_;
