/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Switching
 *
 * The one way in which GPUs change sides. Everything that switches (the units,
 * the agent, boot, a rescue shell) comes through here.
 */

#include "journal/event.h"
#include "model/inventory.h"
#include "os/module.h"
#include "os/roots.h"
#include "probe/finding.h"
#include "switch/plan.h"

/* The result of a switch, worst last. */
typedef enum SwitchResult {
        SWITCH_DONE,         /* moved and verified, or there already */
        SWITCH_BUSY,         /* refused, nothing written */
        SWITCH_PRECONDITION, /* refused, nothing written */
        SWITCH_FAILED,       /* failed, and rolled back as far as the events tell */
        SWITCH_STUCK,        /* a write did not come back */
} SwitchResult;

typedef struct SwitchRequest SwitchRequest;

/*
 * Asked under the GPU's lock: shall it still move so? It may have moved or be another one, and
 * somebody may have wished for something else, while we waited. Return: 1 if so, 0 if it is to
 * be left alone, negative error code on failure.
 */
typedef int (*SwitchStillFn)(void *userdata, const SwitchRequest *request, const Gpu *gpu);

struct SwitchRequest {
        Mode to;
        Gpu **gpus; /* by address, ascending; all are checked before any is touched */
        size_t n_gpus;
        Trigger trigger;
        bool allow_display;
        bool transient;      /* nothing is remembered: this is for as long as the machine is up */
        bool give_back;      /* to MODE_HOST, and only what is beside the GPU (give-back.h); of any
                              * card, and nothing is remembered or forgotten */
        SwitchStillFn still; /* NULL: it shall */
        void *still_userdata;
};

typedef struct SwitchContext {
        Roots *roots; /* with run_fd, and with etc_fd if the state shall be kept */
        Modules *modules;
        EventFn observer;
        void *observer_userdata;
        bool asked_to_end; /* by a signal during a switch, which was seen through */
} SwitchContext;

int switch_run(SwitchContext *context, const SwitchRequest *request, SwitchResult *ret)
                _warn_unused_result_;

/* What would happen, per GPU. */
typedef struct Preview {
        Plan plan;
        Findings findings; /* what is in the way */
} Preview;

int switch_preview(SwitchContext *context,
                const SwitchRequest *request,
                Preview **ret_previews,
                SwitchResult *ret) _warn_unused_result_;
Preview *previews_free(Preview *previews, size_t n);
