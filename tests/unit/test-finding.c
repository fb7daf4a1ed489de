/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Test Findings
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "probe/finding.h"

/* Findings own their strings; these are never freed. */
#define S(s) ((char[]){ s })

#define GPU \
        { .bus = 1 }
#define FUNCTION \
        { .bus = 1, .function = 1 }

static const Gpu gpu = { .address = GPU };

static const struct {
        Finding finding;
        Mode to;
        const char *sentence;
        const char *remedy; /* a part of it */
} cases[] = {
        { { .kind = FINDING_NO_IOMMU, .function = FUNCTION }, MODE_PASSTHROUGH,
                        "0000:01:00.1 is in no IOMMU group", "intel_iommu=on" },
        { { .kind = FINDING_UNSAFE_IOMMU, .function = GPU, .number = 3 }, MODE_PASSTHROUGH,
                        "its IOMMU group protects nothing (noiommu mode)",
                        "enable_unsafe_noiommu_mode off" },
        { { .kind = FINDING_GROUP_MEMBER,
                          .function = GPU,
                          .other = { .bus = 2 },
                          .detail = S("ahci"),
                          .number = 7 },
                        MODE_PASSTHROUGH, "0000:02:00.0, bound to ahci, shares its IOMMU group 7",
                        "driverctl --nosave set-override 0000:02:00.0 vfio-pci" },
        { { .kind = FINDING_GROUP_MEMBER,
                          .function = GPU,
                          .other = { .bus = 2 },
                          .detail = S("nvidia"),
                          .number = 7 },
                        MODE_PASSTHROUGH, "0000:02:00.0, bound to nvidia, shares its IOMMU group 7",
                        "vfioptctl switch passthrough 0000:01:00.0 0000:02:00.0" },
        { { .kind = FINDING_OTHER_CARD, .function = GPU, .detail = S("10de:2204") },
                        MODE_PASSTHROUGH, "this is not the card that was here before (10de:2204)",
                        "vfioptctl forget 0000:01:00.0" },
        { { .kind = FINDING_VIRTUAL, .function = GPU }, MODE_HOST,
                        "virtual functions or mediated devices exist on 0000:01:00.0",
                        "sriov_numvfs" },
        { { .kind = FINDING_BOOT_DISPLAY, .function = GPU, .number = 1 }, MODE_PASSTHROUGH,
                        "it is the display that the machine boots on",
                        "make another GPU the primary display in the firmware; or allow it: "
                        "vfioptctl switch --allow-display passthrough 0000:01:00.0" },
        { { .kind = FINDING_BOOT_DISPLAY, .function = GPU }, MODE_PASSTHROUGH,
                        "it is the only display of this machine",
                        "allow it: vfioptctl switch --allow-display passthrough 0000:01:00.0, or "
                        "for good: AllowDisplay=yes below [GPU 0000:01:00.0] in vfiopt.conf" },
        { { .kind = FINDING_DISPLAY_ACTIVE, .function = GPU, .detail = S("HDMI-A-1") },
                        MODE_PASSTHROUGH, "a monitor is lit on its connector HDMI-A-1",
                        "--allow-display" },
        { { .kind = FINDING_DISPLAY_ACTIVE,
                          .function = GPU,
                          .detail = S("HDMI-A-1"),
                          .is_console = true },
                        MODE_PASSTHROUGH,
                        "only the text console lights the monitor on its connector "
                        "HDMI-A-1",
                        "nvidia_drm.fbdev=0; or allow it: " },
        { { .kind = FINDING_CANNOT_RELEASE, .function = GPU, .detail = S("570.10") },
                        MODE_PASSTHROUGH,
                        "driver version 570.10 with nvidia_drm.modeset=1 cannot release a single GPU",
                        "modprobe -r nvidia_drm" },
        { { .kind = FINDING_OFF_BUS, .function = GPU }, MODE_HOST,
                        "it does not answer on the PCI bus any more", "power the machine off" },
        { { .kind = FINDING_FELL_OFF, .function = GPU }, MODE_PASSTHROUGH,
                        "it has fallen off the bus, says the kernel's log (Xid 79)",
                        "power the machine off" },
        { { .kind = FINDING_NO_VFIO_DRIVER, .function = GPU }, MODE_PASSTHROUGH,
                        "this kernel has no vfio-pci driver", "modprobe vfio-pci" },
        { { .kind = FINDING_NO_HOST_DRIVER, .function = GPU }, MODE_HOST,
                        "no host driver is known for it", "modprobe nvidia" },
        { { .kind = FINDING_STUCK, .function = FUNCTION, .pid = 77, .detail = S("unbind") },
                        MODE_HOST,
                        "an earlier unbind of 0000:01:00.1 is stuck in the kernel (pid 77)",
                        "sync; echo b >/proc/sysrq-trigger" },
        { { .kind = FINDING_HOLDER,
                          .pid = 812,
                          .command = S("ollama"),
                          .unit = S("ollama.service"),
                          .node = S("/dev/nvidia0") },
                        MODE_PASSTHROUGH,
                        "in use by ollama (pid 812, ollama.service): /dev/nvidia0",
                        "systemctl stop 'ollama.service'" },
        { { .kind = FINDING_HOLDER,
                          .pid = 9,
                          .command = S("gnome-shell"),
                          .unit = S("session-2.scope"),
                          .session = S("2"),
                          .node = S("/dev/dri/card1") },
                        MODE_PASSTHROUGH,
                        "in use by gnome-shell (pid 9, session 2): /dev/dri/card1",
                        "close it, or loginctl terminate-session 2" },
        { { .kind = FINDING_HOLDER,
                          .pid = 9,
                          .command = S("game"),
                          .unit = S("user@1000.service"),
                          .node = S("/dev/nvidia0"),
                          .mapped = true },
                        MODE_PASSTHROUGH,
                        "in use by game (pid 9, user@1000.service): /dev/nvidia0 (mapped)",
                        "kill 9" },
        { { .kind = FINDING_HOLDER, .pid = 9, .command = S("sh"), .node = S("/dev/nvidia0") },
                        MODE_PASSTHROUGH, "in use by sh (pid 9): /dev/nvidia0", "kill 9" },
        { { .kind = FINDING_HOLDER,
                          .pid = 9,
                          .command = S("nvidia-persiste"),
                          .unit = S("nvidia-persistenced.service"),
                          .node = S("/dev/nvidia0") },
                        MODE_PASSTHROUGH,
                        "in use by nvidia-persiste (pid 9, nvidia-persistenced.service): /dev/nvidia0",
                        "nvidia-smi -i 0000:01:00.0 -pm 0" },
        { { .kind = FINDING_HOLDER,
                          .pid = 9,
                          .command = S("qemu-system-x86"),
                          .unit = S("vm.scope"),
                          .node = S("/dev/vfio/12") },
                        MODE_HOST, "in use by qemu-system-x86 (pid 9, vm.scope): /dev/vfio/12",
                        "shut the virtual machine down" },
        { { .kind = FINDING_HOLDER,
                          .pid = 9,
                          .command = S("mpv"),
                          .unit = S("mpv.service"),
                          .user_unit = true,
                          .node = S("/dev/nvidia0") },
                        MODE_PASSTHROUGH, "in use by mpv (pid 9, mpv.service): /dev/nvidia0",
                        "as its user: systemctl --user stop 'mpv.service'" },
        { { .kind = FINDING_HOLDER,
                          .pid = 9,
                          .command = S("steam"),
                          .unit = S("app-steam.scope"),
                          .user_unit = true,
                          .node = S("/dev/nvidia0") },
                        MODE_PASSTHROUGH, "in use by steam (pid 9, app-steam.scope): /dev/nvidia0",
                        "close it, or kill 9" },
        { { .kind = FINDING_UNKNOWN, .node = S("/dev/nvidia0"), .error = EIO }, MODE_PASSTHROUGH,
                        "cannot examine /dev/nvidia0: Input/output error", "try again" },
        { { .kind = FINDING_OFF_BUS, .function = GPU, .error = ETIMEDOUT }, MODE_HOST,
                        "it does not answer on the PCI bus in time", "power the machine off" },
        { { .kind = FINDING_GROUP_MEMBER, .function = GPU, .number = 7 }, MODE_PASSTHROUGH,
                        "a device that is not a PCI device shares its IOMMU group 7",
                        "another slot" },
        { { .kind = FINDING_UNKNOWN, .function = GPU, .error = EBUSY }, MODE_PASSTHROUGH,
                        "0000:01:00.0 is in use: Device or resource busy", "end the programs" },
        { { .kind = FINDING_STUCK, .function = FUNCTION, .pid = 77 }, MODE_PASSTHROUGH,
                        "an earlier write to 0000:01:00.1 is stuck in the kernel (pid 77)",
                        "sync; echo b >/proc/sysrq-trigger" },
        { { .kind = FINDING_STUCK, .function = FUNCTION }, MODE_PASSTHROUGH,
                        "an operation on 0000:01:00.1 that vfiopt did not start is stuck in the kernel",
                        "sync; echo b >/proc/sysrq-trigger" },
        { { .kind = FINDING_CUDA, .function = GPU }, MODE_PASSTHROUGH,
                        "in use by CUDA: nvidia-uvm retains it", "nvidia-persistenced" },
        { { .kind = FINDING_USB, .function = FUNCTION, .detail = S("Acme Disk") }, MODE_PASSTHROUGH,
                        "the USB device Acme Disk is plugged into the card", "unplug it" },
        { { .kind = FINDING_STARTED, .function = GPU }, MODE_PASSTHROUGH,
                        "the driver keeps it initialized although no user was found (persistence mode?)",
                        "nvidia-smi -i 0000:01:00.0 -pm 0" },
        { { .kind = FINDING_UNKNOWN, .pid = 5, .command = S("sshd"), .error = EACCES },
                        MODE_PASSTHROUGH,
                        "cannot examine sshd (pid 5), which may use it: Permission denied",
                        "run as root" },
        { { .kind = FINDING_UNKNOWN,
                          .pid = 5,
                          .command = S("x"),
                          .unit = S("x.service"),
                          .error = EIO },
                        MODE_PASSTHROUGH,
                        "cannot examine x (pid 5, x.service), which may use it: Input/output error",
                        "try again; if it does use the GPU, end it (pid 5)" },
};

