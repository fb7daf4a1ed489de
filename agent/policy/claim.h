/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Claims
 *
 * What another program does to a GPU on purpose. It is part of a decision (policy.h).
 */

#include "policy/policy.h"

void decision_note_claim(Decision *made,
                Sysfs *sysfs,
                const Gpu *gpu,
                const Runtime *runtime,
                char *const *overrides);
int decision_look_for_claim(Decision *made, Sysfs *sysfs, const Gpu *gpu, const Runtime *runtime)
                _warn_unused_result_;
int decision_describe_claim(const Decision *made, const Gpu *gpu, char **ret) _warn_unused_result_;
