/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Set-up and Rollback
 *
 * A machine with a file of others, files of ours to come, and a program that writes a boot file and an
 * image. Each call that writes is counted, so that each can fail, and each can be the last before the
 * power goes. Afterwards the tree is compared, byte for byte.
 */

#include "lib/test.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "base/file.h"
#include "base/text.h"
#include "setup/apply.h"

#define GENERATOR                                                       \
        "#!/bin/sh\n"                                                   \
        "[ ! -e /fail ] || exit 1\n"                                    \
        "{ echo menu; grep GRUB /etc/default/grub; } >/boot/grub.cfg\n" \
        "cat /etc/modprobe.d/*.conf >/boot/initrd.img\n"

/* faults */

static struct {
        unsigned int n;       /* calls that write, so far */
        unsigned int fail_at; /* this one fails */
        unsigned int kill_at; /* the process ends before this one */
        bool is_armed;
} calls;

static bool fails(void) {
        if (!calls.is_armed)
                return false;
        ++calls.n;
        if (calls.n == calls.kill_at)
                _exit(9);
        errno = ENOSPC;
        return calls.n == calls.fail_at;
}

#define WRAP(result, name, parameters, arguments)              \
        result __real_##name parameters;                       \
        result __wrap_##name parameters;                       \
        result __wrap_##name parameters {                      \
                return fails() ? -1 : __real_##name arguments; \
        }

WRAP(ssize_t, write, (int fd, const void *data, size_t n), (fd, data, n))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, renameat, (int a, const char *b, int c, const char *d), (a, b, c, d))
WRAP(int, unlinkat, (int a, const char *b, int c), (a, b, c))
WRAP(int, mkdirat, (int a, const char *b, mode_t c), (a, b, c))
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode))

/* pictures of a tree */

static Text *picture;
static bool is_coarse; /* busybox sets times in seconds */
static const char *picture_root;

static int draw(const char *path, const struct stat *st, int type, struct FTW *ftw _unused_) {
        _cleanup_(freep) char *data = NULL;
        const char *name = path + strlen(picture_root);
        size_t n = 0;

        if (text_starts_with(name, "/var", NULL) || text_starts_with(name, "/bin", NULL))
                return 0;
        assert_int_equal(text_append(picture, "%s %o %u:%u ", name, st->st_mode, st->st_uid,
                                         st->st_gid),
                        0);
        /* Initrd and menu are made again by the program. */
        if (type == FTW_F && !text_starts_with(name, "/boot", NULL))
                assert_int_equal(text_append(picture, "%ld.%09ld ", (long) st->st_mtim.tv_sec,
                                                 is_coarse ? 0 : st->st_mtim.tv_nsec),
                                0);
        if (type == FTW_F) {
                assert_int_equal(file_read(AT_FDCWD, path, 1 << 20, &data, &n), 0);
                for (size_t i = 0; i < n; ++i)
                        assert_int_equal(text_append(picture, data[i] ? "%c" : "\\0", data[i]), 0);
        }
        assert_int_equal(text_append(picture, "\n"), 0);
        return 0;
}

static int compare_lines(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* All but our backups. The order is that of the file system: sorted. free() it */
static char *take_picture(const char *root) {
        _cleanup_(text_deinit) Text drawn = TEXT_NULL, sorted = TEXT_NULL;
        _cleanup_(strv_freep) char **lines = NULL;
        size_t n = 0;
        char *rest;

        picture = &drawn;
        picture_root = root;
        assert_int_equal(nftw(root, draw, 16, FTW_PHYS), 0);
        rest = drawn.data;
        for (char *line; (line = strsep(&rest, "\n"));)
                assert_int_equal(strv_push(&lines, &n, line), 0);
        qsort(lines, n, sizeof(*lines), compare_lines);
        for (size_t i = 0; i < n; ++i)
                assert_int_equal(text_append(&sorted, "%s\n", lines[i]), 0);
        return text_take(&sorted);
}

/* the machine */

typedef struct Fixture {
        FakeTree *tree;
        SetupTarget target;
        SetupPlan plan;
        char *before;
} Fixture;

static void copy_program(const char *root, const char *from, const char *path) {
        char to[FAKE_PATH_MAX];
        _cleanup_(freep) char *data = NULL;
        size_t n;

        assert_int_equal(file_read(AT_FDCWD, from, 16U << 20, &data, &n), 0);
        fake_write_bytes(root, path, data, n);
        assert_int_equal(chmod(fake_path(to, "%s/%s", root, path), 0755), 0);
}

/* As it is said, while fake_link() has them within sysfs. */
static void make_link(const char *root, const char *target, const char *path) {
        char full[FAKE_PATH_MAX];

        assert_int_equal(symlink(target, fake_path(full, "%s/%s", root, path)), 0);
}

/* So that a file which was written again is seen. */
static void make_old(const char *root, const char *path) {
        const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { 1000000000, 123456789 } };
        char full[FAKE_PATH_MAX];

        assert_int_equal(utimensat(AT_FDCWD, fake_path(full, "%s/%s", root, path), times, 0), 0);
}

