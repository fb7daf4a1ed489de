/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Switching
 *
 * The one way in which GPUs change sides. The units, the agent, boot and a rescue shell all
 * come through here.
 */

#include "model/inventory.h"
#include "switch/move.h"

typedef struct SwitchRequest {
        Mode to;
        Gpu **gpus; /* by address, ascending */
        size_t n_gpus;
        Trigger trigger;
        bool allow_display;
        bool transient; /* nothing is remembered: this is for as long as the machine is up */
        bool automatic; /* leave alone every GPU that does not belong there, once it is locked */
} SwitchRequest;

int switch_run(SwitchContext *context, const SwitchRequest *request, SwitchResult *ret)
                _warn_unused_result_;

/* What would happen: moves that are prepared, in the order of the GPUs. */
int switch_preview(SwitchContext *context,
                const SwitchRequest *request,
                Move **ret_moves,
                SwitchResult *ret) _warn_unused_result_;
Move *moves_free(Move *moves, size_t n);
