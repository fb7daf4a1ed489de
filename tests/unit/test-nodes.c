/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test the Nodes of a GPU
 *
 * Which nodes are collected, in every state that a card can be in.
 */

#include "lib/test.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/text.h"
#include "probe/collect.h"
#include "probe/nodes.h"

#define GPU    "0000:01:00.0"
#define AUDIO  "0000:01:00.1"
#define USB    "0000:01:00.2"
#define UCSI   "0000:01:00.3"
#define SECOND "0000:02:00.0"

static const Address gpu_address = { .bus = 1 };

/* the table */

static void add(Nodes *nodes, mode_t type, unsigned int number, const char *name) {
        assert_int_equal(nodes_add(nodes, type, makedev(1, number), gpu_address, strdup(name)), 0);
}

static void nodes_are_found_by_type_and_number(void **state) {
        Nodes nodes = NODES_NULL;

        (void) state;
        assert_null(nodes_find(&nodes, S_IFCHR, makedev(1, 3)));
        add(&nodes, S_IFCHR, 9, "nine");
        add(&nodes, S_IFBLK, 3, "block");
        add(&nodes, S_IFCHR, 3, "three");
        nodes_sort(&nodes);

        assert_string_equal(nodes_find(&nodes, S_IFCHR, makedev(1, 3))->name, "three");
        assert_string_equal(nodes_find(&nodes, S_IFBLK, makedev(1, 3))->name, "block");
        assert_string_equal(nodes_find(&nodes, S_IFCHR, makedev(1, 9))->name, "nine");
        assert_null(nodes_find(&nodes, S_IFBLK, makedev(1, 9)));
        assert_null(nodes_find(&nodes, S_IFCHR, makedev(2, 3)));
        nodes_deinit(&nodes);
        assert_int_equal(nodes.n, 0);
}

static void the_same_node_twice_is_one(void **state) {
        Nodes nodes = NODES_NULL;

        (void) state;
        nodes_sort(&nodes);
        assert_int_equal(nodes.n, 0);
        for (int i = 0; i < 3; ++i) {
                add(&nodes, S_IFCHR, 3, "three");
                add(&nodes, S_IFCHR, 4, "four");
        }
        nodes_sort(&nodes);
        assert_int_equal(nodes.n, 2);
        assert_string_equal(nodes.items[0].name, "three");
        assert_string_equal(nodes.items[1].name, "four");
        nodes_deinit(&nodes);
}

static void nodes_are_found_by_their_whole_name(void **state) {
        Nodes nodes = NODES_NULL;

        (void) state;
        add(&nodes, S_IFCHR, 0, "nvidia0");
        add(&nodes, S_IFCHR, 10, "nvidia10");
        nodes_sort(&nodes);
        assert_string_equal(nodes_find_name(&nodes, "nvidia0", 7)->name, "nvidia0");
        assert_string_equal(nodes_find_name(&nodes, "nvidia10 (deleted)", 8)->name, "nvidia10");
        assert_null(nodes_find_name(&nodes, "nvidia1", 7));
        assert_null(nodes_find_name(&nodes, "nvidia", 6));
        assert_null(nodes_find_name(&nodes, "", 0));
        nodes_deinit(&nodes);
}

static void memory_that_is_short_is_told_and_leaks_nothing(void **state) {
        Nodes nodes = NODES_NULL;

        (void) state;
        assert_int_equal(nodes_add(&nodes, S_IFCHR, 0, gpu_address, NULL), -ENOMEM);
        assert_int_equal(nodes.n, 0);
}

static void an_open_vfio_device_is_ours_or_not(void **state) {
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

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                Nodes nodes = { .gpu = gpu_address };
                const Node *node;

                add(&nodes, S_IFCHR, 1, "nvidia0");
                assert_false(nodes.has_vfio);
                add(&nodes, S_IFCHR, 2, "vfio/12");
                assert_true(nodes.has_vfio);
                nodes.has_all_vfio = cases[i].has_all;
                nodes_sort(&nodes);

                node = nodes_find_vfio(&nodes, cases[i].path);
                if (cases[i].expected)
                        assert_string_equal(node->name, "vfio/12");
                else
                        assert_null(node);
                nodes_deinit(&nodes);
        }
}

/* collecting */

typedef struct Fixture {
        FakeTree *tree;
        Gpu gpu;
        Nodes nodes;
} Fixture;

static int fixture_setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));

        fixture->tree = fake_tree_new();
        fake_standard_drivers(fixture->tree);
        *state = fixture;
        return 0;
}

static int fixture_teardown(void **state) {
        Fixture *fixture = *state;

        nodes_deinit(&fixture->nodes);
        gpu_deinit(&fixture->gpu);
        fake_tree_free(fixture->tree);
        free(fixture);
        return 0;
}

