/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Set-up and Rollback
 *
 * The only two that change the files of a machine. Each leaves every file whole at every moment, and
 * together with the backup enough on disk for the next rollback: after a power cut too.
 */

#include "setup/backup.h"

typedef struct SetupTarget {
        int root_fd;
        bool is_here; /* it is this machine, not one below a directory */
        /* Before each program of the machine: that may take minutes. May be NULL. */
        void (*progress)(void *userdata, char *const *argv);
        void *userdata;
} SetupTarget;

typedef struct SetupReport {
        char *problem; /* what has failed, in words */
        char *output;  /* the last that the program said which failed; or NULL */
        char *backup;  /* name */
        char **notes;  /* what else there is to say, each about one file or program */
        size_t n_notes;
} SetupReport;

#define SETUP_REPORT_NULL \
        {}

enum {
        _SETUP_E_SUCCESS,

        SETUP_E_BUSY,  /* another one is at work; nothing was touched */
        SETUP_E_BEGUN, /* an earlier one was interrupted, and has to be taken back first; likewise */
        SETUP_E_CHANGED, /* a file is not as the plan has it any more; likewise */
        SETUP_E_UNDONE,  /* it has failed; the machine is as before */
        SETUP_E_LEFT, /* it has failed, and so has something of taking it back: see .notes and the backup */
        SETUP_E_MISSING,   /* there is no such backup; nothing was touched */
        SETUP_E_LATER,     /* a later one is in force, and has to be taken back first; likewise */
        SETUP_E_OVER,      /* it was taken back already; likewise */
        SETUP_E_UNMOUNTED, /* a directory of boot files is not there: see .problem; likewise */
        SETUP_E_INVALID,   /* its manifest cannot be understood; likewise */
};

void setup_report_deinit(SetupReport *report);
int setup_apply(const SetupTarget *target, const SetupPlan *plan, SetupReport *report)
                _warn_unused_result_;
int setup_roll_back(const SetupTarget *target,
                const char *name,
                const SetupPlan *plan,
                SetupReport *report) _warn_unused_result_;

/* shared; in report.c, but for the first */

int setup_restore_file(const SetupTarget *target, const BackupFile *file) _warn_unused_result_;
int setup_note(SetupReport *report, const char *format, ...) _printf_(2, 3) _warn_unused_result_;
int setup_fail(SetupReport *report, const char *format, ...) _printf_(2, 3) _warn_unused_result_;
int setup_run_tool(const SetupTarget *target, char *const *argv, Text *output, SetupReport *report)
                _warn_unused_result_;
int setup_run_command(const SetupTarget *target, char *const *argv, SetupReport *report)
                _warn_unused_result_;

/* looking only; in check.c */

int setup_check(const SetupTarget *target, const SetupPlan *plan, SetupReport *report)
                _warn_unused_result_;
