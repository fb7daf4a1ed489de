/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Committing
 *
 * Whatever becomes of the state file: where a person has moved a GPU is where the policy wants
 * it, until the next boot at least.
 */

#include <unistd.h>

#include "lib/test.h"

#include "policy/policy.h"
#include "switch/commit.h"

typedef struct Fixture {
        FakeTree *tree;
        Gpu gpu;
        SwitchContext context;
} Fixture;

static const Address address = { .bus = 1 };

static int fixture_new(void **state) {
        static Fixture fixture;

        fixture = (Fixture){ .tree = fake_tree_new() };
        fake_gpu_add(fixture.tree, "0000:01:00.0", .group = 12);
        fake_write(fixture.tree->root, "proc/cmdline", "quiet\n");
        assert_int_equal(gpu_init(&fixture.gpu, fake_sysfs(fixture.tree), address), 0);
        fixture.context.roots = &fixture.tree->roots;
        *state = &fixture;
        return 0;
}

static int fixture_free(void **state) {
        Fixture *fixture = *state;

        gpu_deinit(&fixture->gpu);
        fake_tree_free(fixture->tree);
        return 0;
}

static int commit_to(Fixture *fixture, Mode mode, bool transient) {
        _cleanup_(freep) char *aside = NULL;
        int r, error = 0;

        r = commit(&fixture->context, &fixture->gpu, mode, transient, &aside, &error);
        assert_null(aside);
        assert_int_equal(r == COMMIT_E_PENDING, error < 0);
        return r;
}

static void expect(
                Fixture *fixture, bool at_boot, Mode wish, PolicySource source, size_t n_pending) {
        Policy policy = POLICY_NULL;
        Verdict verdict;

        assert_int_equal(policy_load(&policy, &fixture->tree->roots), 0);
        verdict = policy_judge(&policy, &fixture->gpu, at_boot);
        assert_int_equal(verdict.wish, wish);
        assert_int_equal(verdict.source, source);
        assert_int_equal(policy.pending.n_entries, n_pending);
        policy_deinit(&policy);
}

static bool has_pending_file(Fixture *fixture) {
        return faccessat(fixture->tree->roots.run_fd, "pending/state", F_OK, 0) == 0;
}

static void what_is_written_needs_nothing_else(void **state) {
        Fixture *fixture = *state;

        assert_int_equal(commit_to(fixture, MODE_PASSTHROUGH, false), 0);
        expect(fixture, false, MODE_PASSTHROUGH, POLICY_STATE, 0);
        assert_int_equal(commit_to(fixture, MODE_HOST, false), 0);
        expect(fixture, false, MODE_HOST, POLICY_STATE, 0);
        assert_false(has_pending_file(fixture));
}

static void what_cannot_be_written_is_kept_until_the_next_boot(void **state) {
        Fixture *fixture = *state;
        char path[256];

        /* A directory that was removed while it is open: nothing can be made in there. */
        snprintf(path, sizeof(path), "%s/etc/vfiopt", fixture->tree->root);
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(commit_to(fixture, MODE_PASSTHROUGH, false), COMMIT_E_PENDING);
        expect(fixture, false, MODE_PASSTHROUGH, POLICY_PENDING, 1);
        expect(fixture, true, MODE_UNSET, POLICY_NOBODY, 1);
        assert_int_equal(commit_to(fixture, MODE_HOST, false), COMMIT_E_PENDING);
        expect(fixture, false, MODE_HOST, POLICY_PENDING, 1);
}

static void a_person_comes_after_the_kernels_command_line(void **state) {
        Fixture *fixture = *state;

        fake_write(fixture->tree->root, "proc/cmdline", "vfiopt.mode=host\n");
        expect(fixture, false, MODE_HOST, POLICY_KERNEL_LINE, 0);
        assert_int_equal(commit_to(fixture, MODE_PASSTHROUGH, false), 0);
        expect(fixture, false, MODE_PASSTHROUGH, POLICY_PENDING, 1);
        expect(fixture, true, MODE_HOST, POLICY_KERNEL_LINE, 1);

        assert_int_equal(commit_to(fixture, MODE_HOST, false), 0);
        expect(fixture, false, MODE_HOST, POLICY_KERNEL_LINE, 0);
        assert_false(has_pending_file(fixture));
}

