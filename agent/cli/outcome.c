/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Outcomes
 *
 * The last final event of a GPU counts: a stuck switch may be followed by a refusal.
 */

#include <syslog.h>

#include "base/text.h"
#include "cli/message.h"
#include "cli/outcome.h"

void outcomes_deinit(Outcomes *outcomes) {
        for (size_t i = 0; i < outcomes->n; ++i) {
                Outcome *outcome = &outcomes->items[i];

                free(outcome->reason);
                free(outcome->holders);
        }
        free(outcomes->items);
        *outcomes = (Outcomes) OUTCOMES_NULL;
}

/* Start with GPUs that nothing has happened to; outcomes_deinit() it. */
int outcomes_init(Outcomes *outcomes, const Targets *targets) {
        Outcomes made = OUTCOMES_NULL;

        made.items = calloc(targets->n ?: 1, sizeof(*made.items));
        if (!made.items)
                return -ENOMEM;

        for (size_t i = 0; i < targets->n; ++i) {
                const Target *target = &targets->items[i];

                if (target->to != MODE_UNSET)
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
        int r = 0;

        address_format(outcome->gpu, address);
        error_gather(&r, json_add_string(object, "address", address));
        error_gather(&r, add_mode(object, "from", outcome->from));
        error_gather(&r, add_mode(object, "to", outcome->to));
        error_gather(&r,
                        json_add_string(object, "result",
                                        touched ? event_types[outcome->kind].name : "untouched"));
        error_gather(&r, json_add_string(object, "reason", outcome->reason));
        error_gather(&r, json_add_uint_or_null(object, "duration_usec", outcome->usec, touched));
        error_gather(&r, json_add_string(object, "holders", outcome->holders));
        return r < 0 ? r : json_push(array, TAKE_PTR(object));
}

/* {"version":1,"gpus":[…]} on the standard output stream. */
int outcomes_print_json(const Outcomes *outcomes) {
        _cleanup_(json_freep) Json *gpus = json_new_array();
        int r = 0;

        for (size_t i = 0; i < outcomes->n; ++i)
                error_gather(&r, push_outcome(gpus, &outcomes->items[i]));
        return r < 0 ? r : message_json("gpus", TAKE_PTR(gpus), NULL, NULL);
}

/* One line on the standard error stream; steps only if asked for. */
void event_print(const Event *event, const char *message, bool verbose) {
        int priority = event_types[event->kind].priority;

        if (priority <= LOG_WARNING)
                message_error("%s", message);
        else if (priority < LOG_DEBUG || verbose)
                message_line("%s", message);
}

/* Exit codes, worst last, and the result of a switch that has each. */
static const struct {
        int code;
        int result; /* SwitchResult, or -1 */
} exits[] = {
        { VFIOPT_EXIT_DONE, SWITCH_DONE },
        { VFIOPT_EXIT_NO_DRIVER, SWITCH_NO_DRIVER },
        { VFIOPT_EXIT_BUSY, SWITCH_BUSY },
        { VFIOPT_EXIT_PRECONDITION, SWITCH_PRECONDITION },
        { VFIOPT_EXIT_USAGE, -1 },
        { VFIOPT_EXIT_ERROR, -1 },
        { VFIOPT_EXIT_FAILED, SWITCH_FAILED },
        { VFIOPT_EXIT_STUCK, SWITCH_STUCK },
};

int exit_of_result(SwitchResult result) {
        for (size_t i = 0; i < ARRAY_SIZE(exits); ++i)
                if (exits[i].result == (int) result)
                        return exits[i].code;
        return VFIOPT_EXIT_ERROR;
}

/* The worse of two exit codes, for several GPUs. */
int exit_worse(int a, int b) {
        for (size_t i = ARRAY_SIZE(exits); i-- > 0;)
                if (exits[i].code == a || exits[i].code == b)
                        return exits[i].code;
        return a ?: b;
}
