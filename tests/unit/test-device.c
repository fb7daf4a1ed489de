/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test PCI Devices
 */

#include "lib/test.h"

#include "base/text.h"

#include "model/device.h"

#define NAME "0000:01:00.0"

static const Address address = { 0, 1, 0, 0 };

static void the_facts_of_a_device_are_read(void **state) {
        FakeTree *tree = *state;
        Device device;

        fake_standard_drivers(tree);
        fake_gpu_add(tree, NAME, .group = 12, .driver = "nvidia", .boot_vga = "1");
        assert_int_equal(device_init(&device, fake_sysfs(tree), address), 0);
        assert_int_equal(address_compare(device.address, address), 0);
        assert_int_equal(device.identity.vendor, 0x10de);
        assert_int_equal(device.identity.device, 0x2d04);
        assert_int_equal(device.identity.subsystem_vendor, 0x1043);
        assert_int_equal(device.identity.subsystem_device, 0x5678);
        assert_int_equal(device.class, 0x030000);
        assert_string_equal(device.driver, "nvidia");
        assert_string_equal(
                        device.modalias, "pci:v000010DEd00002D04sv00001043sd00005678bc03sc00i00");
        assert_int_equal(device.iommu_group, 12);
        assert_int_equal(device.boot_vga, 1);
        assert_false(device.is_virtual);
        assert_false(device.has_virtual);
        device_deinit(&device);
        assert_null(device.driver);
        device_deinit(&device);
}

static void what_a_device_does_not_have_is_said_so(void **state) {
        FakeTree *tree = *state;
        Device device;

        fake_device_add(tree, NAME, .vendor = 0x8086, .class = 0x020000);
        assert_int_equal(device_init(&device, fake_sysfs(tree), address), 0);
        assert_null(device.driver);
        assert_int_equal(device.iommu_group, -1);
        assert_int_equal(device.boot_vga, -1);
        device_deinit(&device);
}

static void a_device_that_is_not_there_is_gone(void **state) {
        FakeTree *tree = *state;
        Device device;

        assert_int_equal(device_init(&device, fake_sysfs(tree), address), DEVICE_E_GONE);
        assert_null(device.driver);
        assert_null(device.modalias);
}

static void each_id_is_needed(void **state) {
        static const char *const needed[] = { "vendor", "device", "subsystem_vendor",
                "subsystem_device", "class", "modalias" };
        FakeTree *tree = *state;
        char path[FAKE_PATH_MAX];
        Device device;

        fake_standard_drivers(tree);
        for (size_t i = 0; i < ARRAY_SIZE(needed); ++i) {
                fake_gpu_add(tree, NAME, .functions = 1, .driver = "nvidia");
                fake_remove(tree->root,
                                fake_path(path, "sys/bus/pci/devices/" NAME "/%s", needed[i]));
                assert_int_equal(device_init(&device, fake_sysfs(tree), address), DEVICE_E_GONE);
                fake_device_remove(tree, NAME);
        }
}

static void nonsense_in_sysfs_is_an_error(void **state) {
        static const struct {
                const char *attribute;
                const char *value;
        } cases[] = {
                { "vendor", "nvidia" },
                { "device", "0x12345" },
                { "class", "0x1000000" },
                { "boot_vga", "2" },
        };
        FakeTree *tree = *state;
        Device device;

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_gpu_add(tree, NAME, .functions = 1);
                fake_device_write(tree, NAME, cases[i].attribute, cases[i].value);
                assert_int_equal(device_init(&device, fake_sysfs(tree), address), -EBADMSG);
                fake_device_remove(tree, NAME);
        }
}

static void virtual_functions_are_known_by_their_links(void **state) {
        FakeTree *tree = *state;
        Device device;

        fake_gpu_add(tree, NAME, .functions = 1);
        fake_device_add(tree, "0000:01:00.4", .vendor = 0x10de, .class = 0x030200);
        fake_link(tree->root, "sys/devices/pci0000:01/0000:01:00.4",
                        "sys/devices/pci0000:01/" NAME "/virtfn0");
        fake_link(tree->root, "sys/devices/pci0000:01/" NAME,
                        "sys/devices/pci0000:01/0000:01:00.4/physfn");

        assert_int_equal(device_init(&device, fake_sysfs(tree), address), 0);
        assert_true(device.has_virtual);
        assert_false(device.is_virtual);
        device_deinit(&device);
        assert_int_equal(device_init(&device, fake_sysfs(tree), (Address){ 0, 1, 0, 4 }), 0);
        assert_true(device.is_virtual);
        assert_false(device.has_virtual);
        device_deinit(&device);
}

