/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test the Pre-flight
 *
 * What is in the way of a GPU, in all the states of a machine that have a say.
 */

#include "probe-fixture.h"

#include <fcntl.h>

#define LONG_USEC  (60 * USEC_PER_SEC)
#define SHORT_USEC (20 * USEC_PER_MSEC)

#define NVME   "0000:03:00.0"
#define BRIDGE "0000:00:01.0"

static const char *const kinds[_FINDING_MAX] = {
        [FINDING_NO_IOMMU] = "no-iommu",
        [FINDING_UNSAFE_IOMMU] = "unsafe-iommu",
        [FINDING_GROUP_MEMBER] = "group-member",
        [FINDING_OTHER_CARD] = "other-card",
        [FINDING_VIRTUAL] = "virtual",
        [FINDING_BOOT_DISPLAY] = "boot-display",
        [FINDING_DISPLAY_ACTIVE] = "display-active",
        [FINDING_CANNOT_RELEASE] = "cannot-release",
        [FINDING_OFF_BUS] = "off-bus",
        [FINDING_FELL_OFF] = "fell-off",
        [FINDING_NO_VFIO_DRIVER] = "no-vfio-driver",
        [FINDING_NO_HOST_DRIVER] = "no-host-driver",
        [FINDING_STUCK] = "stuck",
        [FINDING_HOLDER] = "holder",
        [FINDING_CUDA] = "cuda",
        [FINDING_USB] = "usb",
        [FINDING_STARTED] = "started",
        [FINDING_UNKNOWN] = "unknown",
};

/* "kind .function what (error);" */
static char *describe(const Finding *finding) {
        char other[ADDRESS_STRING_MAX + 1] = "";
        const char *what = finding->detail ?: finding->node ?: "-";
        char *text;

        assert_int_equal(finding->function.bus, 1);
        if (finding->kind == FINDING_GROUP_MEMBER && finding->detail) {
                other[0] = ' ';
                address_format(finding->other, other + 1);
        }
        text = text_format("%s .%u %s%s%s%s%s%s%s;", kinds[finding->kind],
                        finding->function.function, what, other, finding->error ? " (" : "",
                        finding->error ? strerror(finding->error) : "", finding->error ? ")" : "",
                        finding->kind == FINDING_USB && finding->needed ? ", needed" : "",
                        finding->is_last ? ", last" : "");
        assert_non_null(text);
        return text;
}

static int compare_texts(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* All of them, sorted: the order in a directory is anybody's guess. */
static void assert_findings(const Findings *findings, const char *expected) {
        Text found = TEXT_NULL;
        char *texts[16];

        assert_in_range(findings->n, 0, ARRAY_SIZE(texts));
        for (size_t i = 0; i < findings->n; ++i)
                texts[i] = describe(&findings->items[i]);
        qsort(texts, findings->n, sizeof(*texts), compare_texts);
        for (size_t i = 0; i < findings->n; ++i) {
                assert_int_equal(text_append(&found, "%s", texts[i]), 0);
                free(texts[i]);
        }
        if (strcmp(text(&found), expected) != 0)
                fail_msg("found \"%s\", not \"%s\"", text(&found), expected);
        text_deinit(&found);
}

typedef int (*CheckFn)(const PreflightInput *input, Findings *findings);

/* Check the first GPU while the @n_moving first move. */
static void assert_check(
                Fixture *fixture, CheckFn check, Mode to, size_t n_moving, const char *expected) {
        const Gpu *moving[] = { &fixture->gpus[0], &fixture->gpus[1] };
        PreflightInput input = {
                .roots = &fixture->tree->roots,
                .gpu = card_read(fixture, n_moving),
                .to = to,
                .moving = moving,
                .n_moving = n_moving,
                .allow_display = fixture->allow_display,
                .wake_usec = fixture->wake_usec,
                .is_passive = fixture->is_passive,
        };

        assert_int_equal(check(&input, &fixture->findings), 0);
        assert_findings(&fixture->findings, expected);
        findings_deinit(&fixture->findings);
}

static void assert_preconditions(Fixture *fixture, Mode to, const char *expected) {
        assert_check(fixture, preflight_preconditions, to, 1, expected);
}

static void assert_holders(Fixture *fixture, Mode to, const char *expected) {
        assert_check(fixture, preflight_holders, to, 1, expected);
}

/* the good case */

static void nothing_is_in_the_way_of_an_idle_gpu(void **state) {
        static const char *const drivers[] = { "nvidia", NULL };

        for (size_t i = 0; i < ARRAY_SIZE(drivers); ++i) {
                Fixture *fixture = *state;

                if (i > 0) {
                        card_teardown(state);
                        card_setup(state);
                        fixture = *state;
                }
                fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = drivers[i]);
                assert_preconditions(fixture, MODE_PASSTHROUGH, "");
                assert_holders(fixture, MODE_PASSTHROUGH, "");
        }
}

static void nothing_is_in_the_way_home_of_an_idle_gpu(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "vfio-pci");
        assert_preconditions(fixture, MODE_HOST, "");
        assert_holders(fixture, MODE_HOST, "");
}

/* groups */

static void each_function_outside_of_any_group_is_told_once(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .driver = "nvidia");
        assert_preconditions(fixture, MODE_PASSTHROUGH, "no-iommu .0 -;");
        assert_preconditions(fixture, MODE_HOST, "");
}

static void one_function_outside_of_any_group_is_enough(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12, .functions = 1);
        fake_device_add(fixture->tree, AUDIO, .vendor = 0x10de, .class = 0x040300);
        assert_preconditions(fixture, MODE_PASSTHROUGH, "no-iommu .1 -;");
}

static void a_group_without_protection_is_refused(void **state) {
        static const struct {
                const char *name;
                const char *expected;
        } cases[] = { { "vfio-noiommu\n", "unsafe-iommu .0 -;" }, { "vfio-noiommu-x\n", "" },
                { "\n", "" } };
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12, .functions = 2);
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_write(fixture->tree->root, "sys/kernel/iommu_groups/12/name", "%s",
                                cases[i].name);
                assert_preconditions(fixture, MODE_PASSTHROUGH, cases[i].expected);
        }
}

static void a_group_that_is_not_there_is_none(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12, .functions = 1);
        fake_remove(fixture->tree->root, "sys/kernel/iommu_groups/12");
        assert_preconditions(fixture, MODE_PASSTHROUGH, "no-iommu .0 -;");
}

static void a_member_that_goes_meanwhile_is_not_in_the_way(void **state) {
        Fixture *fixture = *state;

        fake_driver_add(fixture->tree, .name = "nvme", .match = { "pci:*bc01sc08i*" });
        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "nvidia");
        fake_device_add(fixture->tree, NVME, .vendor = 0x144d, .class = 0x010802, .group = 12,
                        .driver = "nvme");
        fake_remove(fixture->tree->root, "sys/bus/pci/devices/" NVME);
        assert_preconditions(fixture, MODE_PASSTHROUGH, "");
}