static int try_collect(Fixture *fixture, Mode to) {
        nodes_deinit(&fixture->nodes);
        gpu_deinit(&fixture->gpu);
        assert_int_equal(gpu_init(&fixture->gpu, fake_sysfs(fixture->tree), gpu_address), 0);
        return collect_nodes(&fixture->nodes, &fixture->tree->roots, &fixture->gpu, to);
}

/* Collect, and compare: "type major:minor function name;" of each, sorted by number. */
static void assert_nodes(Fixture *fixture, Mode to, const char *expected) {
        _cleanup_(text_deinit) Text found = TEXT_NULL;
        const Nodes *nodes = &fixture->nodes;

        assert_int_equal(try_collect(fixture, to), 0);
        for (size_t i = 0; i < nodes->n; ++i)
                assert_int_equal(text_append(&found, "%c %u:%u .%u %s;",
                                                 nodes->items[i].type == S_IFBLK ? 'b' : 'c',
                                                 major(nodes->items[i].rdev),
                                                 minor(nodes->items[i].rdev),
                                                 nodes->items[i].function.function,
                                                 nodes->items[i].name),
                                0);
        assert_string_equal(text(&found), expected);
}

static void a_gpu_without_any_driver_has_no_nodes(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        assert_nodes(fixture, MODE_PASSTHROUGH, "");
        assert_nodes(fixture, MODE_HOST, "");
        assert_false(fixture->nodes.has_vfio);
        assert_false(fixture->nodes.has_all_vfio);
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
                        "dri/renderD129;");
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
        assert_nodes(fixture, MODE_PASSTHROUGH, "b 8:0 .2 sda;");
}

static void jack_sensors_do_not_count(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12);
        fake_device_write(tree, AUDIO, "sound/card1/input7/event5/dev", "13:69");
        fake_device_write(tree, AUDIO, "sound/card1/input7/event5/uevent", "DEVNAME=input/event5");
        assert_nodes(fixture, MODE_PASSTHROUGH, "");
}

static void a_node_without_a_name_is_named_after_its_directory(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        fake_device_write(fixture->tree, GPU, "graphics/fb0/dev", "29:0");
        fake_device_write(fixture->tree, AUDIO, "x/thing/dev", "10:7");
        fake_device_write(fixture->tree, AUDIO, "x/thing/uevent", "MAJOR=10\nXDEVNAME=no");
        assert_nodes(fixture, MODE_PASSTHROUGH, "c 10:7 .1 thing;c 29:0 .0 fb0;");
}

static void a_number_that_is_none_is_an_error(void **state) {
        static const char *const cases[] = { "", "226", "226:", ":0", "226:0:0", "x:y", "226:-1",
                "99999999999:0" };
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_device_write(fixture->tree, GPU, "drm/card0/dev", cases[i]);
                assert_int_equal(try_collect(fixture, MODE_PASSTHROUGH), -EBADMSG);
                assert_int_equal(fixture->nodes.n, 0);
        }
}

static void nvidias_nodes_are_added_by_number(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, SECOND, .group = 13, .driver = "nvidia");
        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "nvidia");
        /* It came second, and so it got the second number. */
        assert_nodes(fixture, MODE_PASSTHROUGH, "c 195:1 .0 nvidia1;c 195:254 .0 nvidia-modeset;");

        fake_write(fixture->tree->root, "proc/driver/nvidia/gpus/" GPU "/information",
                        "Device Minor: \t 7\n");
        assert_nodes(fixture, MODE_PASSTHROUGH, "c 195:7 .0 nvidia7;c 195:254 .0 nvidia-modeset;");
}

static void all_of_nvidias_nodes_count_where_it_is_not_told_which(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "nvidia");
        fake_remove(fixture->tree->root, "proc/driver/nvidia/gpus/" GPU);
        assert_int_equal(try_collect(fixture, MODE_PASSTHROUGH), 0);
        assert_int_equal(fixture->nodes.n, 249);
        assert_non_null(nodes_find(&fixture->nodes, S_IFCHR, makedev(195, 0)));
        assert_non_null(nodes_find(&fixture->nodes, S_IFCHR, makedev(195, 247)));
        assert_non_null(nodes_find(&fixture->nodes, S_IFCHR, makedev(195, 254)));
        assert_null(nodes_find(&fixture->nodes, S_IFCHR, makedev(195, 255)));
}

static void a_gpu_that_the_driver_still_waits_for_has_its_nodes(void **state) {
        Fixture *fixture = *state;

        /* No driver link any more, but the directory in procfs: a removal in progress. */
        fake_gpu_add(fixture->tree, GPU, .group = 12);
        fake_write(fixture->tree->root, "proc/driver/nvidia/gpus/" GPU "/information",
                        "Device Minor: \t 0\n");
        assert_nodes(fixture, MODE_PASSTHROUGH, "c 195:0 .0 nvidia0;c 195:254 .0 nvidia-modeset;");
}

