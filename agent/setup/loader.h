/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Boot Loaders
 *
 * Where a machine keeps its kernel's command line, and how words get there; one file for each way. A
 * way that is not built here is a refusal, with the words to type.
 */

#include "setup/facts.h"

typedef struct Loader {
        const char *name; /* for people */
        /* Commands first, so that a rollback has them where the rest is refused. Return: 0, or negative. */
        int (*plan)(SetupPlan *plan, const SetupFacts *facts);
} Loader;

extern const Loader loader_bls;
extern const Loader loader_grub_drop_in;
extern const Loader loader_grub_edit;
extern const Loader loader_kernel_install;

int loader_plan(SetupPlan *plan, const SetupFacts *facts) _warn_unused_result_;

/* shared */

#define LOADER_GRUB_SETTINGS "etc/default/grub"

int loader_words(const SetupFacts *facts, char **ret) _warn_unused_result_;
int loader_output(SetupPlan *plan, const SetupFacts *facts, const char *path) _warn_unused_result_;
int loader_check(SetupPlan *plan,
                const SetupFacts *facts,
                const char *path,
                const char *const *keys,
                bool is_first) _warn_unused_result_;
int loader_check_settings(SetupPlan *plan, const SetupFacts *facts, const char *path, bool words)
                _warn_unused_result_;
int loader_edit_grub(SetupPlan *plan, const SetupFacts *facts, const char *variable)
                _warn_unused_result_;
int loader_edit_line(SetupPlan *plan,
                const SetupFacts *facts,
                const char *path,
                const char *key,
                bool *ret_edited) _warn_unused_result_;
int loader_grub_menu(SetupPlan *plan, const SetupFacts *facts) _warn_unused_result_;
