/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test the Model of the PCI Driver Core
 *
 * What the scenarios prove is worth what the model is worth. Here are its answers
 * next to those of the kernel, as read from its source and measured.
 */

#include "lib/test.h"

#include "lib/pci-model.h"
#include "os/child.h"

#define GPU   "0000:01:00.0"
#define AUDIO "0000:01:00.1"
#define USB   "0000:01:00.2"
#define UCSI  "0000:01:00.3"

#define DEVICE(address, attribute) "bus/pci/devices/" address "/" attribute

/* One card of four functions on its host drivers, vfio-pci loaded. */
static int card_setup(void **state) {
        FakeTree *tree = fake_tree_new();

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia");
        fake_module_load(tree, "vfio_pci");
        *state = tree;
        return 0;
}

#define card_test(fn) cmocka_unit_test_setup_teardown(fn, card_setup, tree_teardown)

static void assert_write(FakeTree *tree, const char *path, const char *value, int answer) {
        assert_int_equal(sysfs_write(fake_sysfs(tree), path, value), answer);
}

static void loading_a_driver_binds_what_it_matches(void **state) {
        FakeTree *tree = *state;

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU, .group = 12);
        fake_module_load(tree, "nvidia");
        fake_module_load(tree, "snd_hda_intel");
        fake_module_load(tree, "xhci_pci");
        fake_module_load(tree, "i2c_nvidia_gpu");
        assert_driver(tree, GPU, "nvidia");
        assert_driver(tree, AUDIO, "snd_hda_intel");
        assert_driver(tree, USB, "xhci_hcd");
        assert_driver(tree, UCSI, "nvidia-gpu");
}

static void loading_a_driver_respects_an_override(void **state) {
        FakeTree *tree = *state;

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU, .group = 12);
        assert_write(tree, DEVICE(AUDIO, "driver_override"), "vfio-pci", 0);
        fake_module_load(tree, "snd_hda_intel");
        assert_driver(tree, AUDIO, "-");
        fake_module_load(tree, "vfio_pci");
        assert_driver(tree, AUDIO, "vfio-pci");
}

static void unbind_answers_as_the_kernel_does(void **state) {
        static const struct {
                const char *path;
                const char *value;
                int answer;
        } cases[] = {
                { "bus/pci/drivers/vfio-pci/unbind", GPU, -ENODEV },          /* bound to another */
                { "bus/pci/drivers/nvidia/unbind", "0000:09:00.0", -ENODEV }, /* no such device */
                { "bus/pci/drivers/nvidia/unbind", "nonsense", -ENODEV },
                { "bus/pci/drivers/nouveau/unbind", GPU, -ENOENT }, /* no such driver */
                { "bus/pci/drivers/nvidia/unbind", GPU, 0 },
                { "bus/pci/drivers/nvidia/unbind", GPU, -ENODEV }, /* not bound any more */
                { "bus/pci/drivers/snd_hda_intel/unbind", AUDIO "\n", 0 },
        };
        FakeTree *tree = *state;

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i)
                assert_write(tree, cases[i].path, cases[i].value, cases[i].answer);
        assert_driver(tree, GPU, "-");
        assert_driver(tree, AUDIO, "-");
}

static void bind_answers_as_the_kernel_does(void **state) {
        static const struct {
                const char *path;
                const char *value;
                int answer;
        } cases[] = {
                { "bus/pci/drivers/vfio-pci/bind", GPU, -ENODEV }, /* does not match, has no ids */
                { "bus/pci/drivers/nvidia/bind", GPU, -EBUSY },    /* bound already */
                { "bus/pci/drivers/nvidia/bind", AUDIO, -ENODEV }, /* other class */
                { "bus/pci/drivers/nvidia/bind", "0000:09:00.0", -ENODEV },
                { DEVICE(GPU, "driver_override"), "vfio-pci", 0 },
                { "bus/pci/drivers/nvidia/bind", GPU, -ENODEV }, /* the override comes first */
                { "bus/pci/drivers/vfio-pci/bind", GPU, -EBUSY },
                { "bus/pci/drivers/nvidia/unbind", GPU, 0 },
                { "bus/pci/drivers/vfio-pci/bind", GPU, 0 },
        };
        FakeTree *tree = *state;

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i)
                assert_write(tree, cases[i].path, cases[i].value, cases[i].answer);
        assert_driver(tree, GPU, "vfio-pci");
}

