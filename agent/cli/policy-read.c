/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reading the Policy
 *
 * What is wrong in a file is told where it is, and stops nothing: the rest counts.
 */

#include <string.h>

#include "cli/policy-read.h"
#include "cli/report.h"

static void report_complaint(const ConfigComplaint *complaint) {
        _cleanup_(freep) char *text = config_complaint_format(complaint);

        if (complaint->is_warning)
                report_warning("%s", text ?: complaint->text);
        else
                report_error("%s", text ?: complaint->text);
}

/**
 * policy_read() - load the policy
 * @policy:     to initialise; policy_deinit() it
 * @cli:        where
 *
 * Return: 0 on success, whatever was wrong with its files; negative error code on failure.
 */
int policy_read(Policy *policy, const Cli *cli) {
        char quote[QUOTE_MAX];
        int r;

        r = roots_open_etc(cli->roots, cli->prefix, false);
        if (r < 0)
                report_error("cannot look into our directory in /etc: %s", strerror(-r));
        r = policy_load(policy, cli->roots);
        if (r < 0)
                return r;

        if (policy->kernel_unknown)
                report_error("vfiopt.mode=%s on the kernel's command line is not known, and taken for "
                             "off; it is host, passthrough or off",
                                report_quote(policy->kernel_unknown, quote));
        for (size_t i = 0; i < policy->config.n_complaints; ++i)
                report_complaint(&policy->config.complaints[i]);
        if (policy->state_problem == STATE_E_INVALID)
                report_error("the state file cannot be understood: nothing is remembered");
        else if (policy->state_problem < 0)
                report_error("the state file cannot be read (%s): nothing is remembered",
                                strerror(-policy->state_problem));
        return 0;
}
