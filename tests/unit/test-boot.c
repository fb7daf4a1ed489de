/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Whether a Boot Has Anything to Do
 *
 * A GPU at the host, where the state file has it, is no reason; each difference from that is one.
 */

#include "lib/test.h"

#include "base/text.h"
#include "policy/policy.h"

#define GPU_A "0000:01:00.0"
#define GPU_B "0000:02:00.0"

/* Two cards at the host, and both remembered; before udev, only one of their functions has a driver. */
static void add_cards(FakeTree *tree, Mode mode) {
        State remembered = STATE_NULL;
        Gpu gpu;

        fake_standard_drivers(tree);
        fake_write(tree->root, "proc/cmdline", "quiet\n");
        fake_gpu_add(tree, GPU_A, .group = 12);
        fake_gpu_add(tree, GPU_B, .group = 13, .driver = "nvidia");
        for (uint8_t bus = 1; bus <= 2; ++bus) {
                assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), (Address){ .bus = bus }), 0);
                assert_int_equal(state_set(&remembered, &gpu, bus == 1 ? mode : MODE_HOST), 0);
                gpu_deinit(&gpu);
        }
        assert_int_equal(state_save(&remembered, tree->roots.etc_fd), 0);
        state_deinit(&remembered);
}

static void assert_due(FakeTree *tree, bool due) {
        _cleanup_(freep) char *before = fake_snapshot(tree), *after = NULL;
        int r;

        r = policy_boot_is_due(&tree->roots);
        assert_in_range(r, 0, INT32_MAX);
        assert_int_equal(r > 0, due);
        after = fake_snapshot(tree);
        assert_string_equal(before, after);
        assert_int_equal(writes_count(tree->machine, ACT_ANY), 0);
}

static void where_all_is_as_remembered_nothing_is_due(void **state) {
        FakeTree *tree = *state;

        add_cards(tree, MODE_HOST);
        assert_due(tree, false);
        /* Our directories may be missing. */
        fake_remove(tree->root, "run/vfiopt");
        closep(&tree->roots.run_fd);
        tree->roots.run_fd = -1;
        assert_due(tree, false);
        /* A card that is not there is the host's, too. */
        fake_slot_remove(tree, GPU_A);
        assert_due(tree, false);
        fake_slot_remove(tree, GPU_B);
        assert_due(tree, false);
}

static void where_nothing_is_wanted_nothing_is_due(void **state) {
        static const char *const lines[] = { "vfiopt.mode=off", "quiet" };
        FakeTree *tree = *state;

        add_cards(tree, MODE_PASSTHROUGH);
        for (size_t i = 0; i < ARRAY_SIZE(lines); ++i) {
                fake_write(tree->root, "proc/cmdline", "%s\n", lines[i]);
                fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "%s",
                                i == 0 ? "" : "[GPU 01:00]\nManaged=no\n");
                assert_due(tree, false);
        }
        fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nBootMode=unset\n");
        assert_due(tree, false);
        fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "# nothing\n");
        assert_due(tree, true);
}

