/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Holders
 *
 * Processes that use a GPU, and who they are.
 */

#include "probe/finding.h"
#include "probe/nodes.h"

int holders_find(int proc_fd, const Gpu *gpu, const Nodes *nodes, Findings *findings)
                _warn_unused_result_;
