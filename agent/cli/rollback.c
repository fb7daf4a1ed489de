/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfioptctl rollback
 *
 * Takes a set-up back: the last one, or that of a backup which is named.
 */

#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/message.h"
#include "cli/setup-plan.h"
#include "switch/signals.h"

static const char *describe(int root_fd, const char *name) {
        _cleanup_(backup_deinit) Backup backup = BACKUP_NULL;
        int r;

        r = backup_load(&backup, root_fd, name);
        if (r != 0)
                return r < 0 ? strerror(-r) : "damaged";
        return backup.state == BACKUP_BEGUN           ? "interrupted"
                        : backup.state == BACKUP_DONE ? "in force"
                                                      : "taken back";
}

static int list(const Cli *cli) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n = 0;
        int r;

        r = backup_list(cli->roots->root_fd, &names, &n);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; ++i)
                printf("%s  %s\n", names[i], describe(cli->roots->root_fd, names[i]));
        return VFIOPT_EXIT_DONE;
}

static void tell_progress(void *userdata _unused_, char *const *argv) {
        message_line("running %s", argv[0]);
}

static int conclude(int r, const char *name, const SetupReport *report) {
        char quote[QUOTE_MAX];

        setup_report_print(report);
        switch (r) {
        case 0:
                printf("Taken back: %s. It counts from the next boot on.\n", report->backup);
                return VFIOPT_EXIT_DONE;
        case SETUP_E_MISSING:
                if (!name) {
                        printf("There is no set-up to be taken back.\n");
                        return VFIOPT_EXIT_DONE;
                }
                message_error("there is no backup %s; see vfioptctl rollback --list",
                                message_quote(name, quote));
                return VFIOPT_EXIT_PRECONDITION;
        case SETUP_E_OVER:
                printf("It was taken back already: nothing to do.\n");
                return VFIOPT_EXIT_DONE;
        case SETUP_E_LATER:
                message_error("nothing is changed: a later set-up is in force; first: vfioptctl rollback");
                return VFIOPT_EXIT_PRECONDITION;
        case SETUP_E_UNMOUNTED:
                message_error("nothing is changed: %s, where boot files were: mount /boot first (or make that "
                              "directory, where it was removed for good)",
                                report->problem);
                return VFIOPT_EXIT_PRECONDITION;
        case SETUP_E_BUSY:
                message_error("nothing is changed: another set-up or rollback is at work");
                return VFIOPT_EXIT_PRECONDITION;
        case SETUP_E_INVALID:
                message_error("nothing is changed: the backup in /" BACKUPS_DIR
                              " is damaged; its restore.sh may work");
                return VFIOPT_EXIT_PRECONDITION;
        case SETUP_E_LEFT:
                message_error("the files are back, but boot files are not made from them; mend that, then run again: "
                              "vfioptctl rollback");
                return VFIOPT_EXIT_ERROR;
        default:
                return error_fold(r);
        }
}

/* What makes boot files anew, as far as the machine tells; a rollback does not depend on it. */
static void look(Cli *cli, SetupPlan *plan, SetupFacts *facts) {
        int r;

        r = setup_facts_look(facts, cli->roots, MODE_HOST);
        if (r >= 0)
                r = setup_plan_make(plan, facts);
        if (r < 0)
                message_warning("cannot look at the machine: %s; boot files are made anew as the set-up made them",
                                strerror(-r));
}

static int rollback_run(Cli *cli) {
        _cleanup_(setup_report_deinit) SetupReport report = SETUP_REPORT_NULL;
        _cleanup_(setup_facts_deinit) SetupFacts facts = SETUP_FACTS_NULL;
        _cleanup_(setup_plan_deinit) SetupPlan plan = SETUP_PLAN_NULL;
        const SetupTarget target = {
                .root_fd = cli->roots->root_fd,
                .is_here = cli->roots->is_real,
                .progress = tell_progress,
        };
        const char *name = cli->n_args > 0 ? cli->args[0] : NULL;
        sigset_t old;
        int r;

        if (cli->n_args > (cli_has(cli, OPTION_LIST) ? 0 : 1)) {
                message_error("rollback takes one backup at most, and none with --list");
                return VFIOPT_EXIT_USAGE;
        }
        if (cli_has(cli, OPTION_LIST))
                return list(cli);
        if (geteuid() != 0) {
                message_error("only root can change the files of a machine; nothing is changed");
                return VFIOPT_EXIT_PRECONDITION;
        }
        look(cli, &plan, &facts);
        signals_hold(&old);
        r = setup_roll_back(&target, name, &plan, &report);
        signals_release(&old);
        return conclude(r, name, &report);
}

const Verb verb_rollback = {
        .name = "rollback",
        .args = "[BACKUP]",
        .summary = "take a set-up back",
        .options = OPTION_LIST | OPTION_ROOT,
        .takes_image = true,
        .run = rollback_run,
};
