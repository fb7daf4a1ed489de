/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The Kernel's Command Line
 *
 * `vfiopt.mode=`, for the day when the screen stays black: it beats every file.
 */

#include "model/gpu.h"

typedef struct KernelLine {
        bool is_set;
        Mode mode;     /* MODE_UNSET: off, nothing is touched */
        char *unknown; /* the value, if it is not understood, which counts as off; or NULL */
} KernelLine;

#define KERNEL_LINE_NULL \
        {}

int kernel_line_parse(const char *line, KernelLine *ret) _warn_unused_result_;
int kernel_line_load(int proc_fd, KernelLine *ret) _warn_unused_result_;
void kernel_line_deinit(KernelLine *kernel);
