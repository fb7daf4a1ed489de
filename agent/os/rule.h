/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Rules of udev
 *
 * Those of other tools that say where a card is: a tool for laptops has it taken off the bus at
 * each boot, and nothing of it is left then but the rule; a user's own rule gives it to a guest.
 */

#include "base/macro.h"

/* A function of NVIDIA's, as rules tell it from others. */
typedef struct RuleDevice {
        const char *address; /* with domain and function; NULL: any */
        const char *device;  /* its id, like "0x2204"; NULL: any */
        const char *class;   /* like "0x040300"; NULL: of a display */
} RuleDevice;

int rule_find_remover(int root_fd, const RuleDevice *device, char **ret_where) _warn_unused_result_;
int rule_find_overrides(int root_fd, const RuleDevice *devices, size_t n, char **ret_where)
                _warn_unused_result_;
