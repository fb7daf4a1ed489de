/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test GPUs
 */

#include "lib/test.h"

#include "model/gpu.h"

#define NAME "0000:01:00.0"

static const Address address = { 0, 1, 0, 0 };

static void a_gpu_is_all_functions_of_its_slot(void **state) {
        FakeTree *tree = *state;
        Gpu gpu;

        fake_standard_drivers(tree);
        fake_gpu_add(tree, NAME, .group = 12, .driver = "nvidia");
        fake_gpu_add(tree, "0000:02:00.0", .group = 13, .driver = "nvidia");

        /* whichever of its functions is asked for */
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), (Address){ 0, 1, 0, 2 }), 0);
        assert_int_equal(address_compare(gpu.address, address), 0);
        assert_int_equal(gpu.n_functions, 4);
        for (uint8_t i = 0; i < 4; ++i)
                assert_int_equal(gpu.functions[i].address.function, i);
        assert_string_equal(gpu.functions[1].driver, "snd_hda_intel");
        assert_ptr_equal(gpu_find_function(&gpu, (Address){ 0, 1, 0, 3 }), &gpu.functions[3]);
        assert_null(gpu_find_function(&gpu, (Address){ 0, 1, 0, 4 }));
        assert_null(gpu_find_function(&gpu, (Address){ 0, 2, 0, 0 }));
        gpu_deinit(&gpu);
}

static void functions_need_not_be_without_gaps(void **state) {
        FakeTree *tree = *state;
        Gpu gpu;

        fake_gpu_add(tree, NAME, .functions = 1);
        fake_device_add(tree, "0000:01:00.7", .vendor = 0x10de, .class = 0x0c8000);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_int_equal(gpu.n_functions, 2);
        assert_int_equal(gpu.functions[1].address.function, 7);
        gpu_deinit(&gpu);
}

static void the_whole_slot_is_ours_but_for_virtual_functions(void **state) {
        FakeTree *tree = *state;
        Gpu gpu;

        fake_gpu_add(tree, NAME, .functions = 1);
        fake_device_add(tree, "0000:01:00.1", .vendor = 0x8086, .class = 0x040300);
        fake_device_add(tree, "0000:01:00.4", .vendor = 0x10de, .class = 0x030200);
        fake_device_write(tree, "0000:01:00.4", "physfn/vendor", "0x10de");
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_int_equal(gpu.n_functions, 2);
        assert_int_equal(gpu.functions[1].identity.vendor, 0x8086);
        gpu_deinit(&gpu);
}

static void what_is_no_nvidia_display_function_is_no_gpu(void **state) {
        static const struct {
                uint16_t vendor;
                uint32_t class;
                int r;
        } cases[] = {
                { 0x10de, 0x030000, 0 },
                { 0x10de, 0x030200, 0 },
                { 0x10de, 0x030001, 0 },          /* another interface of VGA */
                { 0x10de, 0x038000, GPU_E_NONE }, /* other display device */
                { 0x10de, 0x068000, GPU_E_NONE }, /* NVSwitch */
                { 0x10de, 0x040300, GPU_E_NONE },
                { 0x1002, 0x030000, GPU_E_NONE },
                { 0x8086, 0x030000, GPU_E_NONE },
        };
        FakeTree *tree = *state;
        Gpu gpu;

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_device_add(tree, NAME, .vendor = cases[i].vendor, .class = cases[i].class);
                assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), cases[i].r);
                gpu_deinit(&gpu);
                fake_device_remove(tree, NAME);
        }
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), GPU_E_NONE);
}

static void a_gpu_without_function_0_is_none(void **state) {
        FakeTree *tree = *state;
        Gpu gpu;

        fake_device_add(tree, "0000:01:00.1", .vendor = 0x10de, .class = 0x030000);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), GPU_E_NONE);
        assert_int_equal(gpu.n_functions, 0);
}

