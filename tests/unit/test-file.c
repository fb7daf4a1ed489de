/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Files
 */

#include "lib/test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"

typedef struct Fixture {
        FakeTree *tree;
        int dir_fd; /* of an empty directory */
} Fixture;

static int fixture_setup(void **state) {
        static Fixture fixture;

        fixture.tree = fake_tree_new();
        fixture.dir_fd = fixture.tree->roots.run_fd;
        *state = &fixture;
        return 0;
}

static int fixture_teardown(void **state) {
        Fixture *fixture = *state;

        fake_tree_free(fixture->tree);
        return 0;
}

#define file_test(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

static unsigned int count_files(Fixture *fixture) {
        DIR *dir = fdopendir(openat(fixture->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        unsigned int n = 0;

        assert_non_null(dir);
        for (struct dirent *entry; (entry = readdir(dir));)
                n += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
        closedir(dir);
        return n;
}

static void a_file_is_read_whole(void **state) {
        Fixture *fixture = *state;
        _cleanup_(freep) char *data = NULL;
        size_t n;

        fake_write_bytes(fixture->tree->root, "run/vfiopt/file", "one\ntwo\0three", 13);
        assert_int_equal(file_read(fixture->dir_fd, "file", 13, &data, &n), 0);
        assert_int_equal(n, 13);
        assert_memory_equal(data, "one\ntwo\0three", 14); /* and a zero behind it */
}

static void a_large_file_is_read_in_pieces(void **state) {
        static const size_t sizes[] = { 8190, 8191, 8192, 8193, 16383, 16384, 100000 };
        Fixture *fixture = *state;
        char written[100000];

        for (size_t i = 0; i < sizeof(written); ++i)
                written[i] = (char) (i % 251);
        for (size_t i = 0; i < ARRAY_SIZE(sizes); ++i) {
                _cleanup_(freep) char *data = NULL;
                size_t n;

                fake_write_bytes(fixture->tree->root, "run/vfiopt/file", written, sizes[i]);
                assert_int_equal(file_read(fixture->dir_fd, "file", sizes[i] - 1, &data, &n),
                                -E2BIG);
                assert_int_equal(file_read(fixture->dir_fd, "file", sizes[i], &data, &n), 0);
                assert_int_equal(n, sizes[i]);
                assert_memory_equal(data, written, n);
                assert_int_equal(data[n], 0);
        }
}

static void an_empty_file_is_an_empty_string(void **state) {
        Fixture *fixture = *state;
        _cleanup_(freep) char *data = NULL;

        fake_write(fixture->tree->root, "run/vfiopt/file", "%s", "");
        assert_int_equal(file_read(fixture->dir_fd, "file", 0, &data, NULL), 0);
        assert_string_equal(data, "");
}

static void reading_leaves_the_results_alone_when_it_fails(void **state) {
        Fixture *fixture = *state;
        char *data = NULL;
        size_t n = 4711;

        fake_write(fixture->tree->root, "run/vfiopt/file", "12345");
        assert_int_equal(file_read(fixture->dir_fd, "file", 4, &data, &n), -E2BIG);
        assert_int_equal(file_read(fixture->dir_fd, "nope", 4, &data, &n), FILE_E_MISSING);
        assert_int_equal(file_read(fixture->dir_fd, "no/pe", 4, &data, &n), FILE_E_MISSING);
        assert_int_equal(file_read(fixture->dir_fd, "file/x", 4, &data, &n), FILE_E_MISSING);
        assert_int_equal(file_read(fixture->dir_fd, ".", 4, &data, &n), -EISDIR);
        assert_int_equal(file_read(-1, "file", 4, &data, &n), -EBADF);
        assert_null(data);
        assert_int_equal(n, 4711);
}

static void replacing_makes_or_replaces_a_file_with_that_mode(void **state) {
        static const bool durable[] = { false, true };
        Fixture *fixture = *state;
        char value[16];
        struct stat st;
        mode_t old = umask(077);

        for (size_t i = 0; i < ARRAY_SIZE(durable); ++i) {
                assert_int_equal(file_replace(fixture->dir_fd, "file", 0600, "first", durable[i]),
                                0);
                assert_int_equal(file_replace(fixture->dir_fd, "file", 0644, "second", durable[i]),
                                0);
                assert_true(fake_read(
                                fixture->tree->root, "run/vfiopt/file", value, sizeof(value)));
                assert_string_equal(value, "second");
                assert_int_equal(fstatat(fixture->dir_fd, "file", &st, 0), 0);
                assert_int_equal(st.st_mode, S_IFREG | 0644); /* whatever the umask is */
                assert_int_equal(count_files(fixture), 1);
        }
        umask(old);
}

static void who_has_the_old_file_open_keeps_the_old_content(void **state) {
        Fixture *fixture = *state;
        _cleanup_(closep) int fd = -1;
        char value[16] = "";

        assert_int_equal(file_replace(fixture->dir_fd, "file", 0644, "first", false), 0);
        fd = openat(fixture->dir_fd, "file", O_RDONLY | O_CLOEXEC);
        assert_int_equal(file_replace(fixture->dir_fd, "file", 0644, "second", false), 0);
        assert_int_equal(read(fd, value, sizeof(value)), 5);
        assert_string_equal(value, "first");
}

static void a_leftover_of_a_killed_process_does_not_disturb(void **state) {
        Fixture *fixture = *state;

        fake_write(fixture->tree->root, "run/vfiopt/.file.tmp", "half");
        assert_int_equal(file_replace(fixture->dir_fd, "file", 0644, "whole", false), 0);
        assert_int_equal(count_files(fixture), 1);
        fake_write(fixture->tree->root, "run/vfiopt/.file.tmp", "half");
        assert_int_equal(file_remove(fixture->dir_fd, "file"), 0);
        assert_int_equal(count_files(fixture), 0);
}

static void a_replacement_that_fails_leaves_nothing_behind(void **state) {
        Fixture *fixture = *state;

        /* A directory is in the way of the rename, which comes last. */
        fake_make_dir(fixture->tree->root, "run/vfiopt/file");
        assert_int_equal(file_replace(fixture->dir_fd, "file", 0644, "data", true), -EISDIR);
        assert_int_equal(count_files(fixture), 1);
        assert_int_equal(file_replace(-1, "file", 0644, "data", true), -EBADF);
        assert_int_equal(file_replace(fixture->dir_fd, "no/pe", 0644, "data", true), -ENOENT);
}

static void removing_tells_whether_there_was_one(void **state) {
        Fixture *fixture = *state;

        fake_write(fixture->tree->root, "run/vfiopt/file", "x");
        assert_int_equal(file_remove(fixture->dir_fd, "file"), 0);
        assert_int_equal(file_remove(fixture->dir_fd, "file"), FILE_E_MISSING);
        assert_int_equal(count_files(fixture), 0);
}

static void a_directory_is_made_once_and_opened_always(void **state) {
        Fixture *fixture = *state;

        for (int i = 0; i < 2; ++i) {
                _cleanup_(closep) int fd = -1;

                assert_int_equal(file_make_dir(fixture->dir_fd, "dir", 0755, &fd), 0);
                assert_true(fd >= 0);
                assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        }
}

static void a_directory_that_is_listed_may_be_missing(void **state) {
        Fixture *fixture = *state;
        _cleanup_(closedirp) DIR *dir = NULL;
        const struct dirent *entry;

        assert_int_equal(file_open_dirp(fixture->dir_fd, "dir", 0, &dir), FILE_E_MISSING);
        assert_null(dir);
        fake_write(fixture->tree->root, "run/vfiopt/dir/file", "x");
        assert_int_equal(file_open_dirp(fixture->dir_fd, "dir", 0, &dir), 0);
        assert_true(fcntl(dirfd(dir), F_GETFD) & FD_CLOEXEC);
        while ((entry = readdir(dir)) && entry->d_name[0] == '.')
                ;
        assert_non_null(entry);
        assert_string_equal(entry->d_name, "file");
}

static void what_is_no_directory_is_not_opened_as_one(void **state) {
        Fixture *fixture = *state;
        DIR *dir = NULL;
        int fd = -4711;

        fake_write(fixture->tree->root, "run/vfiopt/file", "x");
        fake_make_dir(fixture->tree->root, "run/elsewhere");
        fake_link(fixture->tree->root, "run/elsewhere", "run/vfiopt/link");
        assert_int_equal(file_make_dir(fixture->dir_fd, "file", 0755, &fd), -ENOTDIR);
        /* Somebody who may write there must not lead us elsewhere. */
        assert_true(file_make_dir(fixture->dir_fd, "link", 0755, &fd) < 0);
        assert_int_equal(file_make_dir(fixture->dir_fd, "no/pe", 0755, &fd), -ENOENT);
        assert_int_equal(fd, -4711);
        assert_int_equal(file_open_dirp(fixture->dir_fd, "file", 0, &dir), -ENOTDIR);
        assert_true(file_open_dirp(fixture->dir_fd, "link", O_NOFOLLOW, &dir) < 0);
        assert_null(dir);
        assert_int_equal(file_open_dirp(fixture->dir_fd, "link", 0, &dir), 0);
        closedir(dir);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                file_test(a_file_is_read_whole),
                file_test(a_large_file_is_read_in_pieces),
                file_test(an_empty_file_is_an_empty_string),
                file_test(reading_leaves_the_results_alone_when_it_fails),
                file_test(replacing_makes_or_replaces_a_file_with_that_mode),
                file_test(who_has_the_old_file_open_keeps_the_old_content),
                file_test(a_leftover_of_a_killed_process_does_not_disturb),
                file_test(a_replacement_that_fails_leaves_nothing_behind),
                file_test(removing_tells_whether_there_was_one),
                file_test(a_directory_is_made_once_and_opened_always),
                file_test(a_directory_that_is_listed_may_be_missing),
                file_test(what_is_no_directory_is_not_opened_as_one),
        };

        return cmocka_run_group_tests_name("base/file", tests, NULL, NULL);
}
