/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Scenario: Refusals
 *
 * What is in the way is found before the first write, and nothing is changed.
 */

#include "harness.h"
#include "record/state.h"

static void no_iommu(FakeTree *tree) {
        fake_gpu_add(tree, GPU_A, .driver = "nvidia");
}

static void stranger_in_the_group(FakeTree *tree) {
        fake_driver_add(tree, .name = "nvme", .match = { "pci:*bc01sc08*" });
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
        fake_device_add(tree, "0000:03:00.0", .vendor = 0x144d, .class = 0x010802, .group = 12,
                        .driver = "nvme");
}

static void one_of_two_in_a_group(FakeTree *tree) {
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
        fake_gpu_add(tree, GPU_B, .group = 12, .driver = "nvidia");
}

static void noiommu_mode(FakeTree *tree) {
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
        fake_write(tree->root, "sys/kernel/iommu_groups/12/name", "vfio-noiommu\n");
}

static void virtual_functions(FakeTree *tree) {
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
        fake_device_write(tree, GPU_A, "virtfn0/vendor", "0x10de");
}

static void boot_display(FakeTree *tree) {
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia", .boot_vga = "1");
}

static void lit_display(FakeTree *tree) {
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
        fake_drm_add(tree, GPU_A, 0, "HDMI-A-1");
        fake_device_write(tree, GPU_A, "drm/card0/card0-HDMI-A-1/enabled", "enabled");
        fake_device_write(tree, GPU_A, "drm/card0/card0-HDMI-A-1/dpms", "On");
}

static void another_card_at_the_address(FakeTree *tree) {
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
        fake_write(tree->root, "etc/vfiopt/state",
                        "{\"version\":1,\"gpus\":[{\"address\":\"" GPU_A "\",\"id\":\"10de:2204\","
                        "\"subsystem\":\"1043:5678\",\"mode\":\"host\"}]}\n");
}

static void same_model_of_another_maker(FakeTree *tree) {
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
        fake_write(tree->root, "etc/vfiopt/state",
                        "{\"version\":1,\"gpus\":[{\"address\":\"" GPU_A "\",\"id\":\"10de:2d04\","
                        "\"subsystem\":\"1458:5678\",\"mode\":\"host\"}]}\n");
}

static void off_the_bus(FakeTree *tree) {
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
        fake_device_drop(tree, GPU_A);
}

static void driver_that_cannot_release(FakeTree *tree) {
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
        fake_module_load(tree, "nvidia_drm");
        fake_write(tree->root, "sys/module/nvidia/version", "550.163.01\n");
        fake_write(tree->root, "sys/module/nvidia_drm/parameters/modeset", "Y\n");
}

static void fell_off_in_the_log(FakeTree *tree) {
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
        fake_write(tree->root, "dev/kmsg",
                        "3,900,1,-;NVRM: Xid (PCI:" GPU_A "): 79, GPU has fallen off the bus.\n");
}

static void no_vfio_driver(FakeTree *tree) {
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
        machine_find_module(tree->machine, "vfio_pci")->aliases[0][0] = 0;
        strcpy(machine_find_module(tree->machine, "vfio_pci")->name, "nothing");
}

static void cuda(FakeTree *tree) {
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
        fake_cuda_add(tree, GPU_A);
}

static void usb_stick_on_the_card(FakeTree *tree) {
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
        fake_usb_add(tree, "0000:01:00.2", "1-2", "Mass Storage");
}

static void adapter_started_by_nobody_seen(FakeTree *tree) {
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
        fake_msi_add(tree, GPU_A, 40);
}

