/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The Plan of a Set-up
 *
 * What `vfioptctl setup` will do to a machine's files, as plain data: makers add to it and touch
 * nothing. --dry-run prints it, apply.h carries it out. A plan with a refusal is never carried out.
 */

#include "os/tree.h"

typedef enum PlanFileKind {
        PLAN_FILE_OURS,    /* a file of our own, made or brought up to date */
        PLAN_FILE_EDITED,  /* a file of others, in which words of ours are added */
        PLAN_FILE_REMOVED, /* a file of our own that is not needed any more */
} PlanFileKind;

typedef struct PlanFile {
        PlanFileKind kind;
        char *path; /* without a slash in front, links on the way followed where it was there */
        TreeFile before, after;
        char *why;
} PlanFile;

/* A program that makes boot files anew. It is not told anything: it reads the files of the plan. */
typedef struct PlanCommand {
        char **argv;
        char *why;
        bool makes_images; /* they are not in the backup: undone by running it again */
} PlanCommand;

/* What must hold when all commands have run. */
typedef struct PlanCheck {
        char **argv; /* what this program says; or NULL */
        char *path;  /* else each line of this file that starts with one of */
        char **keys; /* these words; the first of them where is_first */
        char **needs; /* has all of these: as words of the line, or anywhere in what the program says */
        bool is_first;
        char *what; /* for the message: "the image /boot/initrd.img-6.1.0-18-amd64" */
} PlanCheck;

/* Something that nobody but a person can decide. */
typedef struct PlanRefusal {
        char *where;   /* "/etc/default/grub:12"; or NULL */
        char *problem; /* in words */
        char *remedy;  /* what to do by hand, fit to be typed; may have several lines */
} PlanRefusal;

typedef struct SetupPlan {
        PlanFile *files;
        size_t n_files;
        PlanCommand *commands;
        size_t n_commands;
        PlanCheck *checks;
        size_t n_checks;
        PlanRefusal *refusals;
        size_t n_refusals;
        char **warnings;
        size_t n_warnings;
        char **dirs; /* to be made, those further up first */
        size_t n_dirs;
        char **outputs; /* files that commands write, which the backup has */
        size_t n_outputs;
        char **image_files; /* that commands make, and that are too large for the backup */
        size_t n_image_files;
        char **entry_dirs; /* where boot entries are made from the files of the plan, also later ones */
        size_t n_entry_dirs;
        char **words; /* of the kernel's command line, which are ours as far as they were not there */
        size_t n_words;
        char *loader; /* the boot loader and the tool for the initramfs, in words; or NULL */
        char *images;
} SetupPlan;

#define SETUP_PLAN_NULL \
        {}

void setup_plan_deinit(SetupPlan *plan);
bool setup_plan_is_empty(const SetupPlan *plan);

/* making */

int setup_plan_own(SetupPlan *plan,
                int root_fd,
                const char *path,
                mode_t mode,
                const char *content,
                const char *why) _warn_unused_result_;
int setup_plan_remove(SetupPlan *plan, int root_fd, const char *path, const char *why)
                _warn_unused_result_;
int setup_plan_edit(SetupPlan *plan,
                const char *place,
                const TreeFile *before,
                const char *data,
                size_t n,
                const char *why) _warn_unused_result_;
int setup_plan_command(SetupPlan *plan, bool makes_images, const char *why, const char *const *argv)
                _warn_unused_result_;
PlanCheck *setup_plan_check(SetupPlan *plan);
int setup_plan_refuse(SetupPlan *plan, const char *where, const char *problem, const char *remedy)
                _warn_unused_result_;
int setup_plan_warn(SetupPlan *plan, const char *format, ...) _printf_(2, 3) _warn_unused_result_;
int setup_plan_diff(const PlanFile *file, char **ret) _warn_unused_result_;