/* What the two parts of a reason are, for one finding alone. */
static char *explain(const Finding *finding, Mode to, const char **ret_remedy) {
        _cleanup_(freep) char *holders = NULL;
        Finding copy = *finding;
        const Findings findings = { .items = &copy, .n = 1 };
        char *reason, *end;

        assert_int_equal(findings_explain(&findings, &gpu, to, &reason, &holders), 0);
        end = strstr(reason, "; ");
        assert_non_null(end);
        *end = 0;
        *ret_remedy = end + 2;
        return reason;
}

static void every_kind_names_its_culprit_and_a_remedy(void **state _unused_) {
        bool seen[_FINDING_MAX] = {};

        for (size_t i = 0; i < ARRAY_SIZE(cases); ++i) {
                _cleanup_(freep) char *sentence = NULL;
                const char *remedy;

                sentence = explain(&cases[i].finding, cases[i].to, &remedy);
                assert_string_equal(sentence, cases[i].sentence);
                if (!strstr(remedy, cases[i].remedy))
                        fail_msg("\"%s\" is not in \"%s\"", cases[i].remedy, remedy);
                seen[cases[i].finding.kind] = true;
        }
        for (size_t i = 0; i < ARRAY_SIZE(seen); ++i)
                if (!seen[i])
                        fail_msg("no case for finding %zu", i);
}

