/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Cards
 *
 * A card that is away is known by what the state file says of it: down to the alias that
 * its kernel would make, and never by half.
 */

#include "lib/test.h"

#include "base/text.h"
#include "record/state.h"

#define GPU      "0000:01:00.0"
#define FUNCTION "{\"function\":%s,\"id\":\"%s\",\"subsystem\":\"1043:5678\",\"class\":\"%s\"}"

static const Address address = { .bus = 1 };

static void write_state(FakeTree *tree, const char *rest) {
        fake_write(tree->root, "etc/vfiopt/state",
                        "{\"version\":1,\"gpus\":[{\"address\":\"" GPU "\",\"id\":\"10de:2d04\","
                        "\"subsystem\":\"1043:5678\",\"mode\":\"passthrough\"%s}]}\n",
                        rest);
}

static void a_card_comes_back_as_it_was_there(void **state) {
        FakeTree *tree = *state;
        State before = STATE_NULL, after;
        const StateEntry *entry;
        Gpu gpu, absent;

        /* With a hole, and with a class that has an interface. */
        fake_gpu_add(tree, GPU, .functions = 3, .group = 12);
        fake_device_remove(tree, "0000:01:00.1");
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_int_equal(gpu.n_functions, 2);
        assert_int_equal(state_set_gpu(&before, &gpu, MODE_PASSTHROUGH), 0);
        assert_int_equal(state_save(&before, tree->roots.etc_fd), 0);
        state_deinit(&before);

        assert_int_equal(state_load(&after, tree->roots.etc_fd), 0);
        entry = state_find(&after, address);
        assert_non_null(entry);
        assert_int_equal(entry->mode, MODE_PASSTHROUGH);
        assert_int_equal(card_to_gpu(&entry->card, entry->address, &absent), 0);
        assert_int_equal(absent.n_functions, gpu.n_functions);
        assert_int_equal(address_compare(absent.address, gpu.address), 0);
        assert_true(device_is_gpu(&absent.functions[0]));
        for (size_t i = 0; i < gpu.n_functions; ++i) {
                const Device *is = &absent.functions[i], *was = &gpu.functions[i];

                assert_int_equal(address_compare(is->address, was->address), 0);
                assert_true(identity_equal(is->identity, was->identity));
                assert_int_equal(is->class, was->class);
                assert_string_equal(is->modalias, was->modalias);
        }
        gpu_deinit(&absent);
        gpu_deinit(&gpu);
        state_deinit(&after);
}

static void the_file_is_for_people_to_read(void **state) {
        FakeTree *tree = *state;
        State before = STATE_NULL;
        char line[128];
        FILE *file;
        bool found = false;
        Gpu gpu;

        fake_gpu_add(tree, GPU, .functions = 2, .group = 12);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_int_equal(state_set_gpu(&before, &gpu, MODE_HOST), 0);
        assert_int_equal(state_save(&before, tree->roots.etc_fd), 0);
        state_deinit(&before);
        gpu_deinit(&gpu);

        snprintf(line, sizeof(line), "%s/etc/vfiopt/state", tree->root);
        file = fopen(line, "re");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file))
                found = found || strstr(line, "\"class\": \"040300\"");
        fclose(file);
        assert_true(found);
}

static void a_function_more_is_another_card(void **state) {
        FakeTree *tree = *state;
        Card card, same, more;
        Gpu gpu;

        fake_gpu_add(tree, GPU, .group = 12);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        card = more = same = card_of_gpu(&gpu);
        assert_true(card_equal(&card, &same));
        --more.n_functions;
        assert_false(card_equal(&card, &more));
        same.functions[3].class ^= 1;
        assert_false(card_equal(&card, &same));
        same = card;
        same.functions[3].number = 5;
        assert_false(card_equal(&card, &same));
        same = card;
        same.functions[1].identity.device ^= 1;
        assert_false(card_equal(&card, &same));
        gpu_deinit(&gpu);
}

