/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Unfinished Switches
 */

#include <fcntl.h>

#include "lib/test.h"

#include "policy/unfinished.h"
#include "record/intent.h"
#include "record/lock.h"
#include "record/stuck.h"

typedef struct Fixture {
        FakeTree *tree;
        Gpu gpu;
} Fixture;

static int fixture_new(void **state) {
        static Fixture fixture;

        fixture.tree = fake_tree_new();
        fake_gpu_add(fixture.tree, "0000:01:00.0", .group = 12);
        /* Locks are those of this process, and looked up where the kernel tells of them. */
        closep(&fixture.tree->roots.proc_fd);
        fixture.tree->roots.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fixture.tree->roots.proc_fd >= 0);
        assert_int_equal(
                        gpu_init(&fixture.gpu, fake_sysfs(fixture.tree), (Address){ .bus = 1 }), 0);
        *state = &fixture;
        return 0;
}

static int fixture_free(void **state) {
        Fixture *fixture = *state;

        gpu_deinit(&fixture->gpu);
        fake_tree_free(fixture->tree);
        return 0;
}

static void assert_look(Fixture *fixture, bool expected, Mode back) {
        bool unfinished = !expected;
        Mode wish = _MODE_MAX;

        assert_int_equal(unfinished_look(&fixture->tree->roots, &fixture->gpu, &unfinished, &wish),
                        0);
        assert_int_equal(unfinished, expected);
        if (expected)
                assert_int_equal(wish, back);
}

static void save_intent(Fixture *fixture, Mode from) {
        const Intent intent = {
                .address = fixture->gpu.address,
                .identity = fixture->gpu.functions[0].identity,
                .from = from,
                .to = MODE_PASSTHROUGH,
        };

        assert_int_equal(intent_save(&intent, fixture->tree->roots.run_fd), 0);
}

static void where_nothing_is_left_nothing_is_unfinished(void **state) {
        Fixture *fixture = *state;

        assert_look(fixture, false, MODE_UNSET);
        closep(&fixture->tree->roots.run_fd);
        fixture->tree->roots.run_fd = -1;
        assert_look(fixture, false, MODE_UNSET);
}

static void what_was_cut_off_goes_back(void **state) {
        Fixture *fixture = *state;

        save_intent(fixture, MODE_PASSTHROUGH);
        assert_look(fixture, true, MODE_PASSTHROUGH);
        save_intent(fixture, MODE_MIXED);
        assert_look(fixture, true, MODE_HOST);
}

static void what_is_under_way_is_not_unfinished(void **state) {
        Fixture *fixture = *state;
        Lock lock = LOCK_NULL;

        save_intent(fixture, MODE_HOST);
        assert_int_equal(lock_take(&lock, fixture->tree->roots.run_fd, fixture->gpu.address, false),
                        0);
        assert_look(fixture, false, MODE_UNSET);
        lock_release(&lock);
        assert_look(fixture, true, MODE_HOST);
}

static void a_marker_without_a_writer_is_over(void **state) {
        Fixture *fixture = *state;
        const Stuck stuck = {
                .gpu = fixture->gpu.address,
                .function = fixture->gpu.address,
                .pid = 1,
                .action = (char *) "unbind",
        };

        assert_int_equal(stuck_save(&stuck, fixture->tree->roots.run_fd), 0);
        assert_look(fixture, true, MODE_HOST);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define test(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)
                test(where_nothing_is_left_nothing_is_unfinished),
                test(what_was_cut_off_goes_back),
                test(what_is_under_way_is_not_unfinished),
                test(a_marker_without_a_writer_is_over),
#undef test
        };

        return cmocka_run_group_tests_name("policy/unfinished", tests, NULL, NULL);
}