static void names_are_shown_in_one_printable_line(void **state _unused_) {
        const Finding finding = { .kind = FINDING_HOLDER,
                .pid = 1,
                .command = S("a\nb\033[31m\xff"),
                .node = S("/dev/x\ty") };
        _cleanup_(freep) char *sentence = NULL;
        const char *remedy;

        sentence = explain(&finding, MODE_HOST, &remedy);
        assert_string_equal(sentence, "in use by a?b?[31m? (pid 1): /dev/x?y");
}

static void what_is_not_known_is_said_to_be_unknown(void **state _unused_) {
        for (FindingKind kind = 0; kind < _FINDING_MAX; ++kind) {
                const Finding finding = { .kind = kind, .function = GPU };
                _cleanup_(freep) char *sentence = NULL;
                const char *remedy;

                sentence = explain(&finding, MODE_HOST, &remedy);
                assert_null(strchr(sentence, '@'));
                assert_null(strstr(sentence, "(null)"));
                assert_null(strchr(remedy, '@'));
        }
}

static void a_pushed_finding_is_a_copy(void **state _unused_) {
        char strings[] = "dcusn";
        Findings findings = FINDINGS_NULL;
        Finding finding = { .kind = FINDING_HOLDER, .pid = 8 };

        assert_int_equal(findings_push(&findings, &finding), 0);
        assert_null(findings.items[0].node);
        finding.detail = finding.command = finding.unit = finding.session = finding.node = strings;
        assert_int_equal(findings_push(&findings, &finding), 0);
        strings[0] = 'x';
        assert_int_equal(findings.n, 2);
        assert_int_equal(findings.items[1].pid, 8);
        assert_string_equal(findings.items[1].detail, "dcusn");
        assert_string_equal(findings.items[1].command, "dcusn");
        assert_string_equal(findings.items[1].unit, "dcusn");
        assert_string_equal(findings.items[1].session, "dcusn");
        assert_string_equal(findings.items[1].node, "dcusn");
        findings_deinit(&findings);
        assert_int_equal(findings.n, 0);
}

