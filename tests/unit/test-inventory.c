/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test the Inventory
 */

#include "lib/test.h"

#include "model/inventory.h"

typedef struct Fixture {
        FakeTree *tree;
        Inventory inventory;
} Fixture;

static int inventory_setup(void **state) {
        static Fixture fixture;

        fixture = (Fixture){ .tree = fake_tree_new() };
        *state = &fixture;
        return 0;
}

static int inventory_teardown(void **state) {
        Fixture *fixture = *state;

        inventory_deinit(&fixture->inventory);
        fake_tree_free(fixture->tree);
        return 0;
}

#define inventory_test(fn) cmocka_unit_test_setup_teardown(fn, inventory_setup, inventory_teardown)

static Inventory *look(Fixture *fixture) {
        assert_int_equal(inventory_init(&fixture->inventory, &fixture->tree->roots), 0);
        return &fixture->inventory;
}

static void a_machine_without_gpus_has_none(void **state) {
        Fixture *fixture = *state;

        fake_device_add(fixture->tree, "0000:00:02.0", .vendor = 0x8086, .class = 0x030000);
        fake_device_add(fixture->tree, "0000:00:1f.3", .vendor = 0x8086, .class = 0x040300);
        assert_int_equal(look(fixture)->n_gpus, 0);
        assert_int_equal(fixture->inventory.displays.n, 1);
}

static void a_machine_without_pci_has_none(void **state) {
        Fixture *fixture = *state;

        fake_remove(fixture->tree->root, "sys/bus");
        assert_int_equal(look(fixture)->n_gpus, 0);
}

static void gpus_are_found_in_the_order_of_their_addresses(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, "0000:81:00.0", .functions = 2);
        fake_gpu_add(fixture->tree, "0000:02:00.0", .functions = 1);
        fake_gpu_add(fixture->tree, "10000:01:00.0", .functions = 1); /* sorts first as a name */
        fake_device_add(fixture->tree, "0000:03:00.0", .vendor = 0x1002, .class = 0x030000);

        assert_int_equal(look(fixture)->n_gpus, 3);
        assert_int_equal(fixture->inventory.gpus[0].address.bus, 0x02);
        assert_int_equal(fixture->inventory.gpus[1].address.bus, 0x81);
        assert_int_equal(fixture->inventory.gpus[1].n_functions, 2);
        assert_int_equal(fixture->inventory.gpus[2].address.domain, 0x10000);
        assert_int_equal(fixture->inventory.displays.n, 5); /* with the boot display */
}

static void the_boot_display_is_not_ours_beside_another_display(void **state) {
        static const struct {
                const char *nvidia_boot;
                bool other;
                bool ours;
        } cases[] = {
                { "0", true, true },
                { "1", true, false },
                { "1", false, true }, /* the only one: nobody else could be meant */
                { "0", false, true },
        };
        Fixture *fixture = *state;

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_gpu_add(fixture->tree, "0000:01:00.0", .functions = 1,
                                .boot_vga = cases[i].nvidia_boot);
                if (cases[i].other)
                        fake_device_add(fixture->tree, "0000:00:02.0", .vendor = 0x8086,
                                        .class = 0x030000, .boot_vga = "0");
                assert_int_equal(look(fixture)->n_gpus, 1);
                assert_int_equal(fixture->inventory.gpus[0].is_boot_display, !cases[i].ours);
                inventory_deinit(&fixture->inventory);
                fake_device_remove(fixture->tree, "0000:01:00.0");
                fake_device_remove(fixture->tree, "0000:00:02.0");
        }
}

static void a_card_without_a_display_is_ours(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, "0000:01:00.0", .functions = 1, .is_3d = true);
        fake_device_add(fixture->tree, "0000:00:02.0", .vendor = 0x8086, .class = 0x030000,
                        .boot_vga = "1");
        assert_false(look(fixture)->gpus[0].is_boot_display);
}

