/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Scenario: Corners
 *
 * Two things at once: a move that was interrupted or fails, and a machine that has changed
 * before it is recovered or rolled back.
 */

#include <unistd.h>

#include "lib/pci-model.h"
#include "record/state.h"
#include "reference.h"

#define AUDIO_A  "0000:01:00.1"
#define RECORD_A "run/vfiopt/gpu/" GPU_A "-10de-2d04-1043-5678.json"
#define STATE    "etc/vfiopt/state"

/* A person asks, and is patient; a test that asks as another says so. */
static int person_setup(void **state _unused_) {
        scenario_trigger = TRIGGER_COMMAND;
        scenario_automatic = false;
        return 0;
}

static int person_teardown(void **state) {
        scenario_be_impatient(false);
        return person_setup(state);
}

#define corner_test(fn) cmocka_unit_test_setup_teardown(fn, person_setup, person_teardown)

static void ask_as_agent(void) {
        scenario_trigger = TRIGGER_AGENT;
        scenario_automatic = true;
}

/* Function 0 without a driver and without anything remembered. */
static FakeTree *machine_without_host_driver(void) {
        FakeTree *tree = fake_tree_new();

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .group = 12);
        return tree;
}

static void bind_by_hand(FakeTree *tree, const char *function, const char *driver) {
        char path[FAKE_PATH_MAX];

        fake_path(path, "bus/pci/devices/%s/driver_override", function);
        assert_int_equal(sysfs_write(fake_sysfs(tree), path, driver), 0);
        fake_path(path, "bus/pci/drivers/%s/bind", driver);
        (void) !sysfs_write(fake_sysfs(tree), path, function);
}

static void lose_module(FakeTree *tree, const char *name) {
        MachineModule *module = machine_find_module(tree->machine, name);

        assert_non_null(module);
        memset(module, 0, sizeof(*module));
        strcpy(module->name, "gone");
}

/* Start a switch that is killed at a write, and leave nothing behind that would do so again. */
#define switch_killed(tree, mode, ...)                        \
        do {                                                  \
                Outcome killed_;                              \
                faults_add((tree)->machine, __VA_ARGS__);     \
                killed_ = scenario_switch(tree, mode, GPU_A); \
                assert_true(killed_.killed);                  \
                wait_for_children();                          \
                faults_clear((tree)->machine);                \
        } while (0)

#define assert_result(outcome, expected)                      \
        do {                                                  \
                assert_int_equal((outcome).r, 0);             \
                assert_int_equal((outcome).result, expected); \
        } while (0)

static void assert_bound(FakeTree *tree, const char *function) {
        char driver[MACHINE_NAME_MAX];

        fake_device_driver(tree, function, driver);
        if (!strcmp(driver, "-"))
                fail_msg("%s is without a driver", function);
}

/* The audio function hangs in vfio's remove(): NVIDIA's driver must not get function 0 meanwhile. */
static void function_0_stays_until_its_siblings_have_left(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[4], MODE_HOST);
        Outcome outcome;

        scenario_be_impatient(true);
        faults_add(tree->machine, .kind = FAULT_BLOCK, .act = ACT_UNBIND, .device = AUDIO_A);
        outcome = scenario_switch(tree, MODE_HOST, GPU_A);
        assert_result(outcome, SWITCH_STUCK);
        assert_driver(tree, GPU_A, "vfio-pci");

        scenario_be_impatient(false);
        machine_open_gate(tree->machine);
        wait_for_children();
        fake_tree_free(tree);
}

/* To have had no driver, at boot or before the host's was loaded, is not to belong without one. */
static void no_driver_is_no_home(void **state _unused_) {
        static const Trigger triggers[] = { TRIGGER_BOOT, TRIGGER_AGENT };

        for (size_t i = 0; i < ARRAY_SIZE(triggers); ++i) {
                FakeTree *tree = machine_without_host_driver();

                scenario_trigger = triggers[i];
                assert_result(scenario_switch(tree, MODE_PASSTHROUGH, GPU_A), SWITCH_DONE);
                assert_driver(tree, GPU_A, "vfio-pci");
                scenario_trigger = TRIGGER_COMMAND;
                assert_result(scenario_switch(tree, MODE_HOST, GPU_A), SWITCH_DONE);
                assert_bound(tree, GPU_A);
                fake_tree_free(tree);
        }
}