static void a_member_that_stays_is_named_with_its_driver(void **state) {
        Fixture *fixture = *state;

        fake_driver_add(fixture->tree, .name = "nvme", .match = { "pci:*bc01sc08i*" });
        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "nvidia");
        fake_device_add(fixture->tree, NVME, .vendor = 0x144d, .class = 0x010802, .group = 12,
                        .driver = "nvme");
        assert_preconditions(fixture, MODE_PASSTHROUGH, "group-member .0 nvme 0000:03:00.0;");
}

static void a_member_that_leaves_dma_alone_may_stay(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_driver_add(tree, .name = "pci-stub", .shares_dma = true);
        fake_module_load(tree, "vfio_pci");
        fake_gpu_add(tree, GPU, .group = 12);
        fake_device_add(tree, BRIDGE, .vendor = 0x8086, .class = 0x060400, .group = 12,
                        .driver = "pcieport");
        fake_device_add(tree, NVME, .vendor = 0x144d, .class = 0x010802, .group = 12);
        fake_device_add(tree, "0000:04:00.0", .vendor = 0x8086, .class = 0x020000, .group = 12,
                        .driver = "vfio-pci", .override = "vfio-pci");
        fake_device_add(tree, "0000:05:00.0", .vendor = 0x8086, .class = 0x020000, .group = 12,
                        .driver = "pci-stub", .override = "pci-stub");
        assert_preconditions(fixture, MODE_PASSTHROUGH, "");
}

static void a_function_of_another_maker_in_the_slot_moves_too(void **state) {
        Fixture *fixture = *state;

        fake_module_load(fixture->tree, "xhci_pci");
        fake_gpu_add(fixture->tree, GPU, .group = 12, .functions = 2);
        fake_device_add(fixture->tree, USB, .vendor = 0x1b36, .class = 0x0c0330, .group = 12,
                        .driver = "xhci_hcd");
        assert_preconditions(fixture, MODE_PASSTHROUGH, "");
}

static void another_gpu_in_the_group_is_in_the_way_unless_it_moves_too(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "nvidia", .functions = 1);
        fake_gpu_add(fixture->tree, SECOND, .group = 12, .driver = "nvidia", .functions = 2);
        fake_module_load(fixture->tree, "snd_hda_intel");
        assert_preconditions(fixture, MODE_PASSTHROUGH,
                        "group-member .0 nvidia 0000:02:00.0;group-member .0 snd_hda_intel 0000:02:00.1;");
        assert_check(fixture, preflight_preconditions, MODE_PASSTHROUGH, 2, "");
}

static void another_gpu_is_known_by_what_it_is_and_all_are_named(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;
        const Gpu *moving[] = { &fixture->gpus[0] };
        PreflightInput input = {
                .roots = &tree->roots, .to = MODE_PASSTHROUGH, .moving = moving, .n_moving = 1
        };

        fake_driver_add(tree, .name = "nova_core", .match = { "pci:v000010DEd00002D05*" });
        fake_driver_add(tree, .name = "i40e", .match = { "pci:*bc02*" });
        fake_gpu_add(tree, GPU, .group = 12, .functions = 1);
        fake_gpu_add(tree, SECOND, .group = 12, .device = 0x2d05, .functions = 1);
        fake_gpu_add(tree, "0000:03:00.0", .group = 12, .functions = 1);
        fake_device_add(tree, "0000:04:00.0", .vendor = 0x8086, .class = 0x020000, .group = 12,
                        .driver = "i40e");
        assert_int_equal(
                        sysfs_write(fake_sysfs(tree), "bus/pci/drivers/nova_core/bind", SECOND), 0);

        input.gpu = card_read(fixture, 1);
        assert_int_equal(preflight_preconditions(&input, &fixture->findings), 0);
        assert_findings(&fixture->findings,
                        "group-member .0 i40e 0000:04:00.0;group-member .0 nova_core 0000:02:00.0;");
        for (size_t i = 0; i < fixture->findings.n; ++i) {
                const Finding *finding = &fixture->findings.items[i];

                assert_int_equal(finding->is_gpu, finding->other.bus == 2);
                assert_int_equal(finding->needed, finding->other.bus == 4);
                /* The third one has no driver, and is no less a GPU. */
                assert_string_equal(finding->gpus, GPU " " SECOND " 0000:03:00.0");
        }
}

static void each_group_of_the_card_is_looked_at(void **state) {
        Fixture *fixture = *state;

        fake_driver_add(fixture->tree, .name = "nvme", .match = { "pci:*bc01sc08i*" });
        fake_gpu_add(fixture->tree, GPU, .group = 12, .functions = 1);
        fake_device_add(fixture->tree, AUDIO, .vendor = 0x10de, .class = 0x040300, .group = 14);
        fake_device_add(fixture->tree, NVME, .vendor = 0x144d, .class = 0x010802, .group = 14,
                        .driver = "nvme");
        assert_preconditions(fixture, MODE_PASSTHROUGH, "group-member .1 nvme 0000:03:00.0;");
}

static void a_member_that_is_no_pci_device_is_in_the_way(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        fake_make_dir(fixture->tree->root, "sys/kernel/iommu_groups/12/devices/fd400000.smmu");
        assert_preconditions(fixture, MODE_PASSTHROUGH, "group-member .0 -;");
}

/* the card */

static void virtual_functions_stay_where_their_parent_is(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        fake_make_dir(fixture->tree->root, "sys/devices/vf");
        fake_link(fixture->tree->root, "sys/devices/vf", "sys/bus/pci/devices/" GPU "/virtfn0");
        assert_preconditions(fixture, MODE_PASSTHROUGH, "virtual .0 -;");
        assert_preconditions(fixture, MODE_HOST, "virtual .0 -;");
}

#define MDEV_A "4b20d080-1b54-4048-85b3-a6a62d165c01"
#define MDEV_B "4b20d080-1b54-4048-85b3-a6a62d165c02"

static void all_parts_that_were_given_away_are_counted_and_named(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;
        const Finding *finding;

        fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia");
        fake_make_dir(tree->root, "sys/bus/pci/devices/" GPU "/mdev_supported_types");
        fake_make_dir(tree->root, "sys/bus/pci/devices/" GPU "/" MDEV_A "/mdev_type");
        fake_make_dir(tree->root, "sys/bus/pci/devices/" GPU "/$(reboot)/mdev_type");
        fake_make_dir(tree->root, "sys/bus/pci/devices/" GPU "/virtfn0/" MDEV_B "/mdev_type");
        fake_make_dir(tree->root, "sys/bus/pci/devices/" GPU "/virtfn1");

        for (int pass = 0; pass < 2; ++pass) {
                const Gpu *moving[] = { card_read(fixture, 1) };
                PreflightInput input = { .roots = &tree->roots,
                        .gpu = moving[0],
                        .to = MODE_PASSTHROUGH,
                        .moving = moving,
                        .n_moving = 1 };

                assert_int_equal(preflight_preconditions(&input, &fixture->findings), 0);
                assert_int_equal(fixture->findings.n, 1);
                finding = &fixture->findings.items[0];
                assert_int_equal(finding->kind, FINDING_VIRTUAL);
                assert_int_equal(finding->number, 2);
                assert_string_equal(finding->detail, MDEV_A " " MDEV_B);
                assert_int_equal(finding->has_instances, pass == 1);
                findings_deinit(&fixture->findings);
                fake_write(tree->root, "proc/driver/nvidia/gpus/" GPU "/information",
                                "Device Minor: \t 3\n");
                fake_write(tree->root, "proc/driver/nvidia/capabilities/gpu3/mig/gi1/access", "%s",
                                "");
        }
}

