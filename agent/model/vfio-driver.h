/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The Best VFIO Driver
 *
 * Which driver hands a function out, for a GPU that is to move as for one that is to come.
 */

#include "os/module.h"
#include "os/sysfs.h"

int vfio_driver_find(Sysfs *sysfs,
                Modules *modules,
                const char *modalias,
                char **ret_driver,
                char ***ret_modules) _warn_unused_result_;
