/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Targets
 *
 * The GPUs of one request, where each shall go, and which of them depend on each other.
 */

#include "policy/policy.h"

/* A GPU that is to move. */
typedef struct Target {
        Gpu *gpu;
        Mode to;    /* MODE_UNSET: it stays, for what policy_describe_card() says */
        size_t set; /* below Targets.n; those of one set are checked before any of them moves */
} Target;

typedef struct Targets {
        Target *items; /* each GPU once */
        size_t n;
} Targets;

#define TARGETS_NULL \
        {}

void targets_deinit(Targets *targets);
int targets_add(Targets *targets, Gpu *gpu, Mode to) _warn_unused_result_;
int targets_add_decided(Targets *targets,
                const Policy *policy,
                const Roots *roots,
                Gpu *gpu,
                unsigned int flags,
                Inventory *inventory) _warn_unused_result_;
void targets_arrange(Targets *targets, bool one_set);
