/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Files
 *
 * Whole small files, relative to a directory that is held open: read at once,
 * or replaced at once, never edited in place. A reader must find either the old file
 * or the new one, whole, even after the power failed: hence temporary name, write,
 * fsync, rename, fsync of the directory. For files that live in memory only (/run),
 * the two fsyncs are left out; the rename alone makes the change atomic.
 */

#include <sys/types.h>

#include "base/macro.h"

enum {
        _FILE_E_SUCCESS,

        FILE_E_MISSING, /* there is no such file, or no such directory */
};

/* In the place of a directory that is not there, and has no files to be read. */
#define FILE_NO_DIR (-2)

/* within a root: no link leads out of it, and an absolute one begins there */

int file_open_within(int root_fd, const char *path, int flags) _warn_unused_result_;
int file_read_within(int root_fd, const char *path, size_t max, char **ret_data, size_t *ret_n)
                _warn_unused_result_;
bool file_exists_within(int root_fd, const char *path);

/* relative to a directory */

int file_read(int dir_fd, const char *path, size_t max, char **ret_data, size_t *ret_n)
                _warn_unused_result_;
int file_replace(int dir_fd, const char *name, mode_t mode, const char *data, bool durable)
                _warn_unused_result_;
int file_remove(int dir_fd, const char *name) _warn_unused_result_;
int file_open_dir(int dir_fd, const char *name, int *ret_fd) _warn_unused_result_;
int file_open_dirp(int dir_fd, const char *path, int flags, DIR **ret) _warn_unused_result_;
int file_make_dir(int dir_fd, const char *name, mode_t mode, int *ret_fd) _warn_unused_result_;
