/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfioptctl setup
 *
 * Looks at the machine, prints one plan, asks, and carries it out. Whatever was asked before, nothing is
 * changed that the plan has not shown.
 */

#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/message.h"
#include "cli/setup-plan.h"
#include "switch/signals.h"
#include "vfiopt/names.h"

static void tell_progress(void *userdata _unused_, char *const *argv) {
        _cleanup_(text_deinit) Text line = TEXT_NULL;
        int r = 0;

        for (; r >= 0 && *argv; ++argv)
                r = text_append(&line, " %s", *argv);
        if (r >= 0)
                message_line("running%s", text(&line));
}

static bool ask(void) {
        char answer[8] = "";

        printf("\nGo on? [y/N] ");
        (void) fflush(stdout);
        return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

/* Return: 0 where it may be carried out, or an exit code after having said why not. */
static int get_consent(const Cli *cli) {
        if (geteuid() != 0) {
                message_error("only root can change the files of a machine; nothing is changed");
                return VFIOPT_EXIT_PRECONDITION;
        }
        if (cli_has(cli, OPTION_YES))
                return 0;
        if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || cli_has(cli, OPTION_JSON)) {
                message_error("nothing is changed: nobody can be asked here; --yes agrees to the plan");
                return VFIOPT_EXIT_PRECONDITION;
        }
        if (ask())
                return 0;
        message_line("nothing is changed");
        return VFIOPT_EXIT_PRECONDITION;
}

static void tell_done(const Cli *cli, const SetupPlan *plan, const SetupReport *report) {
        const char *ids = "";

        for (size_t i = 0; i < plan->n_words; ++i)
                if (text_starts_with(plan->words[i], "vfio-pci.ids=", NULL))
                        ids = "take vfio-pci.ids=... out of it,\n";

        if (cli_has(cli, OPTION_JSON))
                return;
        printf("\n"
               "Done, and verified. It counts from the next boot on.\n"
               "If the screen stays black then: add this to the kernel's command line at the boot menu,\n"
               "    " VFIOPT_KERNEL_KEY "=host module_blacklist=vfio_pci\n"
               "%sand take it all back with: vfioptctl rollback\n"
               "In a rescue shell that has the machine at /mnt:\n"
               "    ROOT=/mnt sh /mnt/" BACKUPS_DIR "/%s/restore.sh\n",
                        ids, report->backup);
}

/* Say how it ended. Return: an exit code, or a negative error code. */
static int conclude(const Cli *cli,
                int r,
                const SetupPlan *plan,
                const SetupReport *report,
                const char **ret_result) {
        *ret_result = "refused";
        switch (r) {
        case 0:
                *ret_result = "done";
                tell_done(cli, plan, report);
                return VFIOPT_EXIT_DONE;
        case SETUP_E_BUSY:
                message_error("nothing is changed: another set-up or rollback is at work");
                return VFIOPT_EXIT_PRECONDITION;
        case SETUP_E_BEGUN:
                message_error("nothing is changed: an earlier set-up was interrupted; first: vfioptctl rollback%s%s",
                                cli->prefix[0] ? " --root=" : "", cli->prefix);
                return VFIOPT_EXIT_PRECONDITION;
        case SETUP_E_CHANGED:
                message_error("nothing is changed: a file was changed meanwhile; run it again");
                return VFIOPT_EXIT_PRECONDITION;
        case SETUP_E_INVALID:
                message_error("nothing is changed: the last backup in /" BACKUPS_DIR " is damaged");
                return VFIOPT_EXIT_PRECONDITION;
        case SETUP_E_UNDONE:
                *ret_result = "undone";
                setup_report_print(report);
                message_error("%s; all was undone", report->problem);
                return VFIOPT_EXIT_FAILED;
        case SETUP_E_LEFT:
                *ret_result = "left";
                setup_report_print(report);
                message_error("%s; not all could be undone: see /" BACKUPS_DIR "/%s",
                                report->problem, report->backup);
                return VFIOPT_EXIT_FAILED;
        default:
                /* Before the first change. */
                *ret_result = "undone";
                message_error("cannot write a backup: %s; nothing is changed", strerror(-r));
                return VFIOPT_EXIT_FAILED;
        }
}

static SetupTarget target_of(const Cli *cli) {
        return (SetupTarget){
                .root_fd = cli->roots->root_fd,
                .is_here = cli->roots->is_real,
                .progress = tell_progress,
        };
}

static int apply(Cli *cli, const SetupPlan *plan, SetupReport *report, const char **ret_result) {
        const SetupTarget target = target_of(cli);
        sigset_t old;
        int r;

        *ret_result = "refused";
        r = get_consent(cli);
        if (r != 0)
                return r;
        signals_hold(&old);
        r = setup_apply(&target, plan, report);
        signals_release(&old);
        return conclude(cli, r, plan, report, ret_result);
}