/* What a file says, against a machine in which nothing else is due. */
static void each_word_that_is_not_the_state_files_is_a_reason(void **state _unused_) {
        static const struct {
                const char *path, *text;
        } cases[] = {
                { "proc/cmdline", "vfiopt.mode=host\n" },
                { "proc/cmdline", "vfiopt.mode=passthrough\n" },
                { "proc/cmdline", "vfiopt.mode=hots\n" },
                { "etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nBootMode=host\n" },
                { "etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nBootMode=passthrough\n" },
                { "etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nColour=green\n" },
                { "etc/vfiopt/vfiopt.conf/x", "" },
                { "etc/vfiopt/state", "{" },
                /* without functions */
                { "etc/vfiopt/state",
                                "{\"version\":1,\"gpus\":[{\"address\":\"" GPU_A
                                "\",\"id\":\"10de:2d04\",\"subsystem\":\"1043:5678\",\"mode\":\"host\"}]}\n" },
                /* another card */
                { "etc/vfiopt/state",
                                "{\"version\":1,\"gpus\":[{\"address\":\"" GPU_A
                                "\",\"id\":\"10de:1e04\",\"subsystem\":\"1043:5678\",\"mode\":\"host\"}]}\n" },
                /* at another address, like one in another slot, and a section for none */
                { "etc/vfiopt/state",
                                "{\"version\":2,\"gpus\":[{\"address\":\"0000:05:00.0\",\"location\":"
                                "\"0000:01/00.0\",\"id\":\"10de:2d04\",\"subsystem\":\"1043:5678\","
                                "\"mode\":\"host\"}]}\n" },
                { "etc/vfiopt/state",
                                "{\"version\":2,\"gpus\":[{\"address\":\"0000:05:00.0\",\"location\":"
                                "\"0000:05/00.0\",\"id\":\"10de:2d04\",\"subsystem\":\"1043:5678\","
                                "\"mode\":\"host\"}]}\n" },
                { "etc/vfiopt/vfiopt.conf", "[GPU 05:00]\n" },
                { "run/vfiopt/gpu/" GPU_A "-10de-2d04-1043-5678.json", "" },
                { "run/vfiopt/pins/" GPU_A "-0x10de-0x2d04-0x1043-0x5678", "" },
                { "run/vfiopt/lock/" GPU_A, "" },
                { "run/vfiopt/modprobe.conf", "" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                FakeTree *tree = fake_tree_new();

                add_cards(tree, MODE_HOST);
                assert_due(tree, false);
                fake_write(tree->root, cases[i].path, "%s", cases[i].text);
                assert_due(tree, true);
                fake_tree_free(tree);
        }
}

/* DefaultMode=host is remembered with the first boot. */
static void a_mode_that_is_not_remembered_is_a_reason(void **state) {
        FakeTree *tree = *state;

        add_cards(tree, MODE_HOST);
        fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "[vfiopt]\nDefaultMode=host\n");
        assert_due(tree, false);
        fake_remove(tree->root, "etc/vfiopt/state");
        assert_due(tree, true);
}

/* Once: the new address is remembered then. */
static void a_new_address_is_a_reason(void **state) {
        FakeTree *tree = *state;
        State remembered;

        add_cards(tree, MODE_HOST);
        assert_int_equal(state_load(&remembered, tree->roots.etc_fd), 0);
        remembered.entries[0].address.bus = 7;
        assert_int_equal(state_save(&remembered, tree->roots.etc_fd), 0);
        assert_due(tree, true);
        remembered.entries[0].address.bus = 1;
        assert_int_equal(state_save(&remembered, tree->roots.etc_fd), 0);
        assert_due(tree, false);
        /* As an older version has written it. */
        remembered.entries[0].location = (Location){};
        assert_int_equal(state_save(&remembered, tree->roots.etc_fd), 0);
        assert_due(tree, true);
        state_deinit(&remembered);
}

static void a_gpu_that_is_elsewhere_is_a_reason(void **state) {
        FakeTree *tree = *state;

        add_cards(tree, MODE_HOST);
        fake_slot_remove(tree, GPU_A);
        fake_gpu_add(tree, GPU_A, .group = 12, .driver = "vfio-pci");
        assert_due(tree, true);
        /* Whoever it belongs to: NVIDIA's modules may have to be left out. */
        fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nManaged=no\n");
        assert_due(tree, true);
}

static void a_card_that_is_to_be_pinned_is_a_reason(void **state) {
        FakeTree *tree = *state;

        add_cards(tree, MODE_PASSTHROUGH);
        assert_due(tree, true);
        fake_slot_remove(tree, GPU_A);
        assert_due(tree, true);
}

static void an_override_for_vfio_is_a_reason(void **state) {
        FakeTree *tree = *state;

        add_cards(tree, MODE_HOST);
        fake_device_write(tree, "0000:01:00.1", "driver_override", "pci-stub");
        assert_due(tree, false);
        fake_device_write(tree, "0000:01:00.1", "driver_override", "vfio-pci");
        assert_due(tree, true);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(where_all_is_as_remembered_nothing_is_due),
                tree_test(where_nothing_is_wanted_nothing_is_due),
                cmocka_unit_test(each_word_that_is_not_the_state_files_is_a_reason),
                tree_test(a_mode_that_is_not_remembered_is_a_reason),
                tree_test(a_new_address_is_a_reason),
                tree_test(a_gpu_that_is_elsewhere_is_a_reason),
                tree_test(a_card_that_is_to_be_pinned_is_a_reason),
                tree_test(an_override_for_vfio_is_a_reason),
        };

        return cmocka_run_group_tests_name("policy/boot", tests, NULL, NULL);
}
