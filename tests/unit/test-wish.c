/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Wishes
 */

#include "lib/test.h"

#include "model/wish.h"

static void a_wish_comes_back_from_its_name(void **state _unused_) {
        for (Wish wish = 0; wish < _WISH_MAX; ++wish) {
                Wish parsed = _WISH_MAX;

                assert_int_equal(wish_from_string(wish_to_string(wish), &parsed), 0);
                assert_int_equal(parsed, wish);
        }
        assert_string_equal(wish_to_string(WISH_UNSET), "unset");
        assert_string_equal(wish_to_string(WISH_HOST), "host");
        assert_string_equal(wish_to_string(WISH_PASSTHROUGH), "passthrough");
        assert_string_equal(wish_to_string(_WISH_MAX), "unknown");
}

static void nothing_else_is_a_wish(void **state _unused_) {
        static const char *const strange[] = {
                "",
                "Host",
                "host ",
                " host",
                "hos",
                "hosts",
                "mixed",
                "stuck",
                "unknown",
                "passthrough\n",
                "0",
        };

        for (size_t i = 0; i < ARRAY_SIZE(strange); ++i) {
                Wish parsed = _WISH_MAX;

                assert_int_equal(wish_from_string(strange[i], &parsed), -EINVAL);
                assert_int_equal(parsed, _WISH_MAX);
        }
}

static void what_is_mixed_was_wished_by_nobody(void **state _unused_) {
        assert_int_equal(wish_of_mode(MODE_HOST), WISH_HOST);
        assert_int_equal(wish_of_mode(MODE_PASSTHROUGH), WISH_PASSTHROUGH);
        assert_int_equal(wish_of_mode(MODE_MIXED), WISH_UNSET);
        assert_int_equal(wish_of_mode(_MODE_MAX), WISH_UNSET);
}

static void a_wish_has_one_mode_or_leaves_it_there(void **state _unused_) {
        for (Mode mode = 0; mode < _MODE_MAX; ++mode) {
                assert_int_equal(wish_mode(WISH_HOST, mode), MODE_HOST);
                assert_int_equal(wish_mode(WISH_PASSTHROUGH, mode), MODE_PASSTHROUGH);
                assert_int_equal(wish_mode(WISH_UNSET, mode), mode);
        }
}

static void a_wish_is_fulfilled_by_its_mode_alone(void **state _unused_) {
        static const bool expected[_WISH_MAX][_MODE_MAX] = {
                [WISH_UNSET] = { true, true, true },
                [WISH_HOST] = { [MODE_HOST] = true },
                [WISH_PASSTHROUGH] = { [MODE_PASSTHROUGH] = true },
        };

        for (Wish wish = 0; wish < _WISH_MAX; ++wish)
                for (Mode mode = 0; mode < _MODE_MAX; ++mode)
                        assert_int_equal(wish_is_fulfilled(wish, mode), expected[wish][mode]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_wish_comes_back_from_its_name),
                cmocka_unit_test(nothing_else_is_a_wish),
                cmocka_unit_test(what_is_mixed_was_wished_by_nobody),
                cmocka_unit_test(a_wish_has_one_mode_or_leaves_it_there),
                cmocka_unit_test(a_wish_is_fulfilled_by_its_mode_alone),
        };

        return cmocka_run_group_tests_name("wish", tests, NULL, NULL);
}
