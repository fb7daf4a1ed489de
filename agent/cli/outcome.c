/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Outcomes
 *
 * Of all that is told about a GPU, the last final word counts: a switch that is
 * stuck may have been told to be stuck and then to be refused.
 */

#include <string.h>
#include <syslog.h>

#include "base/json.h"
#include "cli/outcome.h"
#include "cli/report.h"

void outcomes_deinit(Outcomes *outcomes) {
        for (size_t i = 0; i < outcomes->n; ++i) {
                Outcome *outcome = &outcomes->items[i];

                free(outcome->from);
                free(outcome->to);
                free(outcome->reason);
                free(outcome->holders);
        }
        free(outcomes->items);
        *outcomes = (Outcomes) OUTCOMES_NULL;
}

/**
 * outcomes_init() - start with GPUs that nothing has happened to
 * @outcomes:   to initialise; outcomes_deinit() it
 * @selection:  the GPUs, and where they shall go
 *
 * Return: 0 on success, negative error code on failure.
 */
int outcomes_init(Outcomes *outcomes, const Selection *selection) {
        Outcomes made = OUTCOMES_NULL;

        made.items = calloc(selection->n_targets ?: 1, sizeof(*made.items));
        if (!made.items)
                return -ENOMEM;

        for (size_t i = 0; i < selection->n_targets; ++i) {
                const Target *target = &selection->targets[i];
                Outcome *outcome = &made.items[made.n++];

                *outcome = (Outcome){
                        .gpu = target->gpu->address,
                        .kind = _EVENT_MAX,
                        .from = strdup(mode_to_string(target->gpu->mode)),
                        .to = strdup(mode_to_string(target->to)),
                };
                if (!outcome->from || !outcome->to) {
                        outcomes_deinit(&made);
                        return -ENOMEM;
                }
        }

        *outcomes = made;
        return 0;
}

static bool is_final(EventKind kind) {
        switch (kind) {
        case EVENT_DONE:
        case EVENT_NOTHING:
        case EVENT_BUSY:
        case EVENT_PRECONDITION:
        case EVENT_ROLLED_BACK:
        case EVENT_ROLLBACK_FAILED:
        case EVENT_STUCK:
                return true;
        default:
                return false;
        }
}

static int replace(char **s, const char *value) {
        char *copy = NULL;

        if (value && value[0]) {
                copy = strdup(value);
                if (!copy)
                        return -ENOMEM;
        }
        free(*s);
        *s = copy;
        return 0;
}

/* Note what is told, if it is final and about one of our GPUs. */
int outcomes_note(Outcomes *outcomes, const Tale *tale) {
        Outcome *outcome = NULL;
        int r;

        for (size_t i = 0; i < outcomes->n; ++i)
                if (!address_compare(outcomes->items[i].gpu, tale->gpu))
                        outcome = &outcomes->items[i];
        if (!outcome || !is_final(tale->kind))
                return 0;

        outcome->kind = tale->kind;
        outcome->usec = tale->usec;
        r = replace(&outcome->from, tale->from);
        if (r >= 0)
                r = replace(&outcome->to, tale->to);
        if (r >= 0)
                r = replace(&outcome->reason, tale->reason);
        if (r >= 0)
                r = replace(&outcome->holders, tale->holders);
        return r;
}

static int push_outcome(Json *array, const Outcome *outcome) {
        bool touched = outcome->kind < _EVENT_MAX;
        _cleanup_(json_freep) Json *object = json_new_object();
        char address[ADDRESS_STRING_MAX];
        int r;

        if (!object)
                return -ENOMEM;

        r = json_add_string(object, "address", address_format(outcome->gpu, address));
        if (r >= 0)
                r = json_add_string(object, "from", outcome->from);
        if (r >= 0)
                r = json_add_string(object, "to", outcome->to);
        if (r >= 0)
                r = json_add_string(object, "result",
                                touched ? event_kind_to_string(outcome->kind) : "untouched");
        if (r >= 0)
                r = json_add_string(object, "reason", outcome->reason);
        if (r >= 0)
                r = touched ? json_add_uint(object, "duration_usec", outcome->usec)
                            : json_add_null(object, "duration_usec");
        if (r >= 0)
                r = json_add_string(object, "holders", outcome->holders);
        return r < 0 ? r : json_push(array, TAKE_PTR(object));
}

/* {"gpus":[…]} on the standard output stream. */
int outcomes_print_json(const Outcomes *outcomes) {
        _cleanup_(json_freep) Json *json = json_new_object(), *gpus = json_new_array();
        _cleanup_(freep) char *text = NULL;
        int r = json && gpus ? 0 : -ENOMEM;

        for (size_t i = 0; i < outcomes->n && r >= 0; ++i)
                r = push_outcome(gpus, &outcomes->items[i]);
        if (r >= 0)
                r = json_add(json, "gpus", TAKE_PTR(gpus));
        if (r >= 0)
                r = json_format(json, true, &text);
        if (r >= 0)
                puts(text);
        return r;
}

/* One line on the standard error stream; steps only if asked for. */
void tale_print(const Tale *tale, bool verbose) {
        if (tale->priority >= LOG_DEBUG && !verbose)
                return;
        if (tale->priority <= LOG_WARNING)
                report_error("%s", tale->message);
        else
                report_line("%s", tale->message);
}

int exit_of_result(SwitchResult result) {
        switch (result) {
        case SWITCH_DONE:
                return VFIOPT_EXIT_DONE;
        case SWITCH_BUSY:
                return VFIOPT_EXIT_BUSY;
        case SWITCH_PRECONDITION:
                return VFIOPT_EXIT_PRECONDITION;
        case SWITCH_FAILED:
                return VFIOPT_EXIT_FAILED;
        case SWITCH_STUCK:
                return VFIOPT_EXIT_STUCK;
        default:
                return VFIOPT_EXIT_ERROR;
        }
}

/* The worse of two exit codes, for several GPUs. */
int exit_worse(int a, int b) {
        static const int order[] = {
                VFIOPT_EXIT_DONE,
                VFIOPT_EXIT_BUSY,
                VFIOPT_EXIT_PRECONDITION,
                VFIOPT_EXIT_USAGE,
                VFIOPT_EXIT_ERROR,
                VFIOPT_EXIT_FAILED,
                VFIOPT_EXIT_STUCK,
        };

        for (size_t i = ARRAY_SIZE(order); i-- > 0;)
                if (order[i] == a || order[i] == b)
                        return order[i];
        return a ?: b;
}
