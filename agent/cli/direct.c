/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Switching in this Process
 *
 * For the units, and for a rescue shell. Every event goes to the journal as a
 * record, and to the standard error stream as a sentence; unless that is the
 * journal, too, which then has the record already.
 */

#include <string.h>

#include "cli/report.h"
#include "cli/switch-ways.h"
#include "journal/write.h"
#include "os/systemd.h"
#include "policy/unplugged.h"
#include "record/leave-out.h"
#include "vfiopt/names.h"

typedef struct Audience {
        JournalSource source;
        Outcomes *outcomes;
        bool speak;
        bool verbose;
        bool complained;
        int error; /* the first one, negative */
} Audience;

static void on_event(void *userdata, const Event *event) {
        _cleanup_(freep) char *message = NULL;
        Audience *audience = userdata;
        int r;

        r = journal_send(event, &audience->source);
        if (r < 0 && !audience->complained) {
                report_error("cannot write to the journal: %s, ignoring", strerror(-r));
                audience->complained = true;
        }

        r = audience->speak ? event_format(event, &message) : 0;
        if (message)
                event_print(event, message, audience->verbose);
        error_gather(&audience->error, r);
        error_gather(&audience->error, outcomes_note(audience->outcomes, event));
}

static int run_set(SwitchContext *context,
                Cli *cli,
                const Selection *selection,
                size_t set,
                Mode to,
                int *exit_code) {
        SwitchRequest request = {
                .trigger = cli->trigger,
                .allow_display = cli_has(cli, OPTION_ALLOW_DISPLAY),
                /* The kernel's command line is for this boot. */
                .transient = selection->automatic && selection->policy.kernel.is_set,
                .automatic = selection->automatic,
        };
        SwitchResult result;
        int r;

        r = selection_ask(selection, set, to, &request);
        if (r < 0)
                return r;
        if (request.n_gpus > 0)
                r = switch_run(context, &request, &result);
        if (r >= 0 && request.n_gpus > 0)
                *exit_code = exit_worse(*exit_code, exit_of_result(result));
        free(request.gpus);
        return r;
}

/* What is not there cannot be moved, but reserved. That is a help, and no condition. */
static void pin_absent(const Cli *cli, const Selection *selection, Modules *modules) {
        int r;

        r = unplugged_pin(cli->roots, modules, &selection->inventory, &selection->policy.state);
        if (r < 0)
                report_error("cannot reserve GPUs that may be plugged in later: %s, ignoring",
                                strerror(-r));
}

/* A set that fails is no reason to leave the next one out. */
static int
run_to(SwitchContext *context, Cli *cli, const Selection *selection, Mode to, int *exit_code) {
        int error = 0;

        for (size_t set = 0; set < selection->n_targets && !context->asked_to_end; ++set)
                error_gather(&error, run_set(context, cli, selection, set, to, exit_code));
        return error;
}

static int run_all(Cli *cli, const Selection *selection, Audience *audience) {
        _cleanup_(modules_freep) Modules *modules = NULL;
        SwitchContext context = {
                .roots = cli->roots,
                .observer = on_event,
                .observer_userdata = audience,
        };
        int exit_code = VFIOPT_EXIT_DONE, r;

        r = modules_new(&modules);
        if (r < 0)
                return r;
        context.modules = modules;
        if (selection->automatic && selection->all)
                pin_absent(cli, selection, modules);
        for (Mode to = MODE_HOST; to <= MODE_PASSTHROUGH && (r >= 0 || selection->automatic); ++to)
                error_gather(&r, run_to(&context, cli, selection, to, &exit_code));
        error_gather(&r, audience->error);
        return r < 0 ? r : exit_code;
}

/*
 * Whether NVIDIA's driver would refuse to load: no GPU is left that it could have. Once it is
 * loaded it has no need of one, and neither have the modules that go with it.
 */
static int look_if_it_would_refuse(Sysfs *sysfs, bool *ret) {
        Inventory inventory;
        bool all;
        int r;

        *ret = false;
        if (sysfs_exists(sysfs, "module/nvidia"))
                return 0;

        r = inventory_init(&inventory, sysfs);
        if (r < 0)
                return r;
        all = inventory.n_gpus > 0;
        for (size_t i = 0; i < inventory.n_gpus; ++i)
                all = all && driver_is_vfio(sysfs, inventory.gpus[i].functions[0].driver);
        inventory_deinit(&inventory);

        *ret = all;
        return 0;
}