/* With no virtual function. */
static void a_card_that_is_divided_would_lose_its_parts(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia");
        fake_write(tree->root, "proc/driver/nvidia/gpus/" GPU "/information",
                        "Device Minor: \t 3\n");
        fake_write(tree->root, "proc/driver/nvidia/capabilities/gpu2/mig/gi1/access", "%s", "");
        fake_make_dir(tree->root, "proc/driver/nvidia/capabilities/gpu3/mig");
        assert_preconditions(fixture, MODE_PASSTHROUGH, "");
        fake_write(tree->root, "proc/driver/nvidia/capabilities/gpu3/mig/gi1/access", "%s", "");
        assert_preconditions(fixture, MODE_PASSTHROUGH, "virtual .0 -;");
}

static void a_gpu_that_does_not_answer_goes_nowhere(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        fake_device_drop(fixture->tree, GPU);
        assert_preconditions(fixture, MODE_PASSTHROUGH, "off-bus .0 -;");
        assert_preconditions(fixture, MODE_HOST, "off-bus .0 -;");
        fake_device_write(fixture->tree, GPU, "power_state", "D3cold");
        assert_preconditions(fixture, MODE_HOST, "off-bus .0 D3cold;");
}

static void write_log(FakeTree *tree, const char *record) {
        fake_write(tree->root, "dev/kmsg", "%s", record);
}

static void the_log_has_a_say_while_nvidias_driver_is_bound(void **state) {
        static const char fell[] = "4,1,1,-;NVRM: GPU " GPU ": GPU has fallen off the bus.\n";
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        write_log(fixture->tree, fell);
        assert_preconditions(fixture, MODE_PASSTHROUGH, "");

        fake_module_load(fixture->tree, "nvidia");
        assert_preconditions(fixture, MODE_PASSTHROUGH, "fell-off .0 -;");
        assert_preconditions(fixture, MODE_HOST, "");
}

static void all_that_is_in_the_way_is_told(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .boot_vga = "1");
        fake_device_drop(fixture->tree, GPU);
        assert_preconditions(
                        fixture, MODE_PASSTHROUGH, "boot-display .0 -;no-iommu .0 -;off-bus .0 -;");
}

/* the bus */

static void assert_off_bus(Fixture *fixture, uint64_t wake_usec, const char *expected) {
        fixture->wake_usec = wake_usec;
        assert_preconditions(fixture, MODE_HOST, expected);
        fixture->wake_usec = 0;
}

static void a_gpu_that_is_awake_is_asked_at_once(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        fake_device_write(fixture->tree, GPU, "power/runtime_status", "active");
        assert_preconditions(fixture, MODE_HOST, "");
        fake_device_drop(fixture->tree, GPU);
        /* No time is given, and none is needed. */
        assert_off_bus(fixture, 1, "off-bus .0 -;");
}

static void a_gpu_that_sleeps_is_asked_in_a_child(void **state) {
        static const char *const cases[] = { "suspended", "suspending", "unsupported", "error" };
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        assert_preconditions(fixture, MODE_HOST, "");
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_device_write(fixture->tree, GPU, "power/runtime_status", cases[i]);
                assert_preconditions(fixture, MODE_HOST, "");
        }
        fake_device_drop(fixture->tree, GPU);
        assert_off_bus(fixture, LONG_USEC, "off-bus .0 -;");
}

/* The configuration space of one that sleeps is a pipe here, and so is the log: to open either would hang. */
static void who_only_looks_wakes_nothing_and_opens_no_node(void **state) {
        static const char *const paths[] = { "sys/bus/pci/devices/" GPU "/config", "dev/kmsg" };
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia", .functions = 1);
        for (size_t i = 0; i < ARRAY_SIZE(paths); ++i) {
                char path[FAKE_PATH_MAX];

                fake_remove(tree->root, paths[i]);
                snprintf(path, sizeof(path), "%s/%s", tree->root, paths[i]);
                assert_int_equal(mkfifo(path, 0600), 0);
        }
        fixture->is_passive = true;
        assert_preconditions(fixture, MODE_PASSTHROUGH, "");
}

static void who_only_looks_asks_one_that_is_awake(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        fake_device_write(fixture->tree, GPU, "power/runtime_status", "active");
        fake_device_drop(fixture->tree, GPU);
        fixture->is_passive = true;
        assert_preconditions(fixture, MODE_PASSTHROUGH, "off-bus .0 -;");
}

static void a_function_that_is_lost_alone_is_named(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        fake_device_drop(fixture->tree, "0000:01:00.2");
        assert_off_bus(fixture, LONG_USEC, "off-bus .2 -;");
        fake_device_write(fixture->tree, "0000:01:00.2", "power/runtime_status", "active");
        assert_off_bus(fixture, LONG_USEC, "off-bus .2 -;");
}

static void a_gpu_that_does_not_wake_up_in_time_is_off(void **state) {
        Fixture *fixture = *state;
        char path[FAKE_PATH_MAX];
        int fd;

        /* Opening this for reading waits for a writer. */
        fake_gpu_add(fixture->tree, GPU, .group = 12);
        fake_remove(fixture->tree->root, "sys/bus/pci/devices/" GPU "/config");
        snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/" GPU "/config", fixture->tree->root);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_off_bus(fixture, SHORT_USEC, "off-bus .0 - (Connection timed out);");

        /* Let the child go. */
        fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        close(fd);
}

static void a_gpu_that_cannot_be_asked_is_off(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12);
        for (int pass = 0; pass < 2; ++pass) {
                fake_remove(tree->root, "sys/bus/pci/devices/" GPU "/config");
                assert_off_bus(fixture, LONG_USEC, "off-bus .0 - (No such device);");
                /* A configuration space that is cut off is no answer. */
                fake_write(tree->root, "sys/bus/pci/devices/" GPU "/config", "%s", "x");
                assert_off_bus(fixture, LONG_USEC, "off-bus .0 - (Input/output error);");
                fake_device_write(tree, GPU, "power/runtime_status", "active");
        }
}

/* the log: a pipe that keeps its packets apart gives one record for each read, as the real one does */

#define DEVICE(address) " SUBSYSTEM=pci\n DEVICE=+pci:" address "\n"
#define BOUND(address)                                                                        \
        "6,1,1,-;nvidia " address                                                             \
        ": vgaarb: VGA decodes changed: olddecodes=io+mem,decodes=none:owns=io+mem\n" DEVICE( \
                        address)