static void bind_tells_what_probe_said_and_drivers_probe_does_not(void **state) {
        FakeTree *tree = *state;

        assert_write(tree, "bus/pci/drivers/nvidia/unbind", GPU, 0);
        faults_add(tree->machine, .kind = FAULT_PROBE, .driver = "nvidia", .device = GPU,
                        .error = -EIO);
        assert_write(tree, "bus/pci/drivers/nvidia/bind", GPU, -EIO);
        assert_write(tree, "bus/pci/drivers_probe", GPU, 0);
        assert_driver(tree, GPU, "-");

        faults_clear(tree->machine);
        assert_write(tree, "bus/pci/drivers_probe", GPU, 0);
        assert_driver(tree, GPU, "nvidia");
}

static void a_deferred_probe_is_eagain(void **state) {
        FakeTree *tree = *state;

        assert_write(tree, "bus/pci/drivers/nvidia/unbind", GPU, 0);
        faults_add(tree->machine, .kind = FAULT_PROBE, .driver = "nvidia", .error = -517);
        assert_write(tree, "bus/pci/drivers/nvidia/bind", GPU, -EAGAIN);
}

static void drivers_probe_succeeds_unless_there_is_no_device(void **state) {
        FakeTree *tree = *state;

        assert_write(tree, "bus/pci/drivers_probe", GPU, 0); /* bound */
        assert_write(tree, "bus/pci/drivers_probe", "0000:09:00.0", -ENODEV);
        assert_write(tree, "bus/pci/drivers/nvidia/unbind", GPU, 0);
        assert_write(tree, DEVICE(GPU, "driver_override"), "none", 0);
        assert_write(tree, "bus/pci/drivers_probe", GPU, 0); /* parked */
        assert_driver(tree, GPU, "-");
}

static void an_override_is_one_line_and_a_newline_clears_it(void **state) {
        FakeTree *tree = *state;
        char long_name[5000];

        memset(long_name, 'x', sizeof(long_name));
        long_name[sizeof(long_name) - 1] = 0;

        assert_attribute(tree, GPU, "driver_override", "(null)");
        assert_write(tree, DEVICE(GPU, "driver_override"), "vfio-pci\nrest", 0);
        assert_attribute(tree, GPU, "driver_override", "vfio-pci");
        assert_write(tree, DEVICE(GPU, "driver_override"), "", 0); /* never asked */
        assert_attribute(tree, GPU, "driver_override", "vfio-pci");
        assert_write(tree, DEVICE(GPU, "driver_override"), long_name, -EINVAL);
        assert_attribute(tree, GPU, "driver_override", "vfio-pci");
        assert_write(tree, DEVICE(GPU, "driver_override"), "\n", 0);
        assert_attribute(tree, GPU, "driver_override", "(null)");
        assert_write(tree, DEVICE("0000:09:00.0", "driver_override"), "\n", -ENOENT);
        assert_driver(tree, GPU, "nvidia"); /* who is bound stays bound */
}

static void vfio_needs_a_group(void **state) {
        FakeTree *tree = *state;

        fake_standard_drivers(tree);
        fake_module_load(tree, "vfio_pci");
        fake_gpu_add(tree, GPU, .functions = 1);
        assert_write(tree, DEVICE(GPU, "driver_override"), "vfio-pci", 0);
        assert_write(tree, "bus/pci/drivers/vfio-pci/bind", GPU, -EINVAL);
}

static void vfio_refuses_bridges_and_cards_with_virtual_functions(void **state) {
        FakeTree *tree = *state;

        fake_standard_drivers(tree);
        fake_module_load(tree, "vfio_pci");
        fake_device_add(tree, "0000:00:01.0", .vendor = 0x8086, .class = 0x060400, .group = 1,
                        .override = "vfio-pci");
        fake_gpu_add(tree, GPU, .functions = 1, .group = 2);
        assert_write(tree, DEVICE(GPU, "driver_override"), "vfio-pci", 0);
        fake_device_write(tree, GPU, "virtfn0/vendor", "0xffff");

        assert_write(tree, "bus/pci/drivers/vfio-pci/bind", "0000:00:01.0", -EINVAL);
        assert_write(tree, "bus/pci/drivers/vfio-pci/bind", GPU, -EBUSY);
}

static void move(FakeTree *tree, const char *address, const char *from, const char *to) {
        char path[FAKE_PATH_MAX];

        fake_path(path, "bus/pci/devices/%s/driver_override", address);
        assert_write(tree, path, to, 0);
        assert_write(tree, fake_path(path, "bus/pci/drivers/%s/unbind", from), address, 0);
        assert_write(tree, fake_path(path, "bus/pci/drivers/%s/bind", to), address, 0);
}

