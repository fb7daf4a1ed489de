/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vfioptctl diagnose
 *
 * Whether this machine can give its GPUs to a guest, in one line, and a line for each check. Only looks,
 * as `status` does.
 */

#include "base/text.h"
#include "cli/message.h"
#include "cli/request.h"
#include "cli/table.h"
#include "diagnose/check.h"

/* How virt-host-validate(1) has it. */
static const struct {
        const char *word;
        Colour colour;
} looks[_VERDICT_MAX] = {
        [VERDICT_NONE] = { "", COLOUR_PLAIN },
        [VERDICT_PASS] = { "PASS", COLOUR_GOOD },
        [VERDICT_UNKNOWN] = { "UNKNOWN", COLOUR_WARNING },
        [VERDICT_WARN] = { "WARN", COLOUR_WARNING },
        [VERDICT_FAIL] = { "FAIL", COLOUR_BAD },
};

static int print_result(const Result *result) {
        _cleanup_(freep) char *line = NULL, *remedy = NULL;
        char address[ADDRESS_STRING_MAX] = "";
        int r;

        if (result->gpu)
                address_format(result->gpu->address, address);
        line = text_format("%-8s%s  %s%s%s: %s", looks[result->verdict].word, result->id, address,
                        result->gpu ? ": " : "", result->title, result->summary);
        if (result->remedy)
                remedy = text_format("%14s%s", "", result->remedy);
        if (!line || (result->remedy && !remedy))
                return -ENOMEM;
        r = line_print(line, looks[result->verdict].colour);
        return r == 0 && remedy ? line_print(remedy, COLOUR_PLAIN) : r;
}

/* A reader that has seen enough is no error. */
static int print_results(const Results *results) {
        _cleanup_(freep) char *conclusion = NULL;
        int r;

        r = results_conclude(results, &conclusion);
        if (r >= 0)
                r = line_print(conclusion, looks[results_worst(results)].colour);
        if (r == 0)
                r = line_print("", COLOUR_PLAIN);
        for (size_t i = 0; i < results->n && r == 0; ++i)
                r = print_result(&results->items[i]);
        return r < 0 ? r : 0;
}

static int push_result(Json *array, const Result *result) {
        _cleanup_(json_freep) Json *object = json_new_object();
        char address[ADDRESS_STRING_MAX];
        int r = 0;

        if (result->gpu)
                address_format(result->gpu->address, address);
        error_gather(&r, json_add_string(object, "id", result->id));
        error_gather(&r, json_add_string(object, "gpu", result->gpu ? address : NULL));
        error_gather(&r, json_add_string(object, "title", result->title));
        error_gather(&r, json_add_string(object, "status", verdict_to_string(result->verdict)));
        error_gather(&r, json_add_string(object, "summary", result->summary));
        error_gather(&r, json_add_string(object, "remedy", result->remedy));
        return r < 0 ? r : json_push(array, TAKE_PTR(object));
}

static int print_json(const Results *results) {
        _cleanup_(json_freep) Json *checks = json_new_array();
        int r = 0;

        for (size_t i = 0; i < results->n; ++i)
                error_gather(&r, push_result(checks, &results->items[i]));
        return r < 0 ? r : message_json("checks", TAKE_PTR(checks), NULL, NULL);
}

/* Those that are named; or the managed ones, or all where none is. Return: 0, an exit code, or negative. */
static int choose_gpus(Survey *survey, const Cli *cli) {
        Inventory *inventory = &survey->inventory;
        int r = 0;

        for (size_t i = 0; i < cli->n_args && r == 0; ++i) {
                Gpu *gpu;

                r = inventory_select(inventory, cli->roots->sysfs, cli->args[i], &gpu);
                if (r > 0)
                        return message_no_gpu(r, cli->args[i], &survey->policy.state);
                if (r == 0)
                        r = survey_add(survey, gpu);
        }
        for (size_t i = 0; i < inventory->n_gpus && cli->n_args == 0 && r == 0; ++i)
                if (policy_manages(&survey->policy, &inventory->gpus[i]))
                        r = survey_add(survey, &inventory->gpus[i]);
        for (size_t i = 0; i < inventory->n_gpus && survey->n_gpus == 0 && r == 0; ++i)
                r = survey_add(survey, &inventory->gpus[i]);
        return r;
}

static int diagnose_run(Cli *cli) {
        _cleanup_(survey_deinit) Survey survey = {};
        _cleanup_(results_deinit) Results results = {};
        Verdict worst;
        int r;

        r = survey_init(&survey, cli->roots);
        if (r < 0)
                return r;
        r = choose_gpus(&survey, cli);
        if (r)
                return r;
        r = survey_look(&survey);
        if (r >= 0)
                r = diagnose(&survey, &results);
        if (r < 0)
                return r;

        r = cli_has(cli, OPTION_JSON) ? print_json(&results) : print_results(&results);
        cli->printed = r >= 0;
        if (r < 0)
                return r;
        worst = results_worst(&results);
        return worst == VERDICT_FAIL           ? VFIOPT_EXIT_PRECONDITION
                        : worst > VERDICT_PASS ? VFIOPT_EXIT_WARNING
                                               : VFIOPT_EXIT_DONE;
}

const Verb verb_diagnose = {
        .name = "diagnose",
        .args = "[GPU...]",
        .summary = "whether guests can have them, and what is missing",
        .options = OPTION_JSON | OPTION_ROOT,
        .takes_image = true,
        .run = diagnose_run,
};
