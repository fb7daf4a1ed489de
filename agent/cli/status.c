/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfioptctl status
 *
 * Needs no privilege. What it cannot see is said to be unknown, on the standard
 * error stream.
 */

#include <string.h>

#include "cli/report.h"
#include "cli/status.h"
#include "model/inventory.h"

static void load_wishes(const Cli *cli, State *state) {
        int r;

        r = state_load(state, cli->roots->etc_fd);
        if (r == STATE_E_INVALID)
                report_error("the state file cannot be understood: wishes are not known");
        else if (r < 0)
                report_error("the state file cannot be read (%s): wishes are not known",
                                strerror(-r));
}

static int show(Cli *cli, Ids *ids, const State *state, const Inventory *inventory) {
        Status *statuses;
        size_t n = 0;
        int r = 0;

        statuses = calloc(inventory->n_gpus ?: 1, sizeof(*statuses));
        if (!statuses)
                return -ENOMEM;

        while (n < inventory->n_gpus && r >= 0) {
                r = status_init(&statuses[n], cli, ids, state, &inventory->gpus[n]);
                ++n;
        }
        if (r >= 0)
                r = cli_has(cli, OPTION_JSON) ? status_print_json(statuses, n)
                                              : status_print_table(statuses, n);
        for (size_t i = 0; i < n; ++i)
                status_deinit(&statuses[i]);
        free(statuses);
        return r < 0 ? r : VFIOPT_EXIT_DONE;
}

static int status_run(Cli *cli) {
        _cleanup_(ids_freep) Ids *ids = NULL;
        Inventory inventory = {};
        State state = STATE_NULL;
        int r;

        r = cli_open_own(cli, false);
        if (r >= 0)
                r = ids_new(&ids);
        if (r >= 0)
                r = inventory_init(&inventory, cli->roots->sysfs);
        if (r < 0)
                return r;

        load_wishes(cli, &state);
        r = show(cli, ids, &state, &inventory);
        state_deinit(&state);
        inventory_deinit(&inventory);
        return r;
}

const Verb verb_status = {
        .name = "status",
        .args = "",
        .summary = "where each GPU is (the default)",
        .options = OPTION_JSON | OPTION_ROOT,
        .run = status_run,
};
