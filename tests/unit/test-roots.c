/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Roots
 */

#include "lib/test.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "os/roots.h"

static void remove_own(FakeTree *tree) {
        fake_remove(tree->root, "run/vfiopt");
        fake_remove(tree->root, "etc/vfiopt");
}

static void the_kernels_directories_are_opened(void **state) {
        FakeTree *tree = *state;
        Roots roots = ROOTS_NULL;

        fake_write(tree->root, "sys/a", "1\n");
        fake_write(tree->root, "proc/b", "2\n");
        fake_write(tree->root, "dev/c", "3\n");
        assert_int_equal(roots_init(&roots, tree->root), 0);
        assert_true(sysfs_exists(roots.sysfs, "a"));
        assert_int_equal(faccessat(roots.proc_fd, "b", F_OK, 0), 0);
        assert_int_equal(faccessat(roots.dev_fd, "c", F_OK, 0), 0);
        assert_int_equal(roots.run_fd, -1);
        assert_int_equal(roots.etc_fd, -1);
        roots_deinit(&roots);
        assert_null(roots.sysfs);
        assert_int_equal(roots.proc_fd, -1);
        roots_deinit(&roots);
}

static void each_of_them_has_to_be_there(void **state) {
        static const char *const names[] = { "sys", "proc", "dev" };
        FakeTree *tree = *state;
        Roots roots;

        for (size_t i = 0; i < ARRAY_SIZE(names); ++i) {
                fake_remove(tree->root, names[i]);
                assert_int_equal(roots_init(&roots, tree->root), -ENOENT);
                assert_null(roots.sysfs);
                assert_int_equal(roots.proc_fd, -1);
                assert_int_equal(roots.dev_fd, -1);
                fake_make_dir(tree->root, names[i]);
        }
}

static void an_image_has_its_files_alone(void **state) {
        static const char *const names[] = { "sys", "proc", "dev" };
        FakeTree *tree = *state;
        _cleanup_(freep) char *value = NULL;
        _cleanup_(strv_freep) char **list = NULL;
        Roots roots;
        size_t n;

        assert_int_equal(roots_init_image(&roots, tree->root), 0);
        assert_false(roots.is_image);
        roots_deinit(&roots);
        for (size_t i = 0; i < ARRAY_SIZE(names); ++i)
                fake_remove(tree->root, names[i]);
        assert_int_equal(roots_init_image(&roots, tree->root), 0);
        assert_true(roots.is_image);
        assert_false(sysfs_exists(roots.sysfs, "bus"));
        assert_int_equal(sysfs_read(roots.sysfs, "bus/x", &value), SYSFS_E_MISSING);
        assert_int_equal(sysfs_list(roots.sysfs, "bus", &list, &n), SYSFS_E_MISSING);
        assert_int_equal(file_read(roots.proc_fd, "cmdline", 100, &value, NULL), FILE_E_MISSING);
        roots_deinit(&roots);
        assert_int_equal(roots_init_image(&roots, "/nowhere"), -ENOENT);
}

static void our_own_directories_are_made_only_on_request(void **state) {
        static int (*const opens[])(Roots *, bool) = { roots_open_run, roots_open_etc };
        FakeTree *tree = *state;

        remove_own(tree);
        for (size_t i = 0; i < ARRAY_SIZE(opens); ++i) {
                Roots roots = ROOTS_NULL;
                int *fd = i == 0 ? &roots.run_fd : &roots.etc_fd;
                struct stat st;

                assert_int_equal(roots_init(&roots, tree->root), 0);
                assert_int_equal(opens[i](&roots, false), ROOTS_E_MISSING);
                assert_int_equal(*fd, -1);
                assert_int_equal(opens[i](&roots, true), 0);
                assert_true(*fd >= 0);
                assert_int_equal(fstat(*fd, &st), 0);
                assert_int_equal(st.st_mode, S_IFDIR | 0755);
                assert_int_equal(opens[i](&roots, false), 0); /* open already */
                roots_deinit(&roots);
                assert_int_equal(roots_init(&roots, tree->root), 0);
                assert_int_equal(opens[i](&roots, false), 0); /* there now */
                roots_deinit(&roots);
        }
}

static void a_link_is_not_our_directory(void **state) {
        FakeTree *tree = *state;
        Roots roots = ROOTS_NULL;

        remove_own(tree);
        fake_make_dir(tree->root, "elsewhere");
        fake_link(tree->root, "elsewhere", "run/vfiopt");
        assert_int_equal(roots_init(&roots, tree->root), 0);
        assert_true(roots_open_run(&roots, false) < 0);
        assert_true(roots_open_run(&roots, true) < 0);
        assert_int_equal(roots.run_fd, -1);
        roots_deinit(&roots);
}

static void without_the_parent_nothing_is_made(void **state) {
        FakeTree *tree = *state;
        Roots roots = ROOTS_NULL;

        fake_remove(tree->root, "run");
        assert_int_equal(roots_init(&roots, tree->root), 0);
        assert_int_equal(roots_open_run(&roots, true), -ENOENT);
        assert_false(fake_exists(tree->root, "run"));
        roots_deinit(&roots);
}