/* Whether an earlier set-up was interrupted; its backup may be root's alone. Return: 0, 1, or negative. */
static int is_begun(const Cli *cli) {
        _cleanup_(backup_deinit) Backup last = BACKUP_NULL;
        int r;

        r = backup_find_last(&last, cli->roots->root_fd);
        if (r)
                return r < 0 && r != -EACCES ? r : 0;
        return last.state == BACKUP_BEGUN;
}

static int tell_stale(const Cli *cli, const SetupPlan *plan, const SetupReport *report) {
        _cleanup_(text_deinit) Text lines = TEXT_NULL;
        int r = 0;

        for (size_t i = 0; i < plan->n_commands; ++i) {
                r = text_append(&lines, "\n ");
                for (char **word = plan->commands[i].argv; r >= 0 && *word; ++word)
                        r = text_append(&lines, " %s", *word);
                if (r < 0)
                        return r;
        }
        message_error("the files are set up, but %s", report->problem);
        setup_print_place(cli->prefix);
        message_line("make the boot files anew, then run vfioptctl setup again:%s", text(&lines));
        return VFIOPT_EXIT_PRECONDITION;
}

/* The files are as they are to be; what is made from them may be older. Root alone can look into it. */
static int
look_only(const Cli *cli, const SetupPlan *plan, SetupReport *report, const char **ret_result) {
        SetupTarget target = target_of(cli);
        int r;

        target.progress = NULL;
        r = geteuid() == 0 ? setup_check(&target, plan, report) : 0;
        if (r < 0)
                return r;
        if (r == SETUP_E_UNDONE)
                return tell_stale(cli, plan, report);
        *ret_result = "nothing";
        if (!cli_has(cli, OPTION_JSON))
                printf("\nThe machine is set up like that already: nothing to do.\n");
        return VFIOPT_EXIT_DONE;
}

/* Return: an exit code, or a negative error code. */
static int carry_out(
                Cli *cli, const SetupPlan *plan, SetupReport *report, const char **ret_result) {
        int r;

        *ret_result = "refused";
        if (plan->n_refusals > 0) {
                setup_plan_print_refusals(plan, cli->prefix);
                return VFIOPT_EXIT_PRECONDITION;
        }
        r = is_begun(cli);
        if (r < 0)
                return r;
        if (r > 0)
                return conclude(cli, SETUP_E_BEGUN, plan, report, ret_result);
        if (setup_plan_is_empty(plan))
                return look_only(cli, plan, report, ret_result);
        if (cli_has(cli, OPTION_DRY_RUN)) {
                *ret_result = "planned";
                return VFIOPT_EXIT_DONE;
        }
        return apply(cli, plan, report, ret_result);
}

static int parse_mode(const Cli *cli, Mode *ret) {
        char quote[QUOTE_MAX];

        *ret = MODE_UNSET;
        if (!cli->mode)
                return 0;
        if (mode_from_string(cli->mode, ret) == 0 &&
                        (*ret == MODE_HOST || *ret == MODE_PASSTHROUGH))
                return 0;
        message_error("unknown mode %s; modes are host and passthrough",
                        message_quote(cli->mode, quote));
        return VFIOPT_EXIT_USAGE;
}

static int setup_run(Cli *cli) {
        _cleanup_(setup_report_deinit) SetupReport report = SETUP_REPORT_NULL;
        _cleanup_(setup_facts_deinit) SetupFacts facts = SETUP_FACTS_NULL;
        _cleanup_(setup_plan_deinit) SetupPlan plan = SETUP_PLAN_NULL;
        const char *result = "refused";
        Json *json, *array;
        int exit_code, r;
        Mode mode;

        if (cli->n_args > 0) {
                message_error("setup takes no arguments");
                return VFIOPT_EXIT_USAGE;
        }
        r = parse_mode(cli, &mode);
        if (r != 0)
                return r;
        if (!cli->roots->is_image) {
                r = cli_open_own(cli, false);
                if (r < 0 && r != -ENOENT)
                        return r;
        }
        r = setup_facts_look(&facts, cli->roots, mode);
        if (r >= 0)
                r = setup_plan_make(&plan, &facts);
        if (r >= 0 && !cli_has(cli, OPTION_JSON))
                r = setup_plan_print(&plan, &facts);
        if (r < 0)
                return r;
        exit_code = carry_out(cli, &plan, &report, &result);
        if (exit_code < 0 || !cli_has(cli, OPTION_JSON))
                return exit_code;

        r = setup_plan_json(&plan, &facts, result, &report, &json);
        if (r < 0)
                return r;
        array = json_new_array();
        r = json_push(array, json);
        cli->printed = true;
        error_gather(&r, message_json("plans", array, NULL, NULL));
        return r < 0 ? r : exit_code;
}

const Verb verb_setup = {
        .name = "setup",
        .args = "",
        .summary = "prepare this machine for the next boot",
        .options = OPTION_DRY_RUN | OPTION_JSON | OPTION_MODE | OPTION_ROOT | OPTION_YES,
        .takes_image = true,
        .run = setup_run,
};