static const struct {
        const char *name;
        void (*build)(FakeTree *tree);
        SwitchResult result;
} to_passthrough[] = {
        { "no IOMMU", no_iommu, SWITCH_PRECONDITION },
        { "a stranger in the group", stranger_in_the_group, SWITCH_PRECONDITION },
        { "one of two in a group", one_of_two_in_a_group, SWITCH_PRECONDITION },
        { "noiommu mode", noiommu_mode, SWITCH_PRECONDITION },
        { "virtual functions", virtual_functions, SWITCH_PRECONDITION },
        { "boot display", boot_display, SWITCH_PRECONDITION },
        { "lit display", lit_display, SWITCH_PRECONDITION },
        { "another card", another_card_at_the_address, SWITCH_PRECONDITION },
        { "another maker", same_model_of_another_maker, SWITCH_PRECONDITION },
        { "off the bus", off_the_bus, SWITCH_PRECONDITION },
        { "fell off in the log", fell_off_in_the_log, SWITCH_PRECONDITION },
        { "cannot release", driver_that_cannot_release, SWITCH_PRECONDITION },
        { "no vfio driver", no_vfio_driver, SWITCH_PRECONDITION },
        { "CUDA", cuda, SWITCH_BUSY },
        { "USB stick", usb_stick_on_the_card, SWITCH_BUSY },
        { "started", adapter_started_by_nobody_seen, SWITCH_BUSY },
};

/* Refused, with nothing written, nothing left behind, and a reason. */
static unsigned int expect_refusal(
                FakeTree *tree, const char *name, Mode to, const char *gpu, SwitchResult result) {
        _cleanup_(freep) char *before = fake_snapshot(tree), *after = NULL;
        unsigned int n_wrong = 0;
        Outcome outcome;
        bool told;

        writes_clear(tree->machine);
        outcome = scenario_switch(tree, to, gpu);
        after = fake_snapshot(tree);
        told = scenario_was_told(&outcome, result == SWITCH_BUSY ? EVENT_BUSY : EVENT_PRECONDITION);
        if (outcome.r != 0 || outcome.result != result || !told || !outcome.told[0].reason[0])
                n_wrong = 1;
        if (writes_count(tree->machine, ACT_ANY) > 0 || !fake_snapshot_equal(before, after))
                n_wrong = 1;
        if (n_wrong)
                print_error("%s: %d, result %d, %u writes, %s\n", name, outcome.r, outcome.result,
                                writes_count(tree->machine, ACT_ANY), outcome.told[0].reason);
        return n_wrong;
}

static void what_is_in_the_way_of_leaving_is_found_first(void **state _unused_) {
        unsigned int n_wrong = 0;

        for (size_t i = 0; i < ARRAY_SIZE(to_passthrough); ++i) {
                FakeTree *tree = fake_tree_new();

                fake_standard_drivers(tree);
                to_passthrough[i].build(tree);
                n_wrong += expect_refusal(tree, to_passthrough[i].name, MODE_PASSTHROUGH, GPU_A,
                                to_passthrough[i].result);
                fake_tree_free(tree);
        }
        assert_int_equal(n_wrong, 0);
}

static void a_card_that_fell_off_the_bus_stays_where_it_is(void **state _unused_) {
        FakeTree *tree = scenario_machine(&machineries[0], MODE_HOST);

        fake_device_drop(tree, GPU_A);
        assert_int_equal(expect_refusal(tree, "off the bus", MODE_HOST, GPU_A, SWITCH_PRECONDITION),
                        0);
        fake_tree_free(tree);
}

static void one_of_several_that_cannot_move_keeps_all_where_they_are(void **state _unused_) {
        FakeTree *tree = fake_tree_new();

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
        fake_gpu_add(tree, GPU_B, .group = 13, .driver = "nvidia");
        fake_cuda_add(tree, GPU_B);
        assert_int_equal(expect_refusal(tree, "both", MODE_PASSTHROUGH, NULL, SWITCH_BUSY), 0);
        fake_tree_free(tree);
}

