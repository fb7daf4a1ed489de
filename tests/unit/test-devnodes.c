/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test the Nodes of a GPU
 *
 * Which nodes are collected, in every state that a card can be in.
 */

#include "probe-fixture.h"

#include "probe/devnodes.h"

static int try_collect(Fixture *fixture, Mode to, DevNodes *nodes) {
        return devnodes_init(nodes, &fixture->tree->roots, card_read(fixture, 1), to);
}

/* Collect, and compare: "type major:minor function name;" of each, sorted by number. */
static void assert_nodes(Fixture *fixture, Mode to, const char *expected, const char *vfio) {
        _cleanup_(devnodes_deinit) DevNodes nodes = DEVNODES_NULL;
        _cleanup_(text_deinit) Text found = TEXT_NULL;

        assert_int_equal(try_collect(fixture, to, &nodes), 0);
        for (size_t i = 0; i < nodes.n; ++i)
                assert_int_equal(text_append(&found, "%c %u:%u .%u %s;",
                                                 nodes.items[i].type == S_IFBLK ? 'b' : 'c',
                                                 major(nodes.items[i].rdev),
                                                 minor(nodes.items[i].rdev),
                                                 nodes.items[i].function.function,
                                                 nodes.items[i].name),
                                0);
        assert_string_equal(text(&found), expected);
        assert_string_equal(nodes.has_all_vfio ? "all" : nodes.has_vfio ? "some" : "none", vfio);
        assert_true(nodes.has_vfio || !nodes.has_all_vfio);
}

static void a_gpu_without_any_driver_has_no_nodes(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        assert_nodes(fixture, MODE_PASSTHROUGH, "", "none");
        assert_nodes(fixture, MODE_HOST, "", "none");
}

static void all_nodes_below_all_functions_count(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12);
        fake_drm_add(tree, GPU, 1, "HDMI-A-1");
        fake_i2c_add(tree, GPU, 3);
        fake_sound_add(tree, AUDIO, 1);
        fake_usb_add(tree, USB, "1-2", "Mouse");
        assert_nodes(fixture, MODE_PASSTHROUGH,
                        "c 89:3 .0 i2c-3;c 116:3 .1 snd/controlC1;c 189:0 .2 bus/usb/001/001;"
                        "c 189:1 .2 bus/usb/001/002;c 226:1 .0 dri/card1;c 226:129 .0 "
                        "dri/renderD129;",
                        "none");
}

static void block_devices_are_told_by_their_subsystem(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12);
        fake_device_write(tree, USB, "usb1/1-1/host0/block/sda/dev", "8:0");
        fake_device_write(tree, USB, "usb1/1-1/host0/block/sda/uevent", "MAJOR=8\nDEVNAME=sda");
        fake_make_dir(tree->root, "sys/class/block");
        fake_link(tree->root, "sys/class/block",
                        "sys/bus/pci/devices/" USB "/usb1/1-1/host0/block/sda/subsystem");
        assert_nodes(fixture, MODE_PASSTHROUGH, "b 8:0 .2 sda;", "none");
}

static void jack_sensors_do_not_count(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12);
        fake_device_write(tree, AUDIO, "sound/card1/input7/event5/dev", "13:69");
        fake_device_write(tree, AUDIO, "sound/card1/input7/event5/uevent", "DEVNAME=input/event5");
        assert_nodes(fixture, MODE_PASSTHROUGH, "", "none");
}

static void a_node_without_a_name_is_named_after_its_directory(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        fake_device_write(fixture->tree, GPU, "graphics/fb0/dev", "29:0");
        fake_device_write(fixture->tree, AUDIO, "x/thing/dev", "10:7");
        fake_device_write(fixture->tree, AUDIO, "x/thing/uevent", "MAJOR=10\nXDEVNAME=no");
        assert_nodes(fixture, MODE_PASSTHROUGH, "c 10:7 .1 thing;c 29:0 .0 fb0;", "none");
}

static void a_number_that_is_none_is_an_error(void **state) {
        static const char *const cases[] = { "", "226", "226:", ":0", "226:0:0", "x:y", "226:-1",
                "99999999999:0" };
        DevNodes nodes = DEVNODES_NULL;
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_device_write(fixture->tree, GPU, "drm/card0/dev", cases[i]);
                assert_int_equal(try_collect(fixture, MODE_PASSTHROUGH, &nodes), -EBADMSG);
                assert_int_equal(nodes.n, 0);
        }
}

static void nvidias_nodes_are_added_by_number(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, SECOND, .group = 13, .driver = "nvidia");
        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "nvidia");
        /* It came second, and so it got the second number. */
        assert_nodes(fixture, MODE_PASSTHROUGH, "c 195:1 .0 nvidia1;c 195:254 .0 nvidia-modeset;",
                        "none");

        fake_write(fixture->tree->root, "proc/driver/nvidia/gpus/" GPU "/information",
                        "Device Minor: \t 7\n");
        assert_nodes(fixture, MODE_PASSTHROUGH, "c 195:7 .0 nvidia7;c 195:254 .0 nvidia-modeset;",
                        "none");
}

