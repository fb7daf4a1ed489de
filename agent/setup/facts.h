/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Facts for a Set-up
 *
 * What a machine is like, as far as its files and, where they are there, /proc and /sys say. It is looked
 * at once; makers of the plan go by this, and read the very files that they would edit.
 */

#include "model/gpu.h"
#include "os/roots.h"
#include "setup/plan.h"

/* Lines of modprobe.d are about modules whose names may be spelled in two ways. */
typedef struct ModuleFacts {
        const char *name; /* of the table, with underscores */
        char *pre, *post; /* of the one softdep line that kmod goes by; or NULL */
        char *softdep_where; /* "/usr/lib/modprobe.d/nvidia.conf:3"; NULL: there is none, or the kernel's own */
        bool is_hidden;      /* that line comes before ours */
        bool is_ambiguous;   /* kernels differ in theirs */
        char *install_where; /* an install line; or NULL */
} ModuleFacts;

#define PROTECTED_MODULES 7U

typedef struct SetupFacts {
        int root_fd;
        Mode mode;      /* at boot: host or passthrough */
        char *mode_why; /* for people */
        char *ids;      /* of the GPUs that are for guests at boot, for ids=; or NULL */
        char **words;   /* of the kernel's command line */
        size_t n_words;
        ModuleFacts modules[PROTECTED_MODULES];
        bool is_asked; /* that mode, and not found out */
        char *unwanted; /* "vfio-pci.ids=..." of an earlier set-up, which is not to be there any more; or NULL */
        char *own_ids;   /* ids= of an earlier set-up; or NULL */
        char *own_where; /* "/etc/modprobe.d/00-vfiopt.conf", or what else has them */
        char *other_ids; /* ids= of another file of modprobe.d */
        char *other_ids_where;
        char **kernels; /* releases, those that have an index of modules */
        size_t n_kernels;
        char **modular; /* those of them that have vfio-pci as a module */
        size_t n_modular;
        bool vfio_is_built_in; /* in some kernel */
        bool vfio_is_missing;  /* in all of them */
        char *booted; /* the command line that this kernel was started with; NULL: it is another machine's */
        char *loader_type; /* as openSUSE's tools are configured: "grub2-bls"; or NULL */
        char **warnings;
        size_t n_warnings;
} SetupFacts;

#define SETUP_FACTS_NULL \
        { .root_fd = -1 }

int setup_facts_look(SetupFacts *facts, Roots *roots, Mode mode) _warn_unused_result_;
void setup_facts_deinit(SetupFacts *facts);

/* modprobe.d; in modprobe-facts.c */

int modprobe_facts_look(SetupFacts *facts) _warn_unused_result_;
void modprobe_facts_deinit(SetupFacts *facts);

/* the plan */

int setup_plan_make(SetupPlan *plan, const SetupFacts *facts) _warn_unused_result_;

/* its parts */

int modprobe_plan(SetupPlan *plan, const SetupFacts *facts) _warn_unused_result_;
int images_plan(SetupPlan *plan, const SetupFacts *facts) _warn_unused_result_;
