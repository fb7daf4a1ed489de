/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Sysfs Access
 */

#include "lib/test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/text.h"
#include "os/sysfs.h"

static void attribute(FakeTree *tree, const char *data, size_t n) {
        fake_write_bytes(tree->root, "sys/attribute", data, n);
}

static void reading_strips_one_newline(void **state) {
        static const struct {
                const char *data;
                const char *value;
        } cases[] = {
                { "0x10de\n", "0x10de" },
                { "0x10de", "0x10de" },
                { "a\n\n", "a\n" },
                { "\n", "" },
                { "", "" },
        };
        FakeTree *tree = *state;

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                _cleanup_(freep) char *value = NULL;

                attribute(tree, cases[i].data, strlen(cases[i].data));
                assert_int_equal(sysfs_read(fake_sysfs(tree), "attribute", &value), 0);
                assert_string_equal(value, cases[i].value);
        }
}

static void an_attribute_is_read_below_its_device(void **state) {
        _cleanup_(freep) char *value = NULL;
        FakeTree *tree = *state;
        char *none = NULL;

        fake_write(tree->root, "sys/some/device/dev", "226:0\n");
        assert_int_equal(sysfs_read_at(fake_sysfs(tree), "some/device", "dev", &value), 0);
        assert_string_equal(value, "226:0");
        assert_int_equal(sysfs_read_at(fake_sysfs(tree), "some/device", "size", &none),
                        SYSFS_E_MISSING);
        assert_int_equal(sysfs_read_at(fake_sysfs(tree), "other/device", "dev", &none),
                        SYSFS_E_MISSING);
        assert_null(none);
}

static void an_attribute_is_a_page_at_most(void **state) {
        _cleanup_(freep) char *value = NULL;
        FakeTree *tree = *state;
        char data[4097], *none = NULL;

        memset(data, 'x', sizeof(data));
        attribute(tree, data, 4096);
        assert_int_equal(sysfs_read(fake_sysfs(tree), "attribute", &value), 0);
        assert_int_equal(strlen(value), 4096);
        attribute(tree, data, 4097);
        assert_int_equal(sysfs_read(fake_sysfs(tree), "attribute", &none), -E2BIG);
        assert_null(none);
}

static void what_is_missing_is_said_to_be_and_leaves_the_results_alone(void **state) {
        static const char *const paths[] = { "nope", "no/pe", "attribute/deeper" };
        FakeTree *tree = *state;
        Sysfs *sysfs = fake_sysfs(tree);
        char *value = NULL, **names = NULL, bytes[4] = "abc";
        uint64_t number = 4711;
        size_t n = 4711;

        attribute(tree, "x\n", 2);
        for (size_t i = 0; i < ARRAY_SIZE(paths); ++i) {
                assert_int_equal(sysfs_read(sysfs, paths[i], &value), SYSFS_E_MISSING);
                assert_int_equal(sysfs_read_bytes(sysfs, paths[i], bytes, 4, &n), SYSFS_E_MISSING);
                assert_int_equal(sysfs_read_uint(sysfs, paths[i], 10, 9, &number), SYSFS_E_MISSING);
                assert_int_equal(sysfs_link(sysfs, paths[i], &value), SYSFS_E_MISSING);
                assert_int_equal(sysfs_list(sysfs, paths[i], &names, &n), SYSFS_E_MISSING);
                assert_false(sysfs_exists(sysfs, paths[i]));
        }
        assert_null(value);
        assert_null(names);
        assert_string_equal(bytes, "abc");
        assert_true(number == 4711);
        assert_int_equal(n, 4711);
}

