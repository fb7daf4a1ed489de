/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Rules that Remove Cards
 *
 * As tools write them, and with rules around them that remove nothing of a card.
 */

#include "lib/test.h"

#include "os/remover.h"

static int setup(void **state) {
        *state = fake_tree_new();
        return *state ? 0 : -1;
}

static int teardown(void **state) {
        fake_tree_free(*state);
        return 0;
}

#define remover_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static void rule(FakeTree *tree, const char *path, const char *text) {
        fake_write(tree->root, path, "%s", text);
}

static void assert_rule(FakeTree *tree, const char *where) {
        _cleanup_(freep) char *found = NULL;

        assert_int_equal(remover_find(tree->roots.root_fd, "0000:01:00.0", &found), 0);
        if (where) {
                assert_non_null(found);
                assert_string_equal(found, where);
        } else {
                assert_null(found);
        }
}

static void other_rules_remove_no_card(void **state) {
        assert_rule(*state, NULL);
        rule(*state, "etc/udev/rules.d/a.rules",
                        "#ATTR{vendor}==\"0x10de\", ATTR{remove}=\"1\"\n"
                        "ATTR{vendor}==\"0x10de\", ATTR{remove}==\"1\"\n"
                        "ACTION==\"remove\", ATTR{vendor}==\"0x10de\", RUN+=\"/bin/true\"\n"
                        "ATTR{vendor}==\"0x10de\", ATTR{class}==\"0x0c0330\", ATTR{remove}=\"1\"\n");
        rule(*state, "etc/udev/rules.d/b.rules",
                        "ATTR{vendor}==\"0x8086\", ATTR{remove}=\"1\"\n"
                        "KERNEL==\"0000:02:00.0\", ATTR{remove}=\"1\"\n");
        rule(*state, "etc/udev/rules.d/d.rules",
                        "ATTR{vendor}==\"0x10de\", ATTR{power/control}=\"auto\"\n"
                        "ATTR{vendor}==\"0x8086\", ATTR{device}==\"0x15e8\", ATTR{remove}=\"1\"\n");
        rule(*state, "etc/udev/rules.d/c.bak", "ATTR{vendor}==\"0x10de\", ATTR{remove}=\"1\"\n");
        assert_rule(*state, NULL);
}

static void a_rule_is_named_as_it_stands(void **state) {
        rule(*state, "usr/lib/udev/rules.d/50-x.rules",
                        "# one\nATTR{vendor}==\"0x10de\", \\\n ATTR{class}==\"0x0c0330\", ATTR{remove}=\"1\"\n"
                        "ATTR{vendor}==\"0x10DE\", ATTR{class}==\"0x03[0-9]*\", ATTR{remove}=\"1\"\n");
        assert_rule(*state,
                        "/usr/lib/udev/rules.d/50-x.rules:4: ATTR{vendor}==\"0x10DE\", "
                        "ATTR{class}==\"0x03[0-9]*\", ATTR{remove}=\"1\"");
        rule(*state, "etc/udev/rules.d/50-x.rules", "\n");
        assert_rule(*state, NULL);
}

static void the_vendor_may_stand_in_another_line(void **state) {
        rule(*state, "run/udev/rules.d/a.rules",
                        "ATTR{vendor}!=\"0x10de\", GOTO=\"end\"\nATTR{remove}=\"1\"\nLABEL=\"end\"\n");
        assert_rule(*state, "/run/udev/rules.d/a.rules:2: ATTR{remove}=\"1\"");
}

static void a_card_may_be_meant_by_its_address(void **state) {
        rule(*state, "etc/udev/rules.d/a.rules", "KERNEL==\"0000:01:00.?\", ATTR{remove}=\"1\"\n");
        assert_rule(*state,
                        "/etc/udev/rules.d/a.rules:1: KERNEL==\"0000:01:00.?\", ATTR{remove}=\"1\"");
}

static void a_shell_may_write_it(void **state) {
        rule(*state, "etc/udev/rules.d/a.rules",
                        "RUN+=\"/bin/sh -c 'echo 1 > /sys/bus/pci/devices/0000:01:00.0/remove'\"\n");
        assert_rule(*state,
                        "/etc/udev/rules.d/a.rules:1: RUN+=\"/bin/sh -c 'echo 1 > "
                        "/sys/bus/pci/devices/0000:01:00.0/remove'\"");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                remover_test(other_rules_remove_no_card),
                remover_test(a_rule_is_named_as_it_stands),
                remover_test(the_vendor_may_stand_in_another_line),
                remover_test(a_card_may_be_meant_by_its_address),
                remover_test(a_shell_may_write_it),
        };

        return cmocka_run_group_tests_name("os/remover", tests, NULL, NULL);
}
