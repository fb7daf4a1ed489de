/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Switching as a Job
 *
 * One request is one job, so that all of its GPUs are checked before any is touched:
 * an instance of vfiopt@.service for all managed GPUs, or for those that are named.
 * (Only a toggle can need two, one for each direction.) The name is made of what was
 * understood, not of what was typed; its grammar is in instance.h.
 */

#include "base/text.h"
#include "cli/instance.h"
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

static int append_gpu(Text *name, const Gpu *gpu, size_t *n) {
        return instance_append_gpu(name, gpu->address, (*n)++ == 0);
}

/* One job that finds out itself where each goes. Strangers, too: it is what tells of them. */
static int list_automatic(
                const Selection *selection, unsigned int options, char ***ret, size_t *ret_n) {
        _cleanup_(strv_freep) char **units = calloc(2, sizeof(*units));
        Text name = TEXT_NULL;
        size_t n = 0;
        int r;

        if (!units)
                return -ENOMEM;

        r = text_append(&name, "vfiopt@");
        if (r >= 0)
                r = instance_append_mode(&name, INSTANCE_AUTO, options);
        for (size_t i = 0; r >= 0 && !selection->all && i < selection->n_targets; ++i)
                r = append_gpu(&name, selection->targets[i].gpu, &n);
        for (size_t i = 0; r >= 0 && !selection->all && i < selection->n_strangers; ++i)
                r = append_gpu(&name, selection->strangers[i], &n);
        if (r >= 0)
                r = text_append(&name, ".service");
        if (r < 0) {
                text_deinit(&name);
                return r;
        }

        units[0] = text_take(&name);
        *ret_n = selection->all || n > 0;
        *ret = TAKE_PTR(units);
        return 0;
}

/* "vfiopt@host:0000:01:00.0_0000:02:00.0.service"; empty if no GPU goes there */
static int name_unit(const Selection *selection, Mode to, unsigned int options, Text *name) {
        bool started = false;
        size_t n = 0;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < selection->n_targets; ++i) {
                if (selection->targets[i].to != to)
                        continue;
                if (!started) {
                        r = text_append(name, "vfiopt@");
                        if (r >= 0)
                                r = instance_append_mode(name, mode_to_string(to), options);
                }
                started = true;
                if (r >= 0 && (!selection->all || selection->toggle))
                        r = append_gpu(name, selection->targets[i].gpu, &n);
        }
        return r < 0 || !started ? r : text_append(name, ".service");
}

static int list_units(
                const Selection *selection, unsigned int options, char ***ret, size_t *ret_n) {
        _cleanup_(strv_freep) char **units = NULL;
        size_t n = 0;
        int r;

        units = calloc(_MODE_MAX + 1, sizeof(*units));
        if (!units)
                return -ENOMEM;

        for (Mode to = MODE_HOST; to <= MODE_PASSTHROUGH; ++to) {
                Text name = TEXT_NULL;

                r = name_unit(selection, to, options, &name);
                if (r < 0) {
                        text_deinit(&name);
                        return r;
                }
                units[n] = text_take(&name);
                n += units[n] != NULL;
        }

        *ret = TAKE_PTR(units);
        *ret_n = n;
        return 0;
}

int switch_by_job(Cli *cli, const Selection *selection, Outcomes *outcomes) {
        _cleanup_(strv_freep) char **units = NULL;
        Listener listener = { .outcomes = outcomes, .verbose = cli_has(cli, OPTION_VERBOSE) };
        const JobWatcher watcher = { .tell = on_tell, .print = on_print, .userdata = &listener };
        int exit_code, r;
        size_t n;

        r = selection->automatic ? list_automatic(selection, cli->options, &units, &n)
                                 : list_units(selection, cli->options, &units, &n);
        if (r >= 0 && n == 0)
                return VFIOPT_EXIT_DONE;
        if (r >= 0)
                r = jobs_run((const char *const *) units, n, &watcher, &exit_code);
        if (r >= 0)
                r = listener.error;
        return r < 0 ? r : exit_code;
}
