/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Walking a Device's Subtree
 */

#include "lib/test.h"

#include <sys/stat.h>

#include "base/text.h"
#include "os/walk.h"

typedef struct Visits {
        Text text; /* "path name found;" of each */
        size_t n;
        int answer;
} Visits;

static int visit(void *userdata, const char *path, const char *name, unsigned int found) {
        Visits *visits = userdata;

        assert_int_equal(text_append(&visits->text, "%s %s %u;", path, name, found), 0);
        ++visits->n;
        return visits->answer;
}

static const char *const wanted[] = { "dev", "idVendor" };

static int walk(FakeTree *tree, const char *top, Visits *visits) {
        return walk_subtree(fake_sysfs(tree), top, wanted, ARRAY_SIZE(wanted), visit, visits);
}

static void assert_walk(FakeTree *tree, const char *top, const char *expected) {
        Visits visits = {};

        assert_int_equal(walk(tree, top, &visits), 0);
        assert_string_equal(text(&visits.text), expected);
        text_deinit(&visits.text);
}

static void directories_with_a_wanted_attribute_are_visited(void **state) {
        FakeTree *tree = *state;

        fake_write(tree->root, "sys/devices/gpu/drm/card0/dev", "226:0\n");
        fake_write(tree->root, "sys/devices/gpu/drm/card0/uevent", "DEVNAME=dri/card0\n");
        fake_write(tree->root, "sys/devices/gpu/vendor", "0x10de\n");
        assert_walk(tree, "devices/gpu", "devices/gpu/drm/card0 card0 1;");
}

static void all_that_was_found_in_a_directory_is_told_at_once(void **state) {
        FakeTree *tree = *state;

        fake_write(tree->root, "sys/devices/usb/1-1/dev", "189:1\n");
        fake_write(tree->root, "sys/devices/usb/1-1/idVendor", "046d\n");
        fake_write(tree->root, "sys/devices/usb/1-1/1-1.2/idVendor", "046d\n");
        assert_walk(tree, "devices/usb", "devices/usb/1-1/1-1.2 1-1.2 2;devices/usb/1-1 1-1 3;");
}

static void the_top_may_be_a_link_and_may_have_the_attribute(void **state) {
        FakeTree *tree = *state;

        fake_write(tree->root, "sys/devices/gpu/dev", "1:1\n");
        fake_link(tree->root, "sys/devices/gpu", "sys/bus/pci/devices/gpu");
        assert_walk(tree, "bus/pci/devices/gpu", "bus/pci/devices/gpu gpu 1;");
}

static void a_link_below_the_top_is_not_followed(void **state) {
        FakeTree *tree = *state;

        fake_write(tree->root, "sys/devices/other/dev", "1:1\n");
        fake_write(tree->root, "sys/devices/gpu/drm/vendor", "0x10de\n");
        fake_link(tree->root, "sys/devices/other", "sys/devices/gpu/drm/device");
        fake_link(tree->root, "sys/devices/gpu", "sys/devices/gpu/drm/parent");
        assert_walk(tree, "devices/gpu", "");
}

static void directories_that_never_have_nodes_are_left_out(void **state) {
        FakeTree *tree = *state;

        fake_write(tree->root, "sys/devices/gpu/power/dev", "1:1\n");
        fake_write(tree->root, "sys/devices/gpu/msi_irqs/dev", "1:1\n");
        fake_write(tree->root, "sys/devices/gpu/powerful/dev", "1:1\n");
        assert_walk(tree, "devices/gpu", "devices/gpu/powerful powerful 1;");
}

static void a_directory_named_like_an_attribute_is_none(void **state) {
        FakeTree *tree = *state;

        fake_make_dir(tree->root, "sys/devices/gpu/dev");
        assert_walk(tree, "devices/gpu", "");
}

static void a_top_that_is_missing_has_nothing(void **state) {
        FakeTree *tree = *state;

        assert_walk(tree, "devices/none", "");
        fake_write(tree->root, "sys/devices/file", "x\n");
        assert_walk(tree, "devices/file", "");
}

static void the_visitor_can_end_the_walk(void **state) {
        static const int answers[] = { 1, -ENOMEM };
        FakeTree *tree = *state;

        fake_write(tree->root, "sys/devices/gpu/a/dev", "1:1\n");
        fake_write(tree->root, "sys/devices/gpu/b/dev", "1:2\n");
        for (size_t i = 0; i < ARRAY_SIZE(answers); ++i) {
                Visits visits = { .answer = answers[i] };

                assert_int_equal(walk(tree, "devices/gpu", &visits), answers[i]);
                assert_int_equal(visits.n, 1);
                text_deinit(&visits.text);
        }
}

/* A chain of @n directories below devices/top, with the attribute in the last. */
static void make_chain(FakeTree *tree, size_t n, const char *name) {
        _cleanup_(text_deinit) Text path = TEXT_NULL;

        assert_int_equal(text_append(&path, "%s/sys/devices/top", tree->root), 0);
        for (size_t i = 0; i < n; ++i) {
                assert_int_equal(text_append(&path, "/%s", name), 0);
                assert_int_equal(mkdir(text(&path), 0755), 0);
        }
        assert_int_equal(text_append(&path, "/dev"), 0);
        fclose(fopen(text(&path), "we"));
}

static void a_disk_behind_five_hubs_is_found(void **state) {
        FakeTree *tree = *state;
        Visits visits = {};

        fake_make_dir(tree->root, "sys/devices/top");
        make_chain(tree, 14, "x");
        assert_int_equal(walk(tree, "devices/top", &visits), 0);
        assert_int_equal(visits.n, 1);
        text_deinit(&visits.text);
}

static void a_tree_without_end_is_an_error(void **state) {
        FakeTree *tree = *state;
        Visits visits = {};

        fake_make_dir(tree->root, "sys/devices/top");
        make_chain(tree, 40, "x");
        assert_int_equal(walk(tree, "devices/top", &visits), -ELOOP);
        assert_int_equal(visits.n, 0);
}

static void a_path_too_long_is_an_error(void **state) {
        char name[201];
        FakeTree *tree = *state;
        Visits visits = {};

        memset(name, 'x', sizeof(name) - 1);
        name[sizeof(name) - 1] = 0;
        fake_make_dir(tree->root, "sys/devices/top");
        make_chain(tree, 6, name);
        assert_int_equal(walk(tree, "devices/top", &visits), -ENAMETOOLONG);
        assert_int_equal(visits.n, 0);
}

static void files_are_closed_again(void **state) {
        FakeTree *tree = *state;
        int before, after;

        fake_write(tree->root, "sys/devices/gpu/a/b/c/dev", "1:1\n");
        before = dup(0);
        close(before);
        assert_walk(tree, "devices/gpu", "devices/gpu/a/b/c c 1;");
        after = dup(0);
        close(after);
        assert_int_equal(before, after);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(directories_with_a_wanted_attribute_are_visited),
                tree_test(all_that_was_found_in_a_directory_is_told_at_once),
                tree_test(the_top_may_be_a_link_and_may_have_the_attribute),
                tree_test(a_link_below_the_top_is_not_followed),
                tree_test(directories_that_never_have_nodes_are_left_out),
                tree_test(a_directory_named_like_an_attribute_is_none),
                tree_test(a_top_that_is_missing_has_nothing),
                tree_test(the_visitor_can_end_the_walk),
                tree_test(a_disk_behind_five_hubs_is_found),
                tree_test(a_tree_without_end_is_an_error),
                tree_test(a_path_too_long_is_an_error),
                tree_test(files_are_closed_again),
        };

        return cmocka_run_group_tests_name("os/walk", tests, NULL, NULL);
}