#define XID(address, number) "4,2,2,-;NVRM: Xid (PCI:" address "): " number ", pid=812, name=x\n"
#define FELL(address)        "4,3,3,-;NVRM: GPU " address ": GPU has fallen off the bus.\n"
#define FOUND(address)         \
        "6,4,4,-;pci " address \
        ": [10de:2204] type 00 class 0x030000 PCIe Endpoint\n" DEVICE(address)

static void assert_log(
                Fixture *fixture, const char *const *records, size_t n, const char *expected) {
        char path[FAKE_PATH_MAX], target[64];
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC | O_DIRECT), 0);
        for (size_t i = 0; i < n && records[i]; ++i)
                assert_int_equal(write(fds[1], records[i], strlen(records[i])), strlen(records[i]));
        snprintf(path, sizeof(path), "%s/dev/kmsg", fixture->tree->root);
        snprintf(target, sizeof(target), "/proc/self/fd/%d", fds[0]);
        (void) unlink(path);
        assert_int_equal(symlink(target, path), 0);

        assert_preconditions(fixture, MODE_PASSTHROUGH, expected);
        close(fds[0]);
        close(fds[1]);
}

static void the_log_says_whether_it_fell_off_since_it_was_bound(void **state) {
        static const struct {
                const char *records[4];
                bool expected;
        } cases[] = {
                { { NULL }, false },
                { { BOUND(GPU) }, false },
                { { XID("0000:01:00", "79") }, true },
                { { FELL(GPU) }, true },
                { { BOUND(GPU), XID("0000:01:00", "79") }, true },
                { { XID("0000:01:00", "79"), BOUND(GPU) }, false },
                { { FELL(GPU), FOUND(GPU) }, false },
                { { FELL(GPU), BOUND(SECOND), FOUND(SECOND) }, true },
                { { FELL(GPU), BOUND(GPU), FELL(GPU) }, true },
                { { FELL(SECOND), XID("0000:02:00", "79") }, false },
                { { XID("0000:01:00", "13") }, false },
                { { XID("0000:01:00", "791") }, false },
                { { "6,5,5,-;usb 1-1: something has fallen off the bus\n" }, false },
                { { "6,5,5,-;nvidia " GPU ": enabling device (0000 -> 0003)\n" }, false },
                /* what is behind the first line is not the message */
                { { "6,5,5,-;harmless\n NVRM: Xid (PCI:0000:01:00): 79, x\n" }, false },
                { { XID("0000:01:00 GPU-I:05", "79") }, true },
                { { XID("0000:01:00.0", "79") }, true },
                { { XID("0000:01:000", "79") }, false },
        };
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "nvidia");
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i)
                assert_log(fixture, cases[i].records, ARRAY_SIZE(cases[i].records),
                                cases[i].expected ? "fell-off .0 -;" : "");
}

/* Names of processes, files and devices are users' to choose; and so is what they write themselves. */
static void nobody_but_the_kernel_says_that_it_fell_off(void **state) {
        static const char *const forged[] = {
                "6,1,1,-;" GPU ": G[19230]: segfault at 0 ip 0 sp 0 error 6 in " GPU
                ": GPU has fallen off the bus.[1132,55d0c0de0000+1000]\n",
                "6,1,1,-;NVRM: Xid (PCI:[7]: segfault at 0 ip 0 sp 0 error 6 in "
                "0000:01:00): 79, x[0,1000+1000]\n",
                "6,1,1,-;NVRM: GPU 0000:[7]: segfault at 0 ip 0 sp 0 error 6 in "
                "01:00.0: GPU has fallen off the bus.[0,1000+1000]\n",
                "6,1,1,-;usb 1-1: Product: NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.\n"
                " SUBSYSTEM=usb\n DEVICE=c189:1\n",
                "12,1,1,-;NVRM: Xid (PCI:0000:01:00): 79, x\n",
                "4,1,1,-;NVRM: Xid (PCI:0000:01:00): 13, pid=7, name=): 79, x\n",
        };
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "nvidia");
        for (size_t i = 0; i < ARRAY_SIZE(forged); ++i)
                assert_log(fixture, &forged[i], 1, "");
}

static void nobody_but_the_kernel_takes_back_that_it_fell_off(void **state) {
        static const char *const forged[] = {
                "6,1,1,-;" GPU " VGA[7]: segfault at 0 ip 0 sp 0 error 6 in " GPU
                " VGA decodes changed[0,1000+1000]\n",
                "6,1,1,-;x " GPU
                ": [[7]: segfault at 0 ip 0 sp 0 error 6 in ] type 00 [0,1000+1000]\n",
                "6,1,1,-;usb 1-1: Product: nvidia " GPU ": vgaarb: VGA decodes changed\n"
                " SUBSYSTEM=usb\n DEVICE=c189:1\n",
                "6,1,1,-;nvidia " GPU ": vgaarb: VGA decodes changed\\x0a DEVICE=+pci:" GPU "\n",
                "6,1,1,-;nvidia " GPU ": vgaarb: VGA decodes changed\n DEVICE=+pci:" SECOND "\n",
                "14" BOUND(GPU),
        };
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "nvidia");
        for (size_t i = 0; i < ARRAY_SIZE(forged); ++i) {
                const char *const records[] = { FELL(GPU), forged[i] };

                assert_log(fixture, records, ARRAY_SIZE(records), "fell-off .0 -;");
        }
}

static void a_log_that_breaks_off_says_what_it_said(void **state) {
        static const char *const records[] = { FELL(GPU), "garbage", BOUND(GPU) };
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "nvidia");
        assert_log(fixture, records, ARRAY_SIZE(records), "fell-off .0 -;");
}

static void a_log_that_is_not_there_says_nothing(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "nvidia");
        assert_false(fake_exists(fixture->tree->root, "dev/kmsg"));
        assert_preconditions(fixture, MODE_PASSTHROUGH, "");
}

/* displays */

static void the_boot_display_stays_unless_it_is_given_up(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "nvidia", .boot_vga = "1");
        assert_preconditions(fixture, MODE_PASSTHROUGH, "boot-display .0 -;");
        fixture->allow_display = true;
        assert_preconditions(fixture, MODE_PASSTHROUGH, "");
}

static void the_boot_display_may_come_home(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "vfio-pci", .boot_vga = "1");
        assert_preconditions(fixture, MODE_HOST, "");
}

static void the_rest_of_a_card_may_follow_its_display(void **state) {
        Fixture *fixture = *state;

        fake_module_load(fixture->tree, "vfio_pci");
        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "vfio-pci", .boot_vga = "1",
                        .functions = 1);
        fake_device_add(fixture->tree, AUDIO, .vendor = 0x10de, .class = 0x040300, .group = 12);
        assert_preconditions(fixture, MODE_PASSTHROUGH, "");
}

