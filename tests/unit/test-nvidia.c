/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test NVIDIA's Driver
 *
 * The texts are those of real releases, tabs and blanks included.
 */

#include "lib/test.h"

#include "base/text.h"
#include "model/nvidia.h"

#define GPU       "0000:01:00.0"
#define UUID      "GPU-d802726c-df8d-a3c3-ec53-48bdec201c27"
#define OTHER     "GPU-0102726c-df8d-a3c3-ec53-48bdec201c27"
#define UUID_NONE "GPU-\?\?\?\?\?\?\?\?-\?\?\?\?-\?\?\?\?-\?\?\?\?-\?\?\?\?\?\?\?\?\?\?\?\?"

static const Address address = { .bus = 1 };

/* versions */

static void what_is_no_version_releases_nothing(void **state _unused_) {
        static const char *const cases[] = { "", ".", "999", "999.", "999.94.", ".999.06",
                "999.94.06.1", "999..06", "999.94.06-1", "999.94.0x6", " 999.94.06", "999.94.06\n",
                "999.-94.06", "99999.94.06", "nvidia" };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i)
                assert_false(nvidia_version_releases_gpus(cases[i]));
}

static void one_gpu_can_be_released_by_some_versions(void **state _unused_) {
        static const struct {
                const char *version;
                bool expected;
        } cases[] = {
                { "0.0.0", false },
                { "390.157", false }, /* of two parts */
                { "999.1", true },
                { "590.44", false }, /* the third is 0 */
                { "590.45", true },
                { "575.999.99", false }, /* parts are compared, from the first */
                { "580.0.0", false },
                { "580.9.0", false }, /* as numbers, not as text */
                { "580.0105.008", true },
                { "535.261.03", false },
                { "550.163.01", false },
                { "575.64.05", false },
                { "580.65.06", false },
                { "580.82.09", false },
                { "580.94.03", false }, /* the developers' branch, before the change */
                { "580.94.06", true },
                { "580.94.18", true },
                { "580.95.05", false }, /* a higher number, and older */
                { "580.105.07", false },
                { "580.105.08", true },
                { "580.126.09", true },
                { "590.44.00", false },
                { "590.44.01", true },
                { "595.45.04", true },
                { "610.1.0", true },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i)
                if (nvidia_version_releases_gpus(cases[i].version) != cases[i].expected)
                        fail_msg("%s", cases[i].version);
}

/* the driver */

static void the_version_is_that_of_the_loaded_module(void **state) {
        _cleanup_(freep) char *version = NULL;
        FakeTree *tree = *state;

        assert_int_equal(nvidia_read_version(fake_sysfs(tree), &version), NVIDIA_E_MISSING);
        assert_null(version);

        fake_write(tree->root, "sys/module/nvidia/version", "580.105.08\n");
        assert_int_equal(nvidia_read_version(fake_sysfs(tree), &version), 0);
        assert_string_equal(version, "580.105.08");
}

static void the_gpus_of_the_driver_are_listed(void **state) {
        FakeTree *tree = *state;
        char **names = NULL;
        size_t n = 0;

        assert_int_equal(nvidia_list_gpus(tree->roots.proc_fd, &names, &n), NVIDIA_E_MISSING);
        assert_null(names);
        fake_write(tree->root, "proc/driver/nvidia/gpus/0000:01:00.0/information", "%s", "");
        fake_write(tree->root, "proc/driver/nvidia/gpus/0000:06:00.0/information", "%s", "");
        assert_int_equal(nvidia_list_gpus(tree->roots.proc_fd, &names, &n), 0);
        assert_int_equal(n, 2);
        strv_free(names);
}

static bool shows_start(FakeTree *tree) {
        bool shows = false;

        assert_int_equal(nvidia_shows_start(&tree->roots, (Address){ .bus = 1 }, &shows), 0);
        return shows;
}

static void a_start_shows_where_interrupts_by_message_are_known_to_be_on(void **state) {
        static const struct {
                const char *params, *line;
                bool expected;
        } cases[] = {
                { NULL, "quiet", false }, /* that is the default, but proves nothing */
                { "GpuInitOnProbe: 0\n", "quiet", false },
                { "EnableMSI: 1\nGpuInitOnProbe: 0\n", "quiet", true },
                { "EnableMSI: 0\n", "quiet", false },
                { "EnableMSI: 10\n", "quiet", false },
                { "EnableMSI: 1\n", "quiet pci=nomsi", false },
                { "EnableMSI: 1\n", "quiet pci=noaer", true },
        };
        FakeTree *tree = *state;

        fake_gpu_add(tree, GPU, .group = 12);
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                if (cases[i].params)
                        fake_write(tree->root, "proc/driver/nvidia/params", "%s", cases[i].params);
                fake_write(tree->root, "proc/cmdline", "%s\n", cases[i].line);
                assert_int_equal(shows_start(tree), cases[i].expected);
        }
        /* What cannot be read proves nothing. */
        fake_remove(tree->root, "proc/cmdline");
        assert_false(shows_start(tree));
        fake_write(tree->root, "proc/cmdline", "quiet\n");
        assert_true(shows_start(tree));
        fake_remove(tree->root, "proc/driver/nvidia/params");
        fake_make_dir(tree->root, "proc/driver/nvidia/params");
        assert_false(shows_start(tree));
}