static void numbers_are_read_strictly(void **state) {
        static const struct {
                const char *data;
                unsigned int base;
                int r;
                uint64_t value;
        } cases[] = {
                { "0x10de\n", 16, 0, 0x10de },
                { "10de\n", 16, 0, 0x10de },
                { "12\n", 10, 0, 12 },
                { "0x12\n", 10, -EBADMSG, 0 },
                { "0x\n", 16, -EBADMSG, 0 },
                { "0x0x1\n", 16, -EBADMSG, 0 },
                { "0x10000\n", 16, -EBADMSG, 0 },
                { "65536\n", 10, -EBADMSG, 0 },
                { "\n", 10, -EBADMSG, 0 },
                { "12 \n", 10, -EBADMSG, 0 },
                { "12\n\n", 10, -EBADMSG, 0 },
                { "-1\n", 10, -EBADMSG, 0 },
        };
        FakeTree *tree = *state;

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                uint64_t value = 4711;

                attribute(tree, cases[i].data, strlen(cases[i].data));
                assert_int_equal(sysfs_read_uint(fake_sysfs(tree), "attribute", cases[i].base,
                                                 0xffff, &value),
                                cases[i].r);
                assert_true(value == (cases[i].r ? 4711 : cases[i].value));
        }
}

static void bytes_are_read_as_far_as_there_are_any(void **state) {
        FakeTree *tree = *state;
        uint8_t bytes[4];
        size_t n;

        attribute(tree, "\xde\x10\0\n\xff", 5);
        assert_int_equal(sysfs_read_bytes(fake_sysfs(tree), "attribute", bytes, 4, &n), 0);
        assert_int_equal(n, 4);
        assert_memory_equal(bytes, "\xde\x10\0\n", 4);
        attribute(tree, "\xde", 1);
        assert_int_equal(sysfs_read_bytes(fake_sysfs(tree), "attribute", bytes, 4, &n), 0);
        assert_int_equal(n, 1);
}

static void a_link_is_the_last_component_of_its_target(void **state) {
        static const struct {
                const char *target;
                const char *name;
        } cases[] = {
                { "../../../bus/pci/drivers/vfio-pci", "vfio-pci" },
                { "12", "12" },
                { "/absolute/name", "name" },
        };
        FakeTree *tree = *state;
        char path[FAKE_PATH_MAX];

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                _cleanup_(freep) char *name = NULL;

                fake_remove(tree->root, "sys/link");
                assert_int_equal(symlink(cases[i].target,
                                                 fake_path(path, "%s/sys/link", tree->root)),
                                0);
                assert_int_equal(sysfs_link(fake_sysfs(tree), "link", &name), 0);
                assert_string_equal(name, cases[i].name);
                assert_true(sysfs_exists(fake_sysfs(tree), "link")); /* though it leads nowhere */
        }
}

static void what_is_no_link_is_an_error(void **state) {
        FakeTree *tree = *state;
        char *name = NULL;

        attribute(tree, "x\n", 2);
        assert_int_equal(sysfs_link(fake_sysfs(tree), "attribute", &name), -EINVAL);
        assert_null(name);
}

static void names_are_listed_in_order_however_they_came(void **state) {
        static const char *const names_made[][3] = { { "a", "b", "c" }, { "c", "b", "a" } };
        FakeTree *tree = *state;
        char path[FAKE_PATH_MAX];

        for (size_t i = 0; i < ARRAY_SIZE(names_made); ++i) {
                _cleanup_(strv_freep) char **names = NULL;
                size_t n;

                for (size_t k = 0; k < 3; ++k)
                        fake_write(tree->root, fake_path(path, "sys/%zu/%s", i, names_made[i][k]),
                                        "x");
                assert_int_equal(
                                sysfs_list(fake_sysfs(tree), fake_path(path, "%zu", i), &names, &n),
                                0);
                assert_int_equal(n, 3);
                assert_string_equal(names[0], "a");
                assert_string_equal(names[1], "b");
                assert_string_equal(names[2], "c");
                assert_null(names[3]);
        }
}

static void hidden_names_are_listed_and_an_empty_directory_has_none(void **state) {
        _cleanup_(strv_freep) char **names = NULL, **none = NULL;
        FakeTree *tree = *state;
        size_t n;

        fake_make_dir(tree->root, "sys/dir/.hidden");
        fake_make_dir(tree->root, "sys/empty");
        assert_int_equal(sysfs_list(fake_sysfs(tree), "dir", &names, &n), 0);
        assert_int_equal(n, 1);
        assert_string_equal(names[0], ".hidden");
        assert_int_equal(sysfs_list(fake_sysfs(tree), "empty", &none, &n), 0);
        assert_int_equal(n, 0);
        assert_null(none[0]);
}

