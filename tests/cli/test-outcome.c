/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Outcomes
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/outcome.h"

static Gpu gpus[] = {
        { .address = { .bus = 1 }, .mode = MODE_HOST },
        { .address = { .bus = 2 }, .mode = MODE_PASSTHROUGH },
};
static Target items[] = {
        { .gpu = &gpus[0], .to = MODE_PASSTHROUGH },
        { .gpu = &gpus[1], .to = MODE_HOST },
};
static const Targets targets = { .items = items, .n = ARRAY_SIZE(items) };

static int outcomes_new(void **state) {
        static Outcomes outcomes;

        assert_int_equal(outcomes_init(&outcomes, &targets), 0);
        *state = &outcomes;
        return 0;
}

static int outcomes_free(void **state) {
        outcomes_deinit(*state);
        return 0;
}

static Event event(EventKind kind, uint8_t bus) {
        return (Event){
                .kind = kind,
                .gpu = { .bus = bus },
                .from = MODE_HOST,
                .to = MODE_PASSTHROUGH,
                .usec = 7,
        };
}

static void nothing_has_happened_at_first(void **state) {
        Outcomes *outcomes = *state;

        assert_int_equal(outcomes->n, 2);
        assert_int_equal(outcomes->items[0].kind, _EVENT_MAX);
        assert_int_equal(outcomes->items[0].from, MODE_HOST);
        assert_int_equal(outcomes->items[0].to, MODE_PASSTHROUGH);
        assert_int_equal(outcomes->items[1].from, MODE_PASSTHROUGH);
        assert_int_equal(outcomes->items[1].to, MODE_HOST);
}

static void only_what_is_final_is_noted(void **state) {
        static const EventKind passing[] = {
                EVENT_STARTED,
                EVENT_STEP,
                EVENT_UNSTUCK,
                EVENT_RECOVERED,
                EVENT_WARNING,
                EVENT_ASKED,
                EVENT_GAVE_UP,
                EVENT_CLAIMED,
        };
        Outcomes *outcomes = *state;

        for (size_t i = 0; i < ARRAY_SIZE(passing); ++i) {
                Event e = event(passing[i], 1);

                assert_int_equal(outcomes_note(outcomes, &e), 0);
                assert_int_equal(outcomes->items[0].kind, _EVENT_MAX);
        }
}

static void the_last_final_word_counts(void **state) {
        Outcomes *outcomes = *state;
        Event stuck = event(EVENT_STUCK, 1), refused = event(EVENT_PRECONDITION, 1);

        stuck.reason = "could not unbind";
        stuck.holders = "1 (a) /dev/b";
        assert_int_equal(outcomes_note(outcomes, &stuck), 0);
        assert_int_equal(outcomes->items[0].kind, EVENT_STUCK);
        assert_string_equal(outcomes->items[0].reason, "could not unbind");
        assert_string_equal(outcomes->items[0].holders, "1 (a) /dev/b");
        assert_int_equal(outcomes->items[0].usec, 7);

        assert_int_equal(outcomes_note(outcomes, &refused), 0);
        assert_int_equal(outcomes->items[0].kind, EVENT_PRECONDITION);
        assert_null(outcomes->items[0].reason);
        assert_null(outcomes->items[0].holders);
        assert_int_equal(outcomes->items[1].kind, _EVENT_MAX);
}

static void what_is_told_of_another_gpu_is_not_ours(void **state) {
        Outcomes *outcomes = *state;
        Event other = event(EVENT_DONE, 3);

        assert_int_equal(outcomes_note(outcomes, &other), 0);
        assert_int_equal(outcomes->items[0].kind, _EVENT_MAX);
        assert_int_equal(outcomes->items[1].kind, _EVENT_MAX);
}

static void every_result_has_its_exit_code(void **state _unused_) {
        assert_int_equal(exit_of_result(SWITCH_DONE), VFIOPT_EXIT_DONE);
        assert_int_equal(exit_of_result(SWITCH_NO_DRIVER), VFIOPT_EXIT_NO_DRIVER);
        assert_int_equal(exit_of_result(SWITCH_BUSY), VFIOPT_EXIT_BUSY);
        assert_int_equal(exit_of_result(SWITCH_PRECONDITION), VFIOPT_EXIT_PRECONDITION);
        assert_int_equal(exit_of_result(SWITCH_FAILED), VFIOPT_EXIT_FAILED);
        assert_int_equal(exit_of_result(SWITCH_STUCK), VFIOPT_EXIT_STUCK);
}

static void the_worse_exit_code_wins_in_either_order(void **state _unused_) {
        static const int order[] = {
                VFIOPT_EXIT_DONE,
                VFIOPT_EXIT_NO_DRIVER,
                VFIOPT_EXIT_BUSY,
                VFIOPT_EXIT_PRECONDITION,
                VFIOPT_EXIT_ERROR,
                VFIOPT_EXIT_FAILED,
                VFIOPT_EXIT_STUCK,
        };

        for (size_t i = 0; i < ARRAY_SIZE(order); ++i)
                for (size_t k = 0; k <= i; ++k) {
                        assert_int_equal(exit_worse(order[i], order[k]), order[i]);
                        assert_int_equal(exit_worse(order[k], order[i]), order[i]);
                }
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define test(name) cmocka_unit_test_setup_teardown(name, outcomes_new, outcomes_free)
                test(nothing_has_happened_at_first),
                test(only_what_is_final_is_noted),
                test(the_last_final_word_counts),
                test(what_is_told_of_another_gpu_is_not_ours),
#undef test
                cmocka_unit_test(every_result_has_its_exit_code),
                cmocka_unit_test(the_worse_exit_code_wins_in_either_order),
        };

        return cmocka_run_group_tests_name("cli/outcome", tests, NULL, NULL);
}