static void a_file_of_an_older_version_is_good(void **state) {
        FakeTree *tree = *state;
        State loaded;

        write_state(tree, "");
        assert_int_equal(state_load(&loaded, tree->roots.etc_fd), 0);
        assert_int_equal(loaded.n_entries, 1);
        assert_int_equal(loaded.entries[0].card.n_functions, 0);

        /* As it was written, it goes back. */
        assert_int_equal(state_save(&loaded, tree->roots.etc_fd), 0);
        state_deinit(&loaded);
        assert_int_equal(state_load(&loaded, tree->roots.etc_fd), 0);
        assert_int_equal(loaded.entries[0].card.n_functions, 0);
        state_deinit(&loaded);
}

static void expect(FakeTree *tree, int expected, const char *functions) {
        _cleanup_(freep) char *rest = text_format(",\"functions\":%s", functions);
        State loaded;
        int r;

        assert_non_null(rest);
        write_state(tree, rest);
        r = state_load(&loaded, tree->roots.etc_fd);
        if (r != expected)
                fail_msg("%s: %d, not %d", functions, r, expected);
        state_deinit(&loaded);
}

static void
expect_one(FakeTree *tree, int expected, const char *number, const char *id, const char *class) {
        _cleanup_(freep) char *list = text_format("[" FUNCTION "]", number, id, class);

        assert_non_null(list);
        expect(tree, expected, list);
}

static void expect_two(FakeTree *tree, int expected, const char *first, const char *second) {
        _cleanup_(freep) char *list = text_format("[" FUNCTION "," FUNCTION "]", first, "10de:2d04",
                        "030000", second, "10de:22eb", "040300");

        assert_non_null(list);
        expect(tree, expected, list);
}

static void a_wrong_list_makes_the_file_wrong(void **state) {
        static const char *const wrong[] = { "[]", "{}", "7", "\"0\"", "[7]", "[null]", "[{}]",
                "[[]]" };
        FakeTree *tree = *state;

        for (size_t i = 0; i < ARRAY_SIZE(wrong); ++i)
                expect(tree, STATE_E_INVALID, wrong[i]);

        expect_one(tree, 0, "0", "10de:2d04", "030000");
        expect_one(tree, STATE_E_INVALID, "1", "10de:2d04", "030000");
        expect_one(tree, STATE_E_INVALID, "\"0\"", "10de:2d04", "030000");
        expect_one(tree, STATE_E_INVALID, "-1", "10de:2d04", "030000");
        /* not that of the card */
        expect_one(tree, STATE_E_INVALID, "0", "10de:2d05", "030000");
        expect_one(tree, STATE_E_INVALID, "0", "10de:2d04", "03000");
        expect_one(tree, STATE_E_INVALID, "0", "10de:2d04", "0x0300");
        expect_one(tree, STATE_E_INVALID, "0", "10de:2d04", "0300000");
        expect_one(tree, STATE_E_INVALID, "0", "10de:2d04", "");

        expect_two(tree, 0, "0", "1");
        expect_two(tree, 0, "0", "7");
        expect_two(tree, STATE_E_INVALID, "0", "8");
        expect_two(tree, STATE_E_INVALID, "0", "0");
        expect_two(tree, STATE_E_INVALID, "1", "0");
}

static void there_are_eight_functions_and_no_more(void **state) {
        FakeTree *tree = *state;
        Text list = TEXT_NULL;

        for (unsigned int i = 0; i < 9; ++i) {
                char number[4];

                snprintf(number, sizeof(number), "%u", i);
                assert_int_equal(text_append(&list, "%s" FUNCTION, i ? "," : "[", number,
                                                 i ? "10de:22eb" : "10de:2d04", "030000"),
                                0);
                if (i >= 7) {
                        _cleanup_(freep) char *whole = text_format("%s]", text(&list));

                        assert_non_null(whole);
                        expect(tree, i == 7 ? 0 : STATE_E_INVALID, whole);
                }
        }
        text_deinit(&list);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(a_card_comes_back_as_it_was_there),
                tree_test(the_file_is_for_people_to_read),
                tree_test(a_function_more_is_another_card),
                tree_test(a_file_of_an_older_version_is_good),
                tree_test(a_wrong_list_makes_the_file_wrong),
                tree_test(there_are_eight_functions_and_no_more),
        };

        return cmocka_run_group_tests_name("record/card", tests, NULL, NULL);
}