static void write_program(const char *root, const char *path, const char *script) {
        char full[FAKE_PATH_MAX];

        fake_write(root, path, "%s", script);
        assert_int_equal(chmod(fake_path(full, "%s/%s", root, path), 0755), 0);
}

static void make_plan(Fixture *fixture) {
        static const char *const argv[] = { "update-boot", NULL };
        _cleanup_(tree_file_deinit) TreeFile grub = TREE_FILE_NULL;
        static const char after[] = "GRUB=\"quiet iommu=pt\"\nGRUB_X=1";
        SetupPlan *plan = &fixture->plan;
        int root_fd = fixture->target.root_fd;

        setup_plan_deinit(plan);
        assert_int_equal(tree_read(root_fd, "etc/default/grub", &grub), 0);
        assert_int_equal(setup_plan_edit(plan, "etc/default/grub", &grub, after, strlen(after),
                                         "words"),
                        0);
        assert_int_equal(setup_plan_own(plan, root_fd, "etc/modprobe.d/00-ours.conf", 0644,
                                         "# ours\nsoftdep nvidia pre: vfio-pci\n", "softdeps"),
                        0);
        assert_int_equal(setup_plan_own(plan, root_fd, "etc/new/folder/hook", 0755, "#!/bin/sh\n",
                                         "hook"),
                        0);
        assert_int_equal(setup_plan_own(plan, root_fd, "etc/old.conf", 0644, "new\n", "newer"), 0);
        assert_int_equal(setup_plan_remove(plan, root_fd, "etc/older.conf", "not needed"), 0);
        assert_int_equal(setup_plan_command(plan, true, "the menu and the image", argv), 0);
        assert_int_equal(strv_push(&plan->outputs, &plan->n_outputs, "boot/grub.cfg"), 0);
        assert_int_equal(strv_push(&plan->words, &plan->n_words, "iommu=pt"), 0);
        assert_int_equal(strv_push(&plan->entry_dirs, &plan->n_entry_dirs, "boot/entries"), 0);
        assert_int_equal(plan->n_dirs, 2);
        assert_int_equal(plan->n_files, 5);
}

static int setup(void **state) {
        static Fixture fixture;
        char path[FAKE_PATH_MAX];
        const char *root;

        fixture = (Fixture){ .tree = fake_tree_new() };
        root = fixture.tree->root;
        fixture.target.root_fd = fixture.tree->roots.root_fd;
        copy_program(root, BUSYBOX, "bin/busybox");
        make_link(root, "busybox", "bin/sh");
        make_link(root, "busybox", "bin/cat");
        make_link(root, "busybox", "bin/grep");
        write_program(root, "usr/sbin/update-boot", GENERATOR);
        fake_write(root, "etc/default/grub", "GRUB=\"quiet\"\nGRUB_X=1");
        fake_write(root, "etc/old.conf", "old\n");
        fake_write(root, "etc/older.conf", "older\n");
        fake_write(root, "etc/untouched", "as it is\n");
        fake_write(root, "etc/modprobe.d/nvidia.conf", "options nvidia modeset=1\n");
        fake_write(root, "boot/grub.cfg", "menu\nGRUB=\"quiet\"\nGRUB_X=1\n");
        fake_write(root, "boot/initrd.img", "options nvidia modeset=1\n");
        fake_make_dir(root, "boot/entries");
        fake_make_dir(root, "var/lib");
        assert_int_equal(chmod(fake_path(path, "%s/etc/default/grub", root), 0600), 0);
        assert_true(setxattr(path, "user.label", "x", 1, 0) == 0 || errno == ENOTSUP);
        if (geteuid() == 0)
                assert_int_equal(chown(path, 12, 34), 0);
        make_old(root, "etc/default/grub");
        make_old(root, "etc/old.conf");
        make_old(root, "etc/older.conf");
        make_old(root, "etc/untouched");
        make_plan(&fixture);
        calls.is_armed = is_coarse = false;
        fixture.before = take_picture(root);
        *state = &fixture;
        return 0;
}

