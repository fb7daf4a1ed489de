/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Scan
 *
 * One look through all open files and mappings of all processes.
 */

#include "os/roots.h"
#include "probe/nodes.h"

typedef struct Hit {
        pid_t pid;
        const Node *node; /* NULL: the process could not be looked into */
        bool mapped;      /* no open file, a mapping only */
        int error;        /* positive errno, where @node is NULL */
} Hit;

typedef struct Hits {
        Hit *items;
        size_t n;
} Hits;

#define HITS_NULL \
        {}

int scan_processes(const Roots *roots, const Nodes *nodes, bool deep, Hits *ret)
                _warn_unused_result_;
void hits_deinit(Hits *hits);
