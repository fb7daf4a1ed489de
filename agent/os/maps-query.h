/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * PROCMAP_QUERY
 *
 * One question about the mappings of a process, by ioctl(2) on its maps, since Linux 6.11
 * (include/uapi/linux/fs.h, which is older than this where we are built).
 */

#include <stdint.h>
#include <sys/ioctl.h>

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
