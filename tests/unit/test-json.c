/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test JSON
 */

#include "lib/test.h"

#include "base/json.h"

static void what_is_built_prints_in_order(void **state _unused_) {
        _cleanup_(json_freep) Json *json = json_new_object();
        _cleanup_(freep) char *s = NULL;
        Json *array = json_new_array(), *inner = json_new_object();

        assert_int_equal(json_add_string(json, "name", "a \"b\" /c\n\xc3\xa4\xff"), 0);
        assert_int_equal(json_add_string(json, "none", NULL), 0);
        assert_int_equal(json_add_null(json, "null"), 0);
        assert_int_equal(json_add_uint(json, "big", UINT64_MAX), 0);
        assert_int_equal(json_add_bool(json, "yes", true), 0);
        assert_int_equal(json_push_string(array, "x\x9f"), 0);
        assert_int_equal(json_push(array, inner), 0);
        assert_int_equal(json_add(json, "list", array), 0);

        assert_int_equal(json_format(json, false, &s), 0);
        assert_string_equal(s,
                        "{\"name\":\"a \\\"b\\\" /c\\n\xc3\xa4?\",\"none\":null,\"null\":null,"
                        "\"big\":18446744073709551615,\"yes\":true,\"list\":[\"x?\",{}]}");
}

static void pretty_text_has_several_lines(void **state _unused_) {
        _cleanup_(json_freep) Json *json = json_new_object();
        _cleanup_(freep) char *s = NULL;

        assert_int_equal(json_add_uint(json, "a", 1), 0);
        assert_int_equal(json_format(json, true, &s), 0);
        assert_non_null(strchr(s, '\n'));
        assert_int_not_equal(s[strlen(s) - 1], '\n');
}

static void what_is_empty_has_no_lines(void **state _unused_) {
        _cleanup_(json_freep) Json *json = json_new_object();
        Json *full = json_new_array();
        _cleanup_(freep) char *s = NULL;

        assert_int_equal(json_push(full, json_new_object()), 0);
        assert_int_equal(json_push_string(full, "[\n ]\"{ }\\"), 0);
        assert_int_equal(json_push(full, json_new_array()), 0);
        assert_int_equal(json_add(json, "empty", json_new_array()), 0);
        assert_int_equal(json_add(json, "none", json_new_object()), 0);
        assert_int_equal(json_add(json, "full", full), 0);
        assert_int_equal(json_format(json, true, &s), 0);
        assert_string_equal(s,
                        "{\n  \"empty\": [],\n  \"none\": {},\n  \"full\": [\n    {},\n"
                        "    \"[\\n ]\\\"{ }\\\\\",\n    []\n  ]\n}");
}

static void adding_what_could_not_be_made_is_enomem(void **state _unused_) {
        _cleanup_(json_freep) Json *json = json_new_object(), *array = json_new_array();

        assert_int_equal(json_add(json, "a", NULL), -ENOMEM);
        assert_int_equal(json_push(array, NULL), -ENOMEM);
        assert_int_equal(json_length(array), 0);
}

static void only_one_whole_object_is_parsed(void **state _unused_) {
        static const struct {
                const char *s;
                int r;
        } cases[] = {
                { "{}", 0 },
                { " {\"a\": 1}\n", 0 },
                { "", JSON_E_INVALID },
                { "[]", JSON_E_INVALID },
                { "7", JSON_E_INVALID },
                { "null", JSON_E_INVALID },
                { "{", JSON_E_INVALID },
                { "{\"a\":", JSON_E_INVALID },
                { "{} {}", JSON_E_INVALID },
                { "{} rest", JSON_E_INVALID },
                { "{\"a\":1,}", JSON_E_INVALID },
                { "{\"a\":01}", JSON_E_INVALID },
                { "{a:1}", JSON_E_INVALID },
                { "// comment\n{}", JSON_E_INVALID },
                { "{\t}\r\n", 0 },
                { "{\v}", JSON_E_INVALID },
                { "{\"a\":\"\t\"}", JSON_E_INVALID },
                { "{\"a\tb\":1}", JSON_E_INVALID },
                { "{\"a\":\"\x1f\"}", JSON_E_INVALID },
                { "{\"a\":\"\\\t\"}", JSON_E_INVALID },
                { "{\"a\":\"\\", JSON_E_INVALID },
                { "{\"a\":\"\x7f\"}", 0 },
                { "{\"a\":\"\xc3\xa4\"}", 0 },
                { "{\"\xc3\xa4\":1}", 0 },
                { "{\xc3\xa4:1}", JSON_E_INVALID },
                { "{}\xc3\xa4", JSON_E_INVALID },
                { "{\"a\":\"\xe4\"}", JSON_E_INVALID },
                { "{\"a\":\"\\\xc3\xa4\"}", JSON_E_INVALID },
                { "{\"a\":9999999999999999999}", 0 },
                { "{\"a\":-999999999999999999}", 0 },
                { "{\"a\":-1000000000000000000}", JSON_E_INVALID },
                { "{\"a\":99999999999999999999999}", JSON_E_INVALID },
                { "{\"a\":\"99999999999999999999999\"}", 0 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                Json *json = NULL;

                assert_int_equal(json_parse(cases[i].s, &json), cases[i].r);
                assert_true((json == NULL) == (cases[i].r != 0));
                json_free(json);
        }
}

static void members_are_read_as_what_they_are(void **state _unused_) {
        _cleanup_(json_freep) Json *json = NULL;
        Json *array = NULL;
        const char *string = NULL;
        uint64_t number = 4711;

        assert_int_equal(json_parse("{\"s\":\"x\",\"n\":7,\"b\":true,\"o\":{\"k\":1},\"a\":[1,2]}",
                                         &json),
                        0);
        assert_int_equal(json_get_string(json, "s", &string), 0);
        assert_string_equal(string, "x");
        assert_int_equal(json_get_uint(json, "n", 7, &number), 0);
        assert_true(number == 7);
        assert_int_equal(json_get_array(json, "a", &array), 0);
        assert_int_equal(json_length(array), 2);
        assert_non_null(json_at(array, 1));
        assert_null(json_at(array, 2));
}

static void text_is_read_as_it_was_written(void **state _unused_) {
        static const char *const cases[] = { "\xc3\xa4", "\\\xc3\xa4\"\n/\x1f\x7f",
                "\xe2\x80\xa6\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf", "\\u00e4" };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                _cleanup_(json_freep) Json *json = json_new_object(), *again = NULL;
                _cleanup_(freep) char *s = NULL;
                const char *string = NULL;

                assert_int_equal(json_add_string(json, "s", cases[i]), 0);
                assert_int_equal(json_format(json, i % 2, &s), 0);
                assert_int_equal(json_parse(s, &again), 0);
                assert_int_equal(json_get_string(again, "s", &string), 0);
                assert_string_equal(string, cases[i]);
        }
}

