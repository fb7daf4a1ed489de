/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Text
 */

#include "lib/test.h"

#include "base/text.h"

static void a_text_that_nothing_was_appended_to_is_empty(void **state _unused_) {
        Text t = TEXT_NULL;

        assert_string_equal(text(&t), "");
        assert_null(text_take(&t));
        text_deinit(&t);
}

static void a_text_grows_with_what_is_appended(void **state _unused_) {
        char expected[5001] = "";
        Text t = TEXT_NULL;

        for (size_t i = 0; i < 1000; ++i) {
                assert_int_equal(text_append(&t, "%03zu,", i), 0);
                snprintf(expected + strlen(expected), 5, "%03zu,", i);
        }
        assert_int_equal(t.n, 4000);
        assert_string_equal(text(&t), expected);
        text_deinit(&t);
        assert_string_equal(text(&t), "");
}

static void appending_nothing_makes_a_string_to_take(void **state _unused_) {
        _cleanup_(freep) char *s = NULL;
        Text t = TEXT_NULL;

        assert_int_equal(text_append(&t, "%s", ""), 0);
        s = text_take(&t);
        assert_string_equal(s, "");
}

static void what_was_taken_does_not_change_any_more(void **state _unused_) {
        _cleanup_(freep) char *s = NULL;
        Text t = TEXT_NULL;

        assert_int_equal(text_append(&t, "one"), 0);
        s = text_take(&t);
        assert_int_equal(text_append(&t, "two"), 0);
        assert_string_equal(s, "one");
        assert_string_equal(text(&t), "two");
        text_deinit(&t);
}

