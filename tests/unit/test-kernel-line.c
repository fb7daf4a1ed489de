/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test the Kernel's Command Line
 */

#include "lib/test.h"

#include "record/kernel-line.h"

typedef struct Case {
        const char *line;
        KernelMode mode;
        const char *unknown;
} Case;

static void check(const Case *cases, size_t n) {
        for (size_t i = 0; i < n; ++i) {
                _cleanup_(freep) char *unknown = NULL;
                KernelMode mode = _KERNEL_MODE_MAX;
                int r;

                r = kernel_line_parse(cases[i].line, &mode, &unknown);
                if (r != (cases[i].unknown ? KERNEL_LINE_E_UNKNOWN : 0) || mode != cases[i].mode)
                        fail_msg("\"%s\": %d, %s", cases[i].line, r, kernel_mode_to_string(mode));
                if (cases[i].unknown)
                        assert_string_equal(unknown, cases[i].unknown);
                else
                        assert_null(unknown);
        }
}

static void a_mode_is_found_among_other_parameters(void **state _unused_) {
        static const Case cases[] = {
                { "", KERNEL_MODE_NONE, NULL },
                { "\n", KERNEL_MODE_NONE, NULL },
                { "BOOT_IMAGE=/vmlinuz root=UUID=1 ro quiet\n", KERNEL_MODE_NONE, NULL },
                { "vfiopt.mode=host", KERNEL_MODE_HOST, NULL },
                { "ro vfiopt.mode=passthrough quiet\n", KERNEL_MODE_PASSTHROUGH, NULL },
                { "ro\tvfiopt.mode=off\n", KERNEL_MODE_OFF, NULL },
                { "   vfiopt.mode=off   ", KERNEL_MODE_OFF, NULL },
                { "ro\xa0"
                  "vfiopt.mode=off",
                                KERNEL_MODE_OFF, NULL },
        };

        check(cases, ARRAY_SIZE(cases));
}

static void the_last_one_counts(void **state _unused_) {
        static const Case cases[] = {
                { "vfiopt.mode=host vfiopt.mode=passthrough", KERNEL_MODE_PASSTHROUGH, NULL },
                { "vfiopt.mode=off vfiopt.mode=host", KERNEL_MODE_HOST, NULL },
                { "vfiopt.mode=moon vfiopt.mode=host", KERNEL_MODE_HOST, NULL },
                { "vfiopt.mode=host vfiopt.mode=moon", KERNEL_MODE_OFF, "moon" },
                { "vfiopt.mode=host vfiopt.mode", KERNEL_MODE_OFF, "" },
        };

        check(cases, ARRAY_SIZE(cases));
}

static void quotes_are_those_of_the_kernel(void **state _unused_) {
        static const Case cases[] = {
                { "\"vfiopt.mode=host\"", KERNEL_MODE_HOST, NULL },
                { "vfiopt.mode=\"host\" ro", KERNEL_MODE_HOST, NULL },
                { "vfiopt.mode=\"host", KERNEL_MODE_HOST, NULL },
                { "\"vfiopt.mode=host", KERNEL_MODE_HOST, NULL },
                { "vfiopt.mode=\"host ro\"", KERNEL_MODE_OFF, "host ro" },
                { "vfiopt.mode=host\" ro", KERNEL_MODE_OFF, "host\" ro" },
                { "dyndbg=\"file x +p vfiopt.mode=host\"", KERNEL_MODE_NONE, NULL },
                { "\"a b\" vfiopt.mode=host", KERNEL_MODE_HOST, NULL },
                { "a=\"b c\"vfiopt.mode=host", KERNEL_MODE_NONE, NULL },
                { "\"", KERNEL_MODE_NONE, NULL },
                { "\"\"", KERNEL_MODE_NONE, NULL },
                { "vfiopt.mode=\"", KERNEL_MODE_OFF, "" },
                { "vfiopt.mode=\"\"", KERNEL_MODE_OFF, "" },
        };

        check(cases, ARRAY_SIZE(cases));
}

