/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Command Line
 *
 * The arguments of a verb, and the table of verbs.
 */

#include "os/roots.h"
#include "record/gpu-record.h"
#include "vfiopt/exit.h"

/* Options, as bits. Each verb lists those that it takes; all of them take OPTIONS_FOR_ALL. */
enum {
        OPTION_ALLOW_DISPLAY = 1 << 0,
        OPTION_DIRECT = 1 << 1,
        OPTION_DRY_RUN = 1 << 2,
        OPTION_JSON = 1 << 3,
        OPTION_ROOT = 1 << 4,
        OPTION_TRIGGER = 1 << 5,
        OPTION_VERBOSE = 1 << 6,
        OPTION_HELP = 1 << 7,
        OPTION_VERSION = 1 << 8,
        OPTION_LIST = 1 << 9,
        OPTION_MODE = 1 << 10,
        OPTION_YES = 1 << 11,
};

#define OPTIONS_FOR_ALL (OPTION_HELP | OPTION_VERSION)

typedef struct Cli {
        const char *prefix; /* of --root; or "" */
        Roots *roots;       /* without run_fd and etc_fd, see cli_open_own() */
        Trigger trigger;
        const char *mode; /* of --mode; or NULL */
        unsigned int options;
        char **args; /* behind the verb, NULL-terminated */
        size_t n_args;
        bool printed; /* the document of --json */
} Cli;

typedef struct Verb {
        const char *name;
        const char *args;
        const char *summary;
        unsigned int options;
        size_t n_min;
        bool takes_image; /* --root may be no more than the files of a machine */
        /* Return: an exit code, or a negative error code. */
        int (*run)(Cli *cli);
} Verb;

extern const Verb verb_diagnose;
extern const Verb verb_forget;
extern const Verb verb_monitor;
extern const Verb verb_rollback;
extern const Verb verb_setup;
extern const Verb verb_status;
extern const Verb verb_switch;

bool cli_has(const Cli *cli, unsigned int option);
int cli_open_own(Cli *cli, bool make) _warn_unused_result_;
