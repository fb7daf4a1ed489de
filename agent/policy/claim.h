/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Claims
 *
 * What another program does to a GPU on purpose. It is part of a decision (policy.h).
 */

#include "policy/policy.h"

int decision_note_claim(Decision *made,
                const Roots *roots,
                const Gpu *gpu,
                const Runtime *runtime,
                char *const *overrides) _warn_unused_result_;
int decision_look_for_claim(Decision *made,
                const Roots *roots,
                const Gpu *gpu,
                const Runtime *runtime,
                pid_t *ret_reader) _warn_unused_result_;
int decision_describe_claim(const Decision *made, const Gpu *gpu, char **ret) _warn_unused_result_;
int policy_look_and_decide(const Policy *policy,
                const Roots *roots,
                const Gpu *gpu,
                unsigned int flags,
                Decision *ret) _warn_unused_result_;
