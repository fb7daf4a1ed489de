/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Switching as a Job
 *
 * An instance of vfiopt@.service for all managed GPUs, or one for each that is
 * named. Its name is made of what was understood, not of what was typed.
 */

#include "base/text.h"
#include "cli/job.h"
#include "cli/report.h"
#include "cli/switch-ways.h"

typedef struct Listener {
        Outcomes *outcomes;
        bool verbose;
        int error; /* the first one, negative */
} Listener;

static void on_tell(void *userdata, const Tale *tale) {
        Listener *listener = userdata;

        tale_print(tale, listener->verbose);
        error_gather(&listener->error, outcomes_note(listener->outcomes, tale));
}

static void on_print(void *userdata _unused_, const char *message) {
        report_line("%s", message);
}

static char *unit_name(const Target *target) {
        char address[ADDRESS_STRING_MAX];

        return text_format("vfiopt@%s:%s.service", mode_to_string(target->to),
                        address_format(target->gpu->address, address));
}

static int list_units(const Selection *selection, char ***ret, size_t *ret_n) {
        bool together = selection->all && !selection->toggle;
        size_t n = together ? 1 : selection->n_targets;
        char **units;

        units = calloc(n + 1, sizeof(*units));
        if (!units)
                return -ENOMEM;

        for (size_t i = 0; i < n; ++i) {
                units[i] = together
                                ? text_format("vfiopt@%s.service", mode_to_string(selection->to))
                                : unit_name(&selection->targets[i]);
                if (!units[i]) {
                        sysfs_list_free(units);
                        return -ENOMEM;
                }
        }

        *ret = units;
        *ret_n = n;
        return 0;
}

int switch_by_job(Cli *cli, const Selection *selection, Outcomes *outcomes) {
        _cleanup_(sysfs_list_freep) char **units = NULL;
        Listener listener = { .outcomes = outcomes, .verbose = cli_has(cli, OPTION_VERBOSE) };
        const JobWatcher watcher = { .tell = on_tell, .print = on_print, .userdata = &listener };
        int exit_code, r;
        size_t n;

        r = list_units(selection, &units, &n);
        if (r >= 0)
                r = jobs_run((const char *const *) units, n, &watcher, &exit_code);
        if (r >= 0)
                r = listener.error;
        return r < 0 ? r : exit_code;
}
