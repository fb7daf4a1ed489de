/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reading the Policy
 *
 * Load it, and tell what is wrong with its files.
 */

#include "cli/cli.h"
#include "policy/policy.h"

int policy_read(Policy *policy, const Cli *cli) _warn_unused_result_;
