/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Driver Overrides of a GPU
 */

#include "lib/test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "model/gpu.h"

#define GPU   "0000:01:00.0"
#define AUDIO "0000:01:00.1"
#define USB   "0000:01:00.2"

typedef struct Fixture {
        FakeTree *tree;
        Gpu gpu;
} Fixture;

static int card_setup(void **state) {
        static Fixture fixture;

        fixture.tree = fake_tree_new();
        fake_gpu_add(fixture.tree, GPU, .functions = 3, .group = 12);
        *state = &fixture;
        return gpu_init(&fixture.gpu, fake_sysfs(fixture.tree), (Address){ 0, 1, 0, 0 });
}

static int card_teardown(void **state) {
        Fixture *fixture = *state;

        gpu_deinit(&fixture->gpu);
        fake_tree_free(fixture->tree);
        return 0;
}

#define card_test(fn) cmocka_unit_test_setup_teardown(fn, card_setup, card_teardown)

static void each_function_has_its_own_or_none(void **state) {
        Fixture *fixture = *state;
        char **overrides = NULL;

        fake_device_write(fixture->tree, GPU, "driver_override", "vfio-pci");
        fake_device_write(fixture->tree, USB, "driver_override", "none");
        assert_int_equal(gpu_read_overrides(fake_sysfs(fixture->tree), &fixture->gpu,
                                         60 * USEC_PER_SEC, &overrides),
                        0);
        assert_string_equal(overrides[0], "vfio-pci");
        assert_null(overrides[1]);
        assert_string_equal(overrides[2], "none");
        assert_null(overrides_free(overrides, fixture->gpu.n_functions));
        assert_null(overrides_free(NULL, 3));
}

static void a_function_that_is_gone_has_none(void **state) {
        Fixture *fixture = *state;
        char **overrides = NULL;

        fake_device_write(fixture->tree, USB, "driver_override", "vfio-pci");
        fake_device_remove(fixture->tree, AUDIO);
        assert_int_equal(gpu_read_overrides(fake_sysfs(fixture->tree), &fixture->gpu,
                                         60 * USEC_PER_SEC, &overrides),
                        0);
        assert_null(overrides[1]);
        assert_string_equal(overrides[2], "vfio-pci");
        overrides_free(overrides, fixture->gpu.n_functions);
}

static void an_attribute_that_hangs_does_not_hang_us(void **state) {
        Fixture *fixture = *state;
        char **overrides = NULL;
        char path[FAKE_PATH_MAX];
        int fd;

        /* To open a pipe blocks until somebody opens its other end. */
        fake_remove(fixture->tree->root, "sys/bus/pci/devices/" AUDIO "/driver_override");
        fake_path(path, "%s/sys/bus/pci/devices/" AUDIO "/driver_override", fixture->tree->root);
        assert_int_equal(mkfifo(path, 0600), 0);

        assert_int_equal(gpu_read_overrides(fake_sysfs(fixture->tree), &fixture->gpu,
                                         USEC_PER_SEC / 10, &overrides),
                        GPU_E_LATE);
        assert_null(overrides);

        fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, "x\n", 2), 2);
        wait_for_children();
        close(fd);
}

static void an_error_of_the_kernel_comes_through(void **state) {
        Fixture *fixture = *state;
        char **overrides = NULL;

        fake_remove(fixture->tree->root, "sys/bus/pci/devices/" AUDIO "/driver_override");
        fake_make_dir(fixture->tree->root, "sys/bus/pci/devices/" AUDIO "/driver_override");
        assert_int_equal(gpu_read_overrides(fake_sysfs(fixture->tree), &fixture->gpu,
                                         60 * USEC_PER_SEC, &overrides),
                        -EISDIR);
        assert_null(overrides);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                card_test(each_function_has_its_own_or_none),
                card_test(a_function_that_is_gone_has_none),
                card_test(an_attribute_that_hangs_does_not_hang_us),
                card_test(an_error_of_the_kernel_comes_through),
        };

        return cmocka_run_group_tests_name("model/override", tests, NULL, NULL);
}
