/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Facts for a Set-up
 */

#include "lib/test.h"

#include "base/text.h"
#include "setup/facts.h"

typedef struct Look {
        SetupFacts facts;
        SetupPlan plan;
} Look;

static void look_deinit(Look *look) {
        setup_facts_deinit(&look->facts);
        setup_plan_deinit(&look->plan);
}

/* Has what a plan needs, but for GPUs. */
static FakeTree *machine(void **state) {
        FakeTree *tree = *state;

        fake_standard_drivers(tree);
        fake_write(tree->root, "proc/cpuinfo", "vendor_id\t: AuthenticAMD\n");
        fake_write(tree->root, "lib/modules/6.1/modules.dep", "kernel/vfio-pci.ko:\n");
        return tree;
}

static void look_at(FakeTree *tree, Mode mode, Look *ret) {
        assert_int_equal(setup_facts_look(&ret->facts, &tree->roots, mode), 0);
        ret->plan = (SetupPlan) SETUP_PLAN_NULL;
        assert_int_equal(modprobe_plan(&ret->plan, &ret->facts), 0);
}

static const char *modprobe_of(const Look *look) {
        assert_true(look->plan.n_files > 0);
        return look->plan.files[0].after.data;
}

static void ids_are_those_of_all_functions(void **state) {
        _cleanup_(look_deinit) Look look = {};
        FakeTree *tree = machine(state);

        fake_gpu_add(tree, "0000:01:00.0", .group = 12, .driver = "nvidia", .functions = 2);
        look_at(tree, MODE_PASSTHROUGH, &look);
        assert_int_equal(look.facts.mode, MODE_PASSTHROUGH);
        assert_non_null(look.facts.ids);
        assert_true(text_starts_with(look.facts.ids, "10de:2d04,10de:", NULL));
        assert_non_null(strstr(modprobe_of(&look), "options vfio-pci ids=10de:2d04,10de:"));
        assert_non_null(strstr(modprobe_of(&look), "softdep nvidia pre: vfio-pci\n"));
        assert_int_equal(look.facts.n_words, 2);
        assert_string_equal(look.facts.words[0], "amd_iommu=on");
}

static void no_ids_where_another_device_has_one(void **state) {
        _cleanup_(look_deinit) Look look = {};
        FakeTree *tree = machine(state);

        fake_gpu_add(tree, "0000:01:00.0", .group = 12, .driver = "nvidia", .functions = 1);
        fake_gpu_add(tree, "0000:02:00.0", .group = 13, .driver = "nvidia", .functions = 1);
        fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "[GPU 0000:02:00.0]\nManaged=no\n");
        look_at(tree, MODE_PASSTHROUGH, &look);
        assert_null(look.facts.ids);
        assert_null(strstr(modprobe_of(&look), "ids="));
        assert_int_equal(look.facts.n_warnings, 1);
        assert_non_null(strstr(look.facts.warnings[0], "0000:02:00.0"));
}

static void two_cards_for_guests_have_one_id(void **state) {
        _cleanup_(look_deinit) Look look = {};
        FakeTree *tree = machine(state);

        fake_gpu_add(tree, "0000:01:00.0", .group = 12, .driver = "nvidia", .functions = 1);
        fake_gpu_add(tree, "0000:02:00.0", .group = 13, .driver = "nvidia", .functions = 1);
        look_at(tree, MODE_PASSTHROUGH, &look);
        assert_string_equal(look.facts.ids, "10de:2d04");
}

static void the_mode_is_that_of_the_configuration(void **state) {
        _cleanup_(look_deinit) Look look = {}, host = {};
        FakeTree *tree = machine(state);

        fake_gpu_add(tree, "0000:01:00.0", .group = 12, .driver = "nvidia", .functions = 1);
        fake_write(tree->root, "etc/vfiopt/vfiopt.conf",
                        "[GPU 0000:01:00.0]\nBootMode=passthrough\n");
        look_at(tree, MODE_UNSET, &look);
        assert_int_equal(look.facts.mode, MODE_PASSTHROUGH);
        assert_string_equal(look.facts.ids, "10de:2d04");
        /* What is asked for comes first. */
        look_at(tree, MODE_HOST, &host);
        assert_int_equal(host.facts.mode, MODE_HOST);
        assert_null(host.facts.ids);
}

