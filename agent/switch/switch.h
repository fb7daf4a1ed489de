/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Switching
 *
 * The one way in which GPUs change sides. Everything that switches (the units,
 * the agent, boot, a rescue shell) comes through here.
 */

#include "kernel/module.h"
#include "kernel/roots.h"
#include "model/inventory.h"
#include "record/event.h"
#include "switch/plan.h"

/* The result of a switch, worst last. */
typedef enum SwitchResult {
        SWITCH_DONE,         /* moved and verified, or there already */
        SWITCH_BUSY,         /* refused, nothing written */
        SWITCH_PRECONDITION, /* refused, nothing written */
        SWITCH_FAILED,       /* failed, and rolled back as far as the events tell */
        SWITCH_STUCK,        /* a write did not come back */
} SwitchResult;

typedef struct SwitchRequest {
        Mode to;
        Gpu **gpus; /* all of them are checked before any is touched */
        size_t n_gpus;
        Trigger trigger;
        bool allow_display;
} SwitchRequest;

typedef struct SwitchContext {
        Roots *roots;
        Modules *modules;
        EventFn observer;
        void *observer_userdata;
} SwitchContext;

int switch_run(SwitchContext *context, const SwitchRequest *request, SwitchResult *ret)
                _warn_unused_result_;
int switch_preview(SwitchContext *context,
                const SwitchRequest *request,
                Plan **ret_plans,
                SwitchResult *ret) _warn_unused_result_;