static void mediated_devices_count_once_one_exists(void **state) {
        FakeTree *tree = *state;
        Device device;

        fake_gpu_add(tree, NAME, .functions = 1);
        fake_device_write(tree, NAME, "mdev_supported_types/nvidia-256/name", "GRID");
        assert_int_equal(device_init(&device, fake_sysfs(tree), address), 0);
        assert_false(device.has_virtual);
        device_deinit(&device);

        fake_device_write(tree, NAME, "e5e2-uuid/mdev_type/name", "GRID");
        assert_int_equal(device_init(&device, fake_sysfs(tree), address), 0);
        assert_true(device.has_virtual);
        device_deinit(&device);
}

static void an_override_is_read_as_the_kernel_prints_it(void **state) {
        static const struct {
                const char *value;
                const char *override;
        } cases[] = {
                { "(null)", NULL },
                { "", NULL },
                { "vfio-pci", "vfio-pci" },
                { "none", "none" },
        };
        FakeTree *tree = *state;

        fake_gpu_add(tree, NAME, .functions = 1);
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                _cleanup_(freep) char *override = NULL;

                fake_device_write(tree, NAME, "driver_override", cases[i].value);
                assert_int_equal(device_read_override(fake_sysfs(tree), address, &override), 0);
                if (cases[i].override)
                        assert_string_equal(override, cases[i].override);
                else
                        assert_null(override);
        }
}

static void an_override_of_nothing_is_gone(void **state) {
        FakeTree *tree = *state;
        char *override = (char *) "untouched";

        assert_int_equal(device_read_override(fake_sysfs(tree), address, &override), DEVICE_E_GONE);
        assert_string_equal(override, "untouched");
}

static void all_ones_mean_that_it_fell_off_the_bus(void **state) {
        FakeTree *tree = *state;
        bool on_bus = false;

        fake_gpu_add(tree, NAME, .functions = 1);
        assert_int_equal(device_is_on_bus(fake_sysfs(tree), address, &on_bus), 0);
        assert_true(on_bus);
        fake_device_drop(tree, NAME);
        assert_int_equal(device_is_on_bus(fake_sysfs(tree), address, &on_bus), 0);
        assert_false(on_bus);
}

static void a_configuration_space_that_is_cut_short_is_an_error(void **state) {
        FakeTree *tree = *state;
        bool on_bus = true;

        fake_gpu_add(tree, NAME, .functions = 1);
        fake_write_bytes(tree->root, "sys/bus/pci/devices/" NAME "/config", "\xff\xff\xff", 3);
        assert_int_equal(device_is_on_bus(fake_sysfs(tree), address, &on_bus), -EIO);
        fake_device_remove(tree, NAME);
        assert_int_equal(device_is_on_bus(fake_sysfs(tree), address, &on_bus), DEVICE_E_GONE);
        assert_true(on_bus);
}

static void vfios_drivers_are_those_on_its_core(void **state) {
        FakeTree *tree = *state;
        Sysfs *sysfs = fake_sysfs(tree);

        fake_standard_drivers(tree);
        fake_module_add(tree, .name = "nvgrace_gpu_vfio_pci",
                        .driver = { .name = "nvgrace-gpu-vfio-pci", .is_vfio = true });
        fake_module_load(tree, "vfio_pci");
        fake_module_load(tree, "nvgrace_gpu_vfio_pci");
        fake_module_load(tree, "snd_hda_intel");

        assert_true(driver_is_vfio(sysfs, "vfio-pci"));
        assert_true(driver_is_vfio(sysfs, "nvgrace-gpu-vfio-pci"));
        assert_false(driver_is_vfio(sysfs, "snd_hda_intel"));
        assert_false(driver_is_vfio(sysfs, "pcieport")); /* built in, no module */
        assert_false(driver_is_vfio(sysfs, "nouveau"));  /* not there */
        assert_true(driver_is_vfio(sysfs, "virtio-vfio-pci"));
        assert_true(driver_is_vfio(sysfs, "mlx5_vfio_pci"));
        assert_false(driver_is_vfio(sysfs, NULL));
}