static void only_use_of_the_gpu_is_busy_and_only_the_kernel_is_stuck(void **state _unused_) {
        Finding items[2] = { { .kind = FINDING_USB } };
        Findings findings = { .items = items };

        assert_false(findings_are_busy(&findings));
        assert_false(findings_are_stuck(&findings));
        for (FindingKind kind = 0; kind < _FINDING_MAX; ++kind) {
                bool busy = kind == FINDING_HOLDER || kind == FINDING_CUDA || kind == FINDING_USB ||
                                kind == FINDING_STARTED || kind == FINDING_UNKNOWN;

                items[1].kind = kind;
                findings.n = 2;
                assert_int_equal(findings_are_busy(&findings), busy);
                assert_int_equal(findings_are_stuck(&findings), kind == FINDING_STUCK);
        }
}

#define LIST(...)                                                         \
        (Findings) {                                                      \
                .items = (Finding[]){ __VA_ARGS__ },                      \
                .n = sizeof((Finding[]){ __VA_ARGS__ }) / sizeof(Finding) \
        }
#define HOLDER(pid_, name, node_) \
        { .kind = FINDING_HOLDER, .pid = (pid_), .command = S(name), .node = S(node_) }

static void assert_explained(const Findings *findings, const char *reason, const char *holders) {
        _cleanup_(freep) char *ret_reason = NULL, *ret_holders = NULL;

        assert_int_equal(findings_explain(findings, &gpu, MODE_PASSTHROUGH, &ret_reason,
                                         &ret_holders),
                        0);
        assert_string_equal(ret_reason, reason);
        if (holders)
                assert_string_equal(ret_holders, holders);
        else
                assert_null(ret_holders);
}

static void a_process_counts_once_with_all_its_nodes(void **state _unused_) {
        const Findings findings = LIST(HOLDER(8, "a", "/dev/nvidia0"),
                        HOLDER(8, "a", "/dev/nvidiactl"), HOLDER(9, "b", "/dev/nvidia0"),
                        HOLDER(9, "b", "/dev/nvidiactl"));

        assert_explained(&findings,
                        "in use by a (pid 8): /dev/nvidia0, /dev/nvidiactl, and 1 more; kill 8",
                        "8 (a) /dev/nvidia0, 8 (a) /dev/nvidiactl, 9 (b) /dev/nvidia0, 9 (b) /dev/nvidiactl");
}

static void a_long_list_of_nodes_is_cut_but_holders_are_not(void **state _unused_) {
        const Findings findings = LIST(HOLDER(8, "a", "/dev/a"), HOLDER(8, "a", "/dev/b"),
                        HOLDER(8, "a", "/dev/c"), HOLDER(8, "a", "/dev/d"),
                        HOLDER(8, "a", "/dev/e"));

        assert_explained(&findings, "in use by a (pid 8): /dev/a, /dev/b, /dev/c, ...; kill 8",
                        "8 (a) /dev/a, 8 (a) /dev/b, 8 (a) /dev/c, 8 (a) /dev/d, 8 (a) /dev/e");
}

static void a_precondition_outweighs_holders(void **state _unused_) {
        const Findings findings = LIST(HOLDER(8, "a", "/dev/nvidia0"),
                        { .kind = FINDING_OTHER_CARD, .detail = S("10de:1234") });

        assert_explained(&findings,
                        "this is not the card that was here before (10de:1234), and 1 more; "
                        "vfioptctl forget 0000:01:00.0",
                        "8 (a) /dev/nvidia0");
}

static void findings_without_a_process_are_no_holders(void **state _unused_) {
        const Findings findings = LIST(
                        { .kind = FINDING_USB, .detail = S("Disk") }, { .kind = FINDING_CUDA });

        assert_explained(&findings,
                        "the USB device Disk is plugged into the card, and 1 more; unplug it",
                        NULL);
}

static void a_process_that_cannot_be_looked_into_is_listed(void **state _unused_) {
        const Findings findings = LIST(
                        { .kind = FINDING_UNKNOWN, .pid = 4, .command = S("x"), .error = EACCES });

        assert_explained(&findings,
                        "cannot examine x (pid 4), which may use it: Permission denied; run as root",
                        "4 (x) ?");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_kind_names_its_culprit_and_a_remedy),
                cmocka_unit_test(names_are_shown_in_one_printable_line),
                cmocka_unit_test(what_is_not_known_is_said_to_be_unknown),
                cmocka_unit_test(a_pushed_finding_is_a_copy),
                cmocka_unit_test(only_use_of_the_gpu_is_busy_and_only_the_kernel_is_stuck),
                cmocka_unit_test(a_process_counts_once_with_all_its_nodes),
                cmocka_unit_test(a_long_list_of_nodes_is_cut_but_holders_are_not),
                cmocka_unit_test(a_precondition_outweighs_holders),
                cmocka_unit_test(findings_without_a_process_are_no_holders),
                cmocka_unit_test(a_process_that_cannot_be_looked_into_is_listed),
        };

        return cmocka_run_group_tests_name("probe/finding", tests, NULL, NULL);
}
