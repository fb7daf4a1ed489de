/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Drivers in the Initramfs
 *
 * A driver that the initramfs loads has the GPU before anything of the real root can say where that
 * belongs. Each tool that builds one has its own files to be told so; what they say is for the
 * next build, and an image may be older.
 */

#include "os/roots.h"

typedef struct Initramfs {
        char *where;        /* the line that has the driver in it; NULL: none is known */
        const char *remedy; /* what to do then, or in any case; fit to be typed */
} Initramfs;

#define INITRAMFS_NULL \
        {}

int initramfs_find(const Roots *roots, const char *driver, Initramfs *ret) _warn_unused_result_;
void initramfs_deinit(Initramfs *initramfs);
