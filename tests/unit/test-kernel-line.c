/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test the Kernel's Command Line
 */

#include "lib/test.h"

#include "record/config.h"

typedef struct Case {
        const char *line;
        bool is_set;
        Mode mode;
        const char *unknown;
} Case;

#define NONE        false, MODE_UNSET
#define HOST        true, MODE_HOST
#define PASSTHROUGH true, MODE_PASSTHROUGH
#define OFF         true, MODE_UNSET

static void check(FakeTree *tree, const Case *cases, size_t n) {
        for (size_t i = 0; i < n; ++i) {
                _cleanup_(kernel_line_deinit) KernelLine kernel = KERNEL_LINE_NULL;

                fake_write(tree->root, "proc/cmdline", "%s", cases[i].line);
                assert_int_equal(kernel_line_load(tree->roots.proc_fd, &kernel), 0);
                if (kernel.is_set != cases[i].is_set || kernel.mode != cases[i].mode)
                        fail_msg("\"%s\": %d, %s", cases[i].line, kernel.is_set,
                                        mode_to_string(kernel.mode));
                if (cases[i].unknown)
                        assert_string_equal(kernel.unknown, cases[i].unknown);
                else
                        assert_null(kernel.unknown);
        }
}

static void a_mode_is_found_among_other_parameters(void **state) {
        static const Case cases[] = {
                { "", NONE, NULL },
                { "\n", NONE, NULL },
                { "BOOT_IMAGE=/vmlinuz root=UUID=1 ro quiet\n", NONE, NULL },
                { "vfiopt.mode=host", HOST, NULL },
                { "ro vfiopt.mode=passthrough quiet\n", PASSTHROUGH, NULL },
                { "ro\tvfiopt.mode=off\n", OFF, NULL },
                { "   vfiopt.mode=off   ", OFF, NULL },
                { "ro\xa0"
                  "vfiopt.mode=off",
                                OFF, NULL },
        };

        check(*state, cases, ARRAY_SIZE(cases));
}

static void the_last_one_counts(void **state) {
        static const Case cases[] = {
                { "vfiopt.mode=host vfiopt.mode=passthrough", PASSTHROUGH, NULL },
                { "vfiopt.mode=off vfiopt.mode=host", HOST, NULL },
                { "vfiopt.mode=moon vfiopt.mode=host", HOST, NULL },
                { "vfiopt.mode=host vfiopt.mode=moon", OFF, "moon" },
                { "vfiopt.mode=host vfiopt.mode", OFF, "" },
        };

        check(*state, cases, ARRAY_SIZE(cases));
}

static void quotes_are_those_of_the_kernel(void **state) {
        static const Case cases[] = {
                { "\"vfiopt.mode=host\"", HOST, NULL },
                { "vfiopt.mode=\"host\" ro", HOST, NULL },
                { "vfiopt.mode=\"host", HOST, NULL },
                { "\"vfiopt.mode=host", HOST, NULL },
                { "vfiopt.mode=\"host ro\"", OFF, "host ro" },
                { "vfiopt.mode=host\" ro", OFF, "host\" ro" },
                { "dyndbg=\"file x +p vfiopt.mode=host\"", NONE, NULL },
                { "\"a b\" vfiopt.mode=host", HOST, NULL },
                { "a=\"b c\"vfiopt.mode=host", NONE, NULL },
                { "\"", NONE, NULL },
                { "\"\"", NONE, NULL },
                { "vfiopt.mode=\"", OFF, "" },
                { "vfiopt.mode=\"\"", OFF, "" },
        };

        check(*state, cases, ARRAY_SIZE(cases));
}

static void what_is_for_init_does_not_count(void **state) {
        static const Case cases[] = {
                { "ro -- vfiopt.mode=host", NONE, NULL },
                { "vfiopt.mode=off -- vfiopt.mode=host", OFF, NULL },
                { "ro --\nvfiopt.mode=host", NONE, NULL },
                { "\"--\" vfiopt.mode=host", NONE, NULL },
                { "--x vfiopt.mode=host", HOST, NULL },
                { "--=x vfiopt.mode=host", HOST, NULL },
                { "a=-- vfiopt.mode=host", HOST, NULL },
        };

        check(*state, cases, ARRAY_SIZE(cases));
}

static void a_value_that_is_not_known_touches_nothing(void **state) {
        static const Case cases[] = {
                { "vfiopt.mode=", OFF, "" },
                { "vfiopt.mode", OFF, "" },
                { "vfiopt.mode=Host", OFF, "Host" },
                { "vfiopt.mode=none", OFF, "none" },
                { "vfiopt.mode=host,off", OFF, "host,off" },
                { "vfiopt.mode==host", OFF, "=host" },
                { "vfiopt.mode=\x1b[2J", OFF, "\x1b[2J" },
        };

        check(*state, cases, ARRAY_SIZE(cases));
}

static void a_parameter_with_a_similar_name_is_another_one(void **state) {
        static const Case cases[] = {
                { "vfiopt.modes=host", NONE, NULL },
                { "xvfiopt.mode=host", NONE, NULL },
                { "vfiopt.Mode=host", NONE, NULL },
                { "vfiopt=mode=host", NONE, NULL },
                { "=vfiopt.mode=host", NONE, NULL },
                { "vfiopt.mod", NONE, NULL },
        };

        check(*state, cases, ARRAY_SIZE(cases));
}

static void it_is_read_below_the_root_that_was_given(void **state) {
        FakeTree *tree = *state;
        KernelLine kernel = KERNEL_LINE_NULL;
        char line[70000];

        fake_remove(tree->root, "proc/cmdline");
        assert_int_equal(kernel_line_load(tree->roots.proc_fd, &kernel), 0);
        assert_false(kernel.is_set);

        fake_write(tree->root, "proc/cmdline", "ro vfiopt.mode=host quiet\n");
        assert_int_equal(kernel_line_load(tree->roots.proc_fd, &kernel), 0);
        assert_true(kernel.is_set);
        assert_int_equal(kernel.mode, MODE_HOST);

        fake_write(tree->root, "proc/cmdline", "ro vfiopt.mode=hots quiet\n");
        assert_int_equal(kernel_line_load(tree->roots.proc_fd, &kernel), 0);
        assert_true(kernel.is_set);
        assert_int_equal(kernel.mode, MODE_UNSET);
        assert_string_equal(kernel.unknown, "hots");
        kernel_line_deinit(&kernel);

        memset(line, 'x', sizeof(line));
        fake_write_bytes(tree->root, "proc/cmdline", line, sizeof(line));
        kernel.mode = _MODE_MAX;
        assert_int_equal(kernel_line_load(tree->roots.proc_fd, &kernel), -E2BIG);
        assert_int_equal(kernel.mode, _MODE_MAX);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(a_mode_is_found_among_other_parameters),
                tree_test(the_last_one_counts),
                tree_test(quotes_are_those_of_the_kernel),
                tree_test(what_is_for_init_does_not_count),
                tree_test(a_value_that_is_not_known_touches_nothing),
                tree_test(a_parameter_with_a_similar_name_is_another_one),
                tree_test(it_is_read_below_the_root_that_was_given),
        };

        return cmocka_run_group_tests_name("kernel-line", tests, NULL, NULL);
}
