/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Pre-flight
 *
 * Everything that has to be known before the first write: unbind never discovers.
 * Preconditions are facts which waiting does not change; holders are uses of the GPU,
 * which may end, and which are looked for once more right before the first unbind.
 * What is not known counts as busy.
 */

#include "model/display.h"
#include "model/gpu.h"
#include "os/roots.h"
#include "probe/finding.h"

typedef struct PreflightInput {
        Roots *roots;
        const Gpu *gpu;
        Mode to;
        const Gpu *const *moving; /* all GPUs that move together, @gpu included */
        size_t n_moving;
        const Displays *displays; /* of this moment; NULL: looked at anew */
        bool allow_display;       /* the user gives up the boot display, or a lit one */
        bool is_passive; /* nothing is woken up, and no node opened: what only that tells is left out */
        uint64_t wake_usec; /* how long a GPU that sleeps may take to wake up; 0: ten seconds */
} PreflightInput;

int preflight_preconditions(const PreflightInput *input, Findings *findings) _warn_unused_result_;
int preflight_is_leaving(int proc_fd, const Gpu *gpu, bool *ret) _warn_unused_result_;
int preflight_holders(const PreflightInput *input, Findings *findings) _warn_unused_result_;
int preflight_holders_of_all(const PreflightInput *inputs, size_t n, Findings *const findings[])
                _warn_unused_result_;
