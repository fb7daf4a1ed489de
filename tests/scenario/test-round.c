/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Scenario: There and Back
 *
 * Nothing goes wrong.
 */

#include "harness.h"

#include <sys/wait.h>

#include "lib/pci-model.h"
#include "record/state.h"

static void switch_to(FakeTree *tree, const Machinery *machinery, Mode to) {
        Outcome outcome = scenario_switch(tree, to, machinery->gpu);

        assert_int_equal(outcome.r, 0);
        assert_int_equal(outcome.result, SWITCH_DONE);
        assert_true(scenario_was_told(&outcome, EVENT_DONE));
        /* That a driver does not take the card is worth a word. */
        if (strcmp(machinery->name, "old"))
                assert_false(scenario_was_told(&outcome, EVENT_WARNING));
}

static void many_rounds_leave_nothing_behind(void **state _unused_) {
        for (size_t i = 0; i < n_machineries; ++i) {
                _cleanup_(freep) char *home = NULL, *away = NULL;
                FakeTree *tree = scenario_machine(&machineries[i], MODE_HOST);

                for (int round = 0; round < 5; ++round) {
                        _cleanup_(freep) char *now = NULL;

                        switch_to(tree, &machineries[i], MODE_HOST);
                        now = fake_snapshot(tree);
                        if (!home)
                                home = TAKE_PTR(now);
                        else
                                assert_true(fake_snapshot_equal(home, now));
                        free(now);

                        switch_to(tree, &machineries[i], MODE_PASSTHROUGH);
                        now = fake_snapshot(tree);
                        if (!away)
                                away = TAKE_PTR(now);
                        else
                                assert_true(fake_snapshot_equal(away, now));
                        writes_clear(tree->machine);
                }
                fake_tree_free(tree);
        }
}

static void a_card_is_the_same_before_and_after(void **state _unused_) {
        for (size_t i = 0; i < n_machineries; ++i) {
                FakeTree *tree = scenario_machine(&machineries[i], MODE_PASSTHROUGH);
                _cleanup_(freep) char *before = fake_snapshot(tree), *after = NULL;

                if (!machineries[i].is_away) {
                        switch_to(tree, &machineries[i], MODE_PASSTHROUGH);
                        switch_to(tree, &machineries[i], MODE_HOST);
                        fake_remove(tree->root, "etc/vfiopt/state"); /* a memory, not a trace */
                        after = fake_snapshot(tree);
                        assert_true(fake_snapshot_equal(before, after));
                }
                fake_tree_free(tree);
        }
}

static void in_passthrough_every_function_is_fenced_and_a_guest_can_start(void **state _unused_) {
        static const char *const functions[] = { GPU_A, "0000:01:00.1", "0000:01:00.2",
                "0000:01:00.3" };
        FakeTree *tree = scenario_machine(&machineries[0], MODE_PASSTHROUGH);

        switch_to(tree, &machineries[0], MODE_PASSTHROUGH);
        for (size_t i = 0; i < ARRAY_SIZE(functions); ++i) {
                assert_driver(tree, functions[i], "vfio-pci");
                assert_attribute(tree, functions[i], "driver_override", "vfio-pci");
        }
        assert_true(fake_exists(tree->root, "dev/vfio/12"));
        assert_int_equal(pci_model_guest_start(tree, 12), 0);
        pci_model_guest_stop(tree, 12);
        fake_tree_free(tree);
}

static void an_identical_card_beside_it_is_not_touched(void **state _unused_) {
        FakeTree *tree = fake_tree_new();

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
        fake_gpu_add(tree, GPU_B, .group = 13, .driver = "nvidia");
        assert_int_equal(scenario_switch(tree, MODE_PASSTHROUGH, GPU_B).result, SWITCH_DONE);
        assert_int_equal(scenario_switch(tree, MODE_HOST, GPU_B).result, SWITCH_DONE);
        for (unsigned int i = 0; i < writes_count(tree->machine, ACT_ANY); ++i) {
                assert_null(strstr(tree->machine->writes[i].path, "0000:01:00"));
                assert_null(strstr(tree->machine->writes[i].value, "0000:01:00"));
        }
        fake_tree_free(tree);
}

static void who_is_there_already_is_left_alone(void **state _unused_) {
        static const Mode modes[] = { MODE_HOST, MODE_PASSTHROUGH };

        for (size_t i = 0; i < ARRAY_SIZE(modes); ++i) {
                FakeTree *tree = scenario_machine(&machineries[0], MODE_PASSTHROUGH);
                Outcome outcome;

                if (modes[i] == MODE_PASSTHROUGH)
                        switch_to(tree, &machineries[0], MODE_PASSTHROUGH);
                writes_clear(tree->machine);
                outcome = scenario_switch(tree, modes[i], GPU_A);
                assert_int_equal(outcome.result, SWITCH_DONE);
                assert_true(scenario_was_told(&outcome, EVENT_NOTHING));
                assert_int_equal(writes_count(tree->machine, ACT_ANY), 0);
                fake_tree_free(tree);
        }
}