static void a_connector_is_lit_or_not(void **state) {
        static const struct {
                const char *enabled;
                const char *dpms;
                const char *expected;
        } cases[] = {
                { "enabled", "On", "display-active .0 card0-HDMI-A-1;" },
                { "enabled", "Off", "" },
                { "disabled", "On", "" },
                { "enabled", "Standby", "" },
                { "", "", "" },
        };
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        fake_drm_add(fixture->tree, GPU, 0, "HDMI-A-1");
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_device_write(fixture->tree, GPU, "drm/card0/card0-HDMI-A-1/enabled",
                                cases[i].enabled);
                fake_device_write(
                                fixture->tree, GPU, "drm/card0/card0-HDMI-A-1/dpms", cases[i].dpms);
                fixture->allow_display = false;
                assert_preconditions(fixture, MODE_PASSTHROUGH, cases[i].expected);
                fixture->allow_display = true;
                assert_preconditions(fixture, MODE_PASSTHROUGH, "");
        }
}

/* A hybrid laptop: the firmware knows of one VGA device only, and that is not the panel's. */
static void the_display_of_another_gpu_makes_the_firmwares_choice_void(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia", .boot_vga = "1");
        fake_device_add(tree, "0000:05:00.0", .vendor = 0x1002, .class = 0x038000);
        assert_preconditions(fixture, MODE_PASSTHROUGH, "boot-display .0 -;");
        fake_drm_add(tree, "0000:05:00.0", 1, "eDP-1");
        fake_device_write(tree, "0000:05:00.0", "drm/card1/card1-eDP-1/enabled", "enabled");
        fake_device_write(tree, "0000:05:00.0", "drm/card1/card1-eDP-1/dpms", "On");
        assert_preconditions(fixture, MODE_PASSTHROUGH, "");
        /* But what the firmware shows there itself is in use. */
        fake_write(tree->root, "proc/iomem", "0-0 : " GPU "\n  0-0 : BOOTFB\n");
        assert_preconditions(fixture, MODE_PASSTHROUGH, "boot-display .0 -;");
}

static void assert_console(Fixture *fixture, bool expected) {
        const Gpu *moving[] = { card_read(fixture, 1) };
        const PreflightInput input = {
                .roots = &fixture->tree->roots,
                .gpu = moving[0],
                .to = MODE_PASSTHROUGH,
                .moving = moving,
                .n_moving = 1,
        };

        assert_int_equal(preflight_preconditions(&input, &fixture->findings), 0);
        assert_int_equal(fixture->findings.n, 1);
        assert_int_equal(fixture->findings.items[0].kind, FINDING_DISPLAY_ACTIVE);
        assert_int_equal(fixture->findings.items[0].is_console, expected);
        findings_deinit(&fixture->findings);
}

/* That can do without a console by its own parameter. */
static void only_nvidias_console_can_be_told_off(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;
        const Gpu *moving[1];
        PreflightInput input = {
                .roots = &tree->roots, .to = MODE_PASSTHROUGH, .moving = moving, .n_moving = 1
        };

        fake_gpu_add(tree, GPU, .group = 12);
        fake_drm_add(tree, GPU, 0, "HDMI-A-1");
        fake_device_write(tree, GPU, "drm/card0/card0-HDMI-A-1/enabled", "enabled");
        fake_device_write(tree, GPU, "drm/card0/card0-HDMI-A-1/dpms", "On");
        for (unsigned int with = 0; with < 2; ++with) {
                if (with)
                        fake_module_load(tree, "nvidia");
                input.gpu = moving[0] = card_read(fixture, 1);
                assert_int_equal(preflight_preconditions(&input, &fixture->findings), 0);
                assert_int_equal(fixture->findings.n, 1);
                assert_true(fixture->findings.items[0].is_console);
                assert_int_equal(fixture->findings.items[0].has_fbdev, with);
                findings_deinit(&fixture->findings);
        }
}

static void a_monitor_that_no_program_lights_is_the_consoles(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12);
        fake_drm_add(tree, GPU, 0, "HDMI-A-1");
        fake_device_write(tree, GPU, "drm/card0/card0-HDMI-A-1/enabled", "enabled");
        fake_device_write(tree, GPU, "drm/card0/card0-HDMI-A-1/dpms", "On");
        assert_console(fixture, true);

        /* The number of the card's node, and then that of its render node. */
        add_process(tree, 5000812, "Xorg", 0);
        add_file(tree, 5000812, "fd/3", "/dev/null");
        fake_device_write(tree, GPU, "drm/card0/dev", "1:3");
        assert_console(fixture, false);
        fake_device_write(tree, GPU, "drm/card0/dev", "226:0");
        fake_device_write(tree, GPU, "drm/renderD128/dev", "1:3");
        assert_console(fixture, true);
        /* It cannot be told of all. */
        add_process(tree, 5000813, "secret", 0);
        add_file(tree, 5000813, "fd/0", "0");
        assert_console(fixture, false);
}

static void without_a_framebuffer_of_its_own_there_is_no_console(void **state) {
        static const struct {
                const char *fbdev;
                bool console;
        } cases[] = { { "Y\n", true }, { "N\n", false }, { "", true } };
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia");
        fake_drm_add(tree, GPU, 0, "HDMI-A-1");
        fake_device_write(tree, GPU, "drm/card0/card0-HDMI-A-1/enabled", "enabled");
        fake_device_write(tree, GPU, "drm/card0/card0-HDMI-A-1/dpms", "On");
        assert_console(fixture, true);
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_write(tree->root, "sys/module/nvidia_drm/parameters/fbdev", "%s",
                                cases[i].fbdev);
                assert_console(fixture, cases[i].console);
        }
}

/* The machine boots on the first card, and somebody looks at the second. */
static void a_lit_monitor_is_told_before_the_firmwares_choice(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia", .boot_vga = "0");
        fake_device_add(tree, "0000:05:00.0", .vendor = 0x1002, .class = 0x030000, .boot_vga = "1");
        fake_drm_add(tree, "0000:05:00.0", 1, "DP-1");
        fake_drm_add(tree, GPU, 0, "HDMI-A-1");
        fake_device_write(tree, GPU, "drm/card0/card0-HDMI-A-1/enabled", "enabled");
        assert_preconditions(fixture, MODE_PASSTHROUGH, "boot-display .0 -, last;");
        fake_device_write(tree, GPU, "drm/card0/card0-HDMI-A-1/dpms", "On");
        assert_preconditions(fixture, MODE_PASSTHROUGH, "display-active .0 card0-HDMI-A-1, last;");
        fake_device_write(tree, "0000:05:00.0", "drm/card1/card1-DP-1/enabled", "enabled");
        assert_preconditions(fixture, MODE_PASSTHROUGH, "display-active .0 card0-HDMI-A-1;");

        /* Now it is the other way round. */
        fake_device_write(tree, "0000:05:00.0", "drm/card1/card1-DP-1/enabled", "disabled");
        fake_device_write(tree, "0000:05:00.0", "boot_vga", "0");
        fake_device_write(tree, GPU, "boot_vga", "1");
        assert_preconditions(fixture, MODE_PASSTHROUGH,
                        "boot-display .0 -;display-active .0 card0-HDMI-A-1, last;");
        fake_device_write(tree, "0000:05:00.0", "class", "0x030200");
        assert_preconditions(fixture, MODE_PASSTHROUGH,
                        "boot-display .0 -;display-active .0 card0-HDMI-A-1, last;");
}

