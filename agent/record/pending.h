/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Pending Wishes
 *
 * Where somebody has moved a GPU since the machine came up, if that could not be written into
 * the state file, or something else would be heard before it. Kept in /run, as a state file
 * of its own.
 */

#include "record/state.h"

enum {
        _PENDING_E_SUCCESS,

        PENDING_E_INVALID, /* what is there is no use; the next one who moves a GPU replaces it */
};

int pending_load(State *pending, int run_fd) _warn_unused_result_;
int pending_set(int run_fd, Address gpu, Identity identity, Mode mode) _warn_unused_result_;
int pending_clear(int run_fd, Address gpu) _warn_unused_result_;