static int teardown(void **state) {
        Fixture *fixture = *state;

        calls.is_armed = false;
        setup_plan_deinit(&fixture->plan);
        free(fixture->before);
        fake_tree_free(fixture->tree);
        return 0;
}

/* Every write, or every few of them where that takes too long. */
static unsigned int stride(void) {
        const char *value = getenv("VFIOPT_TEST_STRIDE");

        return value && atoi(value) > 0 ? (unsigned int) atoi(value) : 1;
}

/* What is kept of all the set-ups of a test makes the next ones slow. */
static void forget_backups(Fixture *fixture) {
        fake_remove(fixture->tree->root, "var/lib/vfiopt");
}

static void assert_as_before(Fixture *fixture) {
        _cleanup_(freep) char *now = take_picture(fixture->tree->root);

        assert_string_equal(now, fixture->before);
}

static void assert_file(Fixture *fixture, const char *path, const char *expected) {
        _cleanup_(freep) char *content = NULL;

        assert_int_equal(file_read(fixture->target.root_fd, path, 4096, &content, NULL), 0);
        assert_string_equal(content, expected);
}

static int apply(Fixture *fixture) {
        _cleanup_(setup_report_deinit) SetupReport report = SETUP_REPORT_NULL;

        return setup_apply(&fixture->target, &fixture->plan, &report);
}

static int roll_back(Fixture *fixture) {
        _cleanup_(setup_report_deinit) SetupReport report = SETUP_REPORT_NULL;

        return setup_roll_back(&fixture->target, NULL, &fixture->plan, &report);
}

/* The programs of a machine run chrooted into it. */
#define NEEDS_ROOT()                \
        do {                        \
                if (geteuid() != 0) \
                        skip();     \
        } while (0)

/* tests */

static void there_and_back(void **state) {
        Fixture *fixture = *state;

        NEEDS_ROOT();
        assert_int_equal(apply(fixture), 0);
        assert_file(fixture, "etc/default/grub", "GRUB=\"quiet iommu=pt\"\nGRUB_X=1");
        assert_file(fixture, "boot/grub.cfg", "menu\nGRUB=\"quiet iommu=pt\"\nGRUB_X=1\n");
        assert_file(fixture, "etc/old.conf", "new\n");
        assert_true(fake_exists(fixture->tree->root, "etc/new/folder/hook"));
        assert_false(fake_exists(fixture->tree->root, "etc/older.conf"));
        assert_int_equal(roll_back(fixture), 0);
        assert_as_before(fixture);
        /* There is nothing left to be taken back. */
        assert_int_equal(roll_back(fixture), SETUP_E_MISSING);
}

static void a_second_plan_is_empty(void **state) {
        Fixture *fixture = *state;
        SetupPlan *plan = &fixture->plan;

        NEEDS_ROOT();
        assert_int_equal(apply(fixture), 0);
        setup_plan_deinit(plan);
        assert_int_equal(setup_plan_own(plan, fixture->target.root_fd, "etc/old.conf", 0644,
                                         "new\n", ""),
                        0);
        assert_int_equal(setup_plan_remove(plan, fixture->target.root_fd, "etc/older.conf", ""), 0);
        assert_true(setup_plan_is_empty(plan));
}

