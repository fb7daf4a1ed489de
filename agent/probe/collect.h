/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Collecting Nodes
 *
 * Which nodes there are of a GPU, at this moment.
 */

#include "os/roots.h"
#include "probe/nodes.h"

int collect_nodes(Nodes *nodes, const Roots *roots, const Gpu *gpu, Mode to) _warn_unused_result_;
