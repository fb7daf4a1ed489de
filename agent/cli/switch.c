/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfioptctl switch
 *
 * Without --direct it asks the manager for the job that `systemctl start` would start, so
 * that there is one way in which a GPU moves. Options reach the job in its instance (instance.h).
 */

#include "cli/report.h"
#include "cli/switch-ways.h"

/* Return: 0, or an exit code after having reported which options do not go together. */
static int check_options(const Cli *cli) {
        bool dry_run = cli_has(cli, OPTION_DRY_RUN), direct = cli_has(cli, OPTION_DIRECT);

        if (cli_has(cli, OPTION_TRIGGER) && !direct) {
                report_error("option --trigger needs --direct");
                return VFIOPT_EXIT_USAGE;
        }
        if (cli_has(cli, OPTION_ROOT) && !dry_run) {
                report_error("option --root needs --dry-run");
                return VFIOPT_EXIT_USAGE;
        }
        return 0;
}

static int switch_for_real(Cli *cli, const Selection *selection) {
        _cleanup_(outcomes_deinit) Outcomes outcomes = OUTCOMES_NULL;
        int r, e;

        r = outcomes_init(&outcomes, selection);
        if (r < 0)
                return r;

        r = cli_has(cli, OPTION_DIRECT) ? switch_direct(cli, selection, &outcomes)
                                        : switch_by_job(cli, selection, &outcomes);
        if (r >= 0 && cli_has(cli, OPTION_JSON)) {
                e = outcomes_print_json(&outcomes);
                r = e < 0 ? e : r;
        }
        return r;
}

static int switch_run_verb(Cli *cli) {
        _cleanup_(selection_deinit) Selection selection = SELECTION_NULL;
        int r;

        r = check_options(cli);
        if (r)
                return r;
        r = selection_init(&selection, cli);
        if (r)
                return r;

        return cli_has(cli, OPTION_DRY_RUN) ? switch_dry_run(cli, &selection)
                                            : switch_for_real(cli, &selection);
}

const Verb verb_switch = {
        .name = "switch",
        .args = "MODE [GPU...]",
        .summary = "move GPUs to host or passthrough",
        .options = OPTION_ALLOW_DISPLAY | OPTION_DIRECT | OPTION_DRY_RUN | OPTION_JSON |
                        OPTION_ROOT | OPTION_TRIGGER | OPTION_VERBOSE,
        .n_min = 1,
        .n_max = SIZE_MAX,
        .run = switch_run_verb,
};
