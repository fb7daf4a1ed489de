/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Nodes of a GPU
 *
 * All device numbers of which an open file means that somebody uses the GPU.
 */

#include <sys/types.h>

#include "kernel/roots.h"
#include "model/gpu.h"

typedef struct Node {
        mode_t type; /* S_IFCHR or S_IFBLK */
        dev_t rdev;
        Address function; /* of ours, which is used through it */
        char *name;       /* below the directory of nodes, like "dri/card0" */
} Node;

typedef struct Nodes {
        Node *items; /* by type and number, each once */
        size_t n;
        /*
         * An open device of VFIO is a file without any node. Where all that VFIO has
         * belongs to this GPU, such a file must be of this one: .items[vfio] stands
         * for it. -1: there is none, or it cannot be told.
         */
        ssize_t vfio;
} Nodes;

#define NODES_NULL \
        { .vfio = -1 }

int nodes_init(Nodes *nodes, const Roots *roots, const Gpu *gpu, Mode to) _warn_unused_result_;
void nodes_deinit(Nodes *nodes);
const Node *nodes_find(const Nodes *nodes, mode_t type, dev_t rdev);
const Node *nodes_find_name(const Nodes *nodes, const char *name, size_t n);
