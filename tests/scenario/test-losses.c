/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Scenario: Losses
 *
 * The card falls off the bus, or is pulled out, at each write of a switch; or a
 * driver refuses it for good. What can be kept safe is, and all is said.
 */

#include "reference.h"

/* On the way home, settings and overrides are put back behind the last look at the card. */
static bool is_behind_the_last_look(const FakeTree *tree, unsigned int k) {
        ActKind kind = tree->machine->writes[k - 1].kind;
        bool unbound = false;

        for (unsigned int i = 0; i + 1 < k; ++i)
                unbound = unbound || tree->machine->writes[i].kind == ACT_UNBIND;
        return unbound && (kind == ACT_OVERRIDE || kind == ACT_POWER || kind == ACT_D3COLD);
}

static void fall_off(Reference *reference, unsigned int k) {
        FakeTree *tree = scenario_machine(reference->machinery, reference->to);
        Outcome outcome;

        faults_add(tree->machine, .kind = FAULT_OFF_BUS, .at = k);
        outcome = scenario_switch(tree, reference->to, reference->machinery->gpu);
        if (outcome.killed || outcome.r != 0 ||
                        (outcome.result != SWITCH_DONE && outcome.result != SWITCH_FAILED))
                wrong(reference, tree, k, &outcome, "ends in another way");
        /* The functions of a card are behind one link: it is asked at the first. */
        if (outcome.result == SWITCH_DONE && !is_behind_the_last_look(tree, k) &&
                        strstr(tree->machine->writes[k - 1].path, ":00.0"))
                wrong(reference, tree, k, &outcome, "is said to be done");
        if (outcome.result == SWITCH_FAILED && !scenario_was_told(&outcome, EVENT_ROLLED_BACK) &&
                        !scenario_was_told(&outcome, EVENT_ROLLBACK_FAILED))
                wrong(reference, tree, k, &outcome, "fails, and nobody was told");
        fake_tree_free(tree);
}

static void a_card_that_falls_off_the_bus_is_not_said_to_be_moved(void **state _unused_) {
        assert_int_equal(for_each_point(fall_off), 0);
}

static void pull_out(Reference *reference, unsigned int k) {
        FakeTree *tree;
        Outcome outcome;

        if (reference->machinery != &machineries[0])
                return;

        tree = scenario_machine(reference->machinery, reference->to);
        faults_add(tree->machine, .kind = FAULT_UNPLUG, .at = k);
        outcome = scenario_switch(tree, reference->to, reference->machinery->gpu);
        if (outcome.killed || outcome.result == SWITCH_STUCK ||
                        (outcome.r == 0 && outcome.result == SWITCH_DONE &&
                                        tree->machine->writes[k - 1].kind != ACT_LOAD))
                wrong(reference, tree, k, &outcome, "ends in another way");

        /* It is put back, comes up as at boot, and can be moved. */
        faults_clear(tree->machine);
        fake_slot_remove(tree, GPU_A);
        reference->machinery->build(tree);
        outcome = scenario_switch(tree, MODE_PASSTHROUGH, GPU_A);
        if (outcome.r != 0 || outcome.result != SWITCH_DONE)
                wrong(reference, tree, k, &outcome, "cannot be moved when it is back");
        outcome = scenario_switch(tree, MODE_HOST, GPU_A);
        if (outcome.r != 0 || outcome.result != SWITCH_DONE)
                wrong(reference, tree, k, &outcome, "cannot come home when it is back");
        fake_tree_free(tree);
}

static void a_card_that_was_pulled_out_can_be_put_back(void **state _unused_) {
        assert_int_equal(for_each_point(pull_out), 0);
}

static void a_function_that_vfio_refuses_takes_all_back(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_PASSTHROUGH);
        _cleanup_(freep) char *before = fake_snapshot(tree), *after = NULL;
        Outcome outcome;

        faults_add(tree->machine, .kind = FAULT_PROBE, .driver = "vfio-pci",
                        .device = "0000:01:00.2", .error = -EIO);
        outcome = scenario_switch(tree, MODE_PASSTHROUGH, GPU_A);
        assert_int_equal(outcome.result, SWITCH_FAILED);
        assert_true(scenario_was_told(&outcome, EVENT_ROLLED_BACK));
        after = fake_snapshot(tree);
        assert_true(fake_snapshot_equal(before, after));
        fake_tree_free(tree);
}

static void a_host_driver_that_refuses_leaves_the_card_safe_on_vfio(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_HOST);
        _cleanup_(freep) char *before = fake_snapshot(tree), *after = NULL;
        Outcome outcome;

        faults_add(tree->machine, .kind = FAULT_PROBE, .driver = "nvidia", .error = -EIO);
        outcome = scenario_switch(tree, MODE_HOST, GPU_A);
        assert_int_equal(outcome.result, SWITCH_FAILED);
        assert_true(scenario_was_told(&outcome, EVENT_ROLLED_BACK));
        after = fake_snapshot(tree);
        assert_true(fake_snapshot_equal(before, after));

        faults_clear(tree->machine);
        assert_int_equal(scenario_switch(tree, MODE_HOST, GPU_A).result, SWITCH_DONE);
        assert_driver(tree, GPU_A, "nvidia");
        fake_tree_free(tree);
}