/* @limit: no test runs for ever. */
static void every_write_fails(void **state) {
        Fixture *fixture = *state;

        NEEDS_ROOT();
        for (unsigned int k = 1; k < 2000; k += stride()) {
                int r;

                memset(&calls, 0, sizeof(calls));
                calls.fail_at = k;
                calls.is_armed = true;
                r = apply(fixture);
                calls.is_armed = false;
                if (calls.n < k) {
                        assert_int_equal(r, 0);
                        assert_true(k > 100);
                        return;
                }
                if (r == 0) {
                        /* What only tidies up may fail. */
                        assert_int_equal(roll_back(fixture), 0);
                        assert_as_before(fixture);
                        forget_backups(fixture);
                        continue;
                }
                assert_true(r < 0 || r == SETUP_E_UNDONE);
                assert_as_before(fixture);
                assert_int_equal(roll_back(fixture), SETUP_E_MISSING);
        }
        fail();
}

static bool run_until(Fixture *fixture, unsigned int k, int (*fn)(Fixture *fixture)) {
        int status;
        pid_t pid;

        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                memset(&calls, 0, sizeof(calls));
                calls.kill_at = k;
                calls.is_armed = true;
                _exit(fn(fixture) == 0 ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status) == 9;
}

static void the_power_goes_at_every_write(void **state) {
        Fixture *fixture = *state;
        unsigned int k, n_begun = 0;

        NEEDS_ROOT();
        for (k = 1; k < 2000; k += stride()) {
                bool was_cut = run_until(fixture, k, apply);
                int r;

                if (was_cut && tree_has(fixture->target.root_fd, BACKUPS_DIR)) {
                        r = apply(fixture);
                        if (r == SETUP_E_BEGUN)
                                ++n_begun;
                        else
                                assert_true(r == 0 || r == SETUP_E_CHANGED);
                }
                r = roll_back(fixture);
                assert_true(r == 0 || r == SETUP_E_MISSING);
                assert_as_before(fixture);
                forget_backups(fixture);
                if (!was_cut)
                        break;
        }
        assert_true(k > 100);
        assert_true(n_begun > 0);
}

static void the_power_goes_at_every_write_back(void **state) {
        Fixture *fixture = *state;
        bool was_cut = true;

        NEEDS_ROOT();
        for (unsigned int k = 1; was_cut && k < 2000; k += stride()) {
                int r;

                assert_int_equal(apply(fixture), 0);
                was_cut = run_until(fixture, k, roll_back);
                r = roll_back(fixture);
                /* Behind the last of them it is done. */
                assert_true(r == SETUP_E_MISSING || (r == 0 && was_cut));
                assert_as_before(fixture);
                forget_backups(fixture);
        }
        assert_false(was_cut);
}

static void restore_script_at_every_write(void **state) {
        Fixture *fixture = *state;
        _cleanup_(freep) char *command = NULL;
        bool was_cut = true;

        NEEDS_ROOT();
        command = text_format(
                        "for s in %s/" BACKUPS_DIR "/2*Z/restore.sh %s/" BACKUPS_DIR
                        "/2*-*/restore.sh; do if [ -e \"$s\" ]; then "
                        "for i in 1 2; do ROOT=%s/ " BUSYBOX
                        " sh \"$s\" >/dev/null || exit 1; done; fi; "
                        "done; rm -rf %s/var/lib/vfiopt; rm -f %s/etc/*/.*-new; echo 'options nvidia modeset=1' "
                        ">%s/boot/initrd.img",
                        fixture->tree->root, fixture->tree->root, fixture->tree->root,
                        fixture->tree->root, fixture->tree->root, fixture->tree->root);
        is_coarse = true;
        free(fixture->before);
        fixture->before = take_picture(fixture->tree->root);
        for (unsigned int k = 1; was_cut && k < 2000; k += 3 * stride()) {
                was_cut = run_until(fixture, k, apply);
                assert_int_equal(system(command), 0);
                assert_as_before(fixture);
        }
        assert_false(was_cut);
}

static void a_program_that_fails_is_undone(void **state) {
        Fixture *fixture = *state;
        _cleanup_(setup_report_deinit) SetupReport report = SETUP_REPORT_NULL;
        const char *root = fixture->tree->root;

        NEEDS_ROOT();
        write_program(root, "usr/sbin/update-boot",
                        "#!/bin/sh\n"
                        "echo broken >/boot/grub.cfg\n"
                        "grep -q iommu=pt /etc/default/grub || exit 0\n"
                        "echo 'no space left'\n"
                        "exit 3\n");
        free(fixture->before);
        fixture->before = take_picture(root);
        assert_int_equal(setup_apply(&fixture->target, &fixture->plan, &report), SETUP_E_UNDONE);
        assert_string_equal(report.problem, "update-boot has failed with exit status 3");
        assert_string_equal(report.output, "no space left\n");
        assert_as_before(fixture);
        assert_false(fake_exists(root, "var/lib/vfiopt"));
}

