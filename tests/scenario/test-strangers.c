/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Scenario: Strangers
 *
 * Lines of modprobe.d that others have written for vfio-pci.
 */

#include "harness.h"
#include "lib/pci-model.h"
#include "policy/policy.h"
#include "record/pin.h"

/* It runs for everybody else, and would have an override on each card, as such scripts do. */
static void a_script_in_the_place_of_vfio_pci_is_not_run(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_PASSTHROUGH);
        Outcome outcome;

        fake_write(tree->root, "etc/modprobe.d/local.conf",
                        "install vfio-pci /sbin/vfio-override.sh\n");
        machine_find_module(tree->machine, "vfio_pci")->has_script = true;
        outcome = scenario_switch(tree, MODE_PASSTHROUGH, GPU_A);
        assert_int_equal(outcome.result, SWITCH_DONE);
        assert_true(scenario_was_told(&outcome, EVENT_WARNING));
        for (unsigned int i = 0; i < outcome.n_told; ++i)
                if (outcome.told[i].kind == EVENT_WARNING)
                        assert_string_equal(outcome.told[i].reason,
                                        "vfio_pci is loaded without running /etc/modprobe.d/local.conf:1: "
                                        "install vfio_pci /sbin/vfio-override.sh: that may be about other cards");
        fake_tree_free(tree);
}

/* One that loads nothing was put there to keep vfio away, and that is respected. */
static void a_line_that_keeps_vfio_pci_away_is_respected(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_PASSTHROUGH);
        Outcome outcome;

        fake_write(tree->root, "etc/modprobe.d/local.conf", "install vfio_pci /bin/false\n");
        machine_find_module(tree->machine, "vfio_pci")->has_script = true;
        outcome = scenario_switch(tree, MODE_PASSTHROUGH, GPU_A);
        assert_int_equal(outcome.result, SWITCH_PRECONDITION);
        assert_int_equal(outcome.n_told, 1);
        assert_string_equal(outcome.told[0].reason,
                        "module vfio_pci, its driver for guests, is kept from loading by "
                        "/etc/modprobe.d/local.conf:1: install vfio_pci /bin/false; remove that line");
        assert_driver(tree, GPU_A, "nvidia");
        fake_tree_free(tree);
}

/* What it does is not known before, but it is named when the module is not there. */
static void a_script_in_the_place_of_a_host_driver_is_named(void **state _unused_) {
        for (unsigned int i = 0; i < 2; ++i) {
                FakeTree *tree = fake_tree_new();
                MachineModule *module;
                Outcome outcome;

                fake_standard_drivers(tree);
                fake_module_load(tree, "vfio_pci");
                fake_gpu_add(tree, GPU_A, .group = 12, .driver = "vfio-pci", .functions = 1);
                fake_write(tree->root, "etc/modprobe.d/local.conf",
                                "# eco\ninstall nvidia /opt/eco.sh\n");
                module = machine_find_module(tree->machine, "nvidia");
                module->has_script = true;
                module->script_succeeds = i == 1;
                outcome = scenario_switch(tree, MODE_HOST, GPU_A);
                assert_int_equal(outcome.result, SWITCH_FAILED);
                assert_string_equal(outcome.told[outcome.n_told - 1].reason,
                                i ? "could not load module nvidia: it is not there, as this was run in its place: "
                                    "/etc/modprobe.d/local.conf:2: install nvidia /opt/eco.sh"
                                  : "could not load module nvidia: No child processes; this was run in its place: "
                                    "/etc/modprobe.d/local.conf:2: install nvidia /opt/eco.sh");
                assert_driver(tree, GPU_A, "vfio-pci");
                fake_tree_free(tree);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_script_in_the_place_of_vfio_pci_is_not_run),
                cmocka_unit_test(a_line_that_keeps_vfio_pci_away_is_respected),
                cmocka_unit_test(a_script_in_the_place_of_a_host_driver_is_named),
        };

        return cmocka_run_group_tests_name("scenario/strangers", tests, NULL, NULL);
}
