/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Backups
 *
 * What a machine's files were before a set-up and after it, in a directory of their own below
 * /var/lib/vfiopt/backups: whole copies of both, so that what somebody changed since is known by
 * comparing bytes; a manifest in JSON; and restore.sh, for who has a shell and nothing else.
 *
 * The directory gets its name when all of it is on disk, and no file of the machine is changed before that.
 */

#include "setup/plan.h"

#define BACKUPS_DIR "var/lib/vfiopt/backups"

typedef enum BackupState {
        BACKUP_BEGUN,    /* files may be as before or as after, each of them whole */
        BACKUP_DONE,     /* the set-up is in force */
        BACKUP_RESTORED, /* it was taken back */
        _BACKUP_MAX,
} BackupState;

typedef struct BackupFile {
        char *path;
        PlanFileKind kind;
        bool is_output; /* a command has written it */
        TreeFile before, after;
} BackupFile;

typedef struct BackupCommand {
        char **argv;
} BackupCommand;

typedef struct Backup {
        char *name; /* "20261129T135105Z" */
        BackupState state;
        BackupFile *files;
        size_t n_files;
        char **dirs; /* that were made, those further up first */
        size_t n_dirs;
        char **entry_dirs;
        size_t n_entry_dirs;
        char **words;
        size_t n_words;
        /* What follows has no entry in manifests of earlier versions, and is empty then. */
        BackupCommand *commands; /* that made boot files */
        size_t n_commands;
        BackupCommand *listers; /* that say what is in an image, whose name comes last */
        size_t n_listers;
        char **images; /* that were there */
        size_t n_images;
        char **kernels; /* whose modules were there */
        size_t n_kernels;
} Backup;

#define BACKUP_NULL \
        {}

enum {
        _BACKUP_E_SUCCESS,

        BACKUP_E_MISSING, /* there is none, or none of that name */
        BACKUP_E_INVALID, /* its manifest is damaged, or of a newer version */
        BACKUP_E_BUSY,    /* another set-up or rollback is at work */
};

void backup_deinit(Backup *backup);
int backup_init(Backup *backup, int root_fd, const SetupPlan *plan) _warn_unused_result_;
int backup_create(Backup *backup, int root_fd, const SetupPlan *plan) _warn_unused_result_;
int backup_finish(Backup *backup, int root_fd) _warn_unused_result_;
int backup_set_state(Backup *backup, int root_fd, BackupState state) _warn_unused_result_;
int backup_keep(const Backup *backup, int root_fd, size_t i, const TreeFile *now)
                _warn_unused_result_;
int backup_load(Backup *backup, int root_fd, const char *name) _warn_unused_result_;
int backup_list(int root_fd, char ***ret_names, size_t *ret_n) _warn_unused_result_;
int backup_find_last(Backup *backup, int root_fd) _warn_unused_result_;
int backup_remove(const char *name, int root_fd);
int backup_lock(int root_fd, int *ret_fd) _warn_unused_result_;
const char *backup_state_to_string(BackupState state);

/* restore.sh; in script.c */

int backup_script(const Backup *backup, const SetupPlan *plan, char **ret) _warn_unused_result_;
