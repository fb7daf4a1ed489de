/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The Kernel's Command Line
 *
 * `vfiopt.mode=` beats every file: it is for the day when the screen stays black. So a
 * value with a typing error means "touch nothing", and not what the files say.
 *
 * The line is split as the kernel does it (lib/cmdline.c: next_arg()), so that it means
 * the same to both: blanks separate parameters, unless within double quotes; quotes around
 * a parameter or its value are not part of it; what follows "--" is for init.
 */

#include "model/gpu.h"

typedef struct KernelLine {
        bool is_set;
        Mode mode;     /* MODE_UNSET: off, nothing is touched */
        char *unknown; /* a value that is not understood and counts as off, or NULL */
} KernelLine;

#define KERNEL_LINE_NULL \
        {}

int kernel_line_load(int proc_fd, KernelLine *ret) _warn_unused_result_;
void kernel_line_deinit(KernelLine *kernel);