static void any_directory_of_the_machine_can_be_opened(void **state) {
        FakeTree *tree = *state;
        Roots roots = ROOTS_NULL;
        int fd = -1;

        fake_write(tree->root, "usr/lib/modules/x", "x");
        fake_link(tree->root, "usr/lib", "lib");
        assert_int_equal(roots_init(&roots, tree->root), 0);
        assert_int_equal(roots_open(&roots, "boot", &fd), ROOTS_E_MISSING);
        assert_int_equal(roots_open(&roots, "usr/lib/modules/x", &fd), -ENOTDIR);
        assert_int_equal(fd, -1);
        assert_int_equal(roots_open(&roots, "lib/modules", &fd), 0);
        assert_int_equal(faccessat(fd, "x", F_OK, 0), 0);
        close(fd);
        roots_deinit(&roots);
}

static void make_link(FakeTree *tree, const char *target, const char *path) {
        char whole[FAKE_PATH_MAX];

        assert_int_equal(symlink(target, fake_path(whole, "%s/%s", tree->root, path)), 0);
}

/* Whoever has made a copy of a machine may have made links in it to what is none of that. */
static void no_link_leads_out(void **state) {
        FakeTree *tree = *state;
        _cleanup_(freep) char *value = NULL;
        Roots roots = ROOTS_NULL;
        int fd = -1;

        fake_write(tree->root, "etc/alternatives/real", "inside\n");
        fake_write(tree->root, "etc/passwd", "inside\n");
        make_link(tree, "/etc/alternatives/real", "etc/absolute");
        make_link(tree, "../../../../../../../../etc/passwd", "etc/upwards");
        make_link(tree, "/usr/include", "boot");
        make_link(tree, "/etc/passwd", "sys/passwd");
        make_link(tree, "/etc", "sys/folder");
        assert_int_equal(roots_init(&roots, tree->root), 0);
        for (size_t i = 0; i < 2; ++i) {
                assert_int_equal(file_read_within(roots.root_fd, i ? "etc/upwards" : "etc/absolute",
                                                 100, &value, NULL),
                                0);
                assert_string_equal(value, "inside\n");
                free(TAKE_PTR(value));
        }
        assert_int_equal(roots_open(&roots, "boot", &fd), ROOTS_E_MISSING);
        assert_false(file_exists_within(roots.root_fd, "boot"));
        assert_true(file_exists_within(roots.root_fd, "etc/upwards"));
        assert_int_equal(sysfs_read(roots.sysfs, "passwd", &value), SYSFS_E_MISSING);
        assert_int_equal(sysfs_read(roots.sysfs, "folder/passwd", &value), SYSFS_E_MISSING);
        assert_false(sysfs_exists(roots.sysfs, "folder/passwd"));
        assert_int_equal(sysfs_link(roots.sysfs, "folder/localtime", &value), SYSFS_E_MISSING);
        roots_deinit(&roots);
}

/* As a unit has it with RestrictSUIDSGID=, and older kernels. It stays so: this test is the last. */
static void without_openat2_no_link_leads_out_either(void **state) {
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = { .len = ARRAY_SIZE(code), .filter = code };
        FakeTree *tree = *state;
        int fds[2];

        assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
        assert_int_equal(syscall(SYS_openat2, AT_FDCWD, "/", NULL, 0), -1);
        assert_int_equal(errno, ENOSYS);
        no_link_leads_out(state);

        /* The ways of a link, one by one. */
        make_link(tree, "etc/alternatives/..", "way");
        make_link(tree, "way/alternatives/real", "end");
        make_link(tree, "loop", "loop");
        fds[0] = open(tree->root, O_PATH | O_CLOEXEC);
        assert_true(file_exists_within(fds[0], "end"));
        assert_true(file_exists_within(fds[0], "./way//passwd"));
        assert_true(file_exists_within(fds[0], "../etc/./passwd"));
        assert_true(file_exists_within(fds[0], "."));
        assert_int_equal(file_open_within(fds[0], "loop", O_RDONLY), -ELOOP);
        assert_int_equal(file_open_within(fds[0], "end/x", O_RDONLY), -ENOTDIR);
        assert_int_equal(file_open_within(fds[0], "nope/x", O_RDONLY), -ENOENT);
        assert_int_equal(file_open_within(fds[0], "end", O_RDONLY | O_DIRECTORY), -ENOTDIR);
        assert_int_equal(file_open_within(fds[0], "end", O_RDONLY | O_NOFOLLOW), -ELOOP);
        fds[1] = file_open_within(fds[0], "end", O_PATH | O_NOFOLLOW);
        assert_true(fds[1] >= 0);
        close(fds[1]);
        close(fds[0]);
        fds[0] = open("/", O_PATH | O_CLOEXEC);
        assert_true(file_exists_within(fds[0], "proc/self/stat"));
        close(fds[0]);
}

static void only_the_machine_itself_is_real(void **state) {
        FakeTree *tree = *state;
        Roots roots;

        assert_false(tree->roots.is_real);
        assert_int_equal(roots_init(&roots, ""), 0);
        assert_true(roots.is_real);
        roots_deinit(&roots);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(the_kernels_directories_are_opened),
                tree_test(each_of_them_has_to_be_there),
                tree_test(an_image_has_its_files_alone),
                tree_test(our_own_directories_are_made_only_on_request),
                tree_test(a_link_is_not_our_directory),
                tree_test(without_the_parent_nothing_is_made),
                tree_test(any_directory_of_the_machine_can_be_opened),
                tree_test(no_link_leads_out),
                tree_test(only_the_machine_itself_is_real),
                tree_test(without_openat2_no_link_leads_out_either),
        };

        return cmocka_run_group_tests_name("os/roots", tests, NULL, NULL);
}
