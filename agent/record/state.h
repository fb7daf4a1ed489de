/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The State File
 *
 * /etc/vfiopt/state: where each GPU was last verified to be. It is the wish for the next boot,
 * and the memory of which card sits at which address. It is read, changed and replaced under
 * lock_take_state(), and never touched when it is not understood: the state of a newer version,
 * or one that an administrator broke while editing, is worth more than ours.
 */

#include "model/gpu.h"

#define STATE_FUNCTIONS_MAX 8U

/* Enough of a function to know, while it is not there, what the kernel will say of it. */
typedef struct StateFunction {
        uint8_t number; /* 0 to 7 */
        Identity identity;
        uint32_t class; /* 24 bits */
} StateFunction;

typedef struct StateEntry {
        Address address;
        Identity identity;
        Mode mode;
        StateFunction functions[STATE_FUNCTIONS_MAX]; /* by number, ascending */
        size_t n_functions; /* 0: not known, an older version has written the entry */
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
        STATE_E_INVALID, /* it is damaged, or of a newer version */
};

void state_deinit(State *state);
int state_load(State *state, int etc_fd) _warn_unused_result_;
int state_save(const State *state, int etc_fd) _warn_unused_result_;
int state_set_aside(int etc_fd, const char **ret_name) _warn_unused_result_;

/* entries */

const StateEntry *state_find(const State *state, Address gpu);
int state_set(State *state, const Gpu *gpu, Mode mode) _warn_unused_result_;
bool state_forget(State *state, Address gpu);
bool state_entry_is(const StateEntry *entry, const Gpu *gpu, Mode mode, bool *ret_functions);
bool state_has_other_card(
                const State *state, const Gpu *gpu, char ret_id[static IDENTITY_STRING_MAX]);
int state_describe_other_card(const State *state, const Gpu *gpu, char **ret) _warn_unused_result_;
int state_entry_to_gpu(const StateEntry *entry, Gpu *ret) _warn_unused_result_;
