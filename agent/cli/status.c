/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfioptctl status
 *
 * Needs no privilege. What it cannot see is said to be unknown, on the standard
 * error stream.
 */

#include <string.h>

#include "cli/report.h"
#include "cli/select.h"
#include "cli/status.h"
#include "model/inventory.h"

static int show(Cli *cli, Ids *ids, const Policy *policy, Inventory *inventory) {
        Status *statuses;
        size_t n = 0;
        int r = 0;

        statuses = calloc(inventory->n_gpus ?: 1, sizeof(*statuses));
        if (!statuses)
                return -ENOMEM;

        while (n < inventory->n_gpus && r >= 0) {
                Gpu *gpu = &inventory->gpus[n];

                gpu->managed = policy_manages(policy, gpu);
                r = status_init(&statuses[n], cli, ids, policy, gpu);
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
        Policy policy = POLICY_NULL;
        int r;

        r = roots_open_run(cli->roots, false);
        if (r < 0)
                report_warning("cannot look into our directory in /run: %s; what is under way or stuck "
                               "is not known",
                                strerror(-r));
        r = ids_new(&ids);
        if (r >= 0)
                r = policy_read(&policy, cli);
        if (r >= 0)
                r = inventory_init(&inventory, cli->roots->sysfs);
        if (r >= 0)
                r = show(cli, ids, &policy, &inventory);
        policy_deinit(&policy);
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