static void the_node_of_a_group_is_there_while_vfio_has_a_member(void **state) {
        FakeTree *tree = *state;

        assert_false(fake_exists(tree->root, "dev/vfio/12"));
        move(tree, GPU, "nvidia", "vfio-pci");
        assert_true(fake_exists(tree->root, "dev/vfio/12"));
        move(tree, AUDIO, "snd_hda_intel", "vfio-pci");
        move(tree, GPU, "vfio-pci", "nvidia");
        assert_true(fake_exists(tree->root, "dev/vfio/12"));
        assert_true(fake_exists(tree->root, "sys/class/vfio/12"));
        move(tree, AUDIO, "vfio-pci", "snd_hda_intel");
        assert_false(fake_exists(tree->root, "dev/vfio/12"));
        assert_false(fake_exists(tree->root, "sys/class/vfio/12"));
}

static void vfio_changes_power_control_as_it_comes_and_goes(void **state) {
        FakeTree *tree = *state;

        assert_attribute(tree, GPU, "power/control", "on");
        move(tree, GPU, "nvidia", "vfio-pci");
        assert_attribute(tree, GPU, "power/control", "auto");
        move(tree, GPU, "vfio-pci", "nvidia");
        assert_attribute(tree, GPU, "power/control", "on");
}

static void settings_take_their_own_words_only(void **state) {
        static const struct {
                const char *path;
                const char *value;
                int answer;
        } cases[] = {
                { DEVICE(GPU, "power/control"), "auto", 0 },
                { DEVICE(GPU, "power/control"), "on\n", 0 },
                { DEVICE(GPU, "power/control"), "off", -EINVAL },
                { DEVICE(GPU, "d3cold_allowed"), "0", 0 },
                { DEVICE(GPU, "d3cold_allowed"), "yes", -EINVAL },
                { DEVICE("0000:09:00.0", "power/control"), "on", -ENOENT },
        };
        FakeTree *tree = *state;

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i)
                assert_write(tree, cases[i].path, cases[i].value, cases[i].answer);
        assert_attribute(tree, GPU, "power/control", "on");
        assert_attribute(tree, GPU, "d3cold_allowed", "0");
}

static void a_guest_needs_a_viable_group(void **state) {
        FakeTree *tree = *state;

        assert_int_equal(pci_model_guest_start(tree, 12), -ENODEV);
        move(tree, GPU, "nvidia", "vfio-pci");
        assert_int_equal(pci_model_guest_start(tree, 12), -EPERM); /* the others are not free */
        assert_write(tree, "bus/pci/drivers/snd_hda_intel/unbind", AUDIO, 0);
        assert_write(tree, "bus/pci/drivers/xhci_hcd/unbind", USB, 0);
        assert_write(tree, "bus/pci/drivers/nvidia-gpu/unbind", UCSI, 0);
        assert_int_equal(pci_model_guest_start(tree, 12), 0); /* unbound is good enough */
        assert_int_equal(pci_model_guest_start(tree, 12), -EBUSY);
        pci_model_guest_stop(tree, 12);
        assert_int_equal(pci_model_guest_start(tree, 12), 0);
}

static void a_host_driver_may_not_join_a_guests_group(void **state) {
        FakeTree *tree = *state;

        move(tree, GPU, "nvidia", "vfio-pci");
        assert_write(tree, "bus/pci/drivers/snd_hda_intel/unbind", AUDIO, 0);
        assert_write(tree, "bus/pci/drivers/xhci_hcd/unbind", USB, 0);
        assert_write(tree, "bus/pci/drivers/nvidia-gpu/unbind", UCSI, 0);
        assert_int_equal(pci_model_guest_start(tree, 12), 0);

        assert_write(tree, "bus/pci/drivers/snd_hda_intel/bind", AUDIO, -EBUSY);
        assert_write(tree, "bus/pci/drivers_probe", AUDIO, -EINVAL);
        pci_model_guest_stop(tree, 12);
        assert_write(tree, "bus/pci/drivers/snd_hda_intel/bind", AUDIO, 0);
}

static int unbind_gpu(void *userdata, int reply_fd _unused_) {
        FakeTree *tree = userdata;

        return sysfs_write(fake_sysfs(tree), "bus/pci/drivers/nvidia/unbind", GPU);
}

