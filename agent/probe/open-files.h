/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Open Files: which nodes of some GPUs one process has open, and which mapped. */

#include "os/roots.h"
#include "probe/devnodes.h"

enum {
        SEEN_OPEN = 1 << 0,
        SEEN_MAPPED = 1 << 1,
};

typedef struct OpenFiles {
        int proc_fd;
        const DevNodes *sets; /* one for each GPU */
        size_t n_sets;
        size_t *firsts;  /* of the nodes of each set, where they begin in .seen; and their number */
        bool has_vfio;   /* some of them are VFIO's */
        bool deep;       /* look for private mappings, too */
        dev_t nodes_fs;  /* the file system of device nodes, or 0: not known, so filter less */
        dev_t memory_fs; /* that of shared memory, which has no nodes; likewise */
        /* of the process looked at last */
        pid_t pid;
        bool has_files;      /* at least one */
        int error;           /* positive: something could not be seen, for this reason */
        unsigned char *seen; /* SEEN_*, for each node of each set */
        char buffer[65536];
} OpenFiles;

int open_files_new(
                const Roots *roots, const DevNodes *sets, size_t n_sets, bool deep, OpenFiles **ret)
                _warn_unused_result_;
OpenFiles *open_files_free(OpenFiles *files);
DEFINE_CLEANUP(OpenFiles, open_files_free);
int open_files_look(OpenFiles *files, pid_t pid) _warn_unused_result_;
