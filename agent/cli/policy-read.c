/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reading the Policy
 *
 * What is wrong in a file is told where it is, and stops nothing: the rest counts.
 */

#include <string.h>

#include "cli/policy-read.h"
#include "cli/report.h"

static void report_complaint(void *userdata _unused_, bool is_warning, const char *complaint) {
        if (is_warning)
                report_warning("%s", complaint);
        else
                report_error("%s", complaint);
}

/**
 * policy_read() - load the policy
 * @policy:     to initialise; policy_deinit() it
 * @cli:        where
 *
 * Return: 0 on success, whatever was wrong with its files; negative error code on failure.
 */
int policy_read(Policy *policy, const Cli *cli) {
        bool unreadable;
        int r;

        r = roots_open_etc(cli->roots, false);
        unreadable = r < 0;
        if (unreadable)
                report_error("cannot look into our directory in /etc: %s", strerror(-r));
        r = roots_open_run(cli->roots, false);
        if (r < 0)
                report_error("cannot look into our directory in /run: %s", strerror(-r));
        r = policy_load(policy, cli->roots);
        if (r < 0)
                return r;
        policy->config.incomplete |= unreadable;

        policy_complain(policy, false, report_complaint, NULL);
        return 0;
}