static void an_older_set_up_means_passthrough(void **state) {
        _cleanup_(look_deinit) Look look = {};
        FakeTree *tree = machine(state);

        fake_gpu_add(tree, "0000:01:00.0", .group = 12, .driver = "nvidia", .functions = 1);
        fake_write(tree->root, "etc/modprobe.d/vfio.conf",
                        "options vfio_pci ids=10de:2d04 disable_vga=1\n");
        look_at(tree, MODE_UNSET, &look);
        assert_int_equal(look.facts.mode, MODE_PASSTHROUGH);
        assert_string_equal(look.facts.ids, "10de:2d04");
        assert_string_equal(look.facts.other_ids, "10de:2d04");
        assert_string_equal(look.facts.other_ids_where, "/etc/modprobe.d/vfio.conf:1");
        assert_int_equal(look.plan.n_warnings, 0);
}

static void a_second_set_up_keeps_the_mode(void **state) {
        _cleanup_(look_deinit) Look first = {}, again = {}, host = {}, image = {};
        FakeTree *tree = machine(state);

        fake_gpu_add(tree, "0000:01:00.0", .group = 12, .driver = "nvidia", .functions = 1);
        look_at(tree, MODE_PASSTHROUGH, &first);
        fake_write(tree->root, "etc/modprobe.d/00-vfiopt.conf", "%s", modprobe_of(&first));
        look_at(tree, MODE_UNSET, &again);
        assert_int_equal(again.facts.mode, MODE_PASSTHROUGH);
        assert_string_equal(again.facts.mode_why,
                        "/etc/modprobe.d/00-vfiopt.conf has ids= for vfio-pci");
        assert_string_equal(again.facts.ids, "10de:2d04");
        assert_null(again.facts.other_ids);
        /* Without the devices the earlier ids= stay. */
        tree->roots.is_image = true;
        look_at(tree, MODE_UNSET, &image);
        tree->roots.is_image = false;
        assert_int_equal(image.facts.mode, MODE_PASSTHROUGH);
        assert_string_equal(image.facts.ids, "10de:2d04");
        /* What is written comes first. */
        fake_write(tree->root, "etc/vfiopt/vfiopt.conf", "[GPU 0000:01:00.0]\nBootMode=host\n");
        look_at(tree, MODE_UNSET, &host);
        assert_int_equal(host.facts.mode, MODE_HOST);
        assert_null(host.facts.ids);
}

static void ids_of_one_card_are_about_no_other(void **state) {
        _cleanup_(look_deinit) Look look = {}, none = {};
        FakeTree *tree = machine(state);

        fake_gpu_add(tree, "0000:01:00.0", .group = 12, .driver = "nvidia", .functions = 1);
        fake_gpu_add(tree, "0000:02:00.0", .group = 13, .driver = "nvidia", .functions = 1);
        fake_write(tree->root, "sys/bus/pci/devices/0000:02:00.0/device", "0x2204\n");
        fake_write(tree->root, "etc/modprobe.d/vfio.conf",
                        "options vfio-pci ids=8086:1234,10DE:2204:ffffffff\n");
        look_at(tree, MODE_UNSET, &look);
        assert_int_equal(look.facts.mode, MODE_PASSTHROUGH);
        assert_string_equal(look.facts.ids, "10de:2204");
        fake_write(tree->root, "etc/modprobe.d/vfio.conf", "options vfio-pci ids=8086:1234\n");
        look_at(tree, MODE_UNSET, &none);
        assert_int_equal(none.facts.mode, MODE_HOST);
        assert_null(none.facts.ids);
}

static void nothing_says_host(void **state) {
        _cleanup_(look_deinit) Look look = {};
        FakeTree *tree = machine(state);

        fake_gpu_add(tree, "0000:01:00.0", .group = 12, .driver = "nvidia", .functions = 1);
        look_at(tree, MODE_UNSET, &look);
        assert_int_equal(look.facts.mode, MODE_HOST);
        assert_null(strstr(modprobe_of(&look), "ids="));
}

static void a_driver_that_is_built_in_has_its_ids_from_the_command_line(void **state) {
        _cleanup_(look_deinit) Look look = {};
        FakeTree *tree = machine(state);

        fake_gpu_add(tree, "0000:01:00.0", .group = 12, .driver = "nvidia", .functions = 1);
        fake_write(tree->root, "lib/modules/6.1/modules.dep", "%s", "");
        fake_write(tree->root, "lib/modules/6.1/modules.builtin",
                        "kernel/drivers/vfio/pci/vfio-pci.ko\n");
        look_at(tree, MODE_PASSTHROUGH, &look);
        assert_int_equal(look.facts.n_words, 3);
        assert_string_equal(look.facts.words[2], "vfio-pci.ids=10de:2d04");
        assert_null(strstr(modprobe_of(&look), "ids="));
}

