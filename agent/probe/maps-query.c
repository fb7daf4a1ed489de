/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Maps, by Query
 *
 * PROCMAP_QUERY (since Linux 6.11) finds mappings of files without printing any
 * text. The gain is in asking for shared ones alone, of which most processes have
 * none: private ones are programs and libraries, hundreds in each process, and a
 * call for each is hardly cheaper than a line.
 */

#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "probe/maps.h"

/* include/uapi/linux/fs.h, which is older than this where we are built. */
#define QUERY_SHARED      0x08U
#define QUERY_OR_NEXT     0x10U
#define QUERY_FILE_BACKED 0x20U

typedef struct Query {
        uint64_t size;
        uint64_t query_flags;
        uint64_t query_addr;
        uint64_t vma_start;
        uint64_t vma_end;
        uint64_t vma_flags;
        uint64_t vma_page_size;
        uint64_t vma_offset;
        uint64_t inode;
        uint32_t dev_major;
        uint32_t dev_minor;
        uint32_t vma_name_size;
        uint32_t build_id_size;
        uint64_t vma_name_addr;
        uint64_t build_id_addr;
} Query;

#define QUERY_IOCTL _IOWR('f', 17, Query)

/* The same mapping again, now with its path. It may have gone, or have no path. */
static int tell(const Maps *maps, const Query *found) {
        Mapping mapping = { .start = found->vma_start, .end = found->vma_end };
        Query query = {
                .size = sizeof(query),
                .query_addr = found->vma_start,
                .vma_name_size = maps->n_buffer > 4096 ? 4096 : (uint32_t) maps->n_buffer,
                .vma_name_addr = (uintptr_t) maps->buffer,
        };

        if (ioctl(maps->fd, QUERY_IOCTL, &query) == 0 && query.vma_name_size > 0) {
                mapping.path = maps->buffer;
                mapping.n_path = maps_trim_path(maps->buffer, query.vma_name_size - 1);
        } else {
                mapping.path = "";
        }
        return maps->fn(maps->userdata, &mapping);
}

/**
 * maps_search_query() - look through mappings by asking for each
 * @maps:       where, for what, and whom to tell
 *
 * Return: 0 on success, MAPS_E_NONE if there is no memory, MAPS_E_UNSUPPORTED if
 *         this kernel cannot be asked so, negative error code on failure.
 */
int maps_search_query(const Maps *maps) {
        Query query = { .size = sizeof(query), .query_flags = QUERY_OR_NEXT | QUERY_FILE_BACKED };
        int r;

        if (maps->filter->shared_alone)
                query.query_flags |= QUERY_SHARED;

        for (;;) {
                if (ioctl(maps->fd, QUERY_IOCTL, &query) < 0) {
                        if (errno == ENOENT)
                                return 0;
                        if (errno == ESRCH)
                                return MAPS_E_NONE;
                        return query.query_addr == 0 ? MAPS_E_UNSUPPORTED : -errno;
                }

                if (maps_filter_passes(maps->filter, query.vma_flags & QUERY_SHARED,
                                    makedev(query.dev_major, query.dev_minor), query.inode)) {
                        r = tell(maps, &query);
                        if (r < 0)
                                return r;
                }
                query.query_addr = query.vma_end;
        }
}