static void start_unbind(FakeTree *tree) {
        ChildOptions options = CHILD_OPTIONS_NULL;
        int keep = sysfs_root_fd(fake_sysfs(tree));
        ChildResult result = {};

        options.keep = &keep;
        options.n_keep = 1;
        assert_int_equal(child_run(&options, unbind_gpu, tree, &result), CHILD_E_LATE);
        free(result.reply);
}

static void while_remove_waits_the_link_is_gone_and_the_driver_is_not(void **state) {
        FakeTree *tree = *state;

        faults_add(tree->machine, .kind = FAULT_BLOCK, .at = 1);
        start_unbind(tree);
        assert_true(machine_wait_blocked(tree->machine, 1));

        assert_driver(tree, GPU, "-");
        assert_true(fake_exists(tree->root, "proc/driver/nvidia/gpus/" GPU));
        assert_write(tree, "bus/pci/drivers_probe", GPU, 0); /* at once, and does nothing */
        assert_driver(tree, GPU, "-");
        assert_int_equal(tree->machine->writes[0].answer, MACHINE_NO_ANSWER);

        start_unbind(tree); /* waits as well, and both succeed then */
        assert_true(machine_wait_blocked(tree->machine, 2));
        machine_open_gate(tree->machine);
        wait_for_children();
        assert_int_equal(tree->machine->writes[0].answer, 0);
        assert_int_equal(tree->machine->writes[2].answer, 0);
        assert_false(fake_exists(tree->root, "proc/driver/nvidia/gpus/" GPU));
}

static void remove_waits_for_users(void **state) {
        FakeTree *tree = *state;
        MachineDevice *device = machine_find_device(tree->machine, GPU);

        device_hold(device);
        start_unbind(tree);
        assert_string_equal(device->driver, "nvidia");
        device_let_go(device);
        wait_for_children();
        assert_string_equal(device->driver, "");
        assert_int_equal(tree->machine->writes[0].answer, 0);
}

static void nvidia_does_not_load_when_every_card_is_kept_from_it(void **state) {
        FakeTree *tree = *state;

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU, .group = 1);
        fake_gpu_add(tree, "0000:02:00.0", .group = 2);
        assert_write(tree, DEVICE(GPU, "driver_override"), "vfio-pci", 0);
        assert_write(tree, DEVICE("0000:02:00.0", "driver_override"), "vfio-pci", 0);
        assert_int_equal(fake_module_insert(tree, "nvidia"), -ENODEV);
        assert_false(fake_exists(tree->root, "sys/bus/pci/drivers/nvidia"));
        assert_false(fake_exists(tree->root, "sys/module/nvidia"));

        assert_write(tree, DEVICE(GPU, "driver_override"), "\n", 0);
        assert_int_equal(fake_module_insert(tree, "nvidia_drm"), 0); /* with what it needs */
        assert_driver(tree, GPU, "nvidia");
        assert_driver(tree, "0000:02:00.0", "-");
}

static void nvidia_gives_the_lowest_free_minor(void **state) {
        FakeTree *tree = *state;

        fake_standard_drivers(tree);
        fake_gpu_add(tree, GPU, .functions = 1);
        fake_gpu_add(tree, "0000:02:00.0", .functions = 1);
        fake_module_load(tree, "nvidia");
        assert_int_equal(machine_find_device(tree->machine, GPU)->minor, 0);
        assert_int_equal(machine_find_device(tree->machine, "0000:02:00.0")->minor, 1);

        assert_write(tree, "bus/pci/drivers/nvidia/unbind", GPU, 0);
        assert_write(tree, "bus/pci/drivers/nvidia/unbind", "0000:02:00.0", 0);
        assert_write(tree, "bus/pci/drivers/nvidia/bind", "0000:02:00.0", 0);
        assert_int_equal(machine_find_device(tree->machine, "0000:02:00.0")->minor, 0);
}

static void nvidia_cannot_probe_a_card_that_fell_off_the_bus(void **state) {
        FakeTree *tree = *state;

        assert_write(tree, "bus/pci/drivers/nvidia/unbind", GPU, 0);
        fake_device_drop(tree, GPU);
        assert_write(tree, "bus/pci/drivers/nvidia/bind", GPU, -EIO);
}

