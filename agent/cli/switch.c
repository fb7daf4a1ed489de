/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfioptctl switch
 *
 * Without --direct it asks the manager for the job that `systemctl start` would start, so
 * that there is one way in which a GPU moves. Options reach the job in its instance (request.h).
 *
 * With --direct it switches in this process: for the units, and for a rescue shell. Every event
 * goes to the journal as a record, and to the standard error stream as a sentence; unless that
 * is the journal, too, which then has the record already.
 *
 * With --dry-run it prints the very plan that would be carried out, and what is in its way.
 */

#include <string.h>

#include "base/text.h"
#include "cli/job.h"
#include "cli/message.h"
#include "cli/request.h"
#include "journal/write.h"
#include "os/systemd.h"
#include "probe/explain.h"
#include "probe/finding.h"
#include "vfiopt/names.h"

/* in this process */

typedef struct Audience {
        JournalSource source;
        Outcomes *outcomes;
        bool speak;
        bool verbose;
        bool complained;
        int error; /* the first one, negative */
} Audience;

static void audience_deinit(Audience *audience) {
        journal_source_deinit(&audience->source);
}

static void on_event(void *userdata, const Event *event) {
        _cleanup_(freep) char *message = NULL;
        Audience *audience = userdata;
        int r;

        r = journal_send(event, &audience->source);
        if (r < 0 && !audience->complained) {
                message_error("cannot write to the journal: %s, ignoring", strerror(-r));
                audience->complained = true;
        }
        if (audience->source.socket.n_lost > 0 && !audience->complained) {
                message_error("the journal does not read what is written to it; records are lost");
                audience->complained = true;
        }

        r = audience->speak ? event_format(event, &message) : 0;
        if (message)
                event_print(event, message, audience->verbose);
        error_gather(&audience->error, r);
        error_gather(&audience->error, outcomes_note(audience->outcomes, event));
}

/* Not or not surely the card that something is said of: left alone, and the journal says so. */
static int tell_of_doubt(Audience *audience, const Cli *cli, const Policy *policy, const Gpu *gpu) {
        _cleanup_(freep) char *reason = NULL;
        Event event = event_of_gpu(gpu, EVENT_WARNING, gpu->mode, cli->trigger);
        int r;

        r = policy_describe_card(policy, gpu, &reason);
        if (r < 0)
                return r;
        event.phase = "policy";
        event.reason = reason;
        on_event(audience, &event);
        return 0;
}

/*
 * Whether vfiopt.mode= takes precedence over a request that names a mode: while the machine
 * starts. An enabled instance starts with it, as if a person had asked; but the kernel's
 * command line is the person's word for this boot. That this cannot be told is no reason to
 * refuse.
 */
static bool is_overruled(const Request *request, const JournalSource *source) {
        int r;

        if (request->automatic || !source->unit || !request->policy.kernel.is_set)
                return false;
        r = systemd_is_starting();
        if (r < 0)
                message_error("cannot ask whether the machine has come up: %s, ignoring",
                                strerror(-r));
        if (r == 1)
                message_warning("nothing is moved while the machine starts: " VFIOPT_KERNEL_KEY
                                "= on the kernel's command line takes precedence");
        return r == 1;
}

/*
 * Of an automatic request, a part that fails is no reason to leave the next one out. What helps
 * cards that are not there is no condition. Return: an exit code, or a negative error code.
 */
static int run_parts(Cli *cli, const Request *request, Audience *audience) {
        _cleanup_(modules_freep) Modules *modules = NULL;
        SwitchContext context = {
                .roots = cli->roots,
                .observer = on_event,
                .observer_userdata = audience,
        };
        int exit_code = VFIOPT_EXIT_DONE, error, r;

        error = modules_new(&modules);
        if (error < 0)
                return error;
        context.modules = modules;
        if (request->automatic && request->all) {
                r = unplugged_pin(cli->roots, modules, &request->inventory, &request->policy.state);
                if (r < 0)
                        message_error("cannot pin GPUs that may be plugged in later: %s, ignoring",
                                        strerror(-r));
        }

        for (size_t i = 0; i < request->n_parts && !context.asked_to_end; ++i) {
                SwitchRequest part = request->parts[i];
                SwitchResult result;

                if (error < 0 && !request->automatic)
                        break;
                part.trigger = cli->trigger;
                r = switch_run(&context, &part, &result);
                if (r >= 0)
                        exit_code = exit_worse(exit_code, exit_of_result(result));
                error_gather(&error, r);
        }
        error_gather(&error, audience->error);
        return error < 0 ? error : exit_code;
}