static void a_program_that_does_nothing_is_noticed(void **state) {
        Fixture *fixture = *state;
        _cleanup_(setup_report_deinit) SetupReport report = SETUP_REPORT_NULL;
        PlanCheck *check = setup_plan_check(&fixture->plan);
        size_t n_keys = 0, n_needs = 0;

        NEEDS_ROOT();
        assert_non_null(check);
        check->path = strdup("boot/grub.cfg");
        check->what = strdup("the menu");
        assert_int_equal(strv_push(&check->keys, &n_keys, "linux"), 0);
        assert_int_equal(strv_push(&check->needs, &n_needs, "iommu=pt"), 0);
        fake_write(fixture->tree->root, "boot/grub.cfg", "menu\n\tlinux /vmlinuz quiet\n");
        write_program(fixture->tree->root, "usr/sbin/update-boot", "#!/bin/sh\n");
        free(fixture->before);
        fixture->before = take_picture(fixture->tree->root);
        assert_int_equal(setup_apply(&fixture->target, &fixture->plan, &report), SETUP_E_UNDONE);
        assert_string_equal(report.problem, "the menu does not have iommu=pt");
        assert_as_before(fixture);
}

static void what_was_changed_since_keeps_the_change(void **state) {
        Fixture *fixture = *state;
        _cleanup_(setup_report_deinit) SetupReport report = SETUP_REPORT_NULL;
        const char *root = fixture->tree->root;

        NEEDS_ROOT();
        assert_int_equal(apply(fixture), 0);
        fake_write(root, "etc/default/grub", "GRUB=\"iommu=pt quiet mitigations=off\"\nGRUB_X=2");
        fake_write(root, "etc/modprobe.d/00-ours.conf",
                        "# ours\nsoftdep nvidia pre: vfio-pci\noptions vfio-pci disable_vga=1\n");
        fake_write(root, "etc/new/folder/hook", "#!/bin/sh\n\n");
        fake_write(root, "boot/entries/later.conf",
                        "title new kernel\noptions root=/dev/sda iommu=pt ro\n");
        assert_int_equal(setup_roll_back(&fixture->target, NULL, &fixture->plan, &report), 0);
        assert_file(fixture, "etc/default/grub", "GRUB=\"quiet mitigations=off\"\nGRUB_X=2");
        assert_file(fixture, "etc/modprobe.d/00-ours.conf", "options vfio-pci disable_vga=1\n");
        assert_false(fake_exists(root, "etc/new"));
        assert_file(fixture, "boot/entries/later.conf",
                        "title new kernel\noptions root=/dev/sda ro\n");
        assert_file(fixture, "etc/old.conf", "old\n");
        assert_int_equal(report.n_notes, 4);
}

static void a_rollback_whose_program_fails_puts_the_menu_back(void **state) {
        Fixture *fixture = *state;

        NEEDS_ROOT();
        assert_int_equal(apply(fixture), 0);
        fake_write(fixture->tree->root, "fail", "%s", "");
        assert_int_equal(roll_back(fixture), SETUP_E_LEFT);
        assert_file(fixture, "boot/grub.cfg", "menu\nGRUB=\"quiet\"\nGRUB_X=1\n");
        fake_remove(fixture->tree->root, "fail");
        /* It is not over: run again, it makes the image. */
        assert_int_equal(roll_back(fixture), 0);
        assert_as_before(fixture);
        assert_int_equal(roll_back(fixture), SETUP_E_MISSING);
}

static void what_changed_after_the_plan_is_not_overwritten(void **state) {
        Fixture *fixture = *state;

        fake_write(fixture->tree->root, "etc/old.conf", "just edited\n");
        assert_int_equal(apply(fixture), SETUP_E_CHANGED);
        assert_file(fixture, "etc/old.conf", "just edited\n");
}

