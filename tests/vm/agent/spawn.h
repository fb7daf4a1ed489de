/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Start a Program
 */

#include <stddef.h>
#include <sys/types.h>

typedef struct Spawned {
        pid_t pid;
        int pid_fd;
        int stdin_fd;
        int stdout_fd;
        int stderr_fd;
} Spawned;

int spawn(const char *argv, size_t size, Spawned *ret_child);