static void no_kernel_without_vfio_is_set_up(void **state) {
        _cleanup_(look_deinit) Look look = {};
        FakeTree *tree = machine(state);

        fake_write(tree->root, "lib/modules/6.1/modules.dep", "%s", "");
        look_at(tree, MODE_HOST, &look);
        assert_int_equal(look.plan.n_refusals, 1);
}

static void kernels_that_differ_get_no_softdep(void **state) {
        _cleanup_(look_deinit) Look look = {};
        FakeTree *tree = machine(state);

        fake_write(tree->root, "lib/modules/6.2/modules.dep", "kernel/vfio-pci.ko:\n");
        fake_write(tree->root, "lib/modules/6.1/modules.softdep", "softdep nvidia pre: a\n");
        fake_write(tree->root, "lib/modules/6.2/modules.softdep", "softdep nvidia pre: b\n");
        look_at(tree, MODE_HOST, &look);
        assert_null(strstr(modprobe_of(&look), "softdep nvidia "));
        assert_int_equal(look.plan.n_warnings, 1);
}

static void two_lines_of_a_kernel_are_no_two_kernels(void **state) {
        _cleanup_(look_deinit) Look look = {};
        FakeTree *tree = machine(state);

        fake_write(tree->root, "lib/modules/6.2/modules.dep", "kernel/vfio-pci.ko:\n");
        for (const char *const *kernel = (const char *const[]){ "6.1", "6.2", NULL }; *kernel;
                        ++kernel) {
                _cleanup_(freep) char *path =
                                text_format("lib/modules/%s/modules.softdep", *kernel);

                assert_non_null(path);
                fake_write(tree->root, path, "softdep nvidia pre: a\nsoftdep nvidia pre: b\n");
        }
        look_at(tree, MODE_HOST, &look);
        assert_non_null(strstr(modprobe_of(&look), "softdep nvidia pre: a vfio-pci\n"));
        assert_int_equal(look.plan.n_warnings, 0);
}

static void lines_with_patterns_count(void **state) {
        _cleanup_(look_deinit) Look look = {};
        FakeTree *tree = machine(state);

        fake_write(tree->root, "etc/modprobe.d/a.conf",
                        "install nvidia-[dm]* /bin/false\nsoftdep nouv?au pre: a\nsoftdep n* post: b\n");
        look_at(tree, MODE_HOST, &look);
        assert_string_equal(look.facts.modules[1].install_where, "/etc/modprobe.d/a.conf:1");
        assert_null(look.facts.modules[0].install_where);
        assert_null(strstr(modprobe_of(&look), "softdep nvidia_drm "));
        assert_non_null(strstr(modprobe_of(&look), "softdep nouveau pre: a vfio-pci\n"));
        assert_non_null(strstr(modprobe_of(&look), "softdep nvidia_uvm pre: vfio-pci post: b\n"));
        assert_non_null(strstr(modprobe_of(&look), "softdep snd_hda_intel pre: vfio-pci\n"));
}

static void the_command_line_of_another_system_tells_nothing(void **state) {
        _cleanup_(look_deinit) Look there = {}, here = {};
        FakeTree *tree = machine(state);

        fake_write(tree->root, "proc/cmdline", "BOOT_IMAGE=/live/vmlinuz\n");
        fake_write(tree->root, "etc/sysconfig/bootloader",
                        "# one\nLOADER_TYPE=\"grub2-bls\" # two\nSECURE_BOOT=\"yes\"\n");
        tree->roots.is_real = false;
        look_at(tree, MODE_HOST, &there);
        assert_null(there.facts.booted);
        assert_string_equal(there.facts.loader_type, "grub2-bls");
        tree->roots.is_real = true;
        look_at(tree, MODE_HOST, &here);
        tree->roots.is_real = false;
        assert_string_equal(here.facts.booted, "BOOT_IMAGE=/live/vmlinuz\n");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(ids_are_those_of_all_functions),
                tree_test(no_ids_where_another_device_has_one),
                tree_test(two_cards_for_guests_have_one_id),
                tree_test(the_mode_is_that_of_the_configuration),
                tree_test(an_older_set_up_means_passthrough),
                tree_test(a_second_set_up_keeps_the_mode),
                tree_test(ids_of_one_card_are_about_no_other),
                tree_test(nothing_says_host),
                tree_test(a_driver_that_is_built_in_has_its_ids_from_the_command_line),
                tree_test(no_kernel_without_vfio_is_set_up),
                tree_test(kernels_that_differ_get_no_softdep),
                tree_test(two_lines_of_a_kernel_are_no_two_kernels),
                tree_test(lines_with_patterns_count),
                tree_test(the_command_line_of_another_system_tells_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
