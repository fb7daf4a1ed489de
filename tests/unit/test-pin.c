/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Pins and Modules to Leave Out
 *
 * Files in /run that others read: udev's rule, and modprobe.
 */

#include "lib/test.h"

#include <fcntl.h>

#include "base/file.h"
#include "base/text.h"
#include "record/pin.h"

#define GPU "0000:01:00.0"

static const Address address = { .bus = 1 };

static void a_pin_is_for_one_card_at_one_address(void **state) {
        const char *name = "run/vfiopt/pins/" GPU "-10DE:2D04-1043:5678";
        FakeTree *tree = *state;
        char line[128];
        Gpu gpu;

        fake_gpu_add(tree, GPU, .group = 12);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_int_equal(pins_clear(tree->roots.run_fd, &gpu), 0);
        assert_int_equal(pins_set(tree->roots.run_fd, &gpu, NULL, false), 0);
        assert_true(fake_read(tree->root, name, line, sizeof(line)));
        assert_string_equal(line, "VFIOPT_DRIVER=vfio-pci");

        gpu.functions[0].identity.device ^= 1;
        assert_int_equal(pins_clear(tree->roots.run_fd, &gpu), 0);
        assert_true(fake_exists(tree->root, name));
        gpu.functions[0].identity.device ^= 1;
        assert_int_equal(pins_clear(tree->roots.run_fd, &gpu), 0);
        assert_false(fake_exists(tree->root, name));
        gpu_deinit(&gpu);
}

static unsigned int count_pins(FakeTree *tree) {
        unsigned int n = 0;
        int fd;
        DIR *dir;

        fd = openat(tree->roots.run_fd, "pins", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        dir = fdopendir(fd);
        assert_non_null(dir);
        for (const struct dirent *entry; (entry = readdir(dir));)
                n += entry->d_name[0] != '.';
        closedir(dir);
        return n;
}

static void all_functions_of_a_card_have_pins(void **state) {
        const char *name = "run/vfiopt/pins/" GPU "-10DE:2D04-1043:5678";
        const char *audio = "run/vfiopt/pins/0000:01:00.1-10DE:22EB-1043:5678";
        FakeTree *tree = *state;
        int run_fd = tree->roots.run_fd;
        char line[128];
        Gpu gpu, other;

        fake_gpu_add(tree, GPU, .group = 12);
        fake_gpu_add(tree, "0000:11:00.0", .group = 13);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_int_equal(gpu_init(&other, fake_sysfs(tree), (Address){ .bus = 0x11 }), 0);
        assert_int_equal(pins_clear(run_fd, &gpu), 0);
        assert_int_equal(pins_clear_slot(run_fd, address), 0);

        assert_int_equal(pins_set(run_fd, &gpu, NULL, false), 0);
        assert_int_equal(pins_set(run_fd, &other, "a-variant", false), 0);
        assert_int_equal(count_pins(tree), 8);
        assert_true(fake_read(tree->root, name, line, sizeof(line)));
        assert_string_equal(line, "VFIOPT_DRIVER=vfio-pci");
        assert_int_equal(pins_set(run_fd, &gpu, "a-variant", false), 0);
        assert_true(fake_read(tree->root, name, line, sizeof(line)));
        assert_string_equal(line, "VFIOPT_DRIVER=a-variant");
        assert_true(fake_read(tree->root, audio, line, sizeof(line)));
        assert_string_equal(line, "VFIOPT_DRIVER=vfio-pci");

        assert_int_equal(pins_clear(run_fd, &gpu), 0);
        assert_int_equal(count_pins(tree), 4);

        /* With those of another card that was in the slot. */
        assert_int_equal(pins_set(run_fd, &gpu, NULL, false), 0);
        gpu.functions[0].identity.device ^= 1;
        assert_int_equal(pins_set(run_fd, &gpu, NULL, false), 0);
        assert_int_equal(count_pins(tree), 9);
        assert_int_equal(pins_clear_slot(run_fd, address), 0);
        assert_int_equal(count_pins(tree), 4);
        gpu_deinit(&gpu);
        gpu_deinit(&other);
}

static void a_pin_says_all_that_the_rule_does(void **state) {
        static const char *const pins[] = { GPU "-10DE:2D04-1043:5678",
                "0000:01:00.1-10DE:22EB-1043:5678" };
        FakeTree *tree = *state;
        Gpu gpu;

        fake_gpu_add(tree, GPU, .group = 12);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        for (int awake = 0; awake < 2; ++awake) {
                assert_int_equal(pins_set(tree->roots.run_fd, &gpu, NULL, awake), 0);
                for (size_t i = 0; i < ARRAY_SIZE(pins); ++i) {
                        _cleanup_(freep) char *data = NULL;
                        _cleanup_(freep) char *path = text_format("pins/%s", pins[i]);

                        assert_int_equal(file_read(tree->roots.run_fd, path, 4096, &data, NULL), 0);
                        assert_int_equal(strstr(data, "\nVFIOPT_D3COLD=0\n") != NULL, awake);
                        /* For udev of all versions, by this way only (KERNEL.md 6.1). */
                        assert_non_null(strstr(data, "\nMODALIAS=\"\"\n"));
                }
        }
        gpu_deinit(&gpu);
}

static void pins_of_another_card_are_told_apart(void **state) {
        FakeTree *tree = *state;
        int run_fd = tree->roots.run_fd;
        bool pinned;
        Gpu gpu;

        fake_gpu_add(tree, GPU, .group = 12);
        assert_int_equal(gpu_init(&gpu, fake_sysfs(tree), address), 0);
        assert_int_equal(pins_test(run_fd, &gpu, &pinned), 0);
        assert_false(pinned);
        assert_int_equal(pins_set(run_fd, &gpu, NULL, false), 0);
        assert_int_equal(pins_test(run_fd, &gpu, &pinned), 0);
        assert_true(pinned);
        gpu.functions[0].identity.device ^= 1;
        assert_int_equal(pins_test(run_fd, &gpu, &pinned), 0);
        assert_false(pinned);
        gpu_deinit(&gpu);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(a_pin_is_for_one_card_at_one_address),
                tree_test(all_functions_of_a_card_have_pins),
                tree_test(a_pin_says_all_that_the_rule_does),
                tree_test(pins_of_another_card_are_told_apart),
        };

        return cmocka_run_group_tests_name("record/pin", tests, NULL, NULL);
}
