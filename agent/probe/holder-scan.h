/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Scan for Holders: the processes that use some GPUs, by one look through all of them. */

#include "os/roots.h"
#include "probe/devnodes.h"
#include "probe/finding.h"

int holders_find(const Roots *roots,
                DevNodes *sets,
                size_t n_sets,
                bool deep,
                Findings *const findings[]) _warn_unused_result_;