/*
 * What a boot has left out is loaded with the first GPU that comes home. That is a help, and no
 * condition.
 */
static void follow_up(const Cli *cli) {
        bool refuses;
        int r;

        r = look_if_it_would_refuse(cli->roots->sysfs, &refuses);
        if (r >= 0)
                r = leave_out_set(cli->roots->run_fd, refuses);
        if (r == 0 && !refuses && cli->roots->is_real)
                r = systemd_load_modules();
        if (r < 0)
                report_error("cannot see to the modules that systemd-modules-load.service loads: %s, ignoring",
                                strerror(-r));
}

/* Another card than the one that is remembered: left alone, and the journal says so. */
static int tell_of_stranger(
                const Cli *cli, const State *state, const Gpu *gpu, Audience *audience) {
        _cleanup_(freep) char *reason = NULL;
        Event event = event_of_gpu(gpu, EVENT_WARNING, gpu->mode, cli->trigger);
        int r;

        r = state_describe_other_card(state, gpu, &reason);
        if (r < 0)
                return r;

        event.phase = "policy";
        event.reason = reason;
        on_event(audience, &event);
        return 0;
}

/*
 * What does not survive a reboot must have a place; what does, may have to do without.
 * Return: 0, or an exit code after having reported why not.
 */
static int open_own(Cli *cli) {
        int r;

        r = roots_open_run(cli->roots, true);
        if (r < 0) {
                report_error("cannot use our directory in /run, without which nothing is moved: %s",
                                strerror(-r));
                return VFIOPT_EXIT_ERROR;
        }

        r = roots_open_etc(cli->roots, true);
        if (r < 0)
                report_error("cannot remember modes across reboots: our directory in /etc: %s, ignoring",
                                strerror(-r));
        return 0;
}

/*
 * A job that moves GPUs to where they belong does the agent's work: the policy has decided,
 * and no person has named a mode. Who had the manager start it is not known here.
 */
static void find_trigger(Cli *cli, const Selection *selection, const JournalSource *source) {
        if (selection->automatic && source->unit && !cli_has(cli, OPTION_TRIGGER))
                cli->trigger = TRIGGER_AGENT;
}

/*
 * An enabled instance is started with the machine, as if a person had asked for it. But what
 * is on the kernel's command line is the person's word for this boot.
 *
 * Return: whether to leave all as it is.
 */
static bool is_overruled(const Selection *selection, const JournalSource *source) {
        int r;

        if (selection->automatic || !source->unit || !selection->policy.kernel.is_set)
                return false;

        r = systemd_is_starting();
        if (r < 0)
                report_error("cannot ask whether the machine has come up: %s, ignoring",
                                strerror(-r));
        if (r == 1)
                report_warning(VFIOPT_KERNEL_KEY
                                "= on the kernel's command line counts while the machine "
                                "starts: nothing is moved");
        return r == 1;
}

int switch_direct(Cli *cli, const Selection *selection, Outcomes *outcomes) {
        Audience audience = {
                .outcomes = outcomes,
                .speak = !report_goes_to_journal(),
                .verbose = cli_has(cli, OPTION_VERBOSE),
        };
        int r;

        if (geteuid() != 0) {
                report_error("only root can switch GPUs with --direct");
                return VFIOPT_EXIT_PRECONDITION;
        }

        r = open_own(cli);
        if (r == 0)
                r = journal_source_init(
                                &audience.source, cli->roots->proc_fd, getenv("INVOCATION_ID"));
        if (r > 0)
                return r;
        if (r >= 0)
                find_trigger(cli, selection, &audience.source);
        for (size_t i = 0; r >= 0 && i < selection->n_strangers; ++i)
                r = tell_of_stranger(
                                cli, &selection->policy.state, selection->strangers[i], &audience);
        if (r >= 0 && !is_overruled(selection, &audience.source))
                r = run_all(cli, selection, &audience);
        if (r >= 0)
                follow_up(cli);
        journal_source_deinit(&audience.source);
        return r;
}