static void words_that_were_there_stay(void **state) {
        Fixture *fixture = *state;
        SetupPlan *plan = &fixture->plan;

        NEEDS_ROOT();
        assert_int_equal(strv_push(&plan->words, &plan->n_words, "quiet"), 0);
        assert_int_equal(apply(fixture), 0);
        fake_write(fixture->tree->root, "etc/default/grub",
                        "GRUB=\"quiet iommu=pt debug\"\nGRUB_X=1");
        assert_int_equal(roll_back(fixture), 0);
        assert_file(fixture, "etc/default/grub", "GRUB=\"quiet debug\"\nGRUB_X=1");
}

static int roll_back_named(Fixture *fixture, const char *name) {
        _cleanup_(setup_report_deinit) SetupReport report = SETUP_REPORT_NULL;

        return setup_roll_back(&fixture->target, name, &fixture->plan, &report);
}

static void the_last_one_is_taken_back_first(void **state) {
        Fixture *fixture = *state;
        _cleanup_(strv_freep) char **names = NULL;
        SetupPlan *plan = &fixture->plan;
        int root_fd = fixture->target.root_fd;
        size_t n = 0;

        NEEDS_ROOT();
        assert_int_equal(apply(fixture), 0);
        setup_plan_deinit(plan);
        assert_int_equal(setup_plan_own(plan, root_fd, "etc/old.conf", 0644, "newest\n", ""), 0);
        assert_int_equal(apply(fixture), 0);
        assert_int_equal(backup_list(root_fd, &names, &n), 0);
        assert_int_equal(n, 2);
        assert_int_equal(roll_back_named(fixture, names[0]), SETUP_E_LATER);
        assert_file(fixture, "etc/old.conf", "newest\n");
        assert_int_equal(roll_back_named(fixture, names[1]), 0);
        assert_file(fixture, "etc/old.conf", "new\n");
        assert_int_equal(roll_back_named(fixture, names[1]), SETUP_E_OVER);
        assert_int_equal(roll_back_named(fixture, names[0]), 0);
        assert_file(fixture, "etc/old.conf", "old\n");
        assert_int_equal(roll_back_named(fixture, "20200101T000000Z"), SETUP_E_MISSING);
}

static void the_clock_goes_back(void **state) {
        Fixture *fixture = *state;
        _cleanup_(strv_freep) char **names = NULL;
        SetupPlan *plan = &fixture->plan;
        int root_fd = fixture->target.root_fd;
        char from[FAKE_PATH_MAX], to[FAKE_PATH_MAX];
        size_t n = 0;

        NEEDS_ROOT();
        assert_int_equal(apply(fixture), 0);
        assert_int_equal(backup_list(root_fd, &names, &n), 0);
        assert_int_equal(rename(fake_path(from, "%s/" BACKUPS_DIR "/%s", fixture->tree->root,
                                                names[0]),
                                         fake_path(to, "%s/" BACKUPS_DIR "/29990101T000000Z-009",
                                                         fixture->tree->root)),
                        0);
        for (unsigned int i = 0; i < 3; ++i) {
                _cleanup_(freep) char *content = text_format("newest %u\n", i);

                assert_non_null(content);
                setup_plan_deinit(plan);
                assert_int_equal(setup_plan_own(plan, root_fd, "etc/old.conf", 0644, content, ""),
                                0);
                assert_int_equal(apply(fixture), 0);
        }
        assert_true(fake_exists(fixture->tree->root, BACKUPS_DIR "/29990101T000000Z-012"));
        for (unsigned int i = 0; i < 4; ++i)
                assert_int_equal(roll_back(fixture), 0);
        assert_file(fixture, "etc/old.conf", "old\n");
        assert_int_equal(roll_back(fixture), SETUP_E_MISSING);
}

