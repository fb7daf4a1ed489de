/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The Kernel's Command Line
 *
 * `vfiopt.mode=`, for the day when the screen stays black: it beats every file.
 */

#include "base/macro.h"

typedef enum KernelMode {
        KERNEL_MODE_NONE, /* it says nothing */
        KERNEL_MODE_HOST,
        KERNEL_MODE_PASSTHROUGH,
        KERNEL_MODE_OFF, /* touch nothing */
        _KERNEL_MODE_MAX,
} KernelMode;

enum {
        _KERNEL_LINE_E_SUCCESS,

        KERNEL_LINE_E_UNKNOWN, /* it says something that we do not know; that counts as off */
};

const char *kernel_mode_to_string(KernelMode mode);
int kernel_line_parse(const char *line, KernelMode *ret, char **ret_unknown) _warn_unused_result_;
int kernel_line_load(int proc_fd, KernelMode *ret, char **ret_unknown) _warn_unused_result_;
