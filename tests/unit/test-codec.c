/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test the Codec
 *
 * Every kind of row comes back as it was written, and a file with one wrong member is
 * rejected whole.
 */

#include "lib/test.h"

#include <sys/stat.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/text.h"

#define NAME    "run/vfiopt/object"
#define VERSION 3U

typedef enum Colour {
        RED = 1,
        GREEN
} Colour;

typedef struct Item {
        char *name;
        uint8_t number;
} Item;

typedef struct Object {
        char *text;
        char *nothing;
        Colour colour;
        Colour other; /* optional */
        uint8_t tiny;
        uint16_t small;
        uint32_t medium;
        uint64_t large;
        uint32_t rest; /* optional */
        Item item;
        Item maybe; /* optional */
        bool has_maybe;
        Item fixed[3];
        size_t n_fixed;
        Item spare[3]; /* optional */
        size_t n_spare;
        Item *list;
        size_t n_list;
} Object;

static int parse_colour(const char *s, void *ret) {
        if (strcmp(s, "red") && strcmp(s, "green"))
                return -EINVAL;
        *(Colour *) ret = strcmp(s, "red") ? GREEN : RED;
        return 0;
}

static void format_colour(const void *value, char *buffer, size_t n) {
        static const char *const names[] = { "", "red", "green" };

        snprintf(buffer, n, "%s", names[*(const Colour *) value]);
}

static const CodecWord colour_word = { .parse = parse_colour, .format = format_colour };

static const CodecRow item_rows[] = {
        { "name", CODEC_TEXT, CODEC_MEMBER(Item, name) },
        { "number", CODEC_UINT, CODEC_MEMBER(Item, number), .max = 7 },
};
static const Codec item_codec = CODEC(Item, item_rows);

#define MEMBER(member) CODEC_MEMBER(Object, member)
#define EXTRA(member)  .extra = offsetof(Object, member)

static const CodecRow object_rows[] = {
        { "text", CODEC_TEXT, MEMBER(text) },
        { "nothing", CODEC_TEXT, MEMBER(nothing) },
        { "colour", CODEC_WORD, MEMBER(colour), .word = &colour_word },
        { "other", CODEC_WORD, MEMBER(other), .word = &colour_word, .optional = true },
        { "tiny", CODEC_UINT, MEMBER(tiny), .max = 255 },
        { "small", CODEC_UINT, MEMBER(small), .max = 1000 },
        { "medium", CODEC_UINT, MEMBER(medium), .max = UINT32_MAX },
        { "large", CODEC_UINT, MEMBER(large), .max = INT64_MAX },
        { "rest", CODEC_UINT, MEMBER(rest), .max = 9, .optional = true },
        { "item", CODEC_OBJECT, MEMBER(item), .members = &item_codec },
        { "maybe", CODEC_OBJECT, MEMBER(maybe), .members = &item_codec, EXTRA(has_maybe),
                        .optional = true },
        { "fixed", CODEC_ARRAY, MEMBER(fixed), .members = &item_codec, .max = 3, EXTRA(n_fixed) },
        { "spare", CODEC_ARRAY, MEMBER(spare), .members = &item_codec, .max = 3, EXTRA(n_spare),
                        .optional = true },
        { "list", CODEC_ARRAY, MEMBER(list), .members = &item_codec, EXTRA(n_list) },
};
static const Codec object_codec = CODEC(Object, object_rows);

static void object_deinit(Object *object) {
        codec_deinit(&object_codec, object);
}

static bool is_zero(const Object *object) {
        static const Object zero;

        return !memcmp(object, &zero, sizeof(zero));
}

static int load(FakeTree *tree, Object *object) {
        memset(object, 0, sizeof(*object));
        return codec_load(&object_codec, tree->roots.run_fd, "object", VERSION, object);
}

static void save(FakeTree *tree, const Object *object) {
        assert_int_equal(codec_save(&object_codec, tree->roots.run_fd, "object", VERSION, object,
                                         true),
                        0);
}

/* of a good file; the optional ones are left out */
static const char *const members[][2] = {
        { "version", "3" },
        { "text", "\"words\"" },
        { "nothing", "null" },
        { "colour", "\"red\"" },
        { "tiny", "255" },
        { "small", "1000" },
        { "medium", "4294967295" },
        { "large", "9223372036854775807" },
        { "item", "{\"name\":\"a\",\"number\":7}" },
        { "fixed", "[]" },
        { "list", "[{\"name\":null,\"number\":0},{\"number\":1}]" },
};