static void a_state_file_that_is_not_understood_is_set_aside(void **state _unused_) {
        static const char *const contents[] = { "nonsense", "{\"version\":3,\"gpus\":[]}\n",
                "{\"version\":1,\"gpus\":[{\"address\":\"x\"}]}\n" };

        for (size_t i = 0; i < ARRAY_SIZE(contents); ++i) {
                FakeTree *tree = scenario_machine(&machineries[0], MODE_PASSTHROUGH);
                State now = STATE_NULL;
                Outcome outcome;
                char line[256];

                fake_write(tree->root, "etc/vfiopt/state", "%s", contents[i]);
                outcome = scenario_switch(tree, MODE_PASSTHROUGH, GPU_A);
                assert_int_equal(outcome.result, SWITCH_DONE);
                assert_true(scenario_was_told(&outcome, EVENT_WARNING));
                assert_true(fake_read(tree->root, "etc/vfiopt/state.damaged", line, sizeof(line)));
                assert_int_equal(strncmp(line, contents[i], strlen(line)), 0);
                assert_int_equal(state_load(&now, tree->roots.etc_fd), 0);
                assert_int_equal(now.n_entries, 1);
                state_deinit(&now);

                outcome = scenario_switch(tree, MODE_HOST, GPU_A);
                assert_int_equal(outcome.result, SWITCH_DONE);
                assert_false(scenario_was_told(&outcome, EVENT_WARNING));
                fake_tree_free(tree);
        }
}

/* Its drivers are loaded by the real root after the boot's job: it knows that without any file. */
static void the_boot_knows_where_the_driver_comes_from(void **state _unused_) {
        static const struct {
                Trigger trigger;
                const char *mode, *conf, *hint;
                bool built_in;
        } cases[] = {
                { TRIGGER_BOOT, "passthrough", "", "nvidia had it before vfiopt-boot.service, so ",
                                false },
                { TRIGGER_BOOT, "passthrough", "MODULES=(nvidia)",
                                "nvidia had it before vfiopt-boot.service, as ", false },
                { TRIGGER_AGENT, "passthrough", "MODULES=(nvidia)",
                                "nvidia seems to come first at each boot", false },
                { TRIGGER_AGENT, "passthrough", "", NULL, false },
                { TRIGGER_BOOT, "passthrough", "", NULL, true },
                { TRIGGER_COMMAND, "host", "MODULES=(nvidia)", NULL, false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                FakeTree *tree = fake_tree_new();
                Outcome outcome;

                fake_standard_drivers(tree);
                fake_gpu_add(tree, GPU_A, .group = 12, .driver = "nvidia");
                fake_cuda_add(tree, GPU_A);
                fake_write(tree->root, "etc/mkinitcpio.conf", "%s\n", cases[i].conf);
                fake_write(tree->root, "etc/vfiopt/state",
                                "{\"version\":1,\"gpus\":[{\"address\":\"" GPU_A
                                "\",\"id\":\"10de:2d04\",\"subsystem\":\"1043:5678\","
                                "\"mode\":\"%s\"}]}\n",
                                cases[i].mode);
                if (!cases[i].built_in)
                        fake_write(tree->root, "sys/module/nvidia/initstate", "live\n");
                scenario_trigger = cases[i].trigger;
                outcome = scenario_switch(tree, MODE_PASSTHROUGH, GPU_A);
                scenario_trigger = TRIGGER_COMMAND;
                assert_int_equal(outcome.result, SWITCH_BUSY);
                assert_int_equal(outcome.n_told, 1);
                if (cases[i].hint)
                        assert_non_null(strstr(outcome.told[0].reason, cases[i].hint));
                else
                        assert_null(strstr(outcome.told[0].reason, "boot"));
                fake_tree_free(tree);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_boot_knows_where_the_driver_comes_from),
                cmocka_unit_test(what_is_in_the_way_of_leaving_is_found_first),
                cmocka_unit_test(a_card_that_fell_off_the_bus_stays_where_it_is),
                cmocka_unit_test(one_of_several_that_cannot_move_keeps_all_where_they_are),
                cmocka_unit_test(a_state_file_that_is_not_understood_is_set_aside),
        };

        return cmocka_run_group_tests_name("scenario/refusals", tests, NULL, NULL);
}
