/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Holders
 *
 * The processes that were in the way when a GPU was to move: it is worth trying again when the
 * last of them has ended. (Who only closes its files is told by nobody.)
 */

#include "daemon/vigil.h"
#include "record/gpu-record.h"

typedef struct Holders Holders;
struct sd_event;

/* @fn is called from the loop, once, when all have ended; not if all had when this was called. */
int holders_new(struct sd_event *event,
                const Refusal *refusal,
                VigilFn fn,
                void *userdata,
                Holders **ret) _warn_unused_result_;
Holders *holders_free(Holders *holders);
DEFINE_CLEANUP(Holders, holders_free);
bool holders_have_ended(const Holders *holders);