static void off_is_no_ban_for_a_person(void **state) {
        Fixture *fixture = *state;

        fake_write(fixture->tree->root, "proc/cmdline", "vfiopt.mode=off\n");
        assert_int_equal(commit_to(fixture, MODE_PASSTHROUGH, false), 0);
        expect(fixture, false, MODE_PASSTHROUGH, POLICY_PENDING, 1);
        expect(fixture, true, MODE_UNSET, POLICY_KERNEL_LINE, 1);
}

static void a_boot_with_another_mode_forgets_nothing(void **state) {
        Fixture *fixture = *state;

        assert_int_equal(commit_to(fixture, MODE_PASSTHROUGH, false), 0);
        fake_write(fixture->tree->root, "proc/cmdline", "vfiopt.mode=host\n");
        assert_int_equal(commit_to(fixture, MODE_HOST, true), 0);
        expect(fixture, false, MODE_HOST, POLICY_KERNEL_LINE, 0);
        fake_write(fixture->tree->root, "proc/cmdline", "quiet\n");
        expect(fixture, true, MODE_PASSTHROUGH, POLICY_STATE, 0);
}

/* BootMode=unset leaves a GPU alone until it is moved; then it stays where it was moved. */
static void what_was_left_alone_is_moved_by_a_person(void **state) {
        Fixture *fixture = *state;

        assert_int_equal(commit_to(fixture, MODE_PASSTHROUGH, false), 0);
        fake_write(fixture->tree->root, "etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nBootMode=unset\n");
        expect(fixture, false, MODE_UNSET, POLICY_CONFIG, 0);
        assert_int_equal(commit_to(fixture, MODE_PASSTHROUGH, false), 0);
        expect(fixture, false, MODE_PASSTHROUGH, POLICY_PENDING, 1);
        expect(fixture, true, MODE_UNSET, POLICY_CONFIG, 1);
}

static void what_is_no_use_makes_way(void **state) {
        Fixture *fixture = *state;

        fake_write(fixture->tree->root, "run/vfiopt/pending/state", "hots");
        expect(fixture, false, MODE_UNSET, POLICY_NOBODY, 0);
        assert_int_equal(commit_to(fixture, MODE_PASSTHROUGH, false), 0);
        expect(fixture, false, MODE_PASSTHROUGH, POLICY_STATE, 0);
        assert_false(has_pending_file(fixture));
}

static void a_state_that_cannot_be_read_is_set_aside(void **state) {
        Fixture *fixture = *state;
        _cleanup_(freep) char *aside = NULL;
        int error = 0;

        fake_make_dir(fixture->tree->root, "etc/vfiopt/state");
        assert_int_equal(commit(&fixture->context, &fixture->gpu, MODE_HOST, false, &aside, &error),
                        0);
        assert_string_equal(aside, "state.damaged-1");
        assert_true(fake_exists(fixture->tree->root, "etc/vfiopt/state.damaged-1"));
        expect(fixture, false, MODE_HOST, POLICY_STATE, 0);
}

static void another_card_has_no_part_in_it(void **state) {
        Fixture *fixture = *state;

        fake_write(fixture->tree->root, "proc/cmdline", "vfiopt.mode=off\n");
        assert_int_equal(commit_to(fixture, MODE_PASSTHROUGH, false), 0);
        fixture->gpu.functions[0].identity.device ^= 1;
        expect(fixture, false, MODE_UNSET, POLICY_KERNEL_LINE, 1);
        fixture->gpu.functions[0].identity.device ^= 1;
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define test(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)
                test(what_is_written_needs_nothing_else),
                test(what_cannot_be_written_is_kept_until_the_next_boot),
                test(a_person_comes_after_the_kernels_command_line),
                test(off_is_no_ban_for_a_person),
                test(a_boot_with_another_mode_forgets_nothing),
                test(what_was_left_alone_is_moved_by_a_person),
                test(what_is_no_use_makes_way),
                test(a_state_that_cannot_be_read_is_set_aside),
                test(another_card_has_no_part_in_it),
#undef test
        };

        return cmocka_run_group_tests_name("switch/commit", tests, NULL, NULL);
}
