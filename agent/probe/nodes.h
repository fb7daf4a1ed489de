/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Nodes of a GPU
 *
 * Device numbers of which an open file means that somebody uses the GPU.
 */

#include <sys/types.h>

#include "model/gpu.h"

typedef struct Node {
        mode_t type; /* S_IFCHR or S_IFBLK */
        dev_t rdev;
        Address function; /* of ours, which is used through it */
        char *name;       /* below the directory of nodes, like "dri/card0" */
} Node;

typedef struct Nodes {
        Node *items;
        size_t n;
        Address gpu;
        bool has_vfio;     /* some of it is on VFIO */
        bool has_all_vfio; /* … and nothing else is */
} Nodes;

#define NODES_NULL \
        {}

/* building */

void nodes_deinit(Nodes *nodes);
int nodes_add(Nodes *nodes, mode_t type, dev_t rdev, Address function, char *name)
                _warn_unused_result_;
void nodes_sort(Nodes *nodes);

/* looking up, once sorted */

const Node *nodes_find(const Nodes *nodes, mode_t type, dev_t rdev);
const Node *nodes_find_name(const Nodes *nodes, const char *name, size_t n);
const Node *nodes_find_vfio(const Nodes *nodes, const char *path);