/* Home again, the audio function fails, and the driver of the card cannot let go of it any more. */
static void a_driver_that_cannot_let_go_is_not_asked_to_on_the_way_back(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_HOST);
        Outcome outcome;

        fake_write(tree->root, "sys/module/nvidia/version", "550.163.01\n");
        fake_write(tree->root, "sys/module/nvidia_drm/parameters/modeset", "Y\n");
        faults_add(tree->machine, .kind = FAULT_PROBE, .driver = "snd_hda_intel", .error = -EIO);
        outcome = scenario_switch(tree, MODE_HOST, GPU_A);
        assert_int_equal(outcome.result, SWITCH_FAILED);
        assert_true(scenario_was_told(&outcome, EVENT_ROLLBACK_FAILED));
        assert_driver(tree, GPU_A, "nvidia");
        assert_true(scenario_has_move(tree, GPU_A));

        faults_clear(tree->machine);
        assert_int_equal(scenario_switch(tree, MODE_HOST, GPU_A).result, SWITCH_DONE);
        assert_driver(tree, "0000:01:00.1", "snd_hda_intel");
        fake_tree_free(tree);
}

/* Cut off half-way; then another card is put into the slot. */
static void what_was_begun_with_one_card_is_not_finished_with_another(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_PASSTHROUGH);
        Outcome outcome;

        faults_add(tree->machine, .kind = FAULT_KILL_BEFORE, .act = ACT_BIND);
        assert_true(scenario_switch(tree, MODE_PASSTHROUGH, GPU_A).killed);
        wait_for_children();
        faults_clear(tree->machine);
        fake_slot_remove(tree, GPU_A);
        fake_gpu_add(tree, GPU_A, .group = 12, .device = 0x1e04, .driver = "nvidia");
        writes_clear(tree->machine);

        outcome = scenario_switch(tree, MODE_HOST, GPU_A);
        assert_int_equal(outcome.result, SWITCH_DONE);
        assert_true(scenario_was_told(&outcome, EVENT_NOTHING));
        assert_false(scenario_was_told(&outcome, EVENT_RECOVERED));
        assert_int_equal(writes_count(tree->machine, ACT_ANY), 0);
        assert_false(scenario_has_move(tree, GPU_A));

        /* The first one again: its move is still known, and over with the next one. */
        fake_slot_remove(tree, GPU_A);
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
        fake_remove(tree->root, "etc/vfiopt/state");
        assert_true(scenario_has_move(tree, GPU_A));
        outcome = scenario_switch(tree, MODE_HOST, GPU_A);
        assert_int_equal(outcome.result, SWITCH_DONE);
        assert_true(scenario_was_told(&outcome, EVENT_RECOVERED));
        assert_false(scenario_has_move(tree, GPU_A));
        assert_driver(tree, GPU_A, "nvidia");
        fake_tree_free(tree);
}

static void a_card_that_neither_side_takes_keeps_its_fence(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_PASSTHROUGH);
        Outcome outcome;

        faults_add(tree->machine, .kind = FAULT_PROBE, .device = GPU_A, .error = -EIO);
        outcome = scenario_switch(tree, MODE_PASSTHROUGH, GPU_A);
        assert_int_equal(outcome.result, SWITCH_FAILED);
        assert_true(scenario_was_told(&outcome, EVENT_ROLLBACK_FAILED));
        assert_driver(tree, GPU_A, "-");
        assert_true(scenario_has_move(tree, GPU_A));

        faults_clear(tree->machine);
        outcome = scenario_switch(tree, MODE_HOST, GPU_A);
        assert_int_equal(outcome.result, SWITCH_DONE);
        assert_true(scenario_was_told(&outcome, EVENT_RECOVERED));
        assert_driver(tree, GPU_A, "nvidia");
        assert_false(scenario_has_move(tree, GPU_A));
        fake_tree_free(tree);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_card_that_falls_off_the_bus_is_not_said_to_be_moved),
                cmocka_unit_test(a_card_that_was_pulled_out_can_be_put_back),
                cmocka_unit_test(a_function_that_vfio_refuses_takes_all_back),
                cmocka_unit_test(a_host_driver_that_refuses_leaves_the_card_safe_on_vfio),
                cmocka_unit_test(a_driver_that_cannot_let_go_is_not_asked_to_on_the_way_back),
                cmocka_unit_test(what_was_begun_with_one_card_is_not_finished_with_another),
                cmocka_unit_test(a_card_that_neither_side_takes_keeps_its_fence),
        };

        return cmocka_run_group_tests_name("scenario/losses", tests, NULL, NULL);
}