/* Of the card, and of what it is behind. */
static void a_bridge_may_let_no_message_through(void **state) {
        static const char bridge[] = "sys/devices/pci0000:00/0000:00:01.0", bus[] = GPU;
        FakeTree *tree = *state;
        char path[FAKE_PATH_MAX], target[FAKE_PATH_MAX];

        fake_write(tree->root, "proc/driver/nvidia/params", "EnableMSI: 1\n");
        fake_write(tree->root, "proc/cmdline", "quiet\n");
        fake_write(tree->root, fake_path(path, "%s/msi_bus", bridge), "1\n");
        fake_write(tree->root, fake_path(path, "%s/%s/msi_bus", bridge, bus), "1\n");
        fake_link(tree->root, fake_path(target, "%s/%s", bridge, bus), "sys/bus/pci/devices/" GPU);
        assert_true(shows_start(tree));
        fake_write(tree->root, fake_path(path, "%s/msi_bus", bridge), "0\n");
        assert_false(shows_start(tree));
        fake_write(tree->root, path, "1\n");
        assert_true(shows_start(tree));

        fake_write(tree->root, fake_path(path, "%s/%s/msi_bus", bridge, bus), "0\n");
        assert_false(shows_start(tree));
        fake_remove(tree->root, path);
        assert_false(shows_start(tree));
        fake_make_dir(tree->root, path);
        assert_false(shows_start(tree));
}

static void modeset_is_on_only_where_the_module_says_so(void **state) {
        static const struct {
                const char *parameter;
                bool expected;
        } cases[] = { { "Y\n", true }, { "N\n", false }, { "", false } };
        FakeTree *tree = *state;
        bool modeset = true;

        assert_int_equal(nvidia_read_modeset(fake_sysfs(tree), &modeset), 0);
        assert_false(modeset);

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_write(tree->root, "sys/module/nvidia_drm/parameters/modeset", "%s",
                                cases[i].parameter);
                modeset = !cases[i].expected;
                assert_int_equal(nvidia_read_modeset(fake_sysfs(tree), &modeset), 0);
                assert_int_equal(modeset, cases[i].expected);
        }
}

static void the_driver_may_start_gpus_by_itself(void **state) {
        static const struct {
                const char *params;
                bool expected;
        } cases[] = {
                { "EnableMSI: 1\nGpuInitOnProbe: 1\nRegisterPCIDriver: 1\n", true },
                { "EnableMSI: 1\nGpuInitOnProbe: 0\n", false },
                { "GpuInitOnProbe: 11\n", false },
                { "XGpuInitOnProbe: 1\n", false },
                { "EnableMSI: 1\n", false },
                { "", false },
        };
        FakeTree *tree = *state;
        bool starts = true;

        assert_int_equal(nvidia_starts_on_probe(tree->roots.proc_fd, &starts), 0);
        assert_false(starts);

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_write(tree->root, "proc/driver/nvidia/params", "%s", cases[i].params);
                starts = !cases[i].expected;
                assert_int_equal(nvidia_starts_on_probe(tree->roots.proc_fd, &starts), 0);
                assert_int_equal(starts, cases[i].expected);
        }
}

/* one GPU */

static void information_tells_minor_and_uuid(void **state) {
        static const struct {
                const char *text;
                int minor;
                const char *uuid;
        } cases[] = {
                /* 550, in use */
                { "Model: \t\t NVIDIA GeForce RTX 3090\nIRQ:   \t\t 20\nGPU UUID: \t " UUID "\n"
                  "Video BIOS: \t 94.02.42.00.a9\nBus Type: \t PCIe\nDMA Size: \t 47 bits\n"
                  "Bus Location: \t " GPU "\nDevice Minor: \t 3\nGPU Firmware: \t N/A\n"
                  "GPU Excluded:\t No\n",
                                3, UUID },
                /* 550, never started */
                { "GPU UUID: \t " UUID_NONE "\nBus Location: \t " GPU "\nDevice Minor: \t 0\n", 0,
                                NULL },
                /* 595, never started: there is no such line */
                { "Model: \t\t NVIDIA\nBus Location: \t " GPU "\nDevice Minor: \t 247\n", 247,
                                NULL },
                { "GPU UUID: \t " UUID "\n", -1, UUID },
                { "Device Minor: \t 248\n", -1, NULL },
                { "Device Minor: \t 1x\n", -1, NULL },
                { "Device Minor: \t \n", -1, NULL },
                { "My Device Minor: \t 1\n", -1, NULL },
                { "GPU UUID: GPU-d802726c\n", -1, NULL },
                { "GPU UUID: MIG-d802726c-df8d-a3c3-ec53-48bdec201c27\n", -1, NULL },
                { "Device Minor: 5", 5, NULL },
                { "", -1, NULL },
        };
        FakeTree *tree = *state;

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                _cleanup_(freep) char *uuid = NULL;
                int number = 99;

                fake_write(tree->root, "proc/driver/nvidia/gpus/" GPU "/information", "%s",
                                cases[i].text);
                assert_int_equal(nvidia_read_gpu(tree->roots.proc_fd, address, &number, &uuid), 0);
                assert_int_equal(number, cases[i].minor);
                if (cases[i].uuid)
                        assert_string_equal(uuid, cases[i].uuid);
                else
                        assert_null(uuid);
        }
}