static void each_lit_connector_is_told(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        fake_device_write(fixture->tree, GPU, "drm/card0/card0-DP-1/enabled", "enabled");
        fake_device_write(fixture->tree, GPU, "drm/card0/card0-DP-1/dpms", "On");
        fake_device_write(fixture->tree, GPU, "drm/card0/card0-DP-1/drm_dp_aux0/dpms", "On");
        fake_device_write(fixture->tree, GPU, "drm/card1/card1-DP-2/enabled", "enabled");
        fake_device_write(fixture->tree, GPU, "drm/card1/card1-DP-2/dpms", "On");
        assert_preconditions(fixture, MODE_PASSTHROUGH,
                        "display-active .0 card0-DP-1;display-active .0 card1-DP-2;");
}

/* the driver */

static void an_old_driver_with_modeset_cannot_let_go(void **state) {
        static const struct {
                const char *version; /* NULL: not told */
                const char *modeset; /* NULL: nvidia-drm is not loaded */
                const char *expected;
        } cases[] = {
                { "575.64.03", "Y", "cannot-release .0 575.64.03;" },
                { "575.64.03", "N", "" },
                { "575.64.03", NULL, "" },
                { "580.95.05", "Y", "cannot-release .0 580.95.05;" },
                { "580.94.06", "Y", "" },
                { "580.105.08", "Y", "" },
                { "595.45.04", "Y", "" },
                { "custom", "Y", "cannot-release .0 custom;" },
                { "custom", "N", "" },
                { NULL, "Y", "cannot-release .0 unknown;" },
        };
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia");
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_remove(tree->root, "sys/module/nvidia/version");
                fake_remove(tree->root, "sys/module/nvidia_drm");
                if (cases[i].version)
                        fake_write(tree->root, "sys/module/nvidia/version", "%s\n",
                                        cases[i].version);
                if (cases[i].modeset)
                        fake_write(tree->root, "sys/module/nvidia_drm/parameters/modeset", "%s\n",
                                        cases[i].modeset);
                assert_preconditions(fixture, MODE_PASSTHROUGH, cases[i].expected);
                assert_preconditions(fixture, MODE_HOST, "");
        }
}

static void another_driver_is_not_asked_for_nvidias_abilities(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        fake_write(fixture->tree->root, "sys/module/nvidia/version", "550.163.01\n");
        fake_write(fixture->tree->root, "sys/module/nvidia_drm/parameters/modeset", "Y\n");
        assert_preconditions(fixture, MODE_PASSTHROUGH, "");
}

static void a_setting_that_may_not_be_read_is_unknown(void **state) {
        Fixture *fixture = *state;
        char path[FAKE_PATH_MAX];

        if (geteuid() == 0)
                skip(); /* root may read everything */
        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "nvidia");
        fake_write(fixture->tree->root, "sys/module/nvidia/version", "550.163.01\n");
        fake_write(fixture->tree->root, "sys/module/nvidia_drm/parameters/modeset", "Y\n");
        snprintf(path, sizeof(path), "%s/sys/module/nvidia_drm/parameters/modeset",
                        fixture->tree->root);
        assert_int_equal(chmod(path, 0), 0);
        assert_preconditions(fixture, MODE_PASSTHROUGH,
                        "unknown .0 modeset of nvidia_drm (Permission denied);");
}

/* holders; who holds which node is tested elsewhere */

/* A process with a file of the fake tree's number 1:3 open. */
static void add_holder(FakeTree *tree) {
        add_process(tree, 5000812, "holder", 0);
        add_file(tree, 5000812, "fd/3", "/dev/null");
}

static void a_holder_of_any_function_is_found(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        fake_device_write(fixture->tree, AUDIO, "sound/card1/controlC1/dev", "1:3");
        fake_device_write(fixture->tree, AUDIO, "sound/card1/controlC1/uevent",
                        "DEVNAME=snd/controlC1");
        add_holder(fixture->tree);
        assert_holders(fixture, MODE_PASSTHROUGH, "holder .1 /dev/snd/controlC1;");
        assert_preconditions(fixture, MODE_PASSTHROUGH, "");
}

static void a_guest_is_found_on_the_way_home(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "vfio-pci");
        fake_write(fixture->tree->root, "sys/class/vfio/12/dev", "1:3\n");
        add_holder(fixture->tree);
        assert_holders(fixture, MODE_HOST, "holder .0 /dev/vfio/12;");
}

static void usb_devices_are_told_by_what_they_call_themselves(void **state) {
        static const struct {
                const char *maker, *product;
                const char *expected;
        } cases[] = {
                { "Logitech", "Mouse", "usb .2 Logitech Mouse;" },
                { "", "Mouse", "usb .2 Mouse;" },
                { "\x1b[31m", "Mouse", "usb .2 Mouse;" },
                { "Logitech", "", "usb .2 046d:c52b;" },
                { "Logitech", "\x1b[31mMouse", "usb .2 046d:c52b;" },
        };
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12);
        fake_usb_add(tree, USB, "1-2", "");
        fake_device_write(tree, USB, "usb1/1-2/idVendor", "046d");
        fake_device_write(tree, USB, "usb1/1-2/idProduct", "c52b");
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_device_write(tree, USB, "usb1/1-2/manufacturer", cases[i].maker);
                fake_device_write(tree, USB, "usb1/1-2/product", cases[i].product);
                assert_holders(fixture, MODE_PASSTHROUGH, cases[i].expected);
        }
        assert_holders(fixture, MODE_HOST, "");
}

static void a_hub_and_what_is_behind_it_are_devices_and_the_root_is_none(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12);
        fake_device_write(tree, USB, "usb1/devpath", "0");
        assert_holders(fixture, MODE_PASSTHROUGH, "");
        fake_device_write(tree, USB, "usb1/1-1/devpath", "1");
        fake_device_write(tree, USB, "usb1/1-1/1-1.4/devpath", "1.4");
        assert_holders(fixture, MODE_PASSTHROUGH, "usb .2 1-1.4;usb .2 1-1;");
}

static void a_usb_disk_in_use_is_needed(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12);
        fake_usb_add(tree, USB, "1-2", "Disk");
        fake_device_write(tree, USB, "usb1/1-2/1-2:1.0/host6/block/sdb/dev", "8:16");
        fake_device_write(tree, USB, "usb1/1-2/1-2:1.0/host6/block/sdb/size", "10");
        fake_write(tree->root, "proc/self/mountinfo", "22 1 8:16 / /srv rw - ext4 /dev/sdb rw\n");
        assert_holders(fixture, MODE_PASSTHROUGH, "usb .2 Disk, needed;");
        fake_write(tree->root, "proc/self/mountinfo", "22 1 8:17 / /srv rw - ext4 /dev/sdb1 rw\n");
        assert_holders(fixture, MODE_PASSTHROUGH, "usb .2 Disk;");
        fake_write(tree->root, "proc/swaps", "Filename Type\n/dev/sdb partition 1\n");
        assert_holders(fixture, MODE_PASSTHROUGH, "usb .2 Disk, needed;");
        fake_remove(tree->root, "proc/swaps");
        fake_remove(tree->root, "proc/self/mountinfo");
        assert_holders(fixture, MODE_PASSTHROUGH, "usb .2 Disk, needed;");
}

