/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Obstacles to Modules
 *
 * Why a module that is there would not load, found out before anything depends on it. A blacklist
 * is none: it is about aliases, and modules are loaded by name here.
 */

#include "os/module.h"
#include "os/roots.h"

typedef enum ObstacleKind {
        OBSTACLE_NONE,
        OBSTACLE_INSTALL, /* an install line does something else; .where is file, line and text */
        OBSTACLE_KERNEL_LINE,  /* module_blacklist= on the kernel's command line */
        OBSTACLE_DISABLED,     /* kernel.modules_disabled */
        OBSTACLE_OTHER_KERNEL, /* it was built for the kernel .where */
        OBSTACLE_UNSIGNED,     /* it has no signature, and the kernel demands one */
        OBSTACLE_NO_INDEX, /* no module of the running kernel .where is there; of no module alone */
        _OBSTACLE_MAX,
} ObstacleKind;

typedef struct Obstacle {
        ObstacleKind kind;
        char *where; /* or NULL */
} Obstacle;

int obstacle_find(const Roots *roots, Modules *modules, const char *module, Obstacle *ret)
                _warn_unused_result_;
void obstacle_deinit(Obstacle *obstacle);
int obstacle_find_no_index(const Roots *roots, Obstacle *ret) _warn_unused_result_;
int obstacle_find_script(const Roots *roots, Modules *modules, const char *module, char **ret_where)
                _warn_unused_result_;
