/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Looking into a Process
 *
 * Which nodes of a GPU it has open, and which mapped.
 */

#include "os/roots.h"
#include "probe/maps.h"
#include "probe/nodes.h"

enum {
        SEEN_OPEN = 1 << 0,
        SEEN_MAPPED = 1 << 1,
};

typedef struct Look {
        int proc_fd;
        const Nodes *nodes;
        const MapsFilter *filter;
        /* of the process at hand */
        pid_t pid;
        bool has_files;      /* at least one */
        int error;           /* positive: something could not be seen, for this reason */
        unsigned char *seen; /* SEEN_*, for each node */
        char buffer[65536];
} Look;

int look_new(int proc_fd, const Nodes *nodes, const MapsFilter *filter, Look **ret)
                _warn_unused_result_;
Look *look_free(Look *look);
DEFINE_CLEANUP(Look, look_free);

int look_at_process(Look *look, pid_t pid) _warn_unused_result_;