static int switch_direct(Cli *cli, const Request *request, Outcomes *outcomes) {
        _cleanup_(audience_deinit) Audience audience = {
                .outcomes = outcomes,
                .speak = !message_goes_to_journal(),
                .verbose = cli_has(cli, OPTION_VERBOSE),
        };
        int exit_code = VFIOPT_EXIT_DONE, r;

        if (geteuid() != 0) {
                message_error("only root can switch GPUs with --direct");
                return VFIOPT_EXIT_PRECONDITION;
        }
        r = roots_open_run(cli->roots, true);
        if (r < 0) {
                message_error("cannot open " VFIOPT_RUN_DIR ": %s", strerror(-r));
                return VFIOPT_EXIT_ERROR;
        }
        r = roots_open_etc(cli->roots, true);
        if (r < 0)
                message_error("cannot open " VFIOPT_ETC_DIR
                              ", modes will not survive a reboot: %s, ignoring",
                                strerror(-r));
        r = journal_source_init(&audience.source, cli->roots->proc_fd, getenv("INVOCATION_ID"));
        if (r < 0)
                return r;

        /*
         * A job that moves GPUs to where they belong does the agent's work: the policy has decided,
         * and no person has named a mode. Who had the manager start it is not known here.
         */
        if (request->automatic && audience.source.unit && !cli_has(cli, OPTION_TRIGGER))
                cli->trigger = TRIGGER_AGENT;
        for (size_t i = 0; i < request->targets.n; ++i) {
                const Target *target = &request->targets.items[i];

                r = target->to != MODE_UNSET
                                ? 0
                                : tell_of_doubt(&audience, cli, &request->policy, target->gpu);
                if (r < 0)
                        return r;
        }
        if (!is_overruled(request, &audience.source))
                exit_code = run_parts(cli, request, &audience);
        if (exit_code < 0)
                return exit_code;

        r = modules_load_update(cli->roots);
        if (r < 0)
                message_error("cannot update " VFIOPT_RUN_DIR
                              " for systemd-modules-load.service: %s, ignoring",
                                strerror(-r));
        return exit_code;
}

/* by a job */

static int switch_by_job(Cli *cli, const Request *request, Outcomes *outcomes) {
        _cleanup_(strv_freep) char **units = NULL;
        int exit_code, r;
        size_t n;

        r = request_units(request, cli->options, &units, &n);
        if (r < 0)
                return r;
        if (n == 0)
                return VFIOPT_EXIT_DONE;
        if (n > (request->toggle ? 2 : 1))
                message_warning("so many GPUs are %zu jobs; each checks its own before any of them moves",
                                n);
        r = jobs_run(units, n, outcomes, cli_has(cli, OPTION_VERBOSE), &exit_code);
        return r < 0 ? r : exit_code;
}

/* not at all */

static int push_passed_over(Json *array, const char *address, const char *reason) {
        _cleanup_(json_freep) Json *object = json_new_object();
        int r = 0;

        error_gather(&r, json_add_string(object, "function", address));
        error_gather(&r, json_add_string(object, "reason", reason));
        return r < 0 ? r : json_push(array, TAKE_PTR(object));
}

/*
 * Drivers that would not load, and are done without. That of the display may be among the findings.
 * @array: for JSON; NULL: in words
 */
static int tell_of_passed_over(const Move *move, const char *refusal, Json *array) {
        const PlanInput *input = &move->facts.input;
        char address[ADDRESS_STRING_MAX];
        int r = 0;

        if (refusal || move->plan.n_steps == 0)
                return 0;
        for (size_t i = move->findings.n > 0; i < input->n_functions && r >= 0; ++i) {
                _cleanup_(freep) char *reason = NULL;

                r = move_explain_passed_over(move, i, &reason);
                if (!reason)
                        continue;
                address_format(input->functions[i].address, address);
                if (array)
                        r = push_passed_over(array, address, reason);
                else
                        message_warning("%s: %s", address, reason);
        }
        return r;
}