/* Write a good file but for one member, which is left out if @value is NULL. */
static void write_with(FakeTree *tree, const char *name, const char *value) {
        Text json = TEXT_NULL;
        bool found = false;

        for (size_t i = 0; i < ARRAY_SIZE(members); ++i) {
                bool is_it = !strcmp(members[i][0], name);
                const char *this = is_it ? value : members[i][1];

                found = found || is_it;
                if (this)
                        assert_int_equal(text_append(&json, ",\"%s\":%s", members[i][0], this), 0);
        }
        if (!found && value)
                assert_int_equal(text_append(&json, ",\"%s\":%s", name, value), 0);
        fake_write(tree->root, NAME, "{%s}\n", text(&json) + 1);
        text_deinit(&json);
}

static void a_good_file_is_understood(void **state) {
        FakeTree *tree = *state;
        Object object;

        write_with(tree, "", NULL);
        assert_int_equal(load(tree, &object), 0);
        assert_string_equal(object.text, "words");
        assert_null(object.nothing);
        assert_int_equal(object.colour, RED);
        assert_int_equal(object.other, 0);
        assert_int_equal(object.tiny, 255);
        assert_int_equal(object.small, 1000);
        assert_int_equal(object.medium, UINT32_MAX);
        assert_true(object.large == INT64_MAX);
        assert_string_equal(object.item.name, "a");
        assert_int_equal(object.item.number, 7);
        assert_false(object.has_maybe);
        assert_int_equal(object.n_fixed, 0);
        assert_int_equal(object.n_list, 2);
        assert_null(object.list[0].name);
        assert_int_equal(object.list[1].number, 1);
        object_deinit(&object);
        assert_true(is_zero(&object));
}

static const struct {
        const char *name, *value;
        int expected;
} cases[] = {
        /* texts: what is not there is none */
        { "text", NULL, 0 },
        { "text", "null", 0 },
        { "text", "\"\"", 0 },
        { "text", "7", CODEC_E_INVALID },
        { "text", "[]", CODEC_E_INVALID },
        { "text", "\"a\\u0000b\"", CODEC_E_INVALID },

        /* words */
        { "colour", NULL, CODEC_E_INVALID },
        { "colour", "null", CODEC_E_INVALID },
        { "colour", "\"blue\"", CODEC_E_INVALID },
        { "colour", "\"\"", CODEC_E_INVALID },
        { "colour", "1", CODEC_E_INVALID },
        { "other", "\"green\"", 0 },
        { "other", "null", 0 },
        { "other", "\"\"", CODEC_E_INVALID },
        { "other", "\"blue\"", CODEC_E_INVALID },

        /* numbers */
        { "tiny", NULL, CODEC_E_INVALID },
        { "tiny", "null", CODEC_E_INVALID },
        { "tiny", "0", 0 },
        { "tiny", "256", CODEC_E_INVALID },
        { "tiny", "-1", CODEC_E_INVALID },
        { "tiny", "1.5", CODEC_E_INVALID },
        { "tiny", "\"1\"", CODEC_E_INVALID },
        { "tiny", "true", CODEC_E_INVALID },
        { "small", "1001", CODEC_E_INVALID },
        { "medium", "4294967296", CODEC_E_INVALID },
        { "large", "-9223372036854775808", CODEC_E_INVALID },
        { "rest", "9", 0 },
        { "rest", "10", CODEC_E_INVALID },
        { "rest", "\"9\"", CODEC_E_INVALID },

        /* objects */
        { "item", NULL, CODEC_E_INVALID },
        { "item", "null", CODEC_E_INVALID },
        { "item", "{}", CODEC_E_INVALID },
        { "item", "[]", CODEC_E_INVALID },
        { "item", "\"a\"", CODEC_E_INVALID },
        { "item", "{\"number\":8}", CODEC_E_INVALID },
        { "item", "{\"number\":1,\"more\":[]}", 0 },
        { "maybe", "null", 0 },
        { "maybe", "{\"name\":\"b\",\"number\":1}", 0 },
        { "maybe", "{\"name\":\"b\"}", CODEC_E_INVALID },
        { "maybe", "{}", CODEC_E_INVALID },
        { "maybe", "7", CODEC_E_INVALID },

        /* arrays */
        { "fixed", NULL, CODEC_E_INVALID },
        { "fixed", "null", CODEC_E_INVALID },
        { "fixed", "{}", CODEC_E_INVALID },
        { "fixed", "[{\"number\":1},{\"number\":2},{\"number\":3}]", 0 },
        { "fixed", "[{\"number\":1},{\"number\":2},{\"number\":3},{\"number\":4}]",
                        CODEC_E_INVALID },
        { "fixed", "[{\"name\":\"a\",\"number\":1},{\"name\":\"b\"}]", CODEC_E_INVALID },
        { "fixed", "[null]", CODEC_E_INVALID },
        { "fixed", "[7]", CODEC_E_INVALID },
        { "fixed", "[[]]", CODEC_E_INVALID },
        { "spare", "null", 0 },
        { "spare", "[{\"number\":1}]", 0 },
        { "spare", "[]", CODEC_E_INVALID },
        { "spare", "{}", CODEC_E_INVALID },
        { "list", NULL, CODEC_E_INVALID },
        { "list", "[]", 0 },
        { "list", "\"\"", CODEC_E_INVALID },
        { "list", "[{\"name\":\"a\",\"number\":1},{\"name\":\"b\",\"number\":\"2\"}]",
                        CODEC_E_INVALID },

        { "more", "[[{\"a\":null}]]", 0 },
        { "version", NULL, CODEC_E_INVALID },
        { "version", "2", CODEC_E_INVALID },
        { "version", "4", CODEC_E_INVALID },
        { "version", "-3", CODEC_E_INVALID },
        { "version", "\"3\"", CODEC_E_INVALID },
        { "version", "4294967299", CODEC_E_INVALID },
};

