/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Automatic Moves
 *
 * Where the policy wants a GPU: asked before it is locked, and again behind that.
 */

#include "cli/cli.h"
#include "policy/judge.h"
#include "switch/switch.h"

int automatic_judge(const Policy *policy, const Cli *cli, const Gpu *gpu, Judgement *ret)
                _warn_unused_result_;
int automatic_still(void *cli, const SwitchRequest *request, const Gpu *gpu) _warn_unused_result_;