/* What is in the way comes first: below a long plan it would be overlooked. */
static int print_move(const Move *move, const char *refusal, const char *no_driver) {
        const char *condition = refusal ? " (would be refused)" : "";
        const Plan *plan = &move->plan;
        char address[ADDRESS_STRING_MAX];
        int r;

        address_format(move->gpu->address, address);
        /* Behind the GPU before it also where both streams go to one place. */
        fflush(stdout);
        if (move->skip) {
                printf("%s: is being written to; the switch waits for that to end\n", address);
                return 0;
        }
        if (refusal)
                message_error("%s: would be refused: %s", address, refusal);
        if (no_driver)
                message_error("%s: would be without a driver: %s", address, no_driver);
        r = tell_of_passed_over(move, refusal, NULL);
        if (r < 0)
                return r;
        if (move->record.has_move)
                printf("%s: a switch was interrupted, which is finished or undone first\n",
                                address);
        if (plan->n_steps == 0 && move->gpu->mode == move->to)
                printf("%s: is in %s already\n", address, mode_to_string(move->to));
        else if (plan->n_steps > 0 && move->from == move->to)
                printf("%s: repairs in %s%s:\n", address, mode_to_string(move->to), condition);
        else if (plan->n_steps > 0)
                printf("%s: from %s to %s%s:\n", address, mode_to_string(move->from),
                                mode_to_string(move->to), condition);
        for (size_t i = 0; i < plan->n_steps; ++i) {
                _cleanup_(freep) char *step = NULL;

                r = step_describe(&plan->steps[i], &step);
                if (r < 0)
                        return r;
                printf("%4zu. %s\n", i + 1, step);
        }
        return 0;
}

static int push_step(Json *array, const Step *step) {
        _cleanup_(json_freep) Json *object = json_new_object();
        char address[ADDRESS_STRING_MAX], group[16];
        const char *value = step->value;
        int r = 0;

        if (step->kind == STEP_HOLD_GROUP) {
                snprintf(group, sizeof(group), "%d", step->number);
                value = group;
        }
        address_format(step->function, address);
        error_gather(&r, json_add_string(object, "action", step_kind_to_string(step->kind)));
        error_gather(&r, json_add_string(object, "function", address));
        error_gather(&r, json_add_string(object, "value", value));
        error_gather(&r, json_add_bool(object, "optional", step->optional));
        return r < 0 ? r : json_push(array, TAKE_PTR(object));
}

static int push_move(Json *array,
                const Move *move,
                const char *refusal,
                const char *no_driver,
                const char *holders) {
        _cleanup_(json_freep) Json *object = json_new_object(), *steps = json_new_array();
        _cleanup_(json_freep) Json *passed_over = json_new_array();
        char address[ADDRESS_STRING_MAX];
        int r;

        if (!passed_over)
                return -ENOMEM;
        r = tell_of_passed_over(move, refusal, passed_over);
        address_format(move->gpu->address, address);
        for (size_t i = 0; i < move->plan.n_steps; ++i)
                error_gather(&r, push_step(steps, &move->plan.steps[i]));
        error_gather(&r, json_add_string(object, "gpu", address));
        error_gather(&r, json_add_string(object, "from", mode_to_string(move->from)));
        error_gather(&r, json_add_string(object, "to", mode_to_string(move->to)));
        error_gather(&r, json_add_bool(object, "interrupted", move->record.has_move));
        error_gather(&r, json_add(object, "steps", TAKE_PTR(steps)));
        error_gather(&r, json_add_string(object, "refusal", refusal));
        error_gather(&r, json_add_string(object, "no_driver", no_driver));
        error_gather(&r, json_add(object, "passed_over", TAKE_PTR(passed_over)));
        error_gather(&r, json_add_string(object, "holders", holders));
        return r < 0 ? r : json_push(array, TAKE_PTR(object));
}

