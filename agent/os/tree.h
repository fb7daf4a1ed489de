/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Files of a Machine
 *
 * Files that belong to others, below a directory that stands for the root of a machine: this one, one
 * that is mounted in a rescue shell, or an image. Links are followed as that machine would follow them,
 * and so never lead out of it (openat2(2), RESOLVE_IN_ROOT). What is no regular file is never opened:
 * a FIFO would not answer, and a device may do anything. Paths have no slash in front.
 *
 * A file is replaced whole, on disk before the new name counts, and keeps what it has beside its
 * content. Two at a time would use one temporary name: the caller holds a lock.
 */

#include <sys/stat.h>
#include <time.h>

#include "base/macro.h"

/* No file of configuration, and no menu of a boot loader, is as large as this. */
#define TREE_SIZE_MAX (4U * 1024 * 1024)

typedef struct TreeFile {
        char *data; /* zero-terminated; NULL: there is no such file */
        size_t n;
        mode_t mode; /* permissions */
        uid_t uid;
        gid_t gid;
        struct timespec mtime; /* tv_nsec is UTIME_OMIT: not set, it becomes the time of writing */
        char **attributes;     /* extended ones, as "name=hexadecimal"; or NULL */
} TreeFile;

#define TREE_FILE_NULL \
        { .mtime = { 0, UTIME_OMIT }, }

enum {
        _TREE_E_SUCCESS,

        TREE_E_MISSING, /* there is no such file */
        TREE_E_SPECIAL, /* it is no regular file, or a link to nothing or to itself, or larger than that */
};

/* looking */

int tree_open_dir(int root_fd, const char *path, int *ret_fd) _warn_unused_result_;
int tree_list(int root_fd, const char *path, char ***ret_names, size_t *ret_n) _warn_unused_result_;
int tree_find(int root_fd, const char *path, char **ret_place) _warn_unused_result_;
bool tree_has(int root_fd, const char *path);
bool tree_is_link(int root_fd, const char *path);
int tree_stat(int root_fd, const char *path, struct stat *ret) _warn_unused_result_;
int tree_read(int root_fd, const char *path, TreeFile *ret) _warn_unused_result_;
void tree_file_deinit(TreeFile *file);
bool tree_file_equal(const TreeFile *a, const TreeFile *b);
int tree_file_copy(const TreeFile *file, TreeFile *ret) _warn_unused_result_;

/* writing */

int tree_write(int root_fd, const char *path, const TreeFile *file) _warn_unused_result_;
int tree_remove(int root_fd, const char *path) _warn_unused_result_;
int tree_clean(int root_fd, const char *path) _warn_unused_result_;
int tree_make_dir(int root_fd, const char *path, mode_t mode) _warn_unused_result_;
int tree_remove_dir(int root_fd, const char *path) _warn_unused_result_;
