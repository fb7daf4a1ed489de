/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Switching not at all
 *
 * Prints the very plan that would be carried out, and what is in its way.
 */

#include "base/json.h"
#include "base/text.h"
#include "cli/report.h"
#include "cli/switch-ways.h"
#include "probe/finding.h"
#include "vfiopt/names.h"

static int print_plan(const Move *move) {
        const Plan *plan = &move->plan;
        char address[ADDRESS_STRING_MAX];
        int r;

        address_format(move->gpu->address, address);
        if (plan->n_steps == 0) {
                if (move->gpu->mode == move->to)
                        printf("%s: is in %s already\n", address, mode_to_string(move->to));
                return 0;
        }

        printf("%s: from %s to %s:\n", address, mode_to_string(move->from),
                        mode_to_string(move->to));
        for (size_t i = 0; i < plan->n_steps; ++i) {
                _cleanup_(freep) char *step = NULL;

                r = step_describe(&plan->steps[i], &step);
                if (r < 0)
                        return r;
                printf("%4zu. %s\n", i + 1, step);
        }
        return 0;
}

static int print_moves(const Move *moves, size_t n) {
        char address[ADDRESS_STRING_MAX];
        int r;

        for (size_t i = 0; i < n; ++i) {
                const Move *move = &moves[i];
                _cleanup_(freep) char *reason = NULL, *holders = NULL;

                r = print_plan(move);
                if (r >= 0 && move->findings.n > 0)
                        r = findings_explain(
                                        &move->findings, move->gpu, move->to, &reason, &holders);
                if (r < 0)
                        return r;
                if (!reason)
                        continue;
                /* After its plan also where both streams go to one place. */
                fflush(stdout);
                report_error("%s: would be refused: %s",
                                address_format(move->gpu->address, address), reason);
        }
        return 0;
}

static int push_step(Json *array, const Step *step) {
        _cleanup_(json_freep) Json *object = json_new_object();
        char address[ADDRESS_STRING_MAX], group[16];
        const char *value = step->value;
        int r;

        if (!object)
                return -ENOMEM;
        if (step->kind == STEP_HOLD_GROUP) {
                snprintf(group, sizeof(group), "%d", step->number);
                value = group;
        }

        r = json_add_string(object, "action", step_kind_to_string(step->kind));
        if (r >= 0)
                r = json_add_string(object, "function", address_format(step->function, address));
        if (r >= 0)
                r = json_add_string(object, "value", value);
        if (r >= 0)
                r = json_add_bool(object, "optional", step->optional);
        return r < 0 ? r : json_push(array, TAKE_PTR(object));
}

static int push_plan(Json *array, const Move *move) {
        _cleanup_(json_freep) Json *object = json_new_object(), *steps = json_new_array();
        _cleanup_(freep) char *reason = NULL, *holders = NULL;
        const Plan *plan = &move->plan;
        char address[ADDRESS_STRING_MAX];
        int r = object && steps ? 0 : -ENOMEM;

        if (r >= 0 && move->findings.n > 0)
                r = findings_explain(&move->findings, move->gpu, move->to, &reason, &holders);
        for (size_t i = 0; i < plan->n_steps && r >= 0; ++i)
                r = push_step(steps, &plan->steps[i]);
        if (r >= 0)
                r = json_add_string(object, "gpu", address_format(move->gpu->address, address));
        if (r >= 0)
                r = json_add_string(object, "from", mode_to_string(move->from));
        if (r >= 0)
                r = json_add_string(object, "to", mode_to_string(move->to));
        if (r >= 0)
                r = json_add(object, "steps", TAKE_PTR(steps));
        if (r >= 0)
                r = json_add_string(object, "refusal", reason);
        if (r >= 0)
                r = json_add_string(object, "holders", holders);
        return r < 0 ? r : json_push(array, TAKE_PTR(object));
}

static int preview_set(SwitchContext *context,
                const Cli *cli,
                const Selection *selection,
                size_t set,
                Mode to,
                Json *plans) {
        SwitchRequest request = {
                .trigger = TRIGGER_COMMAND,
                .allow_display = cli_has(cli, OPTION_ALLOW_DISPLAY),
        };
        SwitchResult result = SWITCH_DONE;
        Move *moves = NULL;
        int r;

        r = selection_ask(selection, set, to, &request);
        if (r < 0)
                return r;
        if (request.n_gpus > 0)
                r = switch_preview(context, &request, &moves, &result);
        for (size_t i = 0; plans && i < request.n_gpus && r >= 0; ++i)
                r = push_plan(plans, &moves[i]);
        if (!plans && r >= 0)
                r = print_moves(moves, request.n_gpus);
        moves_free(moves, request.n_gpus);
        free(request.gpus);
        return r < 0 ? r : exit_of_result(result);
}

/* As many requests as it would be for real. */
static int preview_to(SwitchContext *context,
                const Cli *cli,
                const Selection *selection,
                Mode to,
                Json *plans) {
        int exit_code = VFIOPT_EXIT_DONE, r;

        for (size_t set = 0; set < selection->n_targets; ++set) {
                r = preview_set(context, cli, selection, set, to, plans);
                if (r < 0)
                        return r;
                exit_code = exit_worse(exit_code, r);
        }
        return exit_code;
}

/* Takes @plans over. */
static int print_json(Json *plans) {
        _cleanup_(json_freep) Json *json = json_new_object(), *owned = plans;
        _cleanup_(freep) char *text = NULL;
        int r = json ? 0 : -ENOMEM;

        if (r >= 0)
                r = json_add_uint(json, "version", VFIOPT_JSON_VERSION);
        if (r >= 0)
                r = json_add(json, "plans", TAKE_PTR(owned));
        if (r >= 0)
                r = json_format(json, true, &text);
        if (r >= 0)
                puts(text);
        return r;
}

int switch_dry_run(Cli *cli, const Selection *selection) {
        _cleanup_(modules_freep) Modules *modules = NULL;
        _cleanup_(json_freep) Json *plans = NULL;
        SwitchContext context = { .roots = cli->roots };
        int exit_code = VFIOPT_EXIT_DONE, r;

        r = cli_open_own(cli, false);
        if (r >= 0)
                r = modules_new(&modules);
        if (r < 0)
                return r;
        context.modules = modules;
        if (cli_has(cli, OPTION_JSON)) {
                plans = json_new_array();
                if (!plans)
                        return -ENOMEM;
        }

        for (Mode to = MODE_HOST; to <= MODE_PASSTHROUGH; ++to) {
                r = preview_to(&context, cli, selection, to, plans);
                if (r < 0)
                        return r;
                exit_code = exit_worse(exit_code, r);
        }
        if (plans)
                r = print_json(TAKE_PTR(plans));
        return r < 0 ? r : exit_code;
}