static void another_driver_has_none_of_nvidias_nodes(void **state) {
        Fixture *fixture = *state;

        fake_driver_add(fixture->tree, .name = "nouveau",
                        .match = { "pci:v000010DEd*bc03sc00i00*" });
        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "nouveau");
        fake_drm_add(fixture->tree, GPU, 0, NULL);
        assert_nodes(fixture, MODE_PASSTHROUGH,
                        "c 226:0 .0 dri/card0;c 226:128 .0 dri/renderD128;");
}

static void on_the_way_home_only_what_vfio_has_counts(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "vfio-pci");
        /* What nvidia-drm without modeset leaves behind when the GPU goes. */
        fake_drm_add(fixture->tree, GPU, 0, NULL);
        fake_device_write(fixture->tree, GPU, "vfio-dev/vfio3/dev", "511:3");
        fake_device_write(
                        fixture->tree, GPU, "vfio-dev/vfio3/uevent", "DEVNAME=vfio/devices/vfio3");
        assert_nodes(fixture, MODE_HOST, "c 511:3 .0 vfio/devices/vfio3;c 511:12 .0 vfio/12;");
        assert_true(fixture->nodes.has_vfio);
        assert_true(fixture->nodes.has_all_vfio);
}

static void a_half_moved_gpu_has_the_nodes_of_both_sides(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_module_load(tree, "vfio_pci");
        fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia", .functions = 1);
        fake_device_add(tree, AUDIO, .vendor = 0x10de, .class = 0x040300, .group = 12,
                        .driver = "vfio-pci", .override = "vfio-pci");
        assert_nodes(fixture, MODE_PASSTHROUGH,
                        "c 195:0 .0 nvidia0;c 195:254 .0 nvidia-modeset;c 511:12 .0 vfio/12;");
        /* Home goes only what is away. */
        assert_nodes(fixture, MODE_HOST, "c 511:12 .1 vfio/12;");
}

static void each_group_of_the_card_has_its_node(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_module_load(tree, "vfio_pci");
        fake_gpu_add(tree, GPU, .group = 12, .driver = "vfio-pci", .functions = 1);
        fake_device_add(tree, AUDIO, .vendor = 0x10de, .class = 0x040300, .group = 14,
                        .driver = "vfio-pci", .override = "vfio-pci");
        assert_nodes(fixture, MODE_HOST, "c 511:12 .0 vfio/12;c 511:14 .1 vfio/14;");
        assert_true(fixture->nodes.has_all_vfio);
}

static void a_group_without_protection_has_a_node_of_another_name(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12, .driver = "vfio-pci", .functions = 1);
        fake_remove(tree->root, "sys/class/vfio/12");
        fake_write(tree->root, "sys/class/vfio/noiommu-12/dev", "511:0\n");
        assert_nodes(fixture, MODE_HOST, "c 511:0 .0 vfio/noiommu-12;");
}

static void vfio_has_others_too(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "vfio-pci");
        fake_gpu_add(fixture->tree, SECOND, .group = 13, .driver = "vfio-pci");
        assert_nodes(fixture, MODE_HOST, "c 511:12 .0 vfio/12;");
        assert_true(fixture->nodes.has_vfio);
        assert_false(fixture->nodes.has_all_vfio);
}

int main(void) {
#define node_test(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(nodes_are_found_by_type_and_number),
                cmocka_unit_test(the_same_node_twice_is_one),
                cmocka_unit_test(nodes_are_found_by_their_whole_name),
                cmocka_unit_test(memory_that_is_short_is_told_and_leaks_nothing),
                cmocka_unit_test(an_open_vfio_device_is_ours_or_not),
                node_test(a_gpu_without_any_driver_has_no_nodes),
                node_test(all_nodes_below_all_functions_count),
                node_test(block_devices_are_told_by_their_subsystem),
                node_test(jack_sensors_do_not_count),
                node_test(a_node_without_a_name_is_named_after_its_directory),
                node_test(a_number_that_is_none_is_an_error),
                node_test(nvidias_nodes_are_added_by_number),
                node_test(all_of_nvidias_nodes_count_where_it_is_not_told_which),
                node_test(a_gpu_that_the_driver_still_waits_for_has_its_nodes),
                node_test(another_driver_has_none_of_nvidias_nodes),
                node_test(on_the_way_home_only_what_vfio_has_counts),
                node_test(a_half_moved_gpu_has_the_nodes_of_both_sides),
                node_test(each_group_of_the_card_has_its_node),
                node_test(a_group_without_protection_has_a_node_of_another_name),
                node_test(vfio_has_others_too),
        };

        return cmocka_run_group_tests_name("probe/nodes", tests, NULL, NULL);
}