static void a_usb_network_adapter_in_use_is_needed(void **state) {
        static const char interface[] = "usb1/1-2/1-2:1.0/net/enp1s0f2u2/operstate";
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12);
        fake_usb_add(tree, USB, "1-2", "LAN");
        fake_device_write(tree, USB, interface, "up");
        assert_holders(fixture, MODE_PASSTHROUGH, "usb .2 LAN, needed;");
        fake_device_write(tree, USB, interface, "unknown");
        assert_holders(fixture, MODE_PASSTHROUGH, "usb .2 LAN, needed;");
        fake_device_write(tree, USB, interface, "down");
        assert_holders(fixture, MODE_PASSTHROUGH, "usb .2 LAN;");
}

static void cuda_holds_a_gpu_without_any_file(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia");
        fake_gpu_add(tree, SECOND, .group = 13, .driver = "nvidia");
        fake_cuda_add(tree, SECOND);
        assert_holders(fixture, MODE_PASSTHROUGH, "");

        /* The GPU with the number 0 of the machine. */
        fake_make_dir(tree->root,
                        "proc/driver/nvidia-uvm/gpus/GPU-6b0a2c4e-1111-2222-3333-000000000000");
        assert_holders(fixture, MODE_PASSTHROUGH,
                        "cuda .0 GPU-6b0a2c4e-1111-2222-3333-000000000000;");
}

static void a_gpu_that_was_never_started_is_not_cudas(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia");
        fake_write(tree->root, "proc/driver/nvidia/gpus/" GPU "/information",
                        "Device Minor: \t 0\n");
        fake_cuda_add(tree, GPU);
        assert_holders(fixture, MODE_PASSTHROUGH, "");
}

static void cuda_on_a_gpu_that_cannot_be_told_could_be_ours(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia");
        fake_cuda_add(tree, GPU);
        fake_remove(tree->root, "proc/driver/nvidia/gpus");
        assert_holders(fixture, MODE_PASSTHROUGH, "cuda .0 -;");
        /* It is there, and cannot be read. */
        fake_make_dir(tree->root, "proc/driver/nvidia/gpus/" GPU "/information");
        assert_holders(fixture, MODE_PASSTHROUGH, "cuda .0 -;");
}

static void a_started_adapter_that_nobody_explains_is_busy(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia");
        fake_msi_add(tree, GPU, 42);
        assert_holders(fixture, MODE_PASSTHROUGH, "started .0 -;");
        assert_holders(fixture, MODE_HOST, "");

        /* The driver, on its own. */
        fake_write(tree->root, "proc/driver/nvidia/params", "GpuInitOnProbe: 1\n");
        assert_holders(fixture, MODE_PASSTHROUGH, "");
        fake_remove(tree->root, "proc/driver/nvidia/params");

        /* nvidia-drm. */
        fake_write(tree->root, "sys/module/nvidia_drm/parameters/modeset", "Y\n");
        assert_holders(fixture, MODE_PASSTHROUGH, "");
        fake_write(tree->root, "sys/module/nvidia_drm/parameters/modeset", "N\n");
        assert_holders(fixture, MODE_PASSTHROUGH, "started .0 -;");

        /* Somebody who was found. */
        fake_cuda_add(tree, GPU);
        assert_holders(fixture, MODE_PASSTHROUGH,
                        "cuda .0 GPU-6b0a2c4e-1111-2222-3333-000000000000;");
}

/* A check in the middle of a switch, or of its undoing, with what was known before. */
static void drivers_are_looked_at_anew(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;
        const Gpu *moving[] = { &fixture->gpus[0] };
        PreflightInput input = {
                .roots = &tree->roots,
                .gpu = moving[0],
                .to = MODE_PASSTHROUGH,
                .moving = moving,
                .n_moving = 1,
        };

        fake_module_load(tree, "vfio_pci");
        fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia");
        fake_gpu_add(tree, SECOND, .group = 13, .driver = "nvidia");
        card_read(fixture, 1);

        /* CUDA uses the second one, and the first is on its way: none of its business. */
        fake_cuda_add(tree, SECOND);
        assert_int_equal(sysfs_write(fake_sysfs(tree), "bus/pci/drivers/nvidia/unbind", GPU), 0);
        assert_int_equal(preflight_holders(&input, &fixture->findings), 0);
        assert_findings(&fixture->findings, "");

        /* It has arrived, and a guest has it already: it must not be taken back. */
        assert_int_equal(sysfs_write(fake_sysfs(tree), "bus/pci/devices/" GPU "/driver_override",
                                         "vfio-pci"),
                        0);
        assert_int_equal(sysfs_write(fake_sysfs(tree), "bus/pci/drivers/vfio-pci/bind", GPU), 0);
        fake_write(tree->root, "sys/class/vfio/12/dev", "1:3\n");
        add_holder(tree);
        input.to = MODE_HOST;
        assert_int_equal(preflight_holders(&input, &fixture->findings), 0);
        assert_findings(&fixture->findings, "holder .0 /dev/vfio/12;");
}

static void interrupts_of_another_driver_say_nothing(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        fake_msi_add(fixture->tree, GPU, 42);
        assert_holders(fixture, MODE_PASSTHROUGH, "");
}

static void a_gpu_that_somebody_elses_unbind_hangs_on_is_stuck(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12);
        assert_preconditions(fixture, MODE_PASSTHROUGH, "");
        fake_write(fixture->tree->root, "proc/driver/nvidia/gpus/" GPU "/information", "%s", "");
        assert_preconditions(fixture, MODE_PASSTHROUGH, "stuck .0 -;");
        assert_preconditions(fixture, MODE_HOST, "stuck .0 -;");
}

/* The desktop works on the second one, with its card and with what all of them share. */
static void an_idle_gpu_moves_while_a_desktop_uses_another_one(void **state) {
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia");
        fake_gpu_add(tree, SECOND, .group = 13, .driver = "nvidia");
        fake_device_write(tree, SECOND, "drm/card1/dev", "1:3");
        fake_device_write(tree, SECOND, "drm/card1/uevent", "DEVNAME=dri/card1");
        fake_msi_add(tree, GPU, 42);
        fake_msi_add(tree, SECOND, 43);
        fake_write(tree->root, "sys/module/nvidia_drm/parameters/modeset", "Y\n");
        add_process(tree, 5000812, "Xorg", 0);
        add_mapped_node(tree, 5000812, "nvidia-modeset", makedev(195, 254));
        assert_holders(fixture, MODE_PASSTHROUGH, "holder .0 /dev/nvidia-modeset;");
        add_file(tree, 5000812, "fd/3", "/dev/null");
        assert_holders(fixture, MODE_PASSTHROUGH, "");
        /* Where nothing else has started it, it is in use all the same. */
        fake_write(tree->root, "sys/module/nvidia_drm/parameters/modeset", "N\n");
        assert_holders(fixture, MODE_PASSTHROUGH, "started .0 -;");
}

