/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test IOMMU Groups
 */

#include "lib/test.h"

#include "model/gpu.h"
#include "model/group.h"

static void a_group_has_its_members_with_their_drivers(void **state) {
        FakeTree *tree = *state;
        Group group;

        fake_standard_drivers(tree);
        fake_device_add(tree, "0000:00:01.0", .vendor = 0x8086, .class = 0x060400, .group = 1,
                        .driver = "pcieport");
        fake_gpu_add(tree, "0000:01:00.0", .functions = 2, .group = 1, .driver = "nvidia");
        fake_gpu_add(tree, "0000:02:00.0", .functions = 1, .group = 2);

        assert_int_equal(group_init(&group, fake_sysfs(tree), 1), 0);
        assert_int_equal(group.number, 1);
        assert_string_equal(group.name, "");
        assert_int_equal(group.n_members, 3);
        assert_string_equal(group.members[0].driver, "pcieport");
        assert_string_equal(group.members[1].driver, "nvidia");
        assert_string_equal(group.members[2].driver, "snd_hda_intel");
        assert_false(group_is_unsafe(&group));
        group_deinit(&group);
        assert_int_equal(group.n_members, 0);
        group_deinit(&group);
}

static void noiommu_groups_are_unsafe(void **state) {
        static const struct {
                const char *name;
                bool unsafe;
        } cases[] = { { "vfio-noiommu\n", true }, { "vfio-noiommu-x\n", false }, { "\n", false } };
        FakeTree *tree = *state;
        Group group;

        fake_gpu_add(tree, "0000:01:00.0", .functions = 1, .group = 1);
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_write(tree->root, "sys/kernel/iommu_groups/1/name", "%s", cases[i].name);
                assert_int_equal(group_init(&group, fake_sysfs(tree), 1), 0);
                assert_int_equal(group_is_unsafe(&group), cases[i].unsafe);
                group_deinit(&group);
        }
}

static void a_group_that_is_not_there_is_missing(void **state) {
        FakeTree *tree = *state;
        Group group;

        assert_int_equal(group_init(&group, fake_sysfs(tree), 7), GROUP_E_MISSING);
        assert_int_equal(group.n_members, 0);
        assert_null(group.name);
}

static void a_member_that_goes_meanwhile_is_not_there(void **state) {
        FakeTree *tree = *state;
        Group group;

        fake_gpu_add(tree, "0000:01:00.0", .functions = 2, .group = 1);
        fake_remove(tree->root, "sys/bus/pci/devices/0000:01:00.1");
        assert_int_equal(group_init(&group, fake_sysfs(tree), 1), 0);
        assert_int_equal(group.n_members, 1);
        group_deinit(&group);
}

static void a_member_that_is_no_pci_device_is_not_understood(void **state) {
        FakeTree *tree = *state;
        Group group;

        fake_gpu_add(tree, "0000:01:00.0", .functions = 1, .group = 1);
        fake_make_dir(tree->root, "sys/kernel/iommu_groups/1/devices/fd8c0000.gpu");
        assert_int_equal(group_init(&group, fake_sysfs(tree), 1), -EBADMSG);
        assert_int_equal(group.n_members, 0);
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
                tree_test(a_group_has_its_members_with_their_drivers),
                tree_test(noiommu_groups_are_unsafe),
                tree_test(a_group_that_is_not_there_is_missing),
                tree_test(a_member_that_goes_meanwhile_is_not_there),
                tree_test(a_member_that_is_no_pci_device_is_not_understood),
                tree_test(gpus_of_one_group_share_it),
        };

        return cmocka_run_group_tests_name("model/group", tests, NULL, NULL);
}