static void what_is_for_init_does_not_count(void **state _unused_) {
        static const Case cases[] = {
                { "ro -- vfiopt.mode=host", KERNEL_MODE_NONE, NULL },
                { "vfiopt.mode=off -- vfiopt.mode=host", KERNEL_MODE_OFF, NULL },
                { "ro --\nvfiopt.mode=host", KERNEL_MODE_NONE, NULL },
                { "\"--\" vfiopt.mode=host", KERNEL_MODE_NONE, NULL },
                { "--x vfiopt.mode=host", KERNEL_MODE_HOST, NULL },
                { "--=x vfiopt.mode=host", KERNEL_MODE_HOST, NULL },
                { "a=-- vfiopt.mode=host", KERNEL_MODE_HOST, NULL },
        };

        check(cases, ARRAY_SIZE(cases));
}

static void a_value_that_is_not_known_touches_nothing(void **state _unused_) {
        static const Case cases[] = {
                { "vfiopt.mode=", KERNEL_MODE_OFF, "" },
                { "vfiopt.mode", KERNEL_MODE_OFF, "" },
                { "vfiopt.mode=Host", KERNEL_MODE_OFF, "Host" },
                { "vfiopt.mode=none", KERNEL_MODE_OFF, "none" },
                { "vfiopt.mode=host,off", KERNEL_MODE_OFF, "host,off" },
                { "vfiopt.mode==host", KERNEL_MODE_OFF, "=host" },
                { "vfiopt.mode=\x1b[2J", KERNEL_MODE_OFF, "\x1b[2J" },
        };

        check(cases, ARRAY_SIZE(cases));
}

static void a_parameter_with_a_similar_name_is_another_one(void **state _unused_) {
        static const Case cases[] = {
                { "vfiopt.modes=host", KERNEL_MODE_NONE, NULL },
                { "xvfiopt.mode=host", KERNEL_MODE_NONE, NULL },
                { "vfiopt.Mode=host", KERNEL_MODE_NONE, NULL },
                { "vfiopt=mode=host", KERNEL_MODE_NONE, NULL },
                { "=vfiopt.mode=host", KERNEL_MODE_NONE, NULL },
                { "vfiopt.mod", KERNEL_MODE_NONE, NULL },
        };

        check(cases, ARRAY_SIZE(cases));
}

static void it_is_read_below_the_root_that_was_given(void **state) {
        FakeTree *tree = *state;
        _cleanup_(freep) char *unknown = NULL;
        char line[70000];
        KernelMode mode;

        fake_remove(tree->root, "proc/cmdline");
        assert_int_equal(kernel_line_load(tree->roots.proc_fd, &mode, &unknown), 0);
        assert_int_equal(mode, KERNEL_MODE_NONE);

        fake_write(tree->root, "proc/cmdline", "ro vfiopt.mode=host quiet\n");
        assert_int_equal(kernel_line_load(tree->roots.proc_fd, &mode, &unknown), 0);
        assert_int_equal(mode, KERNEL_MODE_HOST);

        fake_write(tree->root, "proc/cmdline", "ro vfiopt.mode=hots quiet\n");
        assert_int_equal(kernel_line_load(tree->roots.proc_fd, &mode, &unknown),
                        KERNEL_LINE_E_UNKNOWN);
        assert_int_equal(mode, KERNEL_MODE_OFF);
        assert_string_equal(unknown, "hots");

        memset(line, 'x', sizeof(line));
        fake_write_bytes(tree->root, "proc/cmdline", line, sizeof(line));
        mode = _KERNEL_MODE_MAX;
        assert_int_equal(kernel_line_load(tree->roots.proc_fd, &mode, &unknown), -E2BIG);
        assert_int_equal(mode, _KERNEL_MODE_MAX);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_mode_is_found_among_other_parameters),
                cmocka_unit_test(the_last_one_counts),
                cmocka_unit_test(quotes_are_those_of_the_kernel),
                cmocka_unit_test(what_is_for_init_does_not_count),
                cmocka_unit_test(a_value_that_is_not_known_touches_nothing),
                cmocka_unit_test(a_parameter_with_a_similar_name_is_another_one),
                tree_test(it_is_read_below_the_root_that_was_given),
        };

        return cmocka_run_group_tests_name("kernel-line", tests, NULL, NULL);
}
