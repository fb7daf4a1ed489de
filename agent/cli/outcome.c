/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Outcomes
 *
 * The last final event of a GPU counts: a stuck switch may be followed by a refusal.
 */

#include <syslog.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/outcome.h"
#include "cli/report.h"
#include "vfiopt/names.h"

void outcomes_deinit(Outcomes *outcomes) {
        for (size_t i = 0; i < outcomes->n; ++i) {
                Outcome *outcome = &outcomes->items[i];

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

                made.items[made.n++] = (Outcome){
                        .gpu = target->gpu->address,
                        .kind = _EVENT_MAX,
                        .from = target->gpu->mode,
                        .to = target->to,
                };
        }

        *outcomes = made;
        return 0;
}

static int replace(char **s, const char *value) {
        char *copy;
        int r;

        r = text_copy(value, &copy);
        if (r < 0)
                return r;

        free(*s);
        *s = copy;
        return 0;
}

/* Note an event, if it is final and about one of our GPUs. */
int outcomes_note(Outcomes *outcomes, const Event *event) {
        for (size_t i = 0; i < outcomes->n && event_types[event->kind].is_final; ++i) {
                Outcome *outcome = &outcomes->items[i];
                int r;

                if (address_compare(outcome->gpu, event->gpu) != 0)
                        continue;
                outcome->kind = event->kind;
                outcome->from = event->from;
                outcome->to = event->to;
                outcome->usec = event->usec;
                r = replace(&outcome->reason, event->reason);
                return r < 0 ? r : replace(&outcome->holders, event->holders);
        }
        return 0;
}

static int add_mode(Json *object, const char *key, Mode mode) {
        return json_add_string(object, key, mode == MODE_UNSET ? NULL : mode_to_string(mode));
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
                r = add_mode(object, "from", outcome->from);
        if (r >= 0)
                r = add_mode(object, "to", outcome->to);
        if (r >= 0)
                r = json_add_string(object, "result",
                                touched ? event_types[outcome->kind].name : "untouched");
        if (r >= 0)
                r = json_add_string(object, "reason", outcome->reason);
        if (r >= 0)
                r = touched ? json_add_uint(object, "duration_usec", outcome->usec)
                            : json_add_null(object, "duration_usec");
        if (r >= 0)
                r = json_add_string(object, "holders", outcome->holders);
        return r < 0 ? r : json_push(array, TAKE_PTR(object));
}

/* {"version":1,"gpus":[…]} on the standard output stream. */
int outcomes_print_json(const Outcomes *outcomes) {
        _cleanup_(json_freep) Json *json = json_new_object(), *gpus = json_new_array();
        _cleanup_(freep) char *text = NULL;
        int r = json && gpus ? 0 : -ENOMEM;

        if (r >= 0)
                r = json_add_uint(json, "version", VFIOPT_JSON_VERSION);
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
void event_print(const Event *event, const char *message, bool verbose) {
        int priority = event_types[event->kind].priority;

        if (priority <= LOG_WARNING)
                report_error("%s", message);
        else if (priority < LOG_DEBUG || verbose)
                report_line("%s", message);
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