static void inert_drivers_leave_the_groups_dma_alone(void **state) {
        static const struct {
                const char *driver;
                bool inert;
        } cases[] = {
                { NULL, true },
                { "vfio-pci", true },
                { "pci-stub", true },
                { "pcieport", true },
                { "nvidia", false },
                { "snd_hda_intel", false },
        };
        FakeTree *tree = *state;

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i)
                assert_int_equal(
                                driver_is_inert(fake_sysfs(tree), cases[i].driver), cases[i].inert);
}

static void ids_are_four_digits_each(void **state _unused_) {
        static const struct {
                const char *id;
                int r;
        } cases[] = {
                { "10de:2204", 0 },
                { "10DE:2204", 0 },
                { "10de:220", -EINVAL },
                { "10de:22041", -EINVAL },
                { "10de2204", -EINVAL },
                { "10de-2204", -EINVAL },
                { "0x10:2204", -EINVAL },
                { "10de:22 4", -EINVAL },
                { "", -EINVAL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                uint16_t vendor = 0x4711, device = 0x4711;

                assert_int_equal(identity_parse_id(cases[i].id, &vendor, &device), cases[i].r);
                assert_int_equal(vendor, cases[i].r ? 0x4711 : 0x10de);
                assert_int_equal(device, cases[i].r ? 0x4711 : 0x2204);
        }
}

static void an_identity_comes_back_as_it_was(void **state _unused_) {
        static const Identity identities[] = { { 0x10de, 0x2204, 0x1043, 0x87b3 }, {},
                { 0xffff, 0xffff, 0xffff, 0xffff } };

        for (size_t i = 0; i < ARRAY_SIZE(identities); ++i) {
                char id[IDENTITY_STRING_MAX], subsystem[IDENTITY_STRING_MAX];
                Identity back = { .vendor = 0x4711 };

                identity_format_id(identities[i], id);
                identity_format_subsystem(identities[i], subsystem);
                assert_int_equal(identity_parse_id(id, &back.vendor, &back.device), 0);
                assert_int_equal(identity_parse_id(subsystem, &back.subsystem_vendor,
                                                 &back.subsystem_device),
                                0);
                assert_true(identity_equal(back, identities[i]));
        }
}

static void every_part_makes_an_identity_another_one(void **state _unused_) {
        Identity a = { 1, 2, 3, 4 };

        assert_true(identity_equal(a, a));
        assert_false(identity_equal(a, (Identity){ 9, 2, 3, 4 }));
        assert_false(identity_equal(a, (Identity){ 1, 9, 3, 4 }));
        assert_false(identity_equal(a, (Identity){ 1, 2, 9, 4 }));
        assert_false(identity_equal(a, (Identity){ 1, 2, 3, 9 }));
}

static void no_name_is_too_long_for_a_path(void **state _unused_) {
        char name[256], path[DEVICE_PATH_MAX];

        memset(name, 'x', 255);
        name[255] = 0;
        assert_true(text_ends_with(driver_path(name, "unbind", path), "x/unbind"));
        assert_int_equal(strlen(path), strlen("bus/pci/drivers//unbind") + 255);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(no_name_is_too_long_for_a_path),
                tree_test(the_facts_of_a_device_are_read),
                tree_test(what_a_device_does_not_have_is_said_so),
                tree_test(a_device_that_is_not_there_is_gone),
                tree_test(each_id_is_needed),
                tree_test(nonsense_in_sysfs_is_an_error),
                tree_test(virtual_functions_are_known_by_their_links),
                tree_test(mediated_devices_count_once_one_exists),
                tree_test(an_override_is_read_as_the_kernel_prints_it),
                tree_test(an_override_of_nothing_is_gone),
                tree_test(all_ones_mean_that_it_fell_off_the_bus),
                tree_test(a_configuration_space_that_is_cut_short_is_an_error),
                tree_test(vfios_drivers_are_those_on_its_core),
                tree_test(inert_drivers_leave_the_groups_dma_alone),
                cmocka_unit_test(ids_are_four_digits_each),
                cmocka_unit_test(an_identity_comes_back_as_it_was),
                cmocka_unit_test(every_part_makes_an_identity_another_one),
        };

        return cmocka_run_group_tests_name("model/device", tests, NULL, NULL);
}