static int preview_part(SwitchContext *context, const SwitchRequest *part, Json *plans, int *exit) {
        SwitchResult result;
        Move *moves;
        int r;

        r = switch_preview(context, part, &moves, &result);
        if (r < 0)
                return r;
        *exit = exit_worse(*exit, exit_of_result(result));
        for (size_t i = 0; i < part->n_gpus && r >= 0; ++i) {
                _cleanup_(freep) char *refusal = NULL, *holders = NULL, *no_driver = NULL;
                const Move *move = &moves[i];

                if (move_ends_idle(move))
                        r = move_explain_idle(move, &no_driver);
                else if (move->findings.n > 0)
                        r = findings_explain(
                                        &move->findings, move->gpu, move->to, &refusal, &holders);
                if (r >= 0)
                        r = plans ? push_move(plans, move, refusal, no_driver, holders)
                                  : print_move(move, refusal, no_driver);
        }
        moves_free(moves, part->n_gpus);
        return r;
}

/* Why a GPU stays that an automatic switch would leave alone. */
static int preview_doubt(const Policy *policy, const Gpu *gpu) {
        _cleanup_(freep) char *reason = NULL;
        char address[ADDRESS_STRING_MAX];
        int r;

        r = policy_describe_card(policy, gpu, &reason);
        if (reason)
                message_warning("%s: %s", address_format(gpu->address, address), reason);
        return r;
}

/* As many parts as it would be for real. */
static int switch_dry_run(Cli *cli, const Request *request) {
        _cleanup_(modules_freep) Modules *modules = NULL;
        _cleanup_(json_freep) Json *plans = NULL;
        SwitchContext context = { .roots = cli->roots };
        int exit_code = VFIOPT_EXIT_DONE, r;

        r = cli_open_own(cli, false);
        if (r < 0)
                return r;
        r = modules_new_for(cli->roots, &modules);
        if (r < 0)
                return r;
        context.modules = modules;
        if (cli_has(cli, OPTION_JSON)) {
                plans = json_new_array();
                if (!plans)
                        return -ENOMEM;
        }

        for (size_t i = 0; i < request->targets.n; ++i) {
                const Target *target = &request->targets.items[i];

                r = target->to == MODE_UNSET ? preview_doubt(&request->policy, target->gpu) : 0;
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < request->n_parts; ++i) {
                SwitchRequest part = request->parts[i];

                part.trigger = TRIGGER_COMMAND;
                r = preview_part(&context, &part, plans, &exit_code);
                if (r < 0)
                        return r;
        }
        r = plans ? message_json("plans", TAKE_PTR(plans), NULL, NULL) : 0;
        cli->printed = r >= 0;
        return r < 0 ? r : exit_code;
}

/* the verb */

static int switch_run_verb(Cli *cli) {
        _cleanup_(request_deinit) Request request = REQUEST_NULL;
        _cleanup_(outcomes_deinit) Outcomes outcomes = OUTCOMES_NULL;
        bool dry_run = cli_has(cli, OPTION_DRY_RUN), direct = cli_has(cli, OPTION_DIRECT);
        int exit_code, r;

        if (cli_has(cli, OPTION_TRIGGER) && !direct) {
                message_error("option --trigger needs --direct");
                return VFIOPT_EXIT_USAGE;
        }
        if (cli_has(cli, OPTION_ROOT) && !dry_run) {
                message_error("option --root needs --dry-run");
                return VFIOPT_EXIT_USAGE;
        }
        r = request_init(&request, cli);
        if (r)
                return r;
        if (dry_run)
                return switch_dry_run(cli, &request);

        r = outcomes_init(&outcomes, &request.targets);
        if (r < 0)
                return r;
        exit_code = direct ? switch_direct(cli, &request, &outcomes)
                           : switch_by_job(cli, &request, &outcomes);
        if (exit_code < 0 || !cli_has(cli, OPTION_JSON))
                return exit_code;
        r = outcomes_print_json(&outcomes);
        cli->printed = r >= 0;
        return r < 0 ? r : exit_code;
}

const Verb verb_switch = {
        .name = "switch",
        .args = "MODE [GPU...]",
        .summary = "move GPUs to host or passthrough",
        .options = OPTION_ALLOW_DISPLAY | OPTION_DIRECT | OPTION_DRY_RUN | OPTION_JSON |
                        OPTION_ROOT | OPTION_TRIGGER | OPTION_VERBOSE,
        .n_min = 1,
        .run = switch_run_verb,
};
