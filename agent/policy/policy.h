/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Policy
 *
 * Where a GPU belongs when nobody says so right now: by the kernel's command line, the
 * configuration, the state file and what its record says, together. The agent, its jobs and
 * `status` all ask here.
 */

#include "model/inventory.h"
#include "os/module.h"
#include "record/config.h"
#include "record/runtime.h"
#include "record/state.h"

typedef struct Policy {
        KernelLine kernel;
        Config config;
        State state;
        int state_problem; /* 0, STATE_E_INVALID, or the negative errno of reading it */
        bool outdated;     /* a version before this one has left records in this boot */
} Policy;

#define POLICY_NULL \
        {}

/* Who says so. */
typedef enum PolicySource {
        POLICY_NOBODY,
        POLICY_KERNEL_LINE,
        POLICY_CONFIG,
        POLICY_STATE,
        POLICY_PERSON, /* who has moved it in this boot */
        POLICY_DEFAULT,
        POLICY_INTERRUPTED, /* nobody; it goes back to where an interrupted move began */
        POLICY_OTHER_CARD,  /* another card was where it is: nothing applies to it */
        POLICY_UNSURE,      /* it is not known whether what is said is about it */
        POLICY_UNKNOWN,     /* a file that may say something about it is not understood */
        _POLICY_MAX,
} PolicySource;

typedef struct Decision {
        Mode mode; /* MODE_UNSET: it is left alone */
        PolicySource source;
        bool interrupted; /* a move of it has to be finished or undone, wherever it belongs */
        bool claimed;     /* another program has got it, or is about to: it stays until that ends */
        FunctionSet claims; /* the functions whose driver_override says so; 0: their drivers do */
} Decision;

typedef enum DecisionFlags {
        DECISION_AT_BOOT = 1 << 0, /* the machine has just come up */
        DECISION_LOCKED = 1 << 1,  /* the lock of the GPU is ours */
} DecisionFlags;

/* Called for each complaint, in words and without a full stop. */
typedef void (*PolicyComplaintFn)(void *userdata, bool is_warning, const char *complaint);

int policy_load(Policy *policy, const Roots *roots) _warn_unused_result_;
void policy_deinit(Policy *policy);
void policy_complain(const Policy *policy, Sysfs *sysfs, PolicyComplaintFn fn, void *userdata);
int policy_boot_is_due(const Roots *roots) _warn_unused_result_;

/* GPUs */

bool policy_manages(const Policy *policy, const Gpu *gpu);
bool policy_follows(const Policy *policy, const Gpu *gpu);
Decision policy_wish(const Policy *policy, const Gpu *gpu, const Runtime *runtime, bool at_boot);
Decision policy_decide(
                const Policy *policy, const Gpu *gpu, const Runtime *runtime, unsigned int flags);
bool policy_allows_display(const Policy *policy, const Gpu *gpu);
int policy_describe_card(const Policy *policy, const Gpu *gpu, char **ret) _warn_unused_result_;
bool policy_keeps_display(const Policy *policy, Sysfs *sysfs, const Gpu *gpu, const Decision *made);

/* for the next boot, and the next plug */

enum {
        _MODULES_LOAD_E_SUCCESS,

        MODULES_LOAD_E_SAME, /* it was like that already */
};

int modules_load_update(const Roots *roots) _warn_unused_result_;
int unplugged_pin(Roots *roots, Modules *modules, const Inventory *present, const State *state)
                _warn_unused_result_;
