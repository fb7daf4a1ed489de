/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Tools of a Machine
 *
 * Programs that a machine has for its own boot files: generators, and such that only look. They run
 * as on that machine: chrooted into it where it is not this one, found in its own directories, with a
 * fixed environment and fixed arguments. No shell is between.
 */

#include "base/text.h"

enum {
        _TOOL_E_SUCCESS,

        TOOL_E_MISSING, /* the machine has no such program */
        TOOL_E_FAILED,  /* it did not end with 0; the output is what it said */
};

int tool_find(int root_fd, const char *name, char **ret_path) _warn_unused_result_;
int tool_run(int root_fd, bool is_here, char *const *argv, Text *output, int *ret_status)
                _warn_unused_result_;