static void lines_of_the_set_up_before_stay(void **state) {
        Fixture *fixture = *state;
        SetupPlan *plan = &fixture->plan;
        int root_fd = fixture->target.root_fd;
        const char *root = fixture->tree->root;

        NEEDS_ROOT();
        assert_int_equal(apply(fixture), 0);
        setup_plan_deinit(plan);
        assert_int_equal(
                        setup_plan_own(plan, root_fd, "etc/modprobe.d/00-ours.conf", 0644,
                                        "# ours\nsoftdep nvidia pre: vfio-pci post: a\nsoftdep b pre: c\n",
                                        ""),
                        0);
        assert_int_equal(apply(fixture), 0);
        fake_write(root, "etc/modprobe.d/00-ours.conf",
                        "# ours\nsoftdep nvidia pre: vfio-pci post: a\nsoftdep b pre: c\noptions d e=1\n");
        assert_int_equal(roll_back(fixture), 0);
        assert_file(fixture, "etc/modprobe.d/00-ours.conf",
                        "# ours\nsoftdep nvidia pre: vfio-pci\noptions d e=1\n");
        assert_int_equal(roll_back(fixture), 0);
        assert_file(fixture, "etc/modprobe.d/00-ours.conf", "options d e=1\n");
}

static void one_at_a_time(void **state) {
        Fixture *fixture = *state;
        _cleanup_(closep) int fd = -1;

        assert_int_equal(backup_lock(fixture->target.root_fd, &fd), 0);
        assert_int_equal(apply(fixture), SETUP_E_BUSY);
        assert_int_equal(roll_back(fixture), SETUP_E_BUSY);
}

static void a_damaged_manifest_is_not_believed(void **state) {
        Fixture *fixture = *state;
        static const char *const manifests[] = {
                "",
                "{}",
                "[]",
                "{\"version\":2}",
                "{\"version\":1,\"state\":\"done\"}",
                "{\"version\":1,\"state\":\"done\",\"dirs\":[],\"entry_dirs\":[],\"words\":[7],\"files\":[]}",
                ("{\"version\":1,\"state\":\"done\",\"dirs\":[],\"entry_dirs\":[],\"words\":[],\"files\":[],"
                 "\"commands\":[{\"argv\":[]}]}"),
                ("{\"version\":1,\"state\":\"done\",\"dirs\":[],\"entry_dirs\":[],\"words\":[],\"files\":[{"
                 "\"path\":\"/etc/old.conf\",\"kind\":\"ours\",\"output\":0}]}"),
        };

        for (size_t i = 0; i < ARRAY_SIZE(manifests); ++i) {
                fake_write(fixture->tree->root, BACKUPS_DIR "/20260101T000000Z/manifest", "%s",
                                manifests[i]);
                assert_int_equal(roll_back(fixture), SETUP_E_INVALID);
                assert_int_equal(apply(fixture), SETUP_E_INVALID);
        }
        assert_as_before(fixture);
}

static void differences_are_shown(void **state) {
        Fixture *fixture = *state;
        _cleanup_(freep) char *edited = NULL, *made = NULL, *removed = NULL;

        assert_int_equal(setup_plan_diff(&fixture->plan.files[0], &edited), 0);
        assert_string_equal(edited,
                        "--- /etc/default/grub\n+++ /etc/default/grub\n@@ -1,1 +1,1 @@\n"
                        "-GRUB=\"quiet\"\n+GRUB=\"quiet iommu=pt\"\n");
        assert_int_equal(setup_plan_diff(&fixture->plan.files[2], &made), 0);
        assert_string_equal(made,
                        "--- /dev/null\n+++ /etc/new/folder/hook\n@@ -0,0 +1,1 @@\n+#!/bin/sh\n");
        assert_int_equal(setup_plan_diff(&fixture->plan.files[4], &removed), 0);
        assert_string_equal(
                        removed, "--- /etc/older.conf\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-older\n");
}

#define machine_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                machine_test(there_and_back),
                machine_test(a_second_plan_is_empty),
                machine_test(every_write_fails),
                machine_test(the_power_goes_at_every_write),
                machine_test(the_power_goes_at_every_write_back),
                machine_test(restore_script_at_every_write),
                machine_test(a_program_that_fails_is_undone),
                machine_test(a_program_that_does_nothing_is_noticed),
                machine_test(what_was_changed_since_keeps_the_change),
                machine_test(a_rollback_whose_program_fails_puts_the_menu_back),
                machine_test(what_changed_after_the_plan_is_not_overwritten),
                machine_test(words_that_were_there_stay),
                machine_test(the_last_one_is_taken_back_first),
                machine_test(the_clock_goes_back),
                machine_test(lines_of_the_set_up_before_stay),
                machine_test(one_at_a_time),
                machine_test(a_damaged_manifest_is_not_believed),
                machine_test(differences_are_shown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