static void half_a_card_on_vfio_is_completed_or_taken_back(void **state _unused_) {
        static const struct {
                Mode to;
                const char *gpu, *audio;
        } cases[] = {
                { MODE_PASSTHROUGH, "vfio-pci", "vfio-pci" },
                { MODE_HOST, "nvidia", "snd_hda_intel" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                FakeTree *tree = fake_tree_new();

                fake_standard_drivers(tree);
                fake_gpu_add(tree, GPU_A, .functions = 1, .group = 12, .driver = "nvidia");
                fake_device_add(tree, "0000:01:00.1", .vendor = 0x10de, .class = 0x040300,
                                .group = 12, .driver = "vfio-pci", .override = "vfio-pci");
                assert_int_equal(scenario_switch(tree, cases[i].to, GPU_A).result, SWITCH_DONE);
                assert_driver(tree, GPU_A, cases[i].gpu);
                assert_driver(tree, "0000:01:00.1", cases[i].audio);
                fake_tree_free(tree);
        }
}

/* Number of open files of this process. */
static unsigned int count_fds(void) {
        unsigned int n = 0;
        DIR *dir = opendir("/proc/self/fd");

        assert_non_null(dir);
        while (readdir(dir))
                ++n;
        closedir(dir);
        return n;
}

static void no_file_is_left_open_and_no_child_behind(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_PASSTHROUGH);
        unsigned int n = count_fds();
        Outcome outcome;

        for (int round = 0; round < 2; ++round) {
                outcome = scenario_switch_here(tree, MODE_PASSTHROUGH, GPU_A);
                assert_int_equal(outcome.result, SWITCH_DONE);
                outcome = scenario_switch_here(tree, MODE_HOST, GPU_A);
                assert_int_equal(outcome.result, SWITCH_DONE);
        }
        assert_int_equal(count_fds(), n);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        fake_tree_free(tree);
}

static void a_variant_driver_wins_over_vfio_pci(void **state _unused_) {
        FakeTree *tree = fake_tree_new();

        fake_standard_drivers(tree);
        fake_module_add(tree, .name = "nvgrace_gpu_vfio_pci",
                        .aliases = { "vfio_pci:v000010DEd00002342sv*" },
                        .driver = { .name = "nvgrace_gpu_vfio_pci",
                                        .is_vfio = true,
                                        .shares_dma = true,
                                        .waits = true });
        fake_gpu_add(tree, GPU_A, .functions = 1, .device = 0x2342, .group = 12, .is_3d = true,
                        .driver = "nvidia");
        assert_int_equal(scenario_switch(tree, MODE_PASSTHROUGH, GPU_A).result, SWITCH_DONE);
        assert_driver(tree, GPU_A, "nvgrace_gpu_vfio_pci");
        assert_int_equal(scenario_switch(tree, MODE_HOST, GPU_A).result, SWITCH_DONE);
        assert_driver(tree, GPU_A, "nvidia");
        fake_tree_free(tree);
}

static size_t count_remembered_functions(FakeTree *tree) {
        State now = STATE_NULL;
        size_t n;

        assert_int_equal(state_load(&now, tree->roots.etc_fd), 0);
        assert_int_equal(now.n_entries, 1);
        n = now.entries[0].n_functions;
        state_deinit(&now);
        return n;
}

static void what_a_card_is_made_of_is_remembered_with_its_mode(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_PASSTHROUGH);
        Outcome outcome;

        /* An older version has written this. */
        fake_write(tree->root, "etc/vfiopt/state",
                        "{\"version\":1,\"gpus\":[{\"address\":\"" GPU_A "\",\"id\":\"10de:2d04\","
                        "\"subsystem\":\"1043:5678\",\"mode\":\"host\"}]}\n");
        assert_int_equal(count_remembered_functions(tree), 0);
        outcome = scenario_switch(tree, MODE_HOST, GPU_A);
        assert_true(scenario_was_told(&outcome, EVENT_NOTHING));
        assert_int_equal(count_remembered_functions(tree), 4);

        assert_int_equal(scenario_switch(tree, MODE_PASSTHROUGH, GPU_A).result, SWITCH_DONE);
        fake_device_remove(tree, "0000:01:00.3");
        assert_int_equal(scenario_switch(tree, MODE_PASSTHROUGH, GPU_A).result, SWITCH_DONE);
        assert_int_equal(count_remembered_functions(tree), 3);
        fake_tree_free(tree);
}

static void a_look_at_what_would_be_done_does_nothing(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_PASSTHROUGH);
        _cleanup_(freep) char *before = fake_snapshot(tree), *after = NULL;

        assert_true(scenario_preview(tree, MODE_PASSTHROUGH, GPU_A) > 13); /* steps */
        assert_int_equal(scenario_preview(tree, MODE_HOST, GPU_A), 0);
        after = fake_snapshot(tree);
        assert_true(fake_snapshot_equal(before, after));
        assert_int_equal(writes_count(tree->machine, ACT_ANY), 0);
        fake_tree_free(tree);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(many_rounds_leave_nothing_behind),
                cmocka_unit_test(a_card_is_the_same_before_and_after),
                cmocka_unit_test(in_passthrough_every_function_is_fenced_and_a_guest_can_start),
                cmocka_unit_test(an_identical_card_beside_it_is_not_touched),
                cmocka_unit_test(who_is_there_already_is_left_alone),
                cmocka_unit_test(half_a_card_on_vfio_is_completed_or_taken_back),
                cmocka_unit_test(no_file_is_left_open_and_no_child_behind),
                cmocka_unit_test(a_variant_driver_wins_over_vfio_pci),
                cmocka_unit_test(what_a_card_is_made_of_is_remembered_with_its_mode),
                cmocka_unit_test(a_look_at_what_would_be_done_does_nothing),
        };

        return cmocka_run_group_tests_name("scenario/round", tests, NULL, NULL);
}
