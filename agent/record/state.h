/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The State File
 *
 * Where each GPU was last verified to be, on the root file system. It is the
 * wish for the next boot, and the memory of which card sits at which address.
 */

#include "record/card.h"

typedef struct StateEntry {
        Address address;
        Identity identity;
        Mode mode;
        Card card; /* not known where an older version has written it */
} StateEntry;

typedef struct State {
        StateEntry *entries;
        size_t n_entries;
} State;

#define STATE_NULL \
        {}

enum {
        _STATE_E_SUCCESS,

        STATE_E_MISSING, /* there is no state file */
        STATE_E_INVALID, /* it is damaged, or of a newer version; it was not touched */
};

void state_deinit(State *state);
int state_load(State *state, int etc_fd) _warn_unused_result_;
int state_save(const State *state, int etc_fd) _warn_unused_result_;
int state_remove(int etc_fd) _warn_unused_result_;
int state_set_aside(int etc_fd, char **ret_name) _warn_unused_result_;
const StateEntry *state_find(const State *state, Address gpu);
int state_set(State *state, Address gpu, Identity identity, Mode mode) _warn_unused_result_;
int state_set_gpu(State *state, const Gpu *gpu, Mode mode) _warn_unused_result_;
bool state_forget(State *state, Address gpu);
