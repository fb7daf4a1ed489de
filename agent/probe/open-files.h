/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Open Files: which nodes of some GPUs one process has open, and which mapped. */

#include <stdatomic.h>

#include "os/roots.h"
#include "probe/devnodes.h"
#include "probe/file-tables.h"

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
        bool is_real;    /* procfs is the kernel's, and files are listed anew as they come and go */
        dev_t nodes_fs;  /* the file system of device nodes, or 0: not known, so filter less */
        dev_t memory_fs; /* that of shared memory, which has no nodes; likewise */
        FileTables *tables;   /* shared with others who look; NULL: none is remembered */
        atomic_uint steps;    /* goes up with each answer of the kernel's */
        atomic_bool compares; /* it is asked about two processes, of which the other may hang */
        /* of the process looked at last */
        pid_t pid;
        bool has_files;       /* at least one */
        unsigned char *table; /* like .seen, of one table of files */
        int error;            /* positive: something could not be seen, for this reason */
        pid_t memory;         /* its thread that its mappings are asked for by */
        bool suspects;        /* one of them may be of a device */
        bool denied;          /* map_files may not be asked */
        bool moved;           /* one was gone when it was asked for */
        int lock_fd;          /* a file of it whose reader takes the lock of its mappings; or -1 */
        unsigned char *seen;  /* SEEN_*, for each node of each set */
        char buffer[65536];
} OpenFiles;

enum {
        _OPEN_FILES_E_SUCCESS,

        OPEN_FILES_E_ENDING, /* it shows nothing, as it is about to end; it may still hold anything */
};

int open_files_new(
                const Roots *roots, const DevNodes *sets, size_t n_sets, bool deep, OpenFiles **ret)
                _warn_unused_result_;
OpenFiles *open_files_free(OpenFiles *files);
DEFINE_CLEANUP(OpenFiles, open_files_free);
int open_files_look(OpenFiles *files, pid_t pid) _warn_unused_result_;
int open_files_look_at_thread(OpenFiles *files, pid_t pid, pid_t tid) _warn_unused_result_;
void open_files_clear(OpenFiles *files, pid_t pid);
bool open_files_saw_any(const OpenFiles *files);
