/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Walking a Device's Subtree
 *
 * Everything that the kernel made below one device, directory by directory.
 */

#include "os/sysfs.h"

/*
 * Called for each directory that has at least one of the wanted attributes.
 * @path is relative to the root of the tree, @found has bit i set for wanted
 * attribute i. Anything but 0 ends the walk, and is its result.
 */
typedef int (*WalkFn)(void *userdata, const char *path, const char *name, unsigned int found);

int walk_subtree(Sysfs *sysfs,
                const char *top,
                const char *const *wanted,
                size_t n_wanted,
                WalkFn fn,
                void *userdata) _warn_unused_result_;
