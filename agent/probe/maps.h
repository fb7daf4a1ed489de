/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Maps
 *
 * /proc/<pid>/maps as text, line by line.
 */

#include "base/macro.h"

/* One mapping of a file that could be a device. */
typedef struct Mapping {
        const char *range; /* "start-end" in hexadecimal, the name in map_files */
        size_t n_range;
        const char *path; /* as the kernel prints it, without " (deleted)" */
        size_t n_path;
} Mapping;

bool maps_parse_line(const char *line, size_t n, Mapping *ret);