static void writing_is_one_write_without_a_newline(void **state) {
        FakeTree *tree = *state;
        char value[16];

        attribute(tree, "old", 3);
        sysfs_set_writer(fake_sysfs(tree), NULL, NULL);
        assert_int_equal(sysfs_write(fake_sysfs(tree), "attribute", "new"), 0);
        assert_true(fake_read(tree->root, "sys/attribute", value, sizeof(value)));
        assert_string_equal(value, "new");
}

static void writing_tells_what_the_kernel_said(void **state) {
        FakeTree *tree = *state;
        char path[FAKE_PATH_MAX];

        sysfs_set_writer(fake_sysfs(tree), NULL, NULL);
        assert_int_equal(sysfs_write(fake_sysfs(tree), "nope", "x"), -ENOENT);
        assert_int_equal(sysfs_write(fake_sysfs(tree), ".", "x"), -EISDIR);
        /* The answer of write(2), not only that of open(2). */
        assert_int_equal(symlink("/dev/full", fake_path(path, "%s/sys/full", tree->root)), 0);
        assert_int_equal(sysfs_write(fake_sysfs(tree), "full", "x"), -ENOSPC);
}

static int answer(void *userdata, const char *path, const char *value) {
        assert_string_equal(path, "a/path");
        assert_string_equal(value, "a value");
        return *(int *) userdata;
}

static void a_writer_stands_in_for_the_kernel(void **state) {
        static const int answers[] = { 0, -EBUSY, -ENODEV };
        FakeTree *tree = *state;

        for (size_t i = 0; i < ARRAY_SIZE(answers); ++i) {
                sysfs_set_writer(fake_sysfs(tree), answer, (void *) &answers[i]);
                assert_int_equal(sysfs_write(fake_sysfs(tree), "a/path", "a value"), answers[i]);
        }
}

static void a_tree_has_a_directory_of_its_own(void **state) {
        FakeTree *tree = *state;
        Sysfs *sysfs = NULL;
        int fd;

        attribute(tree, "x\n", 2);
        fd = open(tree->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(sysfs_new(fd, &sysfs), 0);
        close(fd);
        assert_true(sysfs_exists(sysfs, "sys/attribute"));
        assert_true(fcntl(sysfs_root_fd(sysfs), F_GETFD) & FD_CLOEXEC);
        assert_null(sysfs_free(sysfs));

        sysfs = NULL;
        assert_int_equal(sysfs_new(-1, &sysfs), -EBADF);
        assert_null(sysfs);
        assert_null(sysfs_free(NULL));
}

/* walks */

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
        return sysfs_walk(fake_sysfs(tree), top, wanted, ARRAY_SIZE(wanted), visit, visits);
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
                tree_test(reading_strips_one_newline),
                tree_test(an_attribute_is_read_below_its_device),
                tree_test(an_attribute_is_a_page_at_most),
                tree_test(what_is_missing_is_said_to_be_and_leaves_the_results_alone),
                tree_test(numbers_are_read_strictly),
                tree_test(bytes_are_read_as_far_as_there_are_any),
                tree_test(a_link_is_the_last_component_of_its_target),
                tree_test(what_is_no_link_is_an_error),
                tree_test(names_are_listed_in_order_however_they_came),
                tree_test(hidden_names_are_listed_and_an_empty_directory_has_none),
                tree_test(writing_is_one_write_without_a_newline),
                tree_test(writing_tells_what_the_kernel_said),
                tree_test(a_writer_stands_in_for_the_kernel),
                tree_test(a_tree_has_a_directory_of_its_own),
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

        return cmocka_run_group_tests_name("os/sysfs", tests, NULL, NULL);
}
