/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test the State File
 *
 * What is written comes back; a file that is not understood whole says nothing, and is left
 * alone. A card that is not there is known by what the file says of it: down to the alias that
 * its kernel would make, and never by half.
 */

#include "lib/test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "record/state.h"

#define GPU      "0000:01:00.0"
#define CARD     "\"address\":\"0000:01:00.0\",\"id\":\"10de:2204\",\"subsystem\":\"1043:89e5\""
#define FUNCTION "{\"function\":%s,\"id\":\"%s\",\"subsystem\":\"1043:5678\",\"class\":\"%s\"}"

static const Address address = { .bus = 1 };

/* A card that is made of function 0. */
static Gpu card_at(Address where) {
        static Device function = { .identity = { 0x10de, 0x2204, 0x1043, 0x89e5 },
                .class = 0x030000 };

        return (Gpu){ .address = where, .functions = &function, .n_functions = 1 };
}

static void set(State *state, Address where, Mode mode) {
        const Gpu gpu = card_at(where);

        assert_int_equal(state_set(state, &gpu, mode), 0);
}

static void write_state(FakeTree *tree, const char *rest) {
        fake_write(tree->root, "etc/vfiopt/state",
                        "{\"version\":1,\"gpus\":[{\"address\":\"" GPU "\",\"id\":\"10de:2d04\","
                        "\"subsystem\":\"1043:5678\",\"mode\":\"passthrough\"%s}]}\n",
                        rest);
}

static void assert_content(FakeTree *tree, const char *name, const char *expected) {
        _cleanup_(freep) char *data = NULL;

        assert_int_equal(file_read(tree->roots.etc_fd, name, 4096, &data, NULL), 0);
        assert_string_equal(data, expected);
}

static void a_state_comes_back_sorted_out_by_address(void **state) {
        FakeTree *tree = *state;
        const Address second = { .domain = 0x10000, .bus = 0x41 };
        State before = STATE_NULL, after;

        assert_int_equal(state_load(&after, tree->roots.etc_fd), STATE_E_MISSING);
        assert_int_equal(state_load(&after, -1), STATE_E_MISSING);

        set(&before, address, MODE_PASSTHROUGH);
        set(&before, second, MODE_PASSTHROUGH);
        set(&before, second, MODE_HOST);
        assert_int_equal(state_save(&before, tree->roots.etc_fd), 0);
        state_deinit(&before);

        assert_int_equal(state_load(&after, tree->roots.etc_fd), 0);
        assert_int_equal(after.n_entries, 2);
        assert_int_equal(state_find(&after, address)->mode, MODE_PASSTHROUGH);
        assert_int_equal(state_find(&after, second)->mode, MODE_HOST);
        assert_null(state_find(&after, (Address){ .bus = 9 }));
        assert_true(state_forget(&after, address));
        assert_false(state_forget(&after, address));
        assert_int_equal(after.n_entries, 1);
        state_deinit(&after);
        assert_int_equal(after.n_entries, 0);
}

static void a_state_that_is_not_understood_is_left_alone(void **state) {
        static const char *const foreign[] = {
                "",
                "# edited by hand\n",
                "{\"version\":2,\"gpus\":[]}",
                "{\"version\":1}",
                "{\"version\":1,\"gpus\":[{}]}",
                "{\"version\":1,\"gpus\":[{" CARD ",\"mode\":\"mixed\"}]}",
                ("{\"version\":1,\"gpus\":[{" CARD ",\"mode\":\"host\"},{" CARD
                 ",\"mode\":\"passthrough\"}]}"),
                ("{\"version\":1,\"gpus\":[{\"address\":\"../../0000:01:00.0\",\"id\":\"10de:2204\","
                 "\"subsystem\":\"1043:89e5\",\"mode\":\"host\"}]}"),
        };
        FakeTree *tree = *state;
        State loaded;

        for (size_t i = 0; i < ARRAY_SIZE(foreign); ++i) {
                fake_write(tree->root, "etc/vfiopt/state", "%s", foreign[i]);
                assert_int_equal(state_load(&loaded, tree->roots.etc_fd), STATE_E_INVALID);
                assert_int_equal(loaded.n_entries, 0);
                assert_null(loaded.entries);
                assert_content(tree, "state", foreign[i]);
        }
        fake_remove(tree->root, "etc/vfiopt/state");
        fake_make_dir(tree->root, "etc/vfiopt/state");
        assert_int_equal(state_load(&loaded, tree->roots.etc_fd), -EISDIR);
        assert_int_equal(loaded.n_entries, 0);
}

