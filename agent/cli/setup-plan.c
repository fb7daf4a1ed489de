/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/text.h"
#include "cli/message.h"
#include "cli/setup-plan.h"

static const char *action_of(const PlanFile *file) {
        return !file->before.data ? "create" : !file->after.data ? "remove" : "change";
}

static void print_argv(char *const *argv) {
        for (; *argv; ++argv)
                printf(" %s", *argv);
}

/* Return: 0, or a negative error code. */
int setup_plan_print(const SetupPlan *plan, const SetupFacts *facts) {
        bool has_commands;

        printf("At boot:      GPUs in %s (%s)\n", mode_to_string(facts->mode), facts->mode_why);
        if (plan->loader)
                printf("Boot loader:  %s\n", plan->loader);
        if (plan->images)
                printf("Initramfs:    %s\n", plan->images);
        /* What is refused is not shown as if it came. */
        for (size_t i = 0; plan->n_refusals == 0 && i < plan->n_files; ++i) {
                const PlanFile *file = &plan->files[i];
                _cleanup_(freep) char *diff = NULL;
                int r;

                r = setup_plan_diff(file, &diff);
                if (r < 0)
                        return r;
                printf("\n%s /%s, mode %04o: %s\n%s", action_of(file), file->path,
                                (unsigned int) (file->after.data ? file->after.mode
                                                                 : file->before.mode),
                                file->why, diff);
        }
        has_commands = plan->n_refusals == 0 && plan->n_files > 0 && plan->n_commands > 0;
        if (has_commands)
                printf("\nThen run:\n");
        for (size_t i = 0; has_commands && i < plan->n_commands; ++i) {
                printf(" ");
                print_argv(plan->commands[i].argv);
                printf("   # %s\n", plan->commands[i].why);
        }
        if (plan->n_warnings > 0)
                printf("\n");
        for (size_t i = 0; i < plan->n_warnings; ++i)
                printf("Warning: %s.\n", plan->warnings[i]);
        return 0;
}

/* Where advice is to be followed, if not here. */
void setup_print_place(const char *prefix) {
        char quote[QUOTE_MAX];

        if (prefix[0])
                message_line("in the machine below %s, which vfioptctl is to be given with --root:",
                                message_quote(prefix, quote));
}

/* On the standard error stream. */
void setup_plan_print_refusals(const SetupPlan *plan, const char *prefix) {
        for (size_t i = 0; i < plan->n_refusals; ++i) {
                const PlanRefusal *refusal = &plan->refusals[i];

                message_error("nothing is changed: %s%s%s", refusal->where ?: "",
                                refusal->where ? ": " : "", refusal->problem);
                setup_print_place(prefix);
                message_line("%s", refusal->remedy);
        }
}

static int add_files(Json *json, const SetupPlan *plan) {
        Json *array = json_new_array();
        int r = 0;

        for (size_t i = 0; i < plan->n_files; ++i) {
                const PlanFile *file = &plan->files[i];
                Json *item = json_new_object();
                _cleanup_(freep) char *diff = NULL, *path = text_format("/%s", file->path);

                error_gather(&r, path ? setup_plan_diff(file, &diff) : -ENOMEM);
                error_gather(&r, json_add_string(item, "path", path));
                error_gather(&r, json_add_string(item, "action", action_of(file)));
                error_gather(&r, json_add_string(item, "reason", file->why));
                error_gather(&r, json_add_string(item, "diff", diff));
                error_gather(&r, json_push(array, item));
        }
        error_gather(&r, json_add(json, "files", array));
        return r;
}

static int add_commands(Json *json, const SetupPlan *plan) {
        Json *array = json_new_array();
        int r = 0;

        for (size_t i = 0; plan->n_files > 0 && i < plan->n_commands; ++i) {
                Json *item = json_new_object(), *argv = json_new_array();

                for (char **word = plan->commands[i].argv; *word; ++word)
                        error_gather(&r, json_push_string(argv, *word));
                error_gather(&r, json_add(item, "argv", argv));
                error_gather(&r, json_add_string(item, "reason", plan->commands[i].why));
                error_gather(&r, json_push(array, item));
        }
        error_gather(&r, json_add(json, "commands", array));
        return r;
}

static int add_refusals(Json *json, const SetupPlan *plan) {
        Json *array = json_new_array();
        int r = 0;

        for (size_t i = 0; i < plan->n_refusals; ++i) {
                Json *item = json_new_object();

                error_gather(&r, json_add_string(item, "where", plan->refusals[i].where));
                error_gather(&r, json_add_string(item, "problem", plan->refusals[i].problem));
                error_gather(&r, json_add_string(item, "remedy", plan->refusals[i].remedy));
                error_gather(&r, json_push(array, item));
        }
        error_gather(&r, json_add(json, "refusals", array));
        return r;
}

static int add_strings(Json *json, const char *key, char *const *strings, size_t n) {
        Json *array = json_new_array();
        int r = 0;

        for (size_t i = 0; i < n; ++i)
                error_gather(&r, json_push_string(array, strings[i]));
        error_gather(&r, json_add(json, key, array));
        return r;
}

/* @result: nothing, planned, refused, done, undone or left. Return: 0, or negative. @ret: json_free() it */
int setup_plan_json(const SetupPlan *plan,
                const SetupFacts *facts,
                const char *result,
                const SetupReport *report,
                Json **ret) {
        _cleanup_(json_freep) Json *json = json_new_object();
        int r = 0;

        error_gather(&r, json_add_string(json, "result", result));
        error_gather(&r, json_add_string(json, "mode", mode_to_string(facts->mode)));
        error_gather(&r, json_add_string(json, "loader", plan->loader));
        error_gather(&r, json_add_string(json, "initramfs", plan->images));
        error_gather(&r, add_files(json, plan));
        error_gather(&r, add_commands(json, plan));
        error_gather(&r, add_strings(json, "warnings", plan->warnings, plan->n_warnings));
        error_gather(&r, add_refusals(json, plan));
        error_gather(&r, json_add_string(json, "problem", report->problem));
        error_gather(&r, add_strings(json, "notes", report->notes, report->n_notes));
        error_gather(&r, json_add_string(json, "backup", report->backup));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}

void setup_report_print(const SetupReport *report) {
        if (report->output && report->output[0])
                message_line("%s", report->output);
        for (size_t i = 0; i < report->n_notes; ++i)
                message_warning("%s", report->notes[i]);
}
