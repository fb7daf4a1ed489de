/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Holders
 *
 * Processes that use a GPU, and who they are.
 */

#include "os/roots.h"
#include "probe/finding.h"
#include "probe/nodes.h"

int holders_find(const Roots *roots,
                const Gpu *gpu,
                const Nodes *nodes,
                bool deep,
                Findings *findings) _warn_unused_result_;