static void a_state_file_is_replaced_whole(void **state) {
        FakeTree *tree = *state;
        State before = STATE_NULL;
        struct stat old, new;

        set(&before, address, MODE_HOST);
        assert_int_equal(state_save(&before, tree->roots.etc_fd), 0);
        assert_int_equal(fstatat(tree->roots.etc_fd, "state", &old, 0), 0);
        assert_int_equal(old.st_mode & 07777, 0644);
        assert_int_equal(state_save(&before, tree->roots.etc_fd), 0);
        assert_int_equal(fstatat(tree->roots.etc_fd, "state", &new, 0), 0);
        assert_true(old.st_ino != new.st_ino);
        state_deinit(&before);
}

static void a_state_file_that_is_a_link_is_left_alone(void **state) {
        FakeTree *tree = *state;
        int etc_fd = tree->roots.etc_fd;
        State loaded = STATE_NULL;
        struct stat st;

        set(&loaded, address, MODE_HOST);
        assert_int_equal(state_save(&loaded, etc_fd), 0);
        state_deinit(&loaded);
        assert_int_equal(renameat(etc_fd, "state", etc_fd, "elsewhere"), 0);
        assert_int_equal(symlinkat("elsewhere", etc_fd, "state"), 0);

        assert_int_equal(state_load(&loaded, etc_fd), 0);
        set(&loaded, address, MODE_PASSTHROUGH);
        assert_int_equal(state_save(&loaded, etc_fd), -ELOOP);
        state_deinit(&loaded);
        assert_int_equal(fstatat(etc_fd, "state", &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_true(S_ISLNK(st.st_mode));
        assert_int_equal(state_load(&loaded, etc_fd), 0);
        assert_int_equal(state_find(&loaded, address)->mode, MODE_HOST);
        state_deinit(&loaded);
}

static void a_state_file_is_set_aside(void **state) {
        FakeTree *tree = *state;
        int etc_fd = tree->roots.etc_fd;
        const char *name = NULL;
        State loaded;

        assert_int_equal(state_set_aside(etc_fd, &name), STATE_E_MISSING);
        assert_null(name);

        fake_write(tree->root, "etc/vfiopt/state", "damaged");
        assert_int_equal(state_set_aside(etc_fd, &name), 0);
        assert_string_equal(name, "state.damaged");
        assert_int_equal(state_load(&loaded, etc_fd), STATE_E_MISSING);
        assert_content(tree, "state.damaged", "damaged");

        /* The last one is kept. */
        fake_write(tree->root, "etc/vfiopt/state", "{\"version\":2,\"gpus\":[]}");
        assert_int_equal(state_set_aside(etc_fd, &name), 0);
        assert_string_equal(name, "state.damaged");
        assert_content(tree, "state.damaged", "{\"version\":2,\"gpus\":[]}");
        assert_int_equal(state_set_aside(etc_fd, &name), STATE_E_MISSING);

        /* A link of that name is replaced, and not followed. */
        fake_write(tree->root, "etc/vfiopt/precious", "precious");
        fake_remove(tree->root, "etc/vfiopt/state.damaged");
        assert_int_equal(symlinkat("precious", etc_fd, "state.damaged"), 0);
        fake_write(tree->root, "etc/vfiopt/state", "damaged");
        assert_int_equal(state_set_aside(etc_fd, &name), 0);
        assert_content(tree, "precious", "precious");
        assert_content(tree, "state.damaged", "damaged");
}

static void a_state_file_that_cannot_be_set_aside_stays(void **state) {
        FakeTree *tree = *state;
        const char *none = NULL;

        fake_write(tree->root, "etc/vfiopt/state", "damaged");
        fake_write(tree->root, "etc/vfiopt/state.damaged/x", "in the way");
        assert_true(state_set_aside(tree->roots.etc_fd, &none) < 0);
        assert_null(none);
        assert_content(tree, "state", "damaged");
}

static void a_card_comes_back_as_it_was_there(void **state) {
        FakeTree *tree = *state;
        State before = STATE_NULL, after;
        const StateEntry *entry;
        Gpu gpu, unplugged;

        /* With a hole, and with a class that has an interface. */
        fake_gpu_add(tree, GPU, .functions = 3, .group = 12);
        fake_device_remove(tree, "0000:01:00.1");
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_int_equal(gpu.n_functions, 2);
        assert_int_equal(state_set(&before, &gpu, MODE_PASSTHROUGH), 0);
        assert_int_equal(state_save(&before, tree->roots.etc_fd), 0);
        state_deinit(&before);

        assert_int_equal(state_load(&after, tree->roots.etc_fd), 0);
        entry = state_find(&after, address);
        assert_non_null(entry);
        assert_int_equal(entry->mode, MODE_PASSTHROUGH);
        assert_int_equal(state_entry_to_gpu(entry, &unplugged), 0);
        assert_int_equal(unplugged.n_functions, gpu.n_functions);
        assert_int_equal(address_compare(unplugged.address, gpu.address), 0);
        assert_true(device_is_gpu(&unplugged.functions[0]));
        for (size_t i = 0; i < gpu.n_functions; ++i) {
                const Device *is = &unplugged.functions[i], *was = &gpu.functions[i];

                assert_int_equal(address_compare(is->address, was->address), 0);
                assert_true(identity_equal(is->identity, was->identity));
                assert_int_equal(is->class, was->class);
                assert_string_equal(is->modalias, was->modalias);
        }
        gpu_deinit(&unplugged);
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
        assert_int_equal(state_set(&before, &gpu, MODE_HOST), 0);
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
        const StateEntry *entry;
        State remembered = STATE_NULL;
        bool same = false;
        Gpu gpu;

        fake_gpu_add(tree, GPU, .group = 12);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_false(state_entry_is(NULL, &gpu, MODE_HOST, &same));
        assert_int_equal(state_set(&remembered, &gpu, MODE_HOST), 0);
        entry = state_find(&remembered, address);
        assert_non_null(entry);
        assert_true(state_entry_is(entry, &gpu, MODE_HOST, &same));
        assert_true(same);

        /* not there, */
        assert_false(state_entry_is(entry, &gpu, MODE_PASSTHROUGH, &same));
        gpu.functions[0].identity.device ^= 1;
        assert_false(state_entry_is(entry, &gpu, MODE_HOST, &same));
        gpu.functions[0].identity.device ^= 1;

        /* or there with other functions */
        --gpu.n_functions;
        assert_true(state_entry_is(entry, &gpu, MODE_HOST, &same));
        assert_false(same);
        ++gpu.n_functions;
        gpu.functions[3].class ^= 1;
        assert_true(state_entry_is(entry, &gpu, MODE_HOST, &same));
        assert_false(same);
        gpu.functions[3].class ^= 1;
        gpu.functions[3].address.function = 5;
        assert_true(state_entry_is(entry, &gpu, MODE_HOST, &same));
        assert_false(same);
        gpu.functions[3].address.function = 3;
        gpu.functions[1].identity.device ^= 1;
        assert_true(state_entry_is(entry, &gpu, MODE_HOST, &same));
        assert_false(same);
        gpu_deinit(&gpu);
        state_deinit(&remembered);
}

static void another_card_is_told_by_what_differs(void **state) {
        char id[IDENTITY_STRING_MAX] = "";
        FakeTree *tree = *state;
        State remembered = STATE_NULL;
        char *words;
        Gpu gpu;

        fake_gpu_add(tree, GPU, .group = 12);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_false(state_has_other_card(&remembered, &gpu, id));
        assert_int_equal(state_set(&remembered, &gpu, MODE_HOST), 0);
        assert_false(state_has_other_card(&remembered, &gpu, id));
        assert_int_equal(state_describe_other_card(&remembered, &gpu, &words), 0);
        assert_null(words);

        gpu.functions[0].identity.device ^= 1;
        assert_true(state_has_other_card(&remembered, &gpu, id));
        assert_string_equal(id, "10de:2d04");
        gpu.functions[0].identity.device ^= 1;
        /* The same model of another maker. */
        gpu.functions[0].identity.subsystem_vendor ^= 1;
        assert_true(state_has_other_card(&remembered, &gpu, id));
        assert_string_equal(id, "1043:5678");
        assert_int_equal(state_describe_other_card(&remembered, &gpu, &words), 0);
        assert_non_null(strstr(words, "1043:5678"));
        assert_non_null(strstr(words, "vfioptctl forget " GPU));
        free(words);
        gpu_deinit(&gpu);
        state_deinit(&remembered);
}

static void a_file_of_an_older_version_is_good(void **state) {
        FakeTree *tree = *state;
        State loaded;

        write_state(tree, "");
        assert_int_equal(state_load(&loaded, tree->roots.etc_fd), 0);
        assert_int_equal(loaded.n_entries, 1);
        assert_int_equal(loaded.entries[0].n_functions, 0);

        /* As it was written, it goes back. */
        assert_int_equal(state_save(&loaded, tree->roots.etc_fd), 0);
        state_deinit(&loaded);
        assert_int_equal(state_load(&loaded, tree->roots.etc_fd), 0);
        assert_int_equal(loaded.entries[0].n_functions, 0);
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
                tree_test(a_state_comes_back_sorted_out_by_address),
                tree_test(a_state_that_is_not_understood_is_left_alone),
                tree_test(a_state_file_is_replaced_whole),
                tree_test(a_state_file_that_is_a_link_is_left_alone),
                tree_test(a_state_file_is_set_aside),
                tree_test(a_state_file_that_cannot_be_set_aside_stays),
                tree_test(a_card_comes_back_as_it_was_there),
                tree_test(the_file_is_for_people_to_read),
                tree_test(a_function_more_is_another_card),
                tree_test(another_card_is_told_by_what_differs),
                tree_test(a_file_of_an_older_version_is_good),
                tree_test(a_wrong_list_makes_the_file_wrong),
                tree_test(there_are_eight_functions_and_no_more),
        };

        return cmocka_run_group_tests_name("record/state", tests, NULL, NULL);
}