static void no_driver_is_no_home_after_a_kill(void **state _unused_) {
        FakeTree *tree = machine_without_host_driver();

        scenario_trigger = TRIGGER_BOOT;
        switch_killed(tree, MODE_PASSTHROUGH, .kind = FAULT_KILL_AFTER, .act = ACT_BIND,
                        .device = GPU_A);
        scenario_trigger = TRIGGER_AGENT;
        (void) scenario_switch(tree, MODE_PASSTHROUGH, GPU_A);
        scenario_trigger = TRIGGER_COMMAND;
        assert_result(scenario_switch(tree, MODE_HOST, GPU_A), SWITCH_DONE);
        assert_bound(tree, GPU_A);
        fake_tree_free(tree);
}

/* The agent undoes what was interrupted. Nobody has said that the GPU belongs there. */
static void undoing_is_no_wish(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_PASSTHROUGH);

        switch_killed(tree, MODE_PASSTHROUGH, .kind = FAULT_KILL_BEFORE, .act = ACT_UNBIND,
                        .device = GPU_A);
        assert_false(fake_exists(tree->root, STATE));
        ask_as_agent();
        (void) scenario_switch(tree, MODE_HOST, GPU_A);
        assert_driver(tree, GPU_A, "nvidia");
        assert_false(fake_exists(tree->root, STATE));
        fake_tree_free(tree);
}

/* What a person has written is replaced for a person only. */
static void agent_leaves_a_damaged_state_file(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_PASSTHROUGH);

        switch_killed(tree, MODE_PASSTHROUGH, .kind = FAULT_KILL_BEFORE, .act = ACT_UNBIND,
                        .device = GPU_A);
        fake_write(tree->root, STATE, "{ \"version\": 1, \"gpus\": [ oops ] }");
        ask_as_agent();
        (void) scenario_switch(tree, MODE_HOST, GPU_A);
        assert_false(fake_exists(tree->root, STATE ".damaged"));
        assert_true(fake_exists(tree->root, STATE));
        fake_tree_free(tree);
}

/* The module is gone before the move is finished: there is no way there, and none is remembered. */
static void recovery_without_a_vfio_driver(void **state _unused_) {
        FakeTree *tree = machine_without_host_driver();
        Outcome outcome;

        switch_killed(tree, MODE_PASSTHROUGH, .kind = FAULT_KILL_BEFORE, .act = ACT_LOAD);
        lose_module(tree, "vfio_pci");
        outcome = scenario_switch(tree, MODE_PASSTHROUGH, GPU_A);
        assert_int_equal(outcome.r, 0);
        assert_int_not_equal(outcome.result, SWITCH_DONE);
        assert_false(fake_exists(tree->root, STATE));
        fake_tree_free(tree);
}

/* A record that is not understood was there for a reason: the move is finished all the same. */
static void damaged_record_half_way_home(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_HOST);
        Outcome outcome;

        switch_killed(tree, MODE_HOST, .kind = FAULT_KILL_BEFORE, .act = ACT_BIND, .device = GPU_A);
        assert_true(fake_exists(tree->root, RECORD_A));
        fake_write(tree->root, RECORD_A, "damaged");
        outcome = scenario_switch(tree, MODE_HOST, GPU_A);
        assert_int_equal(outcome.r, 0);
        assert_bound(tree, GPU_A);
        fake_tree_free(tree);
}

/* To load vfio-pci must not put the audio function there while NVIDIA's driver has function 0. */
static void loading_takes_no_sibling_along(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_PASSTHROUGH);
        char card[MACHINE_NAME_MAX], audio[MACHINE_NAME_MAX];

        assert_int_equal(sysfs_write(fake_sysfs(tree), "bus/pci/drivers/snd_hda_intel/unbind",
                                         AUDIO_A),
                        0);
        assert_int_equal(sysfs_write(fake_sysfs(tree),
                                         "bus/pci/devices/" AUDIO_A "/driver_override", "vfio-pci"),
                        0);
        switch_killed(tree, MODE_PASSTHROUGH, .kind = FAULT_KILL_AFTER, .act = ACT_LOAD);
        fake_device_driver(tree, GPU_A, card);
        fake_device_driver(tree, AUDIO_A, audio);
        assert_false(!strcmp(card, "nvidia") && !strcmp(audio, "vfio-pci"));
        fake_tree_free(tree);
}

/* It came from a driver for vfio that is not among those found for it. Back is back there. */
static void rolled_back_to_the_driver_it_came_from(void **state _unused_) {
        FakeTree *tree = fake_tree_new();
        Outcome outcome;

        fake_standard_drivers(tree);
        lose_module(tree, "vfio_pci");
        fake_module_add(tree, .name = "variant_vfio",
                        .driver = { .name = "variant-vfio", .is_vfio = true, .shares_dma = true });
        fake_module_load(tree, "variant_vfio");
        fake_gpu_add(tree, GPU_A, .functions = 1, .group = 12);
        bind_by_hand(tree, GPU_A, "variant-vfio");
        assert_driver(tree, GPU_A, "variant-vfio");

        faults_add(tree->machine, .kind = FAULT_PROBE, .driver = "nvidia", .error = -EIO);
        outcome = scenario_switch(tree, MODE_HOST, GPU_A);
        assert_result(outcome, SWITCH_FAILED);
        assert_driver(tree, GPU_A, "variant-vfio");
        fake_tree_free(tree);
}