static void a_gpu_that_the_driver_does_not_know_is_missing(void **state) {
        FakeTree *tree = *state;
        char *uuid = NULL;
        int number = 99;

        fake_write(tree->root, "proc/driver/nvidia/gpus/0000:02:00.0/information",
                        "Device Minor: \t 0\n");
        assert_int_equal(nvidia_read_gpu(tree->roots.proc_fd, address, &number, &uuid),
                        NVIDIA_E_MISSING);
        assert_int_equal(number, 99);
        assert_null(uuid);
}

static void interrupts_mean_started_and_their_empty_directory_does_not(void **state) {
        FakeTree *tree = *state;
        bool started = true;

        fake_device_add(tree, GPU, .vendor = 0x10de, .class = 0x030000);
        assert_int_equal(nvidia_is_started(fake_sysfs(tree), address, &started), 0);
        assert_false(started);

        fake_msi_add(tree, GPU, 42);
        assert_int_equal(nvidia_is_started(fake_sysfs(tree), address, &started), 0);
        assert_true(started);

        fake_remove(tree->root, "sys/bus/pci/devices/" GPU "/msi_irqs/42");
        assert_int_equal(nvidia_is_started(fake_sysfs(tree), address, &started), 0);
        assert_false(started);
}

static void uvm_names_the_gpus_that_it_retains(void **state) {
        static const struct {
                const char *name;
                const char *uuid;
                bool expected;
        } cases[] = {
                { UUID, UUID, true },
                { "UVM-" UUID, UUID, true }, /* 535 */
                { "GPU-D802726C-DF8D-A3C3-EC53-48BDEC201C27", UUID, true },
                { OTHER, UUID, false },
                { OTHER, NULL, true }, /* it could be ours */
                { "cpu", NULL, false },
                { "GPU-d802726c", NULL, false },
        };
        FakeTree *tree = *state;
        char path[FAKE_PATH_MAX];
        bool retained = true;

        assert_int_equal(nvidia_is_retained(tree->roots.proc_fd, UUID, &retained), 0);
        assert_false(retained);

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_path(path, "proc/driver/nvidia-uvm/gpus/%s", cases[i].name);
                fake_make_dir(tree->root, path);
                retained = !cases[i].expected;
                assert_int_equal(nvidia_is_retained(tree->roots.proc_fd, cases[i].uuid, &retained),
                                0);
                assert_int_equal(retained, cases[i].expected);
                fake_remove(tree->root, path);
        }
}

static void what_is_no_uuid_is_not_looked_for(void **state) {
        static const char *const cases[] = { "", "GPU-", UUID_NONE, UUID "0",
                "GPU-d802726c-df8d-a3c3-ec53-48bdec201c2z" };
        FakeTree *tree = *state;
        bool retained = true;

        fake_make_dir(tree->root, "proc/driver/nvidia-uvm/gpus/" UUID);
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                assert_int_equal(nvidia_is_retained(tree->roots.proc_fd, cases[i], &retained),
                                -EINVAL);
                assert_true(retained);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_no_version_releases_nothing),
                cmocka_unit_test(one_gpu_can_be_released_by_some_versions),
                tree_test(the_version_is_that_of_the_loaded_module),
                tree_test(the_gpus_of_the_driver_are_listed),
                tree_test(a_start_shows_where_interrupts_by_message_are_known_to_be_on),
                tree_test(a_bridge_may_let_no_message_through),
                tree_test(modeset_is_on_only_where_the_module_says_so),
                tree_test(the_driver_may_start_gpus_by_itself),
                tree_test(information_tells_minor_and_uuid),
                tree_test(a_gpu_that_the_driver_does_not_know_is_missing),
                tree_test(interrupts_mean_started_and_their_empty_directory_does_not),
                tree_test(uvm_names_the_gpus_that_it_retains),
                tree_test(what_is_no_uuid_is_not_looked_for),
        };

        return cmocka_run_group_tests_name("model/nvidia", tests, NULL, NULL);
}
