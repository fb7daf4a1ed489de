/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Help
 *
 * The table of options, and what --help prints.
 */

#include "cli/cli.h"

typedef struct OptionInfo {
        const char *name;
        const char *argument; /* NULL: takes none */
        const char *summary;
        unsigned int option;
} OptionInfo;

#define OPTIONS_N 10U

extern const OptionInfo help_options[OPTIONS_N];

void help_print(const Verb *const *verbs, size_t n);