static void what_all_share_holds_no_gpu_that_is_not_started(void **state) {
        static const struct {
                const char *params, *line;
                const char *expected;
        } cases[] = {
                { "EnableMSI: 1\n", "quiet", "" },
                { "", "quiet", "holder .0 /dev/nvidia-modeset;" },
                { "EnableMSI: 0\n", "quiet", "holder .0 /dev/nvidia-modeset;" },
                { "EnableMSI: 1\n", "quiet pci=nomsi,noaer", "holder .0 /dev/nvidia-modeset;" },
        };
        Fixture *fixture = *state;
        FakeTree *tree = fixture->tree;

        fake_gpu_add(tree, GPU, .group = 12, .driver = "nvidia");
        add_process(tree, 5000812, "kwin", 0);
        add_mapped_node(tree, 5000812, "nvidia-modeset", makedev(195, 254));
        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                fake_write(tree->root, "proc/driver/nvidia/params", "%s", cases[i].params);
                fake_write(tree->root, "proc/cmdline", "%s\n", cases[i].line);
                assert_holders(fixture, MODE_PASSTHROUGH, cases[i].expected);
        }
        fake_write(tree->root, "proc/driver/nvidia/params", "EnableMSI: 1\n");
        fake_write(tree->root, "proc/cmdline", "quiet\n");
        assert_holders(fixture, MODE_PASSTHROUGH, "");
        fake_device_write(tree, GPU, "msi_bus", "0");
        assert_holders(fixture, MODE_PASSTHROUGH, "holder .0 /dev/nvidia-modeset;");
}

static void whether_the_driver_can_let_go_is_asked_to_the_last(void **state) {
        Fixture *fixture = *state;

        fake_gpu_add(fixture->tree, GPU, .group = 12, .driver = "nvidia");
        fake_write(fixture->tree->root, "sys/module/nvidia/version", "550.163.01\n");
        assert_holders(fixture, MODE_PASSTHROUGH, "");
        fake_write(fixture->tree->root, "sys/module/nvidia_drm/parameters/modeset", "Y\n");
        assert_holders(fixture, MODE_PASSTHROUGH, "cannot-release .0 550.163.01;");
        assert_holders(fixture, MODE_HOST, "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                card_test(nothing_is_in_the_way_of_an_idle_gpu),
                card_test(nothing_is_in_the_way_home_of_an_idle_gpu),
                card_test(each_function_outside_of_any_group_is_told_once),
                card_test(one_function_outside_of_any_group_is_enough),
                card_test(a_group_without_protection_is_refused),
                card_test(a_group_that_is_not_there_is_none),
                card_test(a_member_that_goes_meanwhile_is_not_in_the_way),
                card_test(a_member_that_stays_is_named_with_its_driver),
                card_test(a_member_that_leaves_dma_alone_may_stay),
                card_test(a_function_of_another_maker_in_the_slot_moves_too),
                card_test(another_gpu_in_the_group_is_in_the_way_unless_it_moves_too),
                card_test(another_gpu_is_known_by_what_it_is_and_all_are_named),
                card_test(each_group_of_the_card_is_looked_at),
                card_test(a_member_that_is_no_pci_device_is_in_the_way),
                card_test(virtual_functions_stay_where_their_parent_is),
                card_test(all_parts_that_were_given_away_are_counted_and_named),
                card_test(a_card_that_is_divided_would_lose_its_parts),
                card_test(a_gpu_that_does_not_answer_goes_nowhere),
                card_test(the_log_has_a_say_while_nvidias_driver_is_bound),
                card_test(all_that_is_in_the_way_is_told),
                card_test(a_gpu_that_is_awake_is_asked_at_once),
                card_test(a_gpu_that_sleeps_is_asked_in_a_child),
                card_test(who_only_looks_wakes_nothing_and_opens_no_node),
                card_test(who_only_looks_asks_one_that_is_awake),
                card_test(a_function_that_is_lost_alone_is_named),
                card_test(a_gpu_that_does_not_wake_up_in_time_is_off),
                card_test(a_gpu_that_cannot_be_asked_is_off),
                card_test(the_log_says_whether_it_fell_off_since_it_was_bound),
                card_test(nobody_but_the_kernel_says_that_it_fell_off),
                card_test(nobody_but_the_kernel_takes_back_that_it_fell_off),
                card_test(a_log_that_breaks_off_says_what_it_said),
                card_test(a_log_that_is_not_there_says_nothing),
                card_test(the_boot_display_stays_unless_it_is_given_up),
                card_test(the_boot_display_may_come_home),
                card_test(the_rest_of_a_card_may_follow_its_display),
                card_test(a_connector_is_lit_or_not),
                card_test(the_display_of_another_gpu_makes_the_firmwares_choice_void),
                card_test(a_monitor_that_no_program_lights_is_the_consoles),
                card_test(only_nvidias_console_can_be_told_off),
                card_test(without_a_framebuffer_of_its_own_there_is_no_console),
                card_test(a_lit_monitor_is_told_before_the_firmwares_choice),
                card_test(each_lit_connector_is_told),
                card_test(an_old_driver_with_modeset_cannot_let_go),
                card_test(another_driver_is_not_asked_for_nvidias_abilities),
                card_test(a_setting_that_may_not_be_read_is_unknown),
                card_test(a_holder_of_any_function_is_found),
                card_test(a_guest_is_found_on_the_way_home),
                card_test(usb_devices_are_told_by_what_they_call_themselves),
                card_test(a_usb_disk_in_use_is_needed),
                card_test(a_usb_network_adapter_in_use_is_needed),
                card_test(a_hub_and_what_is_behind_it_are_devices_and_the_root_is_none),
                card_test(cuda_holds_a_gpu_without_any_file),
                card_test(a_gpu_that_was_never_started_is_not_cudas),
                card_test(cuda_on_a_gpu_that_cannot_be_told_could_be_ours),
                card_test(a_started_adapter_that_nobody_explains_is_busy),
                card_test(drivers_are_looked_at_anew),
                card_test(interrupts_of_another_driver_say_nothing),
                card_test(a_gpu_that_somebody_elses_unbind_hangs_on_is_stuck),
                card_test(an_idle_gpu_moves_while_a_desktop_uses_another_one),
                card_test(what_all_share_holds_no_gpu_that_is_not_started),
                card_test(whether_the_driver_can_let_go_is_asked_to_the_last),
        };

        return cmocka_run_group_tests_name("probe/preflight", tests, NULL, NULL);
}