static void all_of_nvidias_nodes_count_where_it_is_not_told_which(void **state) {
        _cleanup_(devnodes_deinit) DevNodes nodes = DEVNODES_NULL;
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "nvidia");
        fake_remove(fixture->tree->root, "proc/driver/nvidia/gpus/" GPU);
        assert_int_equal(try_collect(fixture, MODE_PASSTHROUGH, &nodes), 0);
        assert_int_equal(nodes.n, 249);
        assert_non_null(devnodes_find(&nodes, S_IFCHR, makedev(195, 0)));
        assert_non_null(devnodes_find(&nodes, S_IFCHR, makedev(195, 247)));
        assert_non_null(devnodes_find(&nodes, S_IFCHR, makedev(195, 254)));
        assert_null(devnodes_find(&nodes, S_IFCHR, makedev(195, 255)));
}

static void a_gpu_that_the_driver_still_waits_for_has_its_nodes(void **state) {
        Fixture *fixture = *state;

        /* No driver link any more, but the directory in procfs: a removal in progress. */
        fake_gpu_add(fixture->tree, GPU, .group = 12);
        fake_write(fixture->tree->root, "proc/driver/nvidia/gpus/" GPU "/information",
                        "Device Minor: \t 0\n");
        assert_nodes(fixture, MODE_PASSTHROUGH, "c 195:0 .0 nvidia0;c 195:254 .0 nvidia-modeset;",
                        "none");
}

static void another_driver_has_none_of_nvidias_nodes(void **state) {
        Fixture *fixture = *state;

        fake_driver_add(fixture->tree, .name = "nouveau",
                        .match = { "pci:v000010DEd*bc03sc00i00*" });
        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "nouveau");
        fake_drm_add(fixture->tree, GPU, 0, NULL);
        assert_nodes(fixture, MODE_PASSTHROUGH, "c 226:0 .0 dri/card0;c 226:128 .0 dri/renderD128;",
                        "none");
}

static void on_the_way_home_only_what_vfio_has_counts(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "vfio-pci");
        /* What nvidia-drm without modeset leaves behind when the GPU goes. */
        fake_drm_add(fixture->tree, GPU, 0, NULL);
        fake_device_write(fixture->tree, GPU, "vfio-dev/vfio3/dev", "511:3");
        fake_device_write(
                        fixture->tree, GPU, "vfio-dev/vfio3/uevent", "DEVNAME=vfio/devices/vfio3");
        assert_nodes(fixture, MODE_HOST, "c 511:3 .0 vfio/devices/vfio3;c 511:12 .0 vfio/12;",
                        "all");
}

static void a_half_moved_gpu_has_the_nodes_of_both_sides(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_module_load(tree, "vfio_pci");
        fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia", .functions = 1);
        fake_device_add(tree, AUDIO, .vendor = 0x10de, .class = 0x040300, .group = 12,
                        .driver = "vfio-pci", .override = "vfio-pci");
        assert_nodes(fixture, MODE_PASSTHROUGH,
                        "c 195:0 .0 nvidia0;c 195:254 .0 nvidia-modeset;c 511:12 .0 vfio/12;",
                        "all");
        /* Home goes only what is away. */
        assert_nodes(fixture, MODE_HOST, "c 511:12 .1 vfio/12;", "all");
}

static void each_group_of_the_card_has_its_node(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_module_load(tree, "vfio_pci");
        fake_gpu_add(tree, GPU, .group = 12, .driver = "vfio-pci", .functions = 1);
        fake_device_add(tree, AUDIO, .vendor = 0x10de, .class = 0x040300, .group = 14,
                        .driver = "vfio-pci", .override = "vfio-pci");
        assert_nodes(fixture, MODE_HOST, "c 511:12 .0 vfio/12;c 511:14 .1 vfio/14;", "all");
}

static void a_group_without_protection_has_a_node_of_another_name(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12, .driver = "vfio-pci", .functions = 1);
        fake_remove(tree->root, "sys/class/vfio/12");
        fake_write(tree->root, "sys/class/vfio/noiommu-12/dev", "511:0\n");
        assert_nodes(fixture, MODE_HOST, "c 511:0 .0 vfio/noiommu-12;", "all");
}

static void vfio_has_others_too(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "vfio-pci");
        fake_gpu_add(fixture->tree, SECOND, .group = 13, .driver = "vfio-pci");
        assert_nodes(fixture, MODE_HOST, "c 511:12 .0 vfio/12;", "some");
}

/* looking up */

static void add_node(Fixture *fixture, const char *address, const char *name, const char *dev) {
        char attribute[64];

        snprintf(attribute, sizeof(attribute), "x/%s/dev", name);
        fake_device_write(fixture->tree, address, attribute, dev);
}

static void add_disk(Fixture *fixture, const char *name, const char *dev) {
        FakeTree *tree = fixture->tree;
        char path[FAKE_PATH_MAX];

        add_node(fixture, USB, name, dev);
        fake_make_dir(tree->root, "sys/class/block");
        fake_link(tree->root, "sys/class/block",
                        fake_path(path, "sys/bus/pci/devices/" USB "/x/%s/subsystem", name));
}

