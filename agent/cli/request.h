/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Selections
 *
 * Which GPUs shall go where: what `MODE [GPU…]` means on this machine. MODE may be an instance of
 * vfiopt@.service (instance.h), which any user may have asked the manager for: nothing is
 * guessed.
 */

#include "cli/cli.h"
#include "model/inventory.h"
#include "policy/policy.h"
#include "switch/switch.h"

typedef struct Target {
        Gpu *gpu;
        Mode to;
        FunctionSet functions; /* see SwitchRequest; if not all, it has a set of its own */
        size_t set; /* less than .n_targets; those with the same number are one request */
} Target;

typedef struct Selection {
        Inventory inventory;
        Policy policy;
        Target *targets; /* by address, ascending; each GPU once; at least one, unless .automatic */
        size_t n_targets;
        Gpu **strangers; /* with .automatic: another card is remembered at their address; left alone */
        size_t n_strangers;
        bool all; /* no GPU was named: these are the managed ones */
        bool toggle;
        bool automatic; /* each GPU goes where the policy wants it, if it wants anything */
        Mode to;        /* unless .toggle or .automatic */
} Selection;

#define SELECTION_NULL \
        {}

/* Return: 0, an exit code after having reported why, or a negative error code. */
int selection_init(Selection *selection, Cli *cli) _warn_unused_result_;
void selection_deinit(Selection *selection);
int selection_refuse_gpu(int why, const char *word);
int policy_read(Policy *policy, const Cli *cli) _warn_unused_result_;
int selection_ask(const Selection *selection, size_t set, Mode to, SwitchRequest *request)
                _warn_unused_result_;
