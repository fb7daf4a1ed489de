/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Committing
 *
 * After a GPU was verified to be where it was to go: this is where it is wished to be.
 */

#include "switch/switch.h"

enum {
        _COMMIT_E_SUCCESS,

        COMMIT_E_PENDING, /* for as long as the machine is up; the state file cannot be written */
};

int commit(SwitchContext *context,
                const Gpu *gpu,
                Mode mode,
                bool transient,
                char **ret_aside,
                int *ret_error) _warn_unused_result_;
