/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The Tail of the Journal
 *
 * Our records, from now on, as they come.
 */

#include "cli/record.h"

struct sd_event;

typedef struct Tail Tail;

/* Return: 0 to be told of more, anything else not to be; a negative error code also ends the loop. */
typedef int (*TailFn)(void *userdata, const Record *record);

enum {
        _TAIL_E_SUCCESS,

        TAIL_E_BLIND, /* this user may not read the journal, or there is none */
};

int tail_new(struct sd_event *event, TailFn fn, void *userdata, Tail **ret) _warn_unused_result_;
Tail *tail_free(Tail *tail);
DEFINE_CLEANUP(Tail, tail_free);
