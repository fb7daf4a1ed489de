/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Files of Configuration
 *
 * What other programs are told, and where that stands: it is the line of a file that helps who
 * has to change it. Each of them has folders, of which an earlier one hides files of the same name
 * in the later ones, and reads all files in the order of their names.
 */

#include "base/macro.h"

/* The line may be cut into pieces. @path has no slash in front. Return: 0 to go on. */
typedef int (*ConfFn)(void *userdata, const char *path, unsigned int number, char *line);

int conf_read_data(const char *path, char *data, ConfFn fn, void *userdata) _warn_unused_result_;
int conf_read_file(int root_fd, const char *path, ConfFn fn, void *userdata) _warn_unused_result_;
int conf_read_folders(int root_fd,
                const char *const *folders,
                size_t n_folders,
                const char *suffix,
                ConfFn fn,
                void *userdata) _warn_unused_result_;
int conf_read_modprobe(int root_fd, ConfFn fn, void *userdata) _warn_unused_result_;
char *conf_where(const char *path, unsigned int number, const char *line) _warn_unused_result_;

/* files of several folders, for who reads them otherwise */

typedef struct Conf {
        char *name;
        const char *folder;
} Conf;

typedef struct Confs {
        Conf *items;
        size_t n;
} Confs;

void confs_deinit(Confs *confs);
int confs_add(Confs *confs, const char *name, const char *folder, const char *suffix)
                _warn_unused_result_;
void confs_sort(Confs *confs);

#define CONF_MODPROBE_FOLDERS 5U

extern const char *const conf_modprobe_folders[CONF_MODPROBE_FOLDERS];