static void the_mode_is_what_sysfs_shows(void **state) {
        static const struct {
                const char *drivers[3];
                Mode mode;
        } cases[] = {
                { { "nvidia", "snd_hda_intel", "xhci_hcd" }, MODE_HOST },
                { { NULL, NULL, NULL }, MODE_HOST },
                { { "nvidia", NULL, NULL }, MODE_HOST },
                { { "vfio-pci", "vfio-pci", "vfio-pci" }, MODE_PASSTHROUGH },
                { { "vfio-pci", "vfio-pci", NULL }, MODE_MIXED },
                { { NULL, NULL, "vfio-pci" }, MODE_MIXED },
                { { "nvidia", "vfio-pci", "vfio-pci" }, MODE_MIXED },
                { { "vfio-pci", "snd_hda_intel", "vfio-pci" }, MODE_MIXED },
        };
        static const char *const names[] = { NAME, "0000:01:00.1", "0000:01:00.2" };
        static const uint32_t classes[] = { 0x030000, 0x040300, 0x0c0330 };
        FakeTree *tree = *state;
        Gpu gpu;

        fake_standard_drivers(tree);
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                for (size_t k = 0; k < 3; ++k) {
                        const char *driver = cases[i].drivers[k];

                        /* "none" keeps away the drivers that are loaded already */
                        fake_device_add(tree, names[k], .vendor = 0x10de, .class = classes[k],
                                        .group = 12, .driver = driver,
                                        .override = driver ?: "none");
                }
                assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
                assert_int_equal(gpu.n_functions, 3);
                assert_int_equal(gpu.mode, cases[i].mode);
                gpu_deinit(&gpu);
                for (size_t k = 0; k < 3; ++k)
                        fake_device_remove(tree, names[k]);
        }
}

static void only_two_modes_can_be_asked_for(void **state _unused_) {
        static const struct {
                const char *s;
                int r;
                Mode mode;
        } cases[] = {
                { "host", 0, MODE_HOST },
                { "passthrough", 0, MODE_PASSTHROUGH },
                { "unset", -EINVAL, 0 },
                { "mixed", -EINVAL, 0 },
                { "Host", -EINVAL, 0 },
                { "", -EINVAL, 0 },
                { "host ", -EINVAL, 0 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                Mode mode = _MODE_MAX;

                assert_int_equal(mode_from_string(cases[i].s, &mode), cases[i].r);
                assert_int_equal(mode, cases[i].r ? _MODE_MAX : cases[i].mode);
        }
        assert_string_equal(mode_to_string(MODE_UNSET), "unset");
        assert_string_equal(mode_to_string(MODE_HOST), "host");
        assert_string_equal(mode_to_string(MODE_PASSTHROUGH), "passthrough");
        assert_string_equal(mode_to_string(MODE_MIXED), "mixed");
        assert_string_equal(mode_to_string(_MODE_MAX), "unknown");
}

static void a_wish_is_fulfilled_by_its_mode_alone(void **state _unused_) {
        for (Mode mode = MODE_HOST; mode < _MODE_MAX; ++mode) {
                assert_true(mode_fulfils(MODE_UNSET, mode));
                assert_int_equal(mode_fulfils(MODE_HOST, mode), mode == MODE_HOST);
                assert_int_equal(mode_fulfils(MODE_PASSTHROUGH, mode), mode == MODE_PASSTHROUGH);
        }
}

static void gpus_of_one_group_share_it(void **state) {
        FakeTree *tree = *state;
        Gpu gpus[4];

        fake_gpu_add(tree, "0000:01:00.0", .functions = 2, .group = 1);
        fake_gpu_add(tree, "0000:02:00.0", .functions = 2, .group = 2);
        fake_gpu_add(tree, "0000:03:00.0", .functions = 1, .group = 3);
        fake_device_add(tree, "0000:03:00.1", .vendor = 0x10de, .class = 0x040300, .group = 1);
        fake_gpu_add(tree, "0000:04:00.0", .functions = 1);
        for (size_t i = 0; i < ARRAY_SIZE(gpus); ++i)
                assert_int_equal(gpu_init(&gpus[i], fake_sysfs(tree),
                                                 (Address){ .bus = (uint8_t) (i + 1) }),
                                0);

        assert_true(gpu_shares_group(&gpus[0], &gpus[0]));
        assert_false(gpu_shares_group(&gpus[0], &gpus[1]));
        assert_true(gpu_shares_group(&gpus[0], &gpus[2]));
        assert_true(gpu_shares_group(&gpus[2], &gpus[0]));
        assert_false(gpu_shares_group(&gpus[1], &gpus[2]));
        /* No group is none that is shared. */
        assert_false(gpu_shares_group(&gpus[3], &gpus[3]));

        for (size_t i = 0; i < ARRAY_SIZE(gpus); ++i)
                gpu_deinit(&gpus[i]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(a_gpu_is_all_functions_of_its_slot),
                tree_test(functions_need_not_be_without_gaps),
                tree_test(the_whole_slot_is_ours_but_for_virtual_functions),
                tree_test(what_is_no_nvidia_display_function_is_no_gpu),
                tree_test(a_gpu_without_function_0_is_none),
                tree_test(the_mode_is_what_sysfs_shows),
                tree_test(gpus_of_one_group_share_it),
                cmocka_unit_test(only_two_modes_can_be_asked_for),
                cmocka_unit_test(a_wish_is_fulfilled_by_its_mode_alone),
        };

        return cmocka_run_group_tests_name("model/gpu", tests, NULL, NULL);
}
