/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* File Tables: those that were looked at already, as processes can share one by the thousand. */

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "base/macro.h"

/* So many are remembered, of the large ones: to look at fewer files costs less than to ask who shares them. */
#define FILE_TABLES_MAX  64U
#define FILE_TABLE_LARGE 256U

typedef struct FileTables {
        pthread_mutex_t lock;
        pid_t tids[FILE_TABLES_MAX];          /* the thread that each was looked at by */
        unsigned char *seen[FILE_TABLES_MAX]; /* what was seen in each */
        size_t n;                             /* that there have been: the oldest goes */
        bool is_off;                          /* none is recalled any more */
} FileTables;

#define FILE_TABLES_NULL \
        { .lock = PTHREAD_MUTEX_INITIALIZER }

void file_tables_deinit(FileTables *tables);
bool file_tables_recall(FileTables *tables,
                pid_t tid,
                unsigned char *seen,
                size_t n,
                atomic_bool *compares);
void file_tables_remember(FileTables *tables, pid_t tid, const unsigned char *seen, size_t n);
void file_tables_turn_off(FileTables *tables);