static void a_member_of_another_type_is_an_error_and_no_default(void **state _unused_) {
        static const char *const keys[] = { "s", "n", "b", "o", "a", "null", "none" };
        _cleanup_(json_freep) Json *json = NULL;

        assert_int_equal(json_parse("{\"s\":\"7\",\"n\":7,\"b\":true,\"o\":{},\"a\":[],\"null\":"
                                    "null}",
                                         &json),
                        0);
        for (size_t i = 0; i < ARRAY_SIZE(keys); ++i) {
                const char *key = keys[i], *string = NULL;
                int other = i >= 5 ? JSON_E_MISSING : JSON_E_INVALID;
                Json *array = NULL;
                uint64_t number = 4711;

                assert_int_equal(json_get_string(json, key, &string), i == 0 ? 0 : other);
                assert_int_equal(json_get_uint(json, key, 9, &number), i == 1 ? 0 : other);
                assert_int_equal(json_get_array(json, key, &array), i == 4 ? 0 : other);
                assert_true((string != NULL) == (i == 0));
                assert_true(number == (i == 1 ? 7 : 4711));
                assert_true((array != NULL) == (i == 4));
        }
}

static void a_string_with_a_zero_in_it_is_invalid(void **state _unused_) {
        _cleanup_(json_freep) Json *json = NULL;
        const char *string = NULL;

        assert_int_equal(json_parse("{\"s\":\"vfio-pci\\u0000x\"}", &json), 0);
        assert_int_equal(json_get_string(json, "s", &string), JSON_E_INVALID);
        assert_null(string);
}

static void numbers_out_of_range_are_invalid(void **state _unused_) {
        static const char *const cases[] = { "{\"n\":-1}", "{\"n\":8}", "{\"n\":7.0}",
                "{\"n\":999999999999999999}", "{\"n\":\"7\"}" };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                _cleanup_(json_freep) Json *json = NULL;
                uint64_t number = 4711;

                assert_int_equal(json_parse(cases[i], &json), 0);
                assert_int_equal(json_get_uint(json, "n", 7, &number), JSON_E_INVALID);
                assert_true(number == 4711);
        }
}

static void a_number_is_not_cut_to_the_largest(void **state _unused_) {
        _cleanup_(json_freep) Json *json = NULL;
        uint64_t number = 4711;

        assert_int_equal(json_parse("{\"max\":9223372036854775807,\"n\":9223372036854775808}",
                                         &json),
                        0);
        assert_int_equal(json_get_uint(json, "n", INT64_MAX, &number), JSON_E_INVALID);
        assert_true(number == 4711);
        assert_int_equal(json_get_uint(json, "n", UINT64_MAX, &number), 0);
        assert_true(number == INT64_MAX + 1ULL);
        assert_int_equal(json_get_uint(json, "max", INT64_MAX, &number), 0);
        assert_true(number == INT64_MAX);
}

static void nothing_can_be_read_from_what_is_no_object(void **state _unused_) {
        _cleanup_(json_freep) Json *array = json_new_array();
        const char *string = NULL;

        assert_int_equal(json_push_string(array, "x"), 0);
        assert_int_equal(json_get_string(array, "x", &string), JSON_E_INVALID);
        assert_int_equal(json_get_string(json_at(array, 0), "x", &string), JSON_E_INVALID);
        assert_int_equal(json_get_string(NULL, "x", &string), JSON_E_INVALID);
        assert_null(string);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_built_prints_in_order),
                cmocka_unit_test(pretty_text_has_several_lines),
                cmocka_unit_test(what_is_empty_has_no_lines),
                cmocka_unit_test(adding_what_could_not_be_made_is_enomem),
                cmocka_unit_test(only_one_whole_object_is_parsed),
                cmocka_unit_test(members_are_read_as_what_they_are),
                cmocka_unit_test(text_is_read_as_it_was_written),
                cmocka_unit_test(a_member_of_another_type_is_an_error_and_no_default),
                cmocka_unit_test(a_string_with_a_zero_in_it_is_invalid),
                cmocka_unit_test(numbers_out_of_range_are_invalid),
                cmocka_unit_test(a_number_is_not_cut_to_the_largest),
                cmocka_unit_test(nothing_can_be_read_from_what_is_no_object),
        };

        return cmocka_run_group_tests_name("base/json", tests, NULL, NULL);
}
