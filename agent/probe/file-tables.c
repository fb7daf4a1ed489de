/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * kcmp(2) tells whether two threads share a table, and waits while either is in the middle of an
 * exec, which any user can have last for ever (KERNEL.md 5.7). Which one of the two that is, is not
 * told: so who waits here is given up, and nothing is recalled any more.
 */

#include <linux/kcmp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe/file-tables.h"

void file_tables_deinit(FileTables *tables) {
        for (size_t i = 0; i < FILE_TABLES_MAX; ++i)
                free(tables->seen[i]);
        *tables = (FileTables) FILE_TABLES_NULL;
}

/**
 * file_tables_recall() - has the table of a thread been looked at already, by way of another one?
 * @tables:     those that were, or NULL
 * @tid:        thread
 * @seen:       filled in with what was seen in it, then
 * @n:          its size
 * @compares:   set while the answer may depend on another process
 */
bool file_tables_recall(FileTables *tables,
                pid_t tid,
                unsigned char *seen,
                size_t n,
                atomic_bool *compares) {
        pid_t tids[FILE_TABLES_MAX];
        size_t i, n_tables = 0;
        bool found;

        if (!tables)
                return false;
        pthread_mutex_lock(&tables->lock);
        if (!tables->is_off)
                n_tables = tables->n < FILE_TABLES_MAX ? tables->n : FILE_TABLES_MAX;
        memcpy(tids, tables->tids, n_tables * sizeof(*tids));
        pthread_mutex_unlock(&tables->lock);

        atomic_store(compares, n_tables > 0);
        for (i = 0; i < n_tables; ++i)
                if (syscall(SYS_kcmp, tids[i], tid, KCMP_FILES, 0UL, 0UL) == 0)
                        break;
        atomic_store(compares, false);
        if (i == n_tables)
                return false;
        pthread_mutex_lock(&tables->lock);
        found = tables->tids[i] == tids[i];
        if (found)
                memcpy(seen, tables->seen[i], n);
        pthread_mutex_unlock(&tables->lock);
        return found;
}

/* Without memory for it, it is looked at as often as it is shared. */
void file_tables_remember(FileTables *tables, pid_t tid, const unsigned char *seen, size_t n) {
        unsigned char *copy = calloc(n + 1, 1);
        size_t i;

        if (!tables || !copy) {
                free(copy);
                return;
        }
        memcpy(copy, seen, n);
        pthread_mutex_lock(&tables->lock);
        i = tables->n++ % FILE_TABLES_MAX;
        free(tables->seen[i]);
        tables->seen[i] = copy;
        tables->tids[i] = tid;
        pthread_mutex_unlock(&tables->lock);
}

/* One that was compared with hangs: each table is looked at by itself from now on. */
void file_tables_turn_off(FileTables *tables) {
        pthread_mutex_lock(&tables->lock);
        tables->is_off = true;
        pthread_mutex_unlock(&tables->lock);
}
