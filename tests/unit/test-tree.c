/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Files of a Machine
 */

#include "lib/test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/text.h"
#include "os/tool.h"
#include "os/tree.h"

static int root_of(void **state) {
        return ((FakeTree *) *state)->roots.root_fd;
}

static const char *top_of(void **state) {
        return ((FakeTree *) *state)->root;
}

/* As it is said, while fake_link() has them within sysfs. */
static void make_link(const char *root, const char *target, const char *path) {
        char full[FAKE_PATH_MAX];

        assert_int_equal(symlink(target, fake_path(full, "%s/%s", root, path)), 0);
}

static void assert_content(void **state, const char *path, const char *expected) {
        _cleanup_(tree_file_deinit) TreeFile file = TREE_FILE_NULL;

        assert_int_equal(tree_read(root_of(state), path, &file), 0);
        assert_string_equal(file.data, expected);
        assert_int_equal(file.n, strlen(expected));
}

static void links_stay_inside(void **state) {
        fake_write(top_of(state), "etc/alternatives/nvidia", "inside\n");
        make_link(top_of(state), "/etc/alternatives/nvidia", "etc/absolute");
        make_link(top_of(state), "../../../../../../etc/alternatives/nvidia", "etc/above");
        make_link(top_of(state), "/etc/alternatives", "etc/folder");
        make_link(top_of(state), "absolute", "etc/twice");

        assert_content(state, "etc/absolute", "inside\n");
        assert_content(state, "etc/above", "inside\n");
        assert_content(state, "etc/folder/nvidia", "inside\n");
        assert_content(state, "etc/twice", "inside\n");
        assert_true(tree_is_link(root_of(state), "etc/twice"));
        assert_false(tree_is_link(root_of(state), "etc/folder/nvidia"));
}

static void a_place_has_no_links(void **state) {
        _cleanup_(freep) char *place = NULL, *missing = NULL;

        fake_write(top_of(state), "usr/etc/file", "%s", "");
        make_link(top_of(state), "/usr/etc", "etc/folder");
        make_link(top_of(state), "folder/file", "etc/file");
        assert_int_equal(tree_find(root_of(state), "etc/file", &place), 0);
        assert_string_equal(place, "usr/etc/file");
        assert_int_equal(tree_find(root_of(state), "etc/folder/none", &missing), 0);
        assert_string_equal(missing, "usr/etc/none");
}

static void what_is_no_file_is_not_opened(void **state) {
        _cleanup_(tree_file_deinit) TreeFile file = TREE_FILE_NULL;
        char path[FAKE_PATH_MAX];
        int root_fd = root_of(state);

        assert_int_equal(mkfifo(fake_path(path, "%s/etc/fifo", top_of(state)), 0600), 0);
        make_link(top_of(state), "fifo", "etc/to-fifo");
        make_link(top_of(state), "circle", "etc/circle");
        make_link(top_of(state), "nothing", "etc/dangling");
        assert_int_equal(tree_read(root_fd, "etc/fifo", &file), TREE_E_SPECIAL);
        assert_int_equal(tree_read(root_fd, "etc/to-fifo", &file), TREE_E_SPECIAL);
        assert_int_equal(tree_read(root_fd, "etc/circle", &file), TREE_E_SPECIAL);
        assert_int_equal(tree_read(root_fd, "etc/dangling", &file), TREE_E_SPECIAL);
        assert_int_equal(tree_read(root_fd, "etc", &file), TREE_E_SPECIAL);
        assert_int_equal(tree_read(root_fd, "etc/none", &file), TREE_E_MISSING);
        assert_int_equal(tree_read(root_fd, "none/none", &file), TREE_E_MISSING);
        assert_int_equal(tree_write(root_fd, "etc/fifo", &file), TREE_E_SPECIAL);
}

static void a_file_keeps_what_it_has(void **state) {
        _cleanup_(tree_file_deinit) TreeFile file = TREE_FILE_NULL, again = TREE_FILE_NULL;
        char path[FAKE_PATH_MAX], value[8] = "";
        int root_fd = root_of(state);

        fake_write(top_of(state), "etc/real", "old\n");
        make_link(top_of(state), "/etc/real", "etc/link");
        (void) fake_path(path, "%s/etc/real", top_of(state));
        assert_int_equal(chmod(path, 0640), 0);
        if (setxattr(path, "user.label", "a\0b", 3, 0) < 0)
                skip();
        if (geteuid() == 0)
                assert_int_equal(chown(path, 12, 34), 0);

        assert_int_equal(tree_read(root_fd, "etc/link", &file), 0);
        free(file.data);
        file.data = strdup("new\n");
        assert_int_equal(tree_write(root_fd, "etc/link", &file), 0);
        assert_true(tree_is_link(root_fd, "etc/link"));
        assert_int_equal(tree_read(root_fd, "etc/real", &again), 0);
        assert_string_equal(again.data, "new\n");
        assert_int_equal(again.mode, 0640);
        assert_int_equal(again.uid, geteuid() == 0 ? 12 : geteuid());
        assert_int_equal(again.mtime.tv_nsec, file.mtime.tv_nsec);
        assert_int_equal(getxattr(path, "user.label", value, sizeof(value)), 3);
        assert_memory_equal(value, "a\0b", 3);
}

static void files_are_removed_with_leftovers(void **state) {
        int root_fd = root_of(state);

        fake_write(top_of(state), "etc/file", "%s", "");
        fake_write(top_of(state), "etc/.file.vfiopt-new", "%s", "");
        assert_int_equal(tree_remove(root_fd, "etc/file"), 0);
        assert_false(fake_exists(top_of(state), "etc/file"));
        assert_false(fake_exists(top_of(state), "etc/.file.vfiopt-new"));
        assert_int_equal(tree_remove(root_fd, "etc/file"), TREE_E_MISSING);
}

static void tools_are_those_of_the_machine(void **state) {
        char *const argv[] = { (char *) "true", NULL };
        _cleanup_(text_deinit) Text output = TEXT_NULL;
        _cleanup_(freep) char *path = NULL;
        int status;

        /* This machine has it, that one has not. */
        assert_int_equal(tool_find(root_of(state), "true", &path), TOOL_E_MISSING);
        assert_int_equal(tool_run(root_of(state), false, argv, &output, &status), TOOL_E_MISSING);
        fake_write(top_of(state), "usr/bin/true", "%s", "");
        make_link(top_of(state), "usr/bin", "bin");
        assert_int_equal(tool_find(root_of(state), "true", &path), 0);
        assert_string_equal(path, "/usr/bin/true");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(links_stay_inside),
                tree_test(a_place_has_no_links),
                tree_test(what_is_no_file_is_not_opened),
                tree_test(a_file_keeps_what_it_has),
                tree_test(files_are_removed_with_leftovers),
                tree_test(tools_are_those_of_the_machine),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