static void virtual_functions_are_neither_gpus_nor_displays(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, "0000:01:00.0", .functions = 1, .boot_vga = "1");
        fake_device_add(fixture->tree, "0000:01:01.0", .vendor = 0x10de, .class = 0x030200);
        fake_device_write(fixture->tree, "0000:01:01.0", "physfn/vendor", "0x10de");
        assert_int_equal(look(fixture)->n_gpus, 1);
        assert_int_equal(fixture->inventory.displays.n, 1);
}

static void a_gpu_can_be_named_in_many_ways(void **state) {
        static const struct {
                const char *selector;
                int r;
                uint8_t bus;
        } cases[] = {
                { "0000:01:00.0", 0, 1 },
                { "0000:01:00.1", 0, 1 },
                { "0000:01:00", 0, 1 },
                { "01:00", 0, 1 },
                { "02:00.0", 0, 2 },
                { "10de:2204", 0, 2 },
                { "10DE:2204", 0, 2 },
                { "10de:2d04", INVENTORY_E_AMBIGUOUS, 0 },
                { "10de:ffff", INVENTORY_E_NONE, 0 },
                { "10de:22eb", INVENTORY_E_NONE, 0 }, /* the audio function's */
                { "01:00.3", INVENTORY_E_NONE, 0 },   /* it has but two */
                { "04:00.0", INVENTORY_E_NONE, 0 },
                { "00:02.0", INVENTORY_E_NO_GPU, 0 },
                { "0001:01:00.0", INVENTORY_E_NONE, 0 },
                { "", INVENTORY_E_INVALID, 0 },
                { "nvidia", INVENTORY_E_INVALID, 0 },
                { "0000:01:00.0/../x", INVENTORY_E_INVALID, 0 },
                { "../../x", INVENTORY_E_INVALID, 0 },
                { "0000:01:00.0\n", INVENTORY_E_INVALID, 0 },
                { "01:00.8", INVENTORY_E_INVALID, 0 },
                { "01:20.0", INVENTORY_E_INVALID, 0 },
        };
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, "0000:01:00.0", .functions = 2);
        fake_gpu_add(fixture->tree, "0000:02:00.0", .functions = 1, .device = 0x2204);
        fake_gpu_add(fixture->tree, "0000:03:00.0", .functions = 1);
        fake_device_add(fixture->tree, "0000:00:02.0", .vendor = 0x8086, .class = 0x030000);
        look(fixture);

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                Gpu *gpu = NULL;

                assert_int_equal(inventory_select(&fixture->inventory, fake_sysfs(fixture->tree),
                                                 cases[i].selector, &gpu),
                                cases[i].r);
                if (cases[i].r)
                        assert_null(gpu);
                else
                        assert_int_equal(gpu->address.bus, cases[i].bus);
        }
}

static void the_boot_display_can_still_be_named(void **state) {
        Fixture *fixture = *state;
        Gpu *gpu = NULL;

        fake_gpu_add(fixture->tree, "0000:01:00.0", .functions = 1, .boot_vga = "1");
        fake_device_add(fixture->tree, "0000:00:02.0", .vendor = 0x8086, .class = 0x030000);
        look(fixture);
        assert_int_equal(inventory_select(&fixture->inventory, fake_sysfs(fixture->tree), "01:00",
                                         &gpu),
                        0);
        assert_true(gpu->is_boot_display);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                inventory_test(a_machine_without_gpus_has_none),
                inventory_test(a_machine_without_pci_has_none),
                inventory_test(gpus_are_found_in_the_order_of_their_addresses),
                inventory_test(the_boot_display_is_not_ours_beside_another_display),
                inventory_test(a_card_without_a_display_is_ours),
                inventory_test(virtual_functions_are_neither_gpus_nor_displays),
                inventory_test(a_gpu_can_be_named_in_many_ways),
                inventory_test(the_boot_display_can_still_be_named),
        };

        return cmocka_run_group_tests_name("model/inventory", tests, NULL, NULL);
}