static void nodes_are_found_by_type_and_number(void **state) {
        DevNodes nodes = DEVNODES_NULL;
        Fixture *fixture = *state;

        assert_null(devnodes_find(&nodes, S_IFCHR, makedev(1, 3)));
        fake_gpu_add(fixture->tree, GPU, .group = 12);
        add_node(fixture, GPU, "nine", "1:9");
        add_disk(fixture, "block", "1:3");
        add_node(fixture, AUDIO, "three", "1:3");
        assert_int_equal(try_collect(fixture, MODE_PASSTHROUGH, &nodes), 0);

        assert_string_equal(devnodes_find(&nodes, S_IFCHR, makedev(1, 3))->name, "three");
        assert_string_equal(devnodes_find(&nodes, S_IFBLK, makedev(1, 3))->name, "block");
        assert_string_equal(devnodes_find(&nodes, S_IFCHR, makedev(1, 9))->name, "nine");
        assert_null(devnodes_find(&nodes, S_IFBLK, makedev(1, 9)));
        assert_null(devnodes_find(&nodes, S_IFCHR, makedev(2, 3)));
        devnodes_deinit(&nodes);
        assert_int_equal(nodes.n, 0);
}

static void the_same_node_twice_is_one(void **state) {
        static const char *const functions[] = { USB, GPU, AUDIO };
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        for (size_t i = 0; i < ARRAY_SIZE(functions); ++i) {
                add_node(fixture, functions[i], "four", "1:4");
                add_node(fixture, functions[i], "three", "1:3");
        }
        assert_nodes(fixture, MODE_PASSTHROUGH, "c 1:3 .0 three;c 1:4 .0 four;", "none");
}

static void nodes_are_found_by_their_whole_name(void **state) {
        _cleanup_(devnodes_deinit) DevNodes nodes = DEVNODES_NULL;
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        add_node(fixture, GPU, "nvidia0", "1:0");
        add_node(fixture, GPU, "nvidia10", "1:10");
        assert_int_equal(try_collect(fixture, MODE_PASSTHROUGH, &nodes), 0);
        assert_string_equal(devnodes_find_name(&nodes, "nvidia0", 7)->name, "nvidia0");
        assert_string_equal(devnodes_find_name(&nodes, "nvidia10 (deleted)", 8)->name, "nvidia10");
        assert_null(devnodes_find_name(&nodes, "nvidia1", 7));
        assert_null(devnodes_find_name(&nodes, "nvidia", 6));
        assert_null(devnodes_find_name(&nodes, "", 0));
}

static void an_open_vfio_device_is_ours_or_not(void **state _unused_) {
        static const struct {
                bool has_all;
                const char *path;
                bool expected;
        } cases[] = {
                { true, NULL, true },
                { false, NULL, false },
                { false, "/devices/pci0000:00/0000:00:01.0/" GPU, true },
                { false, "/devices/pci0000:00/0000:00:01.0/" USB, true },
                { true, "/devices/pci0000:00/0000:00:02.0/" SECOND, false },
                { true, "/devices/platform/gpu", true }, /* not understood: as if not told */
                { false, "/devices/platform/gpu", false },
                { false, "", false },
        };
        char card[] = "nvidia0", group[] = "vfio/12";
        DevNode items[] = { { .name = card }, { .name = group } };

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                const DevNodes nodes = {
                        .items = items,
                        .n = ARRAY_SIZE(items),
                        .gpu = { .bus = 1 },
                        .has_vfio = true,
                        .has_all_vfio = cases[i].has_all,
                };

                assert_ptr_equal(devnodes_find_vfio(&nodes, cases[i].path),
                                cases[i].expected ? &items[1] : NULL);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                card_test(nodes_are_found_by_type_and_number),
                card_test(the_same_node_twice_is_one),
                card_test(nodes_are_found_by_their_whole_name),
                cmocka_unit_test(an_open_vfio_device_is_ours_or_not),
                card_test(a_gpu_without_any_driver_has_no_nodes),
                card_test(all_nodes_below_all_functions_count),
                card_test(block_devices_are_told_by_their_subsystem),
                card_test(jack_sensors_do_not_count),
                card_test(a_node_without_a_name_is_named_after_its_directory),
                card_test(a_number_that_is_none_is_an_error),
                card_test(nvidias_nodes_are_added_by_number),
                card_test(all_of_nvidias_nodes_count_where_it_is_not_told_which),
                card_test(a_gpu_that_the_driver_still_waits_for_has_its_nodes),
                card_test(another_driver_has_none_of_nvidias_nodes),
                card_test(on_the_way_home_only_what_vfio_has_counts),
                card_test(a_half_moved_gpu_has_the_nodes_of_both_sides),
                card_test(each_group_of_the_card_has_its_node),
                card_test(a_group_without_protection_has_a_node_of_another_name),
                card_test(vfio_has_others_too),
        };

        return cmocka_run_group_tests_name("probe/devnodes", tests, NULL, NULL);
}