static void one_wrong_member_makes_the_file_wrong(void **state) {
        FakeTree *tree = *state;

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                Object object;
                int r;

                write_with(tree, cases[i].name, cases[i].value);
                r = load(tree, &object);
                if (r != cases[i].expected)
                        fail_msg("%s: %s: %d, not %d", cases[i].name, cases[i].value ?: "-", r,
                                        cases[i].expected);
                /* What was understood of it before is gone. */
                assert_int_equal(r == 0, !is_zero(&object));
                object_deinit(&object);
        }
}

static void what_is_no_object_is_no_file_of_ours(void **state) {
        static const char *const wrong[] = { "", "\n", "{", "[]", "3", "null", "{}", "{}}",
                "{\"version\":3}", "{\"version\":3,}", "# by hand\n" };
        FakeTree *tree = *state;
        Object object;

        assert_int_equal(load(tree, &object), CODEC_E_MISSING);
        for (size_t i = 0; i < ARRAY_SIZE(wrong); ++i) {
                fake_write(tree->root, NAME, "%s", wrong[i]);
                assert_int_equal(load(tree, &object), CODEC_E_INVALID);
                assert_true(is_zero(&object));
        }
        write_with(tree, "version", "3} {\"version\":3");
        assert_int_equal(load(tree, &object), CODEC_E_INVALID);
}

static void a_zero_byte_is_not_the_end(void **state) {
        _cleanup_(freep) char *data = NULL;
        FakeTree *tree = *state;
        Object object;
        size_t n;

        write_with(tree, "", NULL);
        assert_int_equal(file_read(tree->roots.run_fd, "object", 4096, &data, &n), 0);
        /* with its zero */
        fake_write_bytes(tree->root, NAME, data, n + 1);
        assert_int_equal(load(tree, &object), CODEC_E_INVALID);
        fake_write_bytes(tree->root, NAME, data, n);
        assert_int_equal(load(tree, &object), 0);
        object_deinit(&object);
}

static void what_is_too_large_is_not_read(void **state) {
        const size_t n = 1024UL * 1024UL + 1;
        _cleanup_(freep) char *spaces = malloc(n);
        FakeTree *tree = *state;
        Object object;

        assert_non_null(spaces);
        memset(spaces, ' ', n);
        fake_write_bytes(tree->root, NAME, spaces, n);
        assert_int_equal(load(tree, &object), CODEC_E_INVALID);
}

static void what_cannot_be_read_is_an_error(void **state) {
        FakeTree *tree = *state;
        Object object;

        fake_make_dir(tree->root, NAME);
        assert_int_equal(load(tree, &object), -EISDIR);
        assert_true(is_zero(&object));
}

static void assert_items(const Item *a, const Item *b, size_t n) {
        for (size_t i = 0; i < n; ++i) {
                assert_int_equal(a[i].number, b[i].number);
                assert_int_equal(!a[i].name, !b[i].name);
                if (a[i].name)
                        assert_string_equal(a[i].name, b[i].name);
        }
}