static void numbers_are_taken_whole_or_not_at_all(void **state _unused_) {
        static const struct {
                const char *s;
                unsigned int base;
                uint64_t max;
                int r;
                uint64_t value;
        } cases[] = {
                { "0", 10, 0, 0, 0 },
                { "7", 10, 7, 0, 7 },
                { "8", 10, 7, -ERANGE, 0 },
                { "007", 10, 7, 0, 7 },
                { "ff", 16, 255, 0, 255 },
                { "FF", 16, 255, 0, 255 },
                { "100", 16, 255, -ERANGE, 0 },
                { "18446744073709551615", 10, UINT64_MAX, 0, UINT64_MAX },
                { "18446744073709551616", 10, UINT64_MAX, -ERANGE, 0 },
                { "99999999999999999999999", 10, UINT64_MAX, -ERANGE, 0 },
                { "ffffffffffffffff", 16, UINT64_MAX, 0, UINT64_MAX },
                { "10000000000000000", 16, UINT64_MAX, -ERANGE, 0 },
                { "", 10, 9, -EINVAL, 0 },
                { " 1", 10, 9, -EINVAL, 0 },
                { "1 ", 10, 9, -EINVAL, 0 },
                { "1\n", 10, 9, -EINVAL, 0 },
                { "+1", 10, 9, -EINVAL, 0 },
                { "-1", 10, 9, -EINVAL, 0 },
                { "0x1", 16, 9, -EINVAL, 0 },
                { "a", 10, 99, -EINVAL, 0 },
                { "g", 16, 99, -EINVAL, 0 },
                { "1.0", 10, 99, -EINVAL, 0 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                uint64_t value = 4711;

                assert_int_equal(text_to_uint(cases[i].s, cases[i].base, cases[i].max, &value),
                                cases[i].r);
                assert_true(value == (cases[i].r ? 4711 : cases[i].value));
        }
}

static void a_part_of_a_string_can_be_a_number(void **state _unused_) {
        uint64_t value = 4711;

        assert_int_equal(text_n_to_uint("01:00", 2, 16, 255, &value), 0);
        assert_true(value == 1);
        assert_int_equal(text_n_to_uint("01:00", 3, 16, 255, &value), -EINVAL);
        assert_int_equal(text_n_to_uint("01:00", 0, 16, 255, &value), -EINVAL);
        assert_int_equal(text_n_to_uint("01", 3, 16, 255, &value), -EINVAL); /* stops at the end */
        assert_true(value == 1);
}

static void a_prefix_leaves_the_rest(void **state _unused_) {
        const char *rest = "untouched";

        assert_true(text_starts_with("pci:v000010DE", "pci:", &rest));
        assert_string_equal(rest, "v000010DE");
        assert_true(text_starts_with("pci:", "pci:", NULL));
        assert_true(text_starts_with("anything", "", NULL));

        rest = "untouched";
        assert_false(text_starts_with("pc", "pci:", &rest));
        assert_false(text_starts_with("PCI:", "pci:", &rest));
        assert_string_equal(rest, "untouched");
}

static void a_suffix_has_something_before_it(void **state _unused_) {
        static const struct {
                const char *s, *suffix;
                bool ends;
        } cases[] = {
                { "50-cards.conf", ".conf", true },
                { "a.conf", ".conf", true },
                { ".conf", ".conf", false },
                { "conf", ".conf", false },
                { "", ".conf", false },
                { "a.conf.bak", ".conf", false },
                { "a.Conf", ".conf", false },
                { "a", "", true },
                { "", "", false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i)
                assert_int_equal(text_ends_with(cases[i].s, cases[i].suffix), cases[i].ends);
}

static void a_word_of_a_list_is_a_whole_one(void **state _unused_) {
        static const struct {
                const char *list, *word;
                bool has;
        } cases[] = {
                { "nvidia", "nvidia", true },
                { "nouveau,nvidia,nova_core", "nouveau", true },
                { "nouveau,nvidia,nova_core", "nvidia", true },
                { "nouveau,nvidia,nova_core", "nova_core", true },
                { "nouveau,,nvidia", "nvidia", true },
                { "nvidia,", "nvidia", true },
                { "nvidia_drm", "nvidia", false },
                { "xnvidia,nvidia_drm", "nvidia", false },
                { "nvidia", "nvidia_drm", false },
                { "nouveau, nvidia", "nvidia", false },
                { "", "nvidia", false },
                { ",", "nvidia", false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i)
                assert_int_equal(text_has_word(cases[i].list, cases[i].word), cases[i].has);
}

static void a_value_is_found_behind_its_key_at_the_start_of_a_line(void **state _unused_) {
        static const struct {
                const char *text;
                const char *value; /* NULL: none */
        } cases[] = {
                { "key: value\n", "value" },
                { "key:value", "value" },
                { "other: x\nkey: \t a b \t\r\nkey: y\n", "a b" },
                { "\n\nkey:\nx", "" },
                { "key: \t ", "" },
                { "a key: x\nke: x\nkeys: x\n", NULL },
                { "", NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                size_t n = 99;
                const char *value = text_find_value(cases[i].text, "key:", &n);

                if (!cases[i].value) {
                        assert_null(value);
                        assert_int_equal(n, 99);
                        continue;
                }
                assert_int_equal(n, strlen(cases[i].value));
                assert_memory_equal(value, cases[i].value, n);
        }
}

static void a_format_makes_a_string(void **state _unused_) {
        _cleanup_(freep) char *s = text_format("%s-%d", "a", 7);

        assert_string_equal(s, "a-7");
}

static void a_copy_of_nothing_is_nothing(void **state _unused_) {
        _cleanup_(freep) char *copy = NULL;
        char *none = (char *) "untouched";

        assert_int_equal(text_copy("abc", &copy), 0);
        assert_string_equal(copy, "abc");
        assert_int_equal(text_copy(NULL, &none), 0);
        assert_null(none);
}

static void only_plain_ascii_is_printable(void **state _unused_) {
        static const struct {
                const char *s, *printable;
        } cases[] = {
                { "", "" },
                { "0000:01:00.0 ~", "0000:01:00.0 ~" },
                { "a\nb", "a?b" },
                { "a\tb", "a?b" },
                { "\x1b[31m", "?[31m" },
                { "\x7f", "?" },
                { "\xc3\xa4", "??" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                _cleanup_(freep) char *copy = text_printable(cases[i].s);

                assert_string_equal(copy, cases[i].printable);
                assert_int_equal(text_is_printable(cases[i].s), !strcmp(copy, cases[i].s));
        }
}

static void what_is_no_text_is_replaced(void **state _unused_) {
        static const struct {
                const char *s, *expected;
        } cases[] = {
                { "", "" },
                { "a\x1b\x7f~", "a\x1b\x7f~" },
                { "\xc3\xa4\xe2\x80\xa6\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x80\xa6\xf0\x9f\x98\x80" },
                { "\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf",
                                "\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf" },
                { "\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
                                "\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf" },
                { "a\x9b"
                  "31m",
                                "a?31m" },
                { "\xff\xfe", "??" },
                /* cut off, by the end or by another character */
                { "\xc3", "?" },
                { "\xe2\x80", "??" },
                { "\xf0\x9f\x98", "???" },
                { "\xe2\x80\xc3\xa4", "??\xc3\xa4" },
                /* too long, a surrogate, beyond the last one */
                { "\xc0\xaf", "??" },
                { "\xc1\xbf", "??" },
                { "\xe0\x9f\xbf", "???" },
                { "\xed\xa0\x80", "???" },
                { "\xf0\x8f\xbf\xbf", "????" },
                { "\xf4\x90\x80\x80", "????" },
                { "\xf5\x80\x80\x80", "????" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                _cleanup_(freep) char *s = strdup(cases[i].s);

                text_repair(s);
                assert_string_equal(s, cases[i].expected);
        }
}

static void a_character_has_a_code(void **state _unused_) {
        static const struct {
                const char *s;
                size_t n;
                uint32_t code;
        } cases[] = {
                { "", 1, 0 },
                { "ab", 1, 'a' },
                { "\xc3\xa4x", 2, 0xe4 },
                { "\xe2\x80\xa6", 3, 0x2026 },
                { "\xf0\x9f\x98\x80", 4, 0x1f600 },
                { "\xf4\x8f\xbf\xbf", 4, 0x10ffff },
                { "\xa4", 0, 4711 },
                { "\xe2\x80", 0, 4711 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                uint32_t code = 4711;

                assert_int_equal(text_character(cases[i].s, &code), cases[i].n);
                assert_int_equal(code, cases[i].code);
        }
}

static void a_list_of_strings_grows_and_ends_with_null(void **state _unused_) {
        _cleanup_(strv_freep) char **strv = NULL;
        size_t n = 0;

        assert_int_equal(strv_push(&strv, &n, "one"), 0);
        assert_null(strv[1]);
        assert_int_equal(strv_push(&strv, &n, ""), 0);
        assert_int_equal(n, 2);
        assert_string_equal(strv[0], "one");
        assert_string_equal(strv[1], "");
        assert_null(strv[2]);
        assert_null(strv_free(NULL));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_text_that_nothing_was_appended_to_is_empty),
                cmocka_unit_test(a_text_grows_with_what_is_appended),
                cmocka_unit_test(appending_nothing_makes_a_string_to_take),
                cmocka_unit_test(what_was_taken_does_not_change_any_more),
                cmocka_unit_test(numbers_are_taken_whole_or_not_at_all),
                cmocka_unit_test(a_part_of_a_string_can_be_a_number),
                cmocka_unit_test(a_prefix_leaves_the_rest),
                cmocka_unit_test(a_suffix_has_something_before_it),
                cmocka_unit_test(a_word_of_a_list_is_a_whole_one),
                cmocka_unit_test(a_value_is_found_behind_its_key_at_the_start_of_a_line),
                cmocka_unit_test(a_format_makes_a_string),
                cmocka_unit_test(a_copy_of_nothing_is_nothing),
                cmocka_unit_test(only_plain_ascii_is_printable),
                cmocka_unit_test(what_is_no_text_is_replaced),
                cmocka_unit_test(a_character_has_a_code),
                cmocka_unit_test(a_list_of_strings_grows_and_ends_with_null),
        };

        return cmocka_run_group_tests_name("base/text", tests, NULL, NULL);
}