/* A driver that is found by its alias alone does not take the GPU: back is where it had one. */
static void no_driver_at_home_is_no_success(void **state _unused_) {
        FakeTree *tree = fake_tree_new();

        fake_standard_drivers(tree);
        lose_module(tree, "nvidia");
        fake_module_add(tree, .name = "nova_core", .aliases = { "pci:v000010DEd*bc03sc00i00*" },
                        .error = -EIO);
        fake_module_load(tree, "vfio_pci");
        fake_gpu_add(tree, GPU_A, .functions = 1, .group = 12);
        bind_by_hand(tree, GPU_A, "vfio-pci");
        assert_driver(tree, GPU_A, "vfio-pci");

        assert_result(scenario_switch(tree, MODE_HOST, GPU_A), SWITCH_FAILED);
        assert_driver(tree, GPU_A, "vfio-pci");
        assert_false(fake_exists(tree->root, STATE));
        fake_tree_free(tree);
}

/* Two writes are late, and one has come back: the other is the one that is waited for. */
static void one_of_two_late_writes_comes_back(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_PASSTHROUGH);
        MachineDevice *usb = machine_find_device(tree->machine, "0000:01:00.3");
        Outcome outcome;

        scenario_be_impatient(true);
        device_hold(usb);
        machine_find_driver(tree->machine, "nvidia-gpu")->waits = true;
        faults_add(tree->machine, .kind = FAULT_BLOCK, .act = ACT_UNBIND, .device = AUDIO_A);
        assert_result(scenario_switch(tree, MODE_PASSTHROUGH, GPU_A), SWITCH_STUCK);

        device_let_go(usb);
        outcome = scenario_switch(tree, MODE_HOST, GPU_A);
        assert_result(outcome, SWITCH_STUCK);
        assert_true(scenario_is_late(tree, GPU_A));

        machine_open_gate(tree->machine);
        wait_for_children();
        faults_clear(tree->machine);
        scenario_be_impatient(false);
        outcome = scenario_switch(tree, MODE_HOST, GPU_A);
        assert_int_equal(outcome.r, 0);
        assert_true(scenario_was_told(&outcome, EVENT_UNSTUCK));
        assert_driver(tree, GPU_A, "nvidia");
        fake_tree_free(tree);
}

/* By root, who has removed our directory while a job looks: the next job takes it for free. */
static void without_its_lock_no_card_is_written_to(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[3], MODE_PASSTHROUGH);
        Outcome outcome;
        Job *job;

        faults_add(tree->machine, .kind = FAULT_BLOCK, .at = 1);
        job = scenario_start(tree, MODE_PASSTHROUGH, NULL);
        assert_true(machine_wait_blocked(tree->machine, 1));
        fake_remove(tree->root, "run/vfiopt/lock/" GPU_B);
        machine_open_gate(tree->machine);
        outcome = scenario_finish(job);
        assert_int_equal(outcome.r, -ESTALE);
        assert_true(scenario_was_told(&outcome, EVENT_WARNING));
        assert_driver(tree, GPU_A, "vfio-pci");
        assert_driver(tree, GPU_B, "nvidia");
        assert_false(scenario_has_move(tree, GPU_B));
        assert_int_equal(scenario_switch(tree, MODE_PASSTHROUGH, NULL).result, SWITCH_DONE);
        assert_driver(tree, GPU_B, "vfio-pci");
        fake_tree_free(tree);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                corner_test(function_0_stays_until_its_siblings_have_left),
                corner_test(no_driver_is_no_home),
                corner_test(no_driver_is_no_home_after_a_kill),
                corner_test(undoing_is_no_wish),
                corner_test(agent_leaves_a_damaged_state_file),
                corner_test(recovery_without_a_vfio_driver),
                corner_test(damaged_record_half_way_home),
                corner_test(loading_takes_no_sibling_along),
                corner_test(rolled_back_to_the_driver_it_came_from),
                corner_test(no_driver_at_home_is_no_success),
                corner_test(one_of_two_late_writes_comes_back),
                cmocka_unit_test(without_its_lock_no_card_is_written_to),
        };

        return cmocka_run_group_tests_name("scenario/corners", tests, NULL, NULL);
}
