/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Scenario: Races
 *
 * Two jobs at the same instant.
 */

#include "reference.h"

static int rounds(int n) {
        int stride = (int) for_each_point_stride();

        return n / stride > 2 ? n / stride : 2;
}

/* The writes of two jobs are one after the other, not among each other. */
static void assert_not_interleaved(FakeTree *tree) {
        unsigned int n_changes = 0;

        for (unsigned int i = 1; i < writes_count(tree->machine, ACT_ANY); ++i)
                n_changes += tree->machine->writes[i].job != tree->machine->writes[i - 1].job;
        assert_true(n_changes <= 1);
}

static void opposite_directions_do_not_interleave(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_HOST);
        _cleanup_(freep) char *away = NULL, *home = NULL;

        assert_int_equal(scenario_switch(tree, MODE_HOST, GPU_A).result, SWITCH_DONE);
        home = fake_snapshot(tree);
        assert_int_equal(scenario_switch(tree, MODE_PASSTHROUGH, GPU_A).result, SWITCH_DONE);
        away = fake_snapshot(tree);

        for (int round = 0; round < rounds(50); ++round) {
                _cleanup_(freep) char *now = NULL;
                Outcome outcome[2];
                Job *jobs[2];

                writes_clear(tree->machine);
                jobs[0] = scenario_start(tree, round % 2 ? MODE_HOST : MODE_PASSTHROUGH, GPU_A);
                jobs[1] = scenario_start(tree, round % 2 ? MODE_PASSTHROUGH : MODE_HOST, GPU_A);
                for (size_t i = 0; i < ARRAY_SIZE(jobs); ++i) {
                        outcome[i] = scenario_finish(jobs[i]);
                        assert_int_equal(outcome[i].r, 0);
                        assert_int_equal(outcome[i].result, SWITCH_DONE);
                }
                assert_not_interleaved(tree);
                now = fake_snapshot(tree);
                assert_true(!strcmp(now, home) || fake_snapshot_equal(away, now));
        }
        fake_tree_free(tree);
}

static void two_cards_move_at_the_same_time(void **state _unused_) {
        FakeTree *tree = fake_tree_new();

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
        fake_gpu_add(tree, GPU_B, .group = 13, .driver = "nvidia");
        fake_module_load(tree, "vfio_pci");

        for (int round = 0; round < rounds(10); ++round) {
                Mode to = round % 2 ? MODE_HOST : MODE_PASSTHROUGH;
                Job *a = scenario_start(tree, to, GPU_A), *b = scenario_start(tree, to, GPU_B);

                writes_clear(tree->machine);
                assert_int_equal(scenario_finish(a).result, SWITCH_DONE);
                assert_int_equal(scenario_finish(b).result, SWITCH_DONE);
                assert_driver(tree, GPU_A, to == MODE_HOST ? "nvidia" : "vfio-pci");
                assert_driver(tree, GPU_B, to == MODE_HOST ? "nvidia" : "vfio-pci");
        }
        fake_tree_free(tree);
}

/* Both know of both cards in the end: neither overwrites what the other has remembered. */
static void both_are_remembered(void **state _unused_) {
        for (int round = 0; round < rounds(10); ++round) {
                FakeTree *tree = fake_tree_new();
                _cleanup_(freep) char *snapshot = NULL;
                Job *a, *b;

                fake_standard_drivers(tree);
                fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
                fake_gpu_add(tree, GPU_B, .group = 13, .driver = "nvidia");
                a = scenario_start(tree, MODE_HOST, GPU_A);
                b = scenario_start(tree, MODE_HOST, GPU_B);
                assert_int_equal(scenario_finish(a).result, SWITCH_DONE);
                assert_int_equal(scenario_finish(b).result, SWITCH_DONE);
                snapshot = fake_snapshot(tree);
                assert_non_null(strstr(snapshot, "\"address\": \"" GPU_A "\""));
                assert_non_null(strstr(snapshot, "\"address\": \"" GPU_B "\""));
                fake_tree_free(tree);
        }
}

static void belongs(FakeTree *tree, const char *text) {
        fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "%s", text);
}

static void who_came_late_undoes_nothing(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_PASSTHROUGH);
        _cleanup_(freep) char *before = NULL, *after = NULL;
        Outcome outcome;

        belongs(tree, "[vfiopt]\nDefaultMode=host\n");
        before = fake_snapshot(tree);
        scenario_automatic = true;
        outcome = scenario_switch(tree, MODE_PASSTHROUGH, GPU_A);
        assert_int_equal(outcome.result, SWITCH_DONE);
        assert_int_equal(outcome.n_told, 0);
        assert_int_equal(writes_count(tree->machine, ACT_ANY), 0);
        after = fake_snapshot(tree);
        assert_true(fake_snapshot_equal(before, after));

        belongs(tree, "[vfiopt]\nDefaultMode=passthrough\n");
        outcome = scenario_switch(tree, MODE_PASSTHROUGH, GPU_A);
        scenario_automatic = false;
        assert_true(scenario_was_told(&outcome, EVENT_DONE));
        fake_tree_free(tree);
}

/* It would have been no stranger to their group, had it moved along. */
static void who_stays_after_all_is_in_the_way(void **state _unused_) {
        FakeTree *tree = fake_tree_new();
        Outcome outcome;

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .functions = 2, .group = 12, .driver = "nvidia");
        fake_gpu_add(tree, GPU_B, .functions = 2, .group = 12, .driver = "nvidia");
        belongs(tree, "[vfiopt]\nDefaultMode=passthrough\n[GPU 01:00]\nManaged=no\n");
        scenario_automatic = true;
        outcome = scenario_switch(tree, MODE_PASSTHROUGH, NULL);
        scenario_automatic = false;
        assert_int_equal(outcome.result, SWITCH_PRECONDITION);
        assert_driver(tree, GPU_A, "nvidia");
        assert_driver(tree, GPU_B, "nvidia");
        fake_tree_free(tree);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(opposite_directions_do_not_interleave),
                cmocka_unit_test(two_cards_move_at_the_same_time),
                cmocka_unit_test(both_are_remembered),
                cmocka_unit_test(who_came_late_undoes_nothing),
                cmocka_unit_test(who_stays_after_all_is_in_the_way),
        };

        return cmocka_run_group_tests_name("scenario/race", tests, NULL, NULL);
}