static void a_device_that_is_pulled_out_is_unknown(void **state) {
        FakeTree *tree = *state;

        fake_device_remove(tree, GPU);
        assert_false(fake_exists(tree->root, "sys/bus/pci/devices/" GPU));
        assert_false(fake_exists(tree->root, "sys/bus/pci/drivers/nvidia/" GPU));
        assert_false(fake_exists(tree->root, "sys/kernel/iommu_groups/12/devices/" GPU));
        assert_write(tree, "bus/pci/drivers/nvidia/bind", GPU, -ENODEV);
        assert_write(tree, "bus/pci/drivers_probe", GPU, -ENODEV);
}

static void faults_hit_by_number_and_by_name(void **state) {
        FakeTree *tree = *state;

        faults_add(tree->machine, .kind = FAULT_ANSWER, .at = 2, .error = -EIO);
        faults_add(tree->machine, .kind = FAULT_ANSWER, .act = ACT_OVERRIDE, .device = AUDIO,
                        .times = 1, .error = -EPERM);
        assert_write(tree, DEVICE(GPU, "driver_override"), "a", 0);
        assert_write(tree, DEVICE(GPU, "driver_override"), "b", -EIO);
        assert_attribute(tree, GPU, "driver_override", "a");
        assert_write(tree, DEVICE(AUDIO, "driver_override"), "c", -EPERM);
        assert_write(tree, DEVICE(AUDIO, "driver_override"), "c", 0);

        assert_int_equal(writes_count(tree->machine, ACT_ANY), 4);
        assert_int_equal(writes_count(tree->machine, ACT_OVERRIDE), 4);
        assert_int_equal(writes_count(tree->machine, ACT_BIND), 0);
        assert_string_equal(tree->machine->writes[1].path, DEVICE(GPU, "driver_override"));
        assert_string_equal(tree->machine->writes[1].value, "b");
        assert_int_equal(tree->machine->writes[1].answer, -EIO);
}

static void nothing_else_can_be_written(void **state) {
        FakeTree *tree = *state;

        assert_write(tree, DEVICE(GPU, "remove"), "1", -EACCES);
        assert_write(tree, "bus/pci/rescan", "1", -EACCES);
        assert_write(tree, "bus/pci/drivers/vfio-pci/new_id", "10de 2d04", -EACCES);
        assert_int_equal(writes_count(tree->machine, ACT_OTHER), 3);
}

static void a_snapshot_shows_what_a_write_changed(void **state) {
        _cleanup_(freep) char *before = NULL, *same = NULL, *after = NULL;
        FakeTree *tree = *state;

        before = fake_snapshot(tree);
        same = fake_snapshot(tree);
        assert_string_equal(before, same);
        assert_non_null(strstr(before,
                        GPU " driver=nvidia driver_override=(null) "
                            "power/control=on d3cold_allowed=1\n"));

        assert_write(tree, DEVICE(GPU, "driver_override"), "vfio-pci", 0);
        after = fake_snapshot(tree);
        assert_non_null(strstr(after, GPU " driver=nvidia driver_override=vfio-pci"));
        assert_string_not_equal(before, after);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(loading_a_driver_binds_what_it_matches),
                tree_test(loading_a_driver_respects_an_override),
                card_test(unbind_answers_as_the_kernel_does),
                card_test(bind_answers_as_the_kernel_does),
                card_test(bind_tells_what_probe_said_and_drivers_probe_does_not),
                card_test(a_deferred_probe_is_eagain),
                card_test(drivers_probe_succeeds_unless_there_is_no_device),
                card_test(an_override_is_one_line_and_a_newline_clears_it),
                tree_test(vfio_needs_a_group),
                tree_test(vfio_refuses_bridges_and_cards_with_virtual_functions),
                card_test(the_node_of_a_group_is_there_while_vfio_has_a_member),
                card_test(vfio_changes_power_control_as_it_comes_and_goes),
                card_test(settings_take_their_own_words_only),
                card_test(a_guest_needs_a_viable_group),
                card_test(a_host_driver_may_not_join_a_guests_group),
                card_test(while_remove_waits_the_link_is_gone_and_the_driver_is_not),
                card_test(remove_waits_for_users),
                tree_test(nvidia_does_not_load_when_every_card_is_kept_from_it),
                tree_test(nvidia_gives_the_lowest_free_minor),
                card_test(nvidia_cannot_probe_a_card_that_fell_off_the_bus),
                card_test(a_device_that_is_pulled_out_is_unknown),
                card_test(faults_hit_by_number_and_by_name),
                card_test(nothing_else_can_be_written),
                card_test(a_snapshot_shows_what_a_write_changed),
        };

        return cmocka_run_group_tests_name("tests/pci-model", tests, NULL, NULL);
}
