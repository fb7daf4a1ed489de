/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Roots
 *
 * The directories that everything else is relative to, opened once by main(). Tests
 * open a tree of their own instead, which nothing below main() can tell. Only this module
 * spells top-level directories. A missing /sys, /proc or /dev is an error; our own
 * directories in /run and /etc come and go, so opening them is a separate question.
 */

#include "os/sysfs.h"

typedef struct Roots {
        Sysfs *sysfs;
        int root_fd; /* what all of them are in */
        int proc_fd;
        int dev_fd;
        int run_fd;    /* our own directory in /run, -1 until roots_open_run() */
        int etc_fd;    /* our own directory in /etc, -1 if there is none */
        bool is_real;  /* this is the machine itself, and no copy, nor a tree of a test */
        bool is_image; /* it has no /sys: nothing of it runs, and its files are all there is */
} Roots;

#define ROOTS_NULL \
        { .root_fd = -1, .proc_fd = -1, .dev_fd = -1, .run_fd = -1, .etc_fd = -1 }

enum {
        _ROOTS_E_SUCCESS,

        ROOTS_E_MISSING, /* the directory is not there, and was not to be made */
};

/* "/proc/self/fd/2147483647" and a zero */
#define FD_PATH_MAX 25

const char *fd_path(int fd, char buffer[static FD_PATH_MAX]);
int roots_init(Roots *roots, const char *prefix) _warn_unused_result_;
int roots_init_image(Roots *roots, const char *prefix) _warn_unused_result_;
void roots_deinit(Roots *roots);
int roots_open(const Roots *roots, const char *path, int *ret_fd) _warn_unused_result_;
int roots_connect(const Roots *roots, const char *name, int type, int *ret_fd) _warn_unused_result_;
int roots_open_run(Roots *roots, bool make) _warn_unused_result_;
int roots_open_etc(Roots *roots, bool make) _warn_unused_result_;
