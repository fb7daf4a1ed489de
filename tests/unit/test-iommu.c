/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Why There is no IOMMU
 *
 * The half that is missing, from what the firmware and the command line say.
 */

#include "lib/test.h"

#include "probe/iommu.h"

#define TABLES "sys/firmware/acpi/tables/"

static void assert_cause(
                FakeTree *tree, const char *what, IommuCause expected, const char *argument) {
        _cleanup_(freep) char *found = NULL;
        IommuCause cause;

        assert_int_equal(iommu_find_cause(&tree->roots, &cause, &found), 0);
        if (cause != expected)
                fail_msg("%s: cause %u, not %u", what, cause, expected);
        if (argument)
                assert_string_equal(found, argument);
        else
                assert_null(found);
}

static void the_missing_half_is_told(void **state) {
        static const struct {
                const char *table; /* NULL: no ACPI at all; "": none of an IOMMU */
                const char *arguments;
                IommuCause cause;
                const char *argument;
        } cases[] = {
                { NULL, "quiet", IOMMU_UNKNOWN, NULL },
                { NULL, "intel_iommu=on iommu=pt", IOMMU_FIRMWARE, NULL },
                { NULL, "acpi=off", IOMMU_OFF, "acpi=off" },
                { NULL, "iommu=off", IOMMU_OFF, "iommu=off" },
                { "", "quiet", IOMMU_FIRMWARE, NULL },
                { "", "intel_iommu=on", IOMMU_FIRMWARE, NULL },
                { "", "intel_iommu=off", IOMMU_FIRMWARE_AND_OFF, "intel_iommu=off" },
                { "", "amd_iommu=off", IOMMU_FIRMWARE_AND_OFF, "amd_iommu=off" },
                { "DMAR", "quiet", IOMMU_NOT_ON, NULL },
                { "DMAR", "iommu=pt intel_iommu=igfx_off", IOMMU_NOT_ON, NULL },
                { "DMAR", "xintel_iommu=on", IOMMU_NOT_ON, NULL },
                { "DMAR", "init=/x -- intel_iommu=on", IOMMU_NOT_ON, NULL },
                { "DMAR", "intel_iommu=on,sm_on", IOMMU_KERNEL, NULL },
                { "DMAR", "intel_iommu=igfx_off,on", IOMMU_KERNEL, NULL },
                { "DMAR", "intel_iommu=on intel_iommu=igfx_off", IOMMU_KERNEL, NULL },
                { "DMAR", "intel_iommu=off intel_iommu=on", IOMMU_KERNEL, NULL },
                { "DMAR", "intel_iommu=on intel_iommu=off", IOMMU_OFF_NOT_ON, "intel_iommu=off" },
                { "DMAR", "intel_iommu=off", IOMMU_OFF_NOT_ON, "intel_iommu=off" },
                { "DMAR", "iommu=pt,off intel_iommu=on", IOMMU_OFF, "iommu=pt,off" },
                { "DMAR", "intel_iommu=on amd_iommu=off", IOMMU_KERNEL, NULL },
                { "DMAR", "iommu=soft intel_iommu=on", IOMMU_KERNEL, NULL },
                { "IVRS", "intel_iommu=off", IOMMU_KERNEL, NULL },
                { "IVRS", "quiet", IOMMU_KERNEL, NULL },
                { "IVRS", "amd_iommu=off\n", IOMMU_OFF, "amd_iommu=off" },
                { "IVRS", "iommu=off", IOMMU_OFF, "iommu=off" },
                { "IORT", "quiet", IOMMU_KERNEL, NULL },
                { "VIOT", "quiet", IOMMU_KERNEL, NULL },
        };
        FakeTree *tree = *state;
        char path[FAKE_PATH_MAX], what[128];

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                const char *table = cases[i].table;

                fake_remove(tree->root, TABLES);
                if (table)
                        fake_write(tree->root, TABLES "FACP", "%s", "");
                if (table && table[0])
                        fake_write(tree->root, fake_path(path, TABLES "%s", table), "%s", "");
                fake_write(tree->root, "proc/cmdline", "%s", cases[i].arguments);
                snprintf(what, sizeof(what), "%s, %s", table ?: "-", cases[i].arguments);
                assert_cause(tree, what, cases[i].cause, cases[i].argument);
        }
}

static void a_command_line_that_is_not_there_has_no_arguments(void **state) {
        FakeTree *tree = *state;

        fake_write(tree->root, TABLES "DMAR", "%s", "");
        assert_cause(tree, "no file", IOMMU_NOT_ON, NULL);
}

static void xen_has_it_for_itself(void **state) {
        FakeTree *tree = *state;

        fake_write(tree->root, TABLES "DMAR", "%s", "");
        fake_write(tree->root, "sys/hypervisor/type", "other\n");
        assert_cause(tree, "other", IOMMU_NOT_ON, NULL);
        fake_write(tree->root, "sys/hypervisor/type", "xen\n");
        assert_cause(tree, "xen", IOMMU_XEN, NULL);
}

static void one_that_others_have_is_on(void **state) {
        FakeTree *tree = *state;

        fake_write(tree->root, TABLES "DMAR", "%s", "");
        fake_write(tree->root, "sys/kernel/iommu_groups/3/name", "vfio-noiommu\n");
        assert_cause(tree, "made up", IOMMU_NOT_ON, NULL);
        fake_write(tree->root, "sys/kernel/iommu_groups/4/name", "\n");
        assert_cause(tree, "real", IOMMU_DEVICE, NULL);
}

static void a_machine_without_acpi_has_a_device_tree(void **state) {
        FakeTree *tree = *state;

        fake_make_dir(tree->root, "sys/firmware/devicetree/base");
        assert_cause(tree, "tree", IOMMU_DEVICE_TREE, NULL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                tree_test(the_missing_half_is_told),
                tree_test(a_command_line_that_is_not_there_has_no_arguments),
                tree_test(xen_has_it_for_itself),
                tree_test(one_that_others_have_is_on),
                tree_test(a_machine_without_acpi_has_a_device_tree),
        };

        return cmocka_run_group_tests_name("probe/iommu", tests, NULL, NULL);
}
