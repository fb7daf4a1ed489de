/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Rules of udev
 *
 * As tools and users write them, and with rules around them that are about other devices.
 */

#include "lib/test.h"

#include "os/rule.h"

static int setup(void **state) {
        *state = fake_tree_new();
        return *state ? 0 : -1;
}

static int teardown(void **state) {
        fake_tree_free(*state);
        return 0;
}

#define rule_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static void rule(FakeTree *tree, const char *path, const char *text) {
        fake_write(tree->root, path, "%s", text);
}

static const RuleDevice card = { "0000:01:00.0", "0x2204", NULL };

static void assert_rule(FakeTree *tree, const char *where) {
        _cleanup_(freep) char *found = NULL;

        assert_int_equal(rule_find_remover(tree->roots.root_fd, &card, &found), 0);
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

static void rules_for_other_cards_of_the_vendor_are_no_matter(void **state) {
        rule(*state, "etc/udev/rules.d/a.rules",
                        "ATTR{vendor}==\"0x10de\", ATTR{device}==\"0x1f08|0x1e*\", ATTR{remove}=\"1\"\n"
                        "ATTR{vendor}==\"0x10de\", ATTR{device}!=\"0x2204\", ATTR{remove}=\"1\"\n"
                        "ATTR{vendor}==\"0x10de\", KERNEL==\"0000:02:*\", ATTR{remove}=\"1\"\n"
                        "KERNEL==\"0000:01:00.1\", ATTR{remove}=\"1\"\n"
                        "ATTR{vendor}==\"0x10de\", RUN+=\"/bin/sh -c 'echo 1 > "
                        "/sys/bus/pci/devices/0000:02:00.0/remove'\"\n");
        assert_rule(*state, NULL);
        rule(*state, "etc/udev/rules.d/b.rules",
                        "ATTR{vendor}==\"0x10DE\", ATTR{device}==\"0x1f08|0x22*\", ATTR{remove}=\"1\"\n");
        assert_rule(*state,
                        "/etc/udev/rules.d/b.rules:1: ATTR{vendor}==\"0x10DE\", "
                        "ATTR{device}==\"0x1f08|0x22*\", ATTR{remove}=\"1\"");
}

static void an_override_may_be_set_by_a_rule(void **state) {
        static const char *const lines[] = {
                "KERNEL==\"0000:01:00.1\", ATTR{driver_override}=\"vfio-pci\"",
                "ATTR{vendor}==\"0x10de\", ATTR{class}==\"0x0403*\", ATTR{driver_override}=\"vfio-pci\"",
                ("ATTR{vendor}==\"0x10de\", ATTR{device}==\"0x1aef\", "
                 "RUN+=\"/bin/sh -c 'echo vfio-pci > /sys$devpath/driver_override'\""),
        };
        static const char *const others[] = {
                "KERNEL==\"0000:01:00.0\", ATTR{driver_override}=\"vfio-pci\"",
                "ATTR{vendor}==\"0x8086\", ATTR{driver_override}=\"vfio-pci\"",
                "ATTR{vendor}==\"0x10de\", ATTR{class}==\"0x03*\", ATTR{driver_override}=\"vfio-pci\"",
                "ATTR{vendor}==\"0x10de\", ATTR{driver_override}==\"vfio-pci\", TAG+=\"x\"",
                "ATTR{vendor}==\"0x10de\", ATTR{driver_override}=\"$env{VFIOPT_DRIVER}\"",
        };
        const RuleDevice sound = { "0000:01:00.1", "0x1aef", "0x040300" };
        FakeTree *tree = *state;

        for (size_t i = 0; i < ARRAY_SIZE(others) + ARRAY_SIZE(lines); ++i) {
                const bool counts = i >= ARRAY_SIZE(others);
                const char *line = counts ? lines[i - ARRAY_SIZE(others)] : others[i];
                _cleanup_(freep) char *found = NULL;
                char where[256];

                rule(tree, "etc/udev/rules.d/a.rules", line);
                snprintf(where, sizeof(where), "/etc/udev/rules.d/a.rules:1: %s", line);
                assert_int_equal(rule_find_overrides(tree->roots.root_fd, &sound, 1, &found), 0);
                if (counts)
                        assert_string_equal(found, where);
                else
                        assert_null(found);
        }
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
                rule_test(other_rules_remove_no_card),
                rule_test(rules_for_other_cards_of_the_vendor_are_no_matter),
                rule_test(an_override_may_be_set_by_a_rule),
                rule_test(a_rule_is_named_as_it_stands),
                rule_test(the_vendor_may_stand_in_another_line),
                rule_test(a_card_may_be_meant_by_its_address),
                rule_test(a_shell_may_write_it),
        };

        return cmocka_run_group_tests_name("os/rule", tests, NULL, NULL);
}
