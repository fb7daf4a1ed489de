/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Maps
 *
 * The mappings of a process which could be of a device.
 */

#include <sys/types.h>

#include "base/macro.h"

typedef struct Mapping {
        uint64_t start, end;
        const char *path; /* as the kernel prints it, without " (deleted)" */
        size_t n_path;
} Mapping;

/* Which mappings are worth a question. */
typedef struct MapsFilter {
        dev_t nodes_fs;    /* the file system of device nodes */
        dev_t memory_fs;   /* that of shared memory: it has no nodes */
        bool shared_alone; /* leave private ones out, where that is cheaper */
} MapsFilter;

/* A negative return value ends the search, and is its result. */
typedef int (*MappingFn)(void *userdata, const Mapping *mapping);

typedef struct Maps {
        int fd; /* /proc/<pid>/maps */
        const MapsFilter *filter;
        char *buffer; /* for whatever purpose */
        size_t n_buffer;
        MappingFn fn;
        void *userdata;
} Maps;

enum {
        _MAPS_E_SUCCESS,

        MAPS_E_NONE,        /* there is no memory at all: a kernel thread, or one that has ended */
        MAPS_E_UNSUPPORTED, /* this way of asking is not known here */
};

int maps_search(const Maps *maps) _warn_unused_result_;
int maps_search_text(const Maps *maps) _warn_unused_result_;
int maps_search_query(const Maps *maps) _warn_unused_result_;

void maps_filter_init(MapsFilter *filter, int dev_fd, bool shared_alone);
bool maps_filter_passes(const MapsFilter *filter, bool shared, dev_t fs, uint64_t inode);
size_t maps_trim_path(const char *path, size_t n);
