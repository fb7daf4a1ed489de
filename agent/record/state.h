/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The State File
 *
 * /etc/vfiopt/state: where each GPU was last verified to be. It is the wish for the next boot,
 * and the memory of which card is plugged in where. A card is known by its location and its ids; the
 * address is where it was then, and counts only where the location is not known. It is read, changed and replaced under
 * lock_take_state(), and never touched when it is not understood: the state of a newer version,
 * or one that an administrator broke while editing, is worth more than ours.
 */

#include "model/inventory.h"

#define STATE_FUNCTIONS_MAX 8U

/* "old:0000:01:00.0" is an entry without a location, where the address may mean another one. */
#define STATE_OLD "old:"

/* Enough of a function to know, while it is not there, what the kernel will say of it. */
typedef struct StateFunction {
        uint8_t number; /* 0 to 7 */
        Identity identity;
        uint32_t class; /* 24 bits */
} StateFunction;

/* Where a remembered card is now, see state_place(). */
typedef enum StatePlace {
        PLACE_UNKNOWN,
        PLACE_FOUND, /* at .now */
        PLACE_MISSING, /* not where it was, nor is another of its model that is not remembered itself */
        PLACE_SIMILAR, /* not where it was, but at .now there is one of its model: itself or not */
} StatePlace;

typedef struct StateEntry {
        Address address;   /* when it was remembered */
        Location location; /* not known in entries of older versions */
        Identity identity;
        Mode mode;
        StateFunction functions[STATE_FUNCTIONS_MAX]; /* by number, ascending */
        size_t n_functions; /* 0: not known, an older version has written the entry */
        /* not in the file */
        StatePlace place;
        Address now;
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

/* What an entry has to do with a GPU. */
typedef enum StateMatch {
        MATCH_NOTHING,
        MATCH_THIS,    /* it is about this card */
        MATCH_OTHER,   /* another card was where this one is, or had its address */
        MATCH_SIMILAR, /* it is about this card or another of the model, which cannot be known */
} StateMatch;

int state_place(State *state, const Roots *roots) _warn_unused_result_;
const StateEntry *state_find(const State *state, const Gpu *gpu, StateMatch *ret);
const StateEntry *state_find_address(const State *state, Address address);
const StateEntry *state_find_other(const State *state, Address address, const StateEntry *entry);
const StateEntry *state_find_old(const State *state, Address address);
const StateEntry *state_find_location(const State *state, const Location *location);
const char *state_entry_name(const State *state,
                const StateEntry *entry,
                char buffer[static LOCATION_STRING_MAX]);
bool state_entry_has_address(const State *state, const StateEntry *entry, const Gpu *there);
int state_set(State *state, const Gpu *gpu, Mode mode) _warn_unused_result_;
void state_forget(State *state, const StateEntry *entry);
bool state_entry_is(const StateEntry *entry, const Gpu *gpu, Mode mode, bool *ret_functions);
bool state_entry_has_moved(const StateEntry *entry, const Gpu *gpu);
const char *state_entry_differs(
                const StateEntry *entry, const Gpu *gpu, char buffer[static IDENTITY_STRING_MAX]);
int state_entry_to_gpu(const StateEntry *entry, Gpu *ret) _warn_unused_result_;