static void everything_comes_back(void **state) {
        Item list[] = { { (char *) "x", 1 }, { NULL, 2 }, { (char *) "\"\\\n\x7f", 3 } };
        const Object object = {
                .text = (char *) "wörds",
                .colour = GREEN,
                .other = RED,
                .tiny = 200,
                .small = 999,
                .medium = 0x80000000,
                .large = INT64_MAX - 1,
                .rest = 5,
                .item = { (char *) "", 4 },
                .has_maybe = true,
                .fixed = { { (char *) "f", 1 }, { NULL, 2 } },
                .n_fixed = 2,
                .spare = { { NULL, 7 } },
                .n_spare = 1,
                .list = list,
                .n_list = 3,
        };
        FakeTree *tree = *state;
        Object back;
        struct stat st;

        save(tree, &object);
        assert_int_equal(fstatat(tree->roots.run_fd, "object", &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 0644);
        assert_int_equal(load(tree, &back), 0);
        assert_string_equal(back.text, object.text);
        assert_null(back.nothing);
        assert_int_equal(back.colour, GREEN);
        assert_int_equal(back.other, RED);
        assert_int_equal(back.tiny, 200);
        assert_int_equal(back.small, 999);
        assert_int_equal(back.medium, 0x80000000);
        assert_true(back.large == INT64_MAX - 1);
        assert_int_equal(back.rest, 5);
        assert_items(&back.item, &object.item, 1);
        assert_true(back.has_maybe);
        assert_items(&back.maybe, &object.maybe, 1);
        assert_int_equal(back.n_fixed, 2);
        assert_items(back.fixed, object.fixed, 2);
        assert_int_equal(back.n_spare, 1);
        assert_items(back.spare, object.spare, 1);
        assert_int_equal(back.n_list, 3);
        assert_items(back.list, object.list, 3);
        object_deinit(&back);
}

static void what_is_optional_and_not_there_is_left_out(void **state) {
        static const char *const optional[] = { "other", "rest", "maybe", "spare" };
        static const char *const always[] = { "version", "text", "nothing", "colour", "tiny",
                "item", "fixed", "list" };
        const Object object = { .colour = RED };
        _cleanup_(freep) char *data = NULL;
        FakeTree *tree = *state;

        save(tree, &object);
        assert_int_equal(file_read(tree->roots.run_fd, "object", 4096, &data, NULL), 0);
        for (size_t i = 0; i < ARRAY_SIZE(optional); ++i)
                assert_null(strstr(data, optional[i]));
        for (size_t i = 0; i < ARRAY_SIZE(always); ++i)
                assert_non_null(strstr(data, always[i]));
}

static void the_old_file_stays_where_a_new_one_cannot_be_written(void **state) {
        const Object object = { .colour = RED, .tiny = 1 };
        FakeTree *tree = *state;
        Object back;

        save(tree, &object);
        assert_true(codec_save(&object_codec, -1, "object", VERSION, &object, false) < 0);
        assert_true(codec_save(&object_codec, tree->roots.run_fd, "no/object", VERSION, &object,
                                    false) < 0);
        assert_int_equal(load(tree, &back), 0);
        assert_int_equal(back.tiny, 1);
        object_deinit(&back);
}

static void what_is_filled_in_half_way_is_freed(void **state) {
        Object object = {
                .text = strdup("a"),
                .item = { .name = strdup("b") },
                .maybe = { .name = strdup("c") },
                .has_maybe = true,
                .fixed = { { .name = strdup("d") } },
                .n_fixed = 2,
                .list = calloc(3, sizeof(Item)),
                .n_list = 1,
        };

        (void) state;
        object.list[0].name = strdup("e");
        object_deinit(&object);
        assert_true(is_zero(&object));
        object_deinit(&object);

        /* Room for a list, and nothing in it yet. */
        object.list = calloc(3, sizeof(Item));
        object_deinit(&object);
        assert_null(object.list);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(a_good_file_is_understood),
                tree_test(one_wrong_member_makes_the_file_wrong),
                tree_test(what_is_no_object_is_no_file_of_ours),
                tree_test(a_zero_byte_is_not_the_end),
                tree_test(what_is_too_large_is_not_read),
                tree_test(what_cannot_be_read_is_an_error),
                tree_test(everything_comes_back),
                tree_test(what_is_optional_and_not_there_is_left_out),
                tree_test(the_old_file_stays_where_a_new_one_cannot_be_written),
                cmocka_unit_test(what_is_filled_in_half_way_is_freed),
        };

        return cmocka_run_group_tests_name("base/codec", tests, NULL, NULL);
}
