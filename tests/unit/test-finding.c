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

#include "probe/explain.h"
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
        { { .kind = FINDING_NO_IOMMU, .function = GPU, .iommu = IOMMU_XEN }, MODE_PASSTHROUGH,
                        "0000:01:00.0 is in no IOMMU group", "under Xen the hypervisor owns" },
        { { .kind = FINDING_NO_IOMMU, .function = GPU, .iommu = IOMMU_FIRMWARE }, MODE_PASSTHROUGH,
                        "0000:01:00.0 is in no IOMMU group",
                        "enable VT-d or AMD-Vi in the firmware" },
        { { .kind = FINDING_NO_IOMMU,
                          .function = GPU,
                          .iommu = IOMMU_OFF,
                          .detail = S("amd_iommu=off") },
                        MODE_PASSTHROUGH, "0000:01:00.0 is in no IOMMU group",
                        "boot without amd_iommu=off, which turns" },
        { { .kind = FINDING_NO_IOMMU,
                          .function = GPU,
                          .iommu = IOMMU_OFF_NOT_ON,
                          .detail = S("iommu=off") },
                        MODE_PASSTHROUGH, "0000:01:00.0 is in no IOMMU group",
                        "boot with intel_iommu=on in place of iommu=off" },
        { { .kind = FINDING_UNSAFE_IOMMU, .function = GPU, .number = 3 }, MODE_PASSTHROUGH,
                        "its IOMMU group protects nothing (noiommu mode)",
                        "enable_unsafe_noiommu_mode off" },
        { { .kind = FINDING_GROUP_MEMBER,
                          .function = GPU,
                          .other = { .bus = 2 },
                          .detail = S("ahci"),
                          .number = 7 },
                        MODE_PASSTHROUGH, "0000:02:00.0 (ahci) shares its IOMMU group 7",
                        "put the card into another slot" },
        { { .kind = FINDING_GROUP_MEMBER,
                          .function = GPU,
                          .other = { .bus = 2 },
                          .detail = S("nvidia"),
                          .is_gpu = true,
                          .gpus = S("0000:01:00.0 0000:02:00.0"),
                          .number = 7 },
                        MODE_PASSTHROUGH, "0000:02:00.0 (nvidia) shares its IOMMU group 7",
                        "vfioptctl switch passthrough 0000:01:00.0 0000:02:00.0" },
        { { .kind = FINDING_OTHER_CARD,
                          .function = GPU,
                          .other = { .bus = 1 },
                          .detail = S("10de:2204") },
                        MODE_PASSTHROUGH, "this is not the card that was here before (10de:2204)",
                        "if it is meant to be here: vfioptctl forget 0000:01:00.0" },
        { { .kind = FINDING_OTHER_CARD, .function = GPU, .other = { .bus = 3 } }, MODE_PASSTHROUGH,
                        "this is not the card that was here before",
                        "if it is meant to be here: vfioptctl forget 0000:03:00.0" },
        { { .kind = FINDING_OTHER_CARD,
                          .function = GPU,
                          .other = { .bus = 2 },
                          .number = 1,
                          .detail = S("host") },
                        MODE_PASSTHROUGH, "the card that was here before is 0000:02:00.0 now",
                        "vfioptctl switch host 0000:02:00.0" },
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
                          .is_console = true,
                          .has_fbdev = true },
                        MODE_PASSTHROUGH,
                        "only the text console lights the monitor on its connector "
                        "HDMI-A-1",
                        "nvidia_drm.fbdev=0; or allow it: " },
        { { .kind = FINDING_BOOT_DISPLAY, .function = GPU, .number = 1, .is_last = true },
                        MODE_PASSTHROUGH, "no other GPU of this machine shows anything",
                        "use a monitor on another one; or allow it: " },
        { { .kind = FINDING_DISPLAY_ACTIVE, .function = GPU, .detail = S("DP-4"), .is_last = true },
                        MODE_PASSTHROUGH, "a monitor is lit on its connector DP-4",
                        "no other GPU shows anything: use a monitor on another one, and turn that "
                        "output off; or allow it: " },
        { { .kind = FINDING_DISPLAY_ACTIVE,
                          .function = GPU,
                          .detail = S("DP-4"),
                          .is_console = true,
                          .has_fbdev = true,
                          .is_last = true },
                        MODE_PASSTHROUGH,
                        "only the text console lights the monitor on its connector DP-4",
                        "no other GPU shows anything: use a monitor on another one, and unplug that "
                        "one; or allow it: " },
        /* Of nouveau. */
        { { .kind = FINDING_DISPLAY_ACTIVE,
                          .function = GPU,
                          .detail = S("HDMI-A-1"),
                          .is_console = true },
                        MODE_PASSTHROUGH,
                        "only the text console lights the monitor on its connector "
                        "HDMI-A-1",
                        "unplug that monitor; or allow it: " },
        { { .kind = FINDING_CANNOT_RELEASE, .function = GPU, .detail = S("570.10") },
                        MODE_PASSTHROUGH,
                        "driver version 570.10 with nvidia_drm.modeset=1 cannot release a single GPU",
                        "580.105.08, 590.44.01 or newer; or, which turns all displays on NVIDIA GPUs off: "
                        "modprobe -r nvidia_drm" },
        { { .kind = FINDING_OFF_BUS, .function = GPU }, MODE_HOST,
                        "it does not answer on the PCI bus any more", "power the machine off" },
        { { .kind = FINDING_OFF_BUS, .function = GPU, .detail = S("D0") }, MODE_HOST,
                        "it does not answer on the PCI bus any more",
                        "save your work and power the machine off" },
        { { .kind = FINDING_OFF_BUS, .function = GPU, .detail = S("unknown") }, MODE_HOST,
                        "it does not answer on the PCI bus any more",
                        "wake it and the port above it" },
        { { .kind = FINDING_OFF_BUS, .function = GPU, .detail = S("D3cold") }, MODE_HOST,
                        "it does not answer on the PCI bus any more, and is in D3cold",
                        "echo on | tee /sys/bus/pci/devices/0000:01:00.0/../power/control "
                        "/sys/bus/pci/devices/0000:01:00.*/power/control; to keep it awake from the "
                        "next time on: D3cold=no below [GPU 0000:01:00.0] in vfiopt.conf" },
        { { .kind = FINDING_VIRTUAL, .function = GPU, .has_instances = true }, MODE_PASSTHROUGH,
                        "it is divided by MIG, and would lose its instances",
                        "end what computes on them, then: nvidia-smi mig -dci -i 0000:01:00.0; "
                        "nvidia-smi mig -dgi -i 0000:01:00.0; nvidia-smi -i 0000:01:00.0 -mig 0" },
        { { .kind = FINDING_VIRTUAL, .function = GPU, .number = 4 }, MODE_HOST,
                        "virtual functions (4) exist on 0000:01:00.0",
                        "/usr/lib/nvidia/sriov-manage -d 0000:01:00.0" },
        { { .kind = FINDING_VIRTUAL, .function = GPU, .detail = S("0-1 0-2") }, MODE_HOST,
                        "mediated devices exist on 0000:01:00.0",
                        "for i in 0-1 0-2; do mdevctl stop -u $i; done" },
        { { .kind = FINDING_VIRTUAL,
                          .function = GPU,
                          .number = 1,
                          .detail = S("0-1"),
                          .has_instances = true },
                        MODE_HOST,
                        "virtual functions (1) and mediated devices exist on 0000:01:00.0",
                        "nvidia-smi -i 0000:01:00.0 -mig 0" },
        { { .kind = FINDING_FELL_OFF, .function = GPU }, MODE_PASSTHROUGH,
                        "it has fallen off the bus, says the kernel's log (Xid 79)",
                        "power the machine off" },
        { { .kind = FINDING_NO_VFIO_DRIVER, .function = GPU }, MODE_PASSTHROUGH,
                        "this kernel has no vfio-pci driver", "modprobe vfio-pci" },
        { { .kind = FINDING_NO_HOST_DRIVER, .function = GPU }, MODE_HOST,
                        "no host driver is known for it", "install NVIDIA's driver" },
        { { .kind = FINDING_CLASH, .function = GPU, .other = { .bus = 2 }, .detail = S("nvidia") },
                        MODE_HOST,
                        "nvidia, once loaded, would take 0000:02:00.0, while vfio-pci has function 1 of that card, which may panic the kernel",
                        "vfioptctl switch host 0000:02:00.0" },
        { { .kind = FINDING_CLASH,
                          .function = GPU,
                          .other = { .bus = 2, .function = 1 },
                          .detail = S("vfio_pci") },
                        MODE_PASSTHROUGH,
                        "vfio_pci, once loaded, would take 0000:02:00.1, while nvidia has function 0 of that card, which may panic the kernel",
                        "echo none | tee /sys/bus/pci/devices/0000:02:00.1/driver_override" },
        { { .kind = FINDING_STUCK, .function = FUNCTION, .pid = 77, .detail = S("unbind") },
                        MODE_HOST,
                        "an earlier unbind of 0000:01:00.1 is stuck in the kernel (pid 77)",
                        "end the processes that hold it; if that does not help, save your work, then as root: "
                        "sync; echo b >/proc/sysrq-trigger" },
        { { .kind = FINDING_HOLDER,
                          .pid = 812,
                          .command = S("ollama"),
                          .owner.unit = S("ollama.service"),
                          .node = S("/dev/nvidia0") },
                        MODE_PASSTHROUGH,
                        "in use by ollama (pid 812, ollama.service): /dev/nvidia0",
                        "systemctl stop 'ollama.service'" },
        { { .kind = FINDING_HOLDER,
                          .pid = 9,
                          .command = S("gnome-shell"),
                          .owner.unit = S("session-2.scope"),
                          .owner.session = S("2"),
                          .node = S("/dev/dri/card1") },
                        MODE_PASSTHROUGH,
                        "in use by gnome-shell (pid 9, session 2): /dev/dri/card1",
                        "log out, or have it use another GPU only" },
        { { .kind = FINDING_HOLDER,
                          .pid = 9,
                          .command = S("game"),
                          .owner.unit = S("user@1000.service"),
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
                          .owner.unit = S("nvidia-persistenced.service"),
                          .node = S("/dev/nvidia0") },
                        MODE_PASSTHROUGH,
                        "in use by nvidia-persiste (pid 9, nvidia-persistenced.service): /dev/nvidia0",
                        "nvidia-smi -i 0000:01:00.0 -pm 0" },
        /* Anybody may be called so, and have a unit of that name. */
        { { .kind = FINDING_HOLDER,
                          .pid = 9,
                          .command = S("nvidia-persiste"),
                          .owner.unit = S("nvidia-persistenced.service"),
                          .owner.of_user = true,
                          .node = S("/dev/nvidia0") },
                        MODE_PASSTHROUGH,
                        "in use by nvidia-persiste (pid 9, nvidia-persistenced.service): /dev/nvidia0",
                        "as its user: systemctl --user stop 'nvidia-persistenced.service'" },
        { { .kind = FINDING_HOLDER,
                          .pid = 9,
                          .command = S("nvidia-persiste"),
                          .node = S("/dev/nvidia0") },
                        MODE_PASSTHROUGH, "in use by nvidia-persiste (pid 9): /dev/nvidia0",
                        "kill 9" },
        { { .kind = FINDING_HOLDER,
                          .pid = 9,
                          .command = S("qemu-system-x86"),
                          .owner.unit = S("vm.scope"),
                          .node = S("/dev/vfio/12") },
                        MODE_HOST, "in use by qemu-system-x86 (pid 9, vm.scope): /dev/vfio/12",
                        "shut the virtual machine down" },
        { { .kind = FINDING_HOLDER,
                          .pid = 9,
                          .command = S("mpv"),
                          .owner.unit = S("mpv.service"),
                          .owner.of_user = true,
                          .node = S("/dev/nvidia0") },
                        MODE_PASSTHROUGH, "in use by mpv (pid 9, mpv.service): /dev/nvidia0",
                        "as its user: systemctl --user stop 'mpv.service'" },
        { { .kind = FINDING_HOLDER,
                          .pid = 9,
                          .command = S("steam"),
                          .owner.unit = S("app-steam.scope"),
                          .owner.of_user = true,
                          .node = S("/dev/nvidia0") },
                        MODE_PASSTHROUGH, "in use by steam (pid 9, app-steam.scope): /dev/nvidia0",
                        "close it, or as its user: systemctl --user stop 'app-steam.scope'" },
        { { .kind = FINDING_UNKNOWN, .node = S("/dev/nvidia0"), .error = EIO }, MODE_PASSTHROUGH,
                        "cannot examine /dev/nvidia0: Input/output error", "try again" },
        { { .kind = FINDING_UNKNOWN, .pid = 9, .command = S("wedge"), .error = ETIME },
                        MODE_PASSTHROUGH,
                        "cannot examine wedge (pid 9), which may use it: the kernel does not answer",
                        "try again; if it does use the GPU, end it (pid 9)" },
        { { .kind = FINDING_UNKNOWN,
                          .pid = 9,
                          .uid = 1000,
                          .command = S("chain"),
                          .error = EAGAIN },
                        MODE_PASSTHROUGH,
                        "cannot examine chain (pid 9, uid 1000), which may use it: it moves on too fast",
                        "try again; if that happens again when the machine is not busy, see to what "
                        "starts it" },
        { { .kind = FINDING_UNKNOWN, .pid = 9, .command = S("dbus-daemon"), .error = EBUSY },
                        MODE_PASSTHROUGH,
                        "cannot examine dbus-daemon (pid 9), which may use it: there is no time left for it",
                        "try again when the machine is less busy" },
        { { .kind = FINDING_UNKNOWN, .error = ETIME, .number = 7 }, MODE_PASSTHROUGH,
                        "cannot examine 7 processes in time, which may use it", "try again" },
        { { .kind = FINDING_UNKNOWN, .error = ETIME, .number = 1 }, MODE_PASSTHROUGH,
                        "cannot examine a process in time, which may use it", "try again" },
        { { .kind = FINDING_UNKNOWN, .error = ETIME }, MODE_PASSTHROUGH,
                        "cannot examine in time which processes use it", "try again" },
        { { .kind = FINDING_OFF_BUS, .function = GPU, .error = ETIMEDOUT }, MODE_HOST,
                        "it does not answer on the PCI bus in time", "power the machine off" },
        { { .kind = FINDING_GROUP_MEMBER, .function = GPU, .number = 7 }, MODE_PASSTHROUGH,
                        "a device that is no PCI device shares its IOMMU group 7", "another slot" },
        { { .kind = FINDING_UNKNOWN, .function = GPU, .error = EBUSY }, MODE_PASSTHROUGH,
                        "0000:01:00.0 is in use: Device or resource busy", "end the programs" },
        { { .kind = FINDING_STUCK, .function = FUNCTION, .pid = 77 }, MODE_PASSTHROUGH,
                        "an earlier write to 0000:01:00.1 is stuck in the kernel (pid 77)",
                        "end the processes that hold it; if that does not help, save your work, then as root: "
                        "sync; echo b >/proc/sysrq-trigger" },
        { { .kind = FINDING_STUCK, .function = FUNCTION }, MODE_PASSTHROUGH,
                        "an operation on 0000:01:00.1 that vfiopt did not start is stuck in the kernel",
                        "sync; echo b >/proc/sysrq-trigger" },
        { { .kind = FINDING_CUDA, .function = GPU }, MODE_PASSTHROUGH,
                        "in use by CUDA: nvidia-uvm retains it", "nvidia-persistenced" },
        { { .kind = FINDING_USB, .function = FUNCTION, .detail = S("Acme Disk") }, MODE_PASSTHROUGH,
                        "the USB device Acme Disk is plugged into the card",
                        "move it to another port of the machine" },
        { { .kind = FINDING_USB, .function = FUNCTION, .detail = S("Acme Disk"), .needed = true },
                        MODE_PASSTHROUGH, "the USB device Acme Disk is plugged into the card",
                        "unmount it and move it to another port; the host needs it" },
        { { .kind = FINDING_USB,
                          .function = FUNCTION,
                          .detail = S("Acme LAN"),
                          .carries = S("enp1s0f2u2"),
                          .needed = true },
                        MODE_PASSTHROUGH, "the USB device Acme LAN is plugged into the card",
                        "the host needs it for the network (enp1s0f2u2): use another interface, or "
                        "move it to another port" },
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
                          .owner.unit = S("x.service"),
                          .error = EIO },
                        MODE_PASSTHROUGH,
                        "cannot examine x (pid 5, x.service), which may use it: Input/output error",
                        "try again; if it does use the GPU, end it (pid 5)" },
        /* ENOTSUPP, which the kernel has for itself: libc makes the words at each question. */
        { { .kind = FINDING_UNKNOWN,
                          .pid = 5,
                          .command = S("x"),
                          .owner.unit = S("x.service"),
                          .error = 524 },
                        MODE_PASSTHROUGH,
                        "cannot examine x (pid 5, x.service), which may use it: Unknown error 524",
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

static void every_cause_of_no_iommu_has_a_remedy(void **state _unused_) {
        for (IommuCause cause = 0; cause < _IOMMU_MAX; ++cause) {
                const Finding finding = { .kind = FINDING_NO_IOMMU, .iommu = cause };
                _cleanup_(freep) char *sentence = NULL;
                const char *remedy;

                sentence = explain(&finding, MODE_PASSTHROUGH, &remedy);
                assert_true(strlen(remedy) > 20);
        }
}

static void each_owner_is_named_with_what_ends_just_that(void **state _unused_) {
        const struct {
                const char *command;
                Owner owner;
                const char *place;
                const char *remedy; /* whole */
        } owned[] = {
                { "python3", { .kind = OWNER_DOCKER, .id = S("0123456789ab") },
                                ", Docker container 0123456789ab",
                                "docker stop 0123456789ab (one with the restart policy always comes "
                                "back when Docker is started again)" },
                { "python3", { .kind = OWNER_PODMAN, .id = S("0123456789ab"), .of_user = true },
                                ", Podman container 0123456789ab",
                                "as its user: podman stop 0123456789ab" },
                { "python3", { .kind = OWNER_DOCKER, .of_user = true },
                                ", Docker container (unknown)",
                                "as its user: stop that container with docker stop; docker ps lists them" },
                { "python3", { .kind = OWNER_NERDCTL, .id = S("0123456789ab"), .of_user = true },
                                ", containerd's container 0123456789ab",
                                "as its user: nerdctl stop 0123456789ab" },
                { "python3", { .kind = OWNER_PODMAN }, ", Podman container (unknown)",
                                "stop that container with podman stop; podman ps lists them" },
                { "python3", { .kind = OWNER_NERDCTL, .id = S("0123456789ab") },
                                ", containerd's container 0123456789ab",
                                "nerdctl stop 0123456789ab" },
                { "tritonserver", { .kind = OWNER_POD, .name = S("0-1"), .id = S("0123456789ab") },
                                ", Kubernetes pod 0-1",
                                "scale down what runs this pod, or drain the node; crictl stop "
                                "0123456789ab ends the container until the kubelet starts it again" },
                { "ffmpeg", { .kind = OWNER_LXC, .name = S("media") }, ", LXC container media",
                                "stop the container media with what manages it (LXC, Incus or LXD)" },
                { "ffmpeg", { .kind = OWNER_LXC, .name = S("media"), .of_user = true },
                                ", LXC container media", "as its user: lxc-stop -n media" },
                { "ffmpeg", { .kind = OWNER_PROXMOX_CT, .name = S("101") },
                                ", Proxmox container 101", "pct shutdown 101, or pct stop 101" },
                { "Xorg", { .kind = OWNER_MACHINE, .name = S("m") }, ", machine m",
                                "machinectl poweroff m" },
                { "qemu-system-x86", { .kind = OWNER_LIBVIRT, .name = S("win11"), .id = S("2") },
                                ", libvirt's virtual machine win11", "virsh shutdown 2" },
                { "qemu-system-x86", { .kind = OWNER_LIBVIRT, .id = S("2"), .of_user = true },
                                ", libvirt's virtual machine (unknown)",
                                "as its user: virsh shutdown 2" },
                { "qemu-system-x86", { .kind = OWNER_LIBVIRT, .name = S("7") },
                                ", libvirt's virtual machine 7",
                                "shut the virtual machine down with virsh shutdown; virsh list lists them" },
                { "kvm", { .kind = OWNER_PROXMOX_VM, .name = S("101") },
                                ", Proxmox virtual machine 101", "qm shutdown 101" },
                { "steam", { .kind = OWNER_FLATPAK, .name = S("a.b"), .of_user = true },
                                ", Flatpak application a.b",
                                "close it, or as its user: flatpak kill a.b" },
                { "dockerd", { .kind = OWNER_RUNTIME, .unit = S("docker.service") },
                                ", docker.service",
                                "stop the container or guest that uses the GPU" },
                { "qemu-system-x86", { .unit = S("vm.service") }, ", vm.service",
                                "shut the virtual machine down" },
                { "python3", { .unit = S("session-2.scope"), .session = S("2") }, ", session 2",
                                "close it, or kill 9" },
                { "Xorg", { .unit = S("lightdm.service") }, ", lightdm.service",
                                "log out, or have it use another GPU only; else all sessions of "
                                "lightdm.service have to end" },
                { "weston", { .unit = S("weston.service") }, ", weston.service",
                                "log out, or have it use another GPU only; systemctl stop "
                                "'weston.service' ends the graphical sessions that it has started" },
                { "sddm-greeter", { .unit = S("sddm.service") }, ", sddm.service",
                                "it seems to be the login screen, where nobody is logged in: have it use "
                                "another GPU only, or when all have logged out elsewhere: systemctl stop "
                                "'sddm.service'" },
                { ".gnome-shell-wr",
                                { .unit = S("org.gnome.Shell@wayland.service"), .of_user = true },
                                ", org.gnome.Shell@wayland.service",
                                "log out, or have it use another GPU only" },
                { "systemd", { .unit = S("init.scope"), .of_user = true }, ", init.scope",
                                "end the session or service whose file it holds; see: loginctl "
                                "list-sessions" },
                { "discord", { .unit = S("app-gnome-discord-2222.scope"), .of_user = true },
                                ", app-gnome-discord-2222.scope",
                                "close it, or as its user: systemctl --user stop "
                                "'app-gnome-discord-2222.scope'" },
                { "python3", { .unit = S("vte-spawn-0.scope"), .of_user = true },
                                ", vte-spawn-0.scope", "close it, or kill 9" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(owned); ++i) {
                _cleanup_(freep) char *sentence = NULL;
                Finding finding = { .kind = FINDING_HOLDER, .pid = 9, .node = S("/dev/nvidia0") };
                char expected[256], command[32];
                const char *remedy;

                snprintf(command, sizeof(command), "%s", owned[i].command);
                finding.command = command;
                finding.owner = owned[i].owner;
                sentence = explain(&finding, MODE_PASSTHROUGH, &remedy);
                snprintf(expected, sizeof(expected), "in use by %s (pid 9%s): /dev/nvidia0",
                                command, owned[i].place);
                assert_string_equal(sentence, expected);
                assert_string_equal(remedy, owned[i].remedy);
        }
}

#define LIST(...)                                                         \
        (Findings) {                                                      \
                .items = (Finding[]){ __VA_ARGS__ },                      \
                .n = sizeof((Finding[]){ __VA_ARGS__ }) / sizeof(Finding) \
        }
#define HOLDER(pid_, name, node_)                                                                \
        {                                                                                        \
                .kind = FINDING_HOLDER, .function = FUNCTION, .pid = (pid_), .command = S(name), \
                .node = S(node_)                                                                 \
        }

#define SOUND                                                                           \
        "as its user, turn this card off for it, which leaves the other ones: pactl "   \
        "set-card-profile alsa_card.pci-0000_01_00.1 off; if it does not let go then: " \
        "pw-reserve -r -n Audio1, which asks for the card as long as it runs"

/* The remedy of those that are told first. */
static void assert_remedy(const Findings *findings, const char *remedy) {
        _cleanup_(freep) char *reason = NULL, *holders = NULL;
        char *end;

        assert_int_equal(findings_explain(findings, &gpu, MODE_PASSTHROUGH, &reason, &holders), 0);
        end = strstr(reason, "; also in use by ");
        if (end)
                *end = 0;
        if (strcmp(strstr(reason, "; ") + 2, remedy) != 0)
                fail_msg("\"%s\" does not end with \"%s\"", reason, remedy);
}

static void assert_finding_remedy(
                Finding finding, const char *name, Owner owner, const char *remedy) {
        char command[32];
        const Findings findings = { .items = &finding, .n = 1 };

        snprintf(command, sizeof(command), "%s", name);
        finding.command = command;
        finding.owner = owner;
        assert_remedy(&findings, remedy);
}

static void assert_holder_remedy(const char *name, Owner owner, const char *remedy) {
        assert_finding_remedy(
                        (Finding){ .kind = FINDING_HOLDER, .pid = 9, .node = S("/dev/nvidia0") },
                        name, owner, remedy);
}

/* Of the process that the manager of the machine has started. */
static void assert_leader_remedy(const char *name, Owner owner, const char *remedy) {
        assert_finding_remedy((Finding){ .kind = FINDING_HOLDER,
                                              .pid = 9,
                                              .leads = true,
                                              .node = S("/dev/nvidia0") },
                        name, owner, remedy);
}

static void no_unit_is_stopped_that_a_desktop_hangs_on(void **state _unused_) {
        static const struct {
                const char *command, *unit;
                bool of_desktop;
        } of_user[] = {
                { "gjs", "org.gnome.Shell@wayland.service", true },
                { "gjs", "org.gnome.Shell@wayland.service", false },
                { "nautilus", "dbus.service", false },
                { "nautilus", "dbus-broker.service", false },
                { "nautilus", "dbus-:1.2-org.gnome.Nautilus@0.service", false },
                { "firefox", "wayland-wm@hyprland.desktop.service", false },
                { "maliit-keyboard", "plasma-kwin_wayland.service", false },
                { "x", "gnome-session-manager@gnome.service", false },
                { "x", "niri.service", true },
                { "python3", "gnome-terminal-server.service", false },
                { "python3", "app-org.kde.konsole-12.scope", false },
                { "python3", "app-x-12.scope", true },
        };

        for (size_t i = 0; i < ARRAY_SIZE(of_user); ++i) {
                char unit[64];

                snprintf(unit, sizeof(unit), "%s", of_user[i].unit);
                assert_holder_remedy(of_user[i].command,
                                (Owner){ .unit = unit,
                                                .of_user = true,
                                                .of_desktop = of_user[i].of_desktop },
                                "close it, or kill 9");
        }
        assert_holder_remedy("ollama", (Owner){ .unit = S("ollama.service"), .of_user = true },
                        "as its user: systemctl --user stop 'ollama.service'");
}

static void helpers_of_a_desktop_come_between_it_and_what_computes(void **state _unused_) {
        const Findings findings = LIST(HOLDER(2, "gnome-shell", "/dev/nvidia0"),
                        HOLDER(3, "gjs", "/dev/nvidia0"), HOLDER(4, "trainer", "/dev/nvidia0"));
        const Findings desktop = { .items = findings.items, .n = 2 };
        Owner shell = {
                .unit = S("org.gnome.Shell@wayland.service"), .of_user = true, .of_desktop = true
        };

        findings.items[0].owner = findings.items[1].owner = shell;
        assert_remedy(&findings, "kill 4");
        assert_remedy(&desktop, "close it, or kill 3");
}

static void who_holds_it_for_a_session_comes_last_and_is_left_alone(void **state _unused_) {
        static const char keep[] = "end the session or service whose file it holds; see: loginctl "
                                   "list-sessions";
        const Findings findings = LIST(HOLDER(2, "seatd", "/dev/dri/card1"),
                        HOLDER(3, "elogind-daemon", "/dev/dri/card1"),
                        HOLDER(4, "sway", "/dev/dri/card1"));
        const Findings sound = LIST(HOLDER(4, "sway", "/dev/dri/card1"),
                        HOLDER(5, "wireplumber", "/dev/snd/controlC1"));

        assert_remedy(&findings, "log out, or have it use another GPU only");
        assert_remedy(&sound, SOUND);
        assert_holder_remedy("seatd", (Owner){ .unit = S("x.service") }, keep);
        assert_holder_remedy("elogind-daemon", (Owner){}, keep);
        assert_holder_remedy("systemd-logind", (Owner){}, keep);
        assert_holder_remedy("dbus-daemon", (Owner){ .unit = S("dbus.service") }, keep);
        assert_holder_remedy("x", (Owner){ .unit = S("seatd.service") }, keep);
        assert_holder_remedy("x", (Owner){ .unit = S("elogind.service") }, keep);
}

static void no_unit_is_stopped_that_the_machine_or_others_hang_on(void **state _unused_) {
        static const char *const units[] = { "ssh.service", "sshd.service",
                "sshd@1-10.0.0.1:22-10.0.0.2:5.service", "dropbear.service", "dbus.service",
                "dbus-broker.service", "systemd-machined.service", "NetworkManager.service",
                "NetworkManager-dispatcher.service", "cron.service", "crond.service", "atd.service",
                "slurmd.service", "xrdp.service", "xrdp-sesman.service", "vncserver@:1.service",
                "x0vncserver.service", "getty@tty1.service", "supervisor.service",
                "supervisord.service", "polkit.service", "gdm.service", "gdm3.service",
                "sddm.service", "display-manager.service", "greetd.service",
                "cosmic-greeter.service", "cage@tty1.service", "kiosk.service", "user@1000.service",
                "gnome-remote-desktop.service" };

        for (size_t i = 0; i < ARRAY_SIZE(units); ++i) {
                char unit[64];

                snprintf(unit, sizeof(unit), "%s", units[i]);
                assert_leader_remedy("python3", (Owner){ .unit = unit }, "close it, or kill 9");
        }
        assert_leader_remedy("python3", (Owner){ .unit = S("trainer.service") },
                        "systemctl stop 'trainer.service'");
        assert_holder_remedy("sshd-session", (Owner){ .unit = S("ssh.service") },
                        "log out, or kill 9, which ends its sessions with it");
        assert_holder_remedy("cage", (Owner){ .unit = S("cage@tty1.service") },
                        "log out, or have it use another GPU only; else all sessions of "
                        "cage@tty1.service have to end");
        assert_holder_remedy("hwdb", (Owner){ .unit = S("systemd-udevd.service") }, "try again");
        assert_holder_remedy("(udev-worker)", (Owner){}, "try again");
        assert_holder_remedy("plymouthd", (Owner){ .unit = S("plymouth-start.service") },
                        "it is the boot splash, and ends by itself: try again then");
}

static void who_shows_something_on_a_screen_is_not_killed(void **state _unused_) {
        static const char *const names[] = { "deepin-kwin_way", "ukui-kwin_waylan", "treeland",
                "gnome-kiosk", "lomiri", "jay", "scroll", "budgie-wm", "magpie-wm", "kodi-gbm",
                "Xvnc", "Xtigervnc", "mate-session", "lxqt-session", "gdm-x-session",
                "gdm-wayland-ses" };
        static const char desktop[] = "log out, or have it use another GPU only";
        static const char maybe[] = "close it, or log out if it is the desktop";
        const struct {
                Owner owner;
                const char *remedy;
        } owners[] = {
                { { .unit = S("session-2.scope"), .session = S("2") }, maybe },
                { { .unit = S("wm.service"), .of_user = true }, maybe },
                { { .unit = S("wm.service"), .of_user = true, .of_desktop = true }, desktop },
                { { .unit = S("lightdm.service") },
                                "log out, or have it use another GPU only; else all sessions of "
                                "lightdm.service have to end" },
        };
        const Findings by_fact =
                        LIST(HOLDER(8, "a;b", "/dev/nvidia0"), HOLDER(8, "a;b", "/dev/dri/card12"),
                                        HOLDER(8, "a;b", "/dev/dri/renderD128"));
        const Findings both = LIST(HOLDER(7, "new-wm", "/dev/dri/renderD128"),
                        HOLDER(7, "new-wm", "/dev/dri/card1"),
                        HOLDER(8, "app", "/dev/dri/renderD128"));

        for (size_t i = 0; i < ARRAY_SIZE(names); ++i)
                assert_holder_remedy(names[i], (Owner){}, desktop);
        assert_remedy(&by_fact, maybe);
        for (size_t i = 0; i < ARRAY_SIZE(owners); ++i) {
                for (size_t k = 0; k < by_fact.n; ++k)
                        by_fact.items[k].owner = owners[i].owner;
                assert_remedy(&by_fact, owners[i].remedy);
        }
        assert_remedy(&both, "kill 8");
}

static void no_unit_is_stopped_that_has_a_display_server_in_it(void **state _unused_) {
        Finding items[] = {
                { .kind = FINDING_HOLDER, .pid = 8, .command = S("sway") },
                { .kind = FINDING_HOLDER, .pid = 9, .command = S("firefox") },
        };
        const Findings findings = { .items = items, .n = 2 };

        items[1].leads = true;
        items[0].owner.unit = S("firefox.service");
        items[1].owner.unit = S("firefox.service");
        assert_remedy(&findings, "close it, or kill 9");
        items[0].owner.of_user = items[1].owner.of_user = true;
        assert_remedy(&findings, "close it, or kill 9");
        items[0].owner.of_user = false;
        assert_remedy(&findings, "as its user: systemctl --user stop 'firefox.service'");
}

static void a_unit_is_stopped_for_what_it_is_there_for_alone(void **state _unused_) {
        static const char closed[] = "close it, or kill 9";
        static const char *const of_machine[] = { "a.service", "rstudio-server.service",
                "ttyd.service", "code-server@me.service", "anydesk.service", "rustdesk.service",
                "teamviewerd.service", "prometheus-node-exporter.service" };
        static const char *const of_user[] = { "app-org.kde.yakuake@autostart.service",
                "app-gnome-terminator-9.scope", "app-com.gexperts.Tilix-9.scope", "zellij.service",
                "byobu.service", "emacs.service", "jupyter.service", "app-code@f0.service",
                "app-gnome-code-1.scope", "app-org.kde.dolphin-123.scope", "a.service" };
        static const struct {
                const char *command, *unit, *remedy;
                bool of_user;
        } named[] = {
                { "ollama", "ollama.service", "systemctl stop 'ollama.service'", false },
                { "ollama_llama_se", "ollama.service", "systemctl stop 'ollama.service'", false },
                { "prometheus-node", "prometheus-node-exporter.service",
                                "systemctl stop 'prometheus-node-exporter.service'", false },
                { "kodi.bin", "kodi.service", "systemctl stop 'kodi.service'", false },
                { "ollama", "snap.ollama.ollama.service",
                                "systemctl stop 'snap.ollama.ollama.service'", false },
                { "node", "nodered.service", closed, false },
                { "a", "ab.service", closed, false },
                { "ab", "a.service", closed, false },
                { "nautilus", "app-gnome-org.gnome.Nautilus-9.scope",
                                "close it, or as its user: systemctl --user stop "
                                "'app-gnome-org.gnome.Nautilus-9.scope'",
                                true },
                { "firefox", "snap.firefox.firefox-a1.scope",
                                "close it, or as its user: systemctl --user stop "
                                "'snap.firefox.firefox-a1.scope'",
                                true },
                { "teamviewerd", "teamviewerd.service",
                                "close it, or kill 9, which cuts off who works through it", false },
                { "sunshine", "sunshine.service",
                                "close it, or kill 9, which cuts off who works through it", true },
        };
        char unit[64];

        for (size_t i = 0; i < ARRAY_SIZE(of_machine); ++i) {
                snprintf(unit, sizeof(unit), "%s", of_machine[i]);
                assert_holder_remedy("python3", (Owner){ .unit = unit }, closed);
        }
        for (size_t i = 0; i < ARRAY_SIZE(of_user); ++i) {
                snprintf(unit, sizeof(unit), "%s", of_user[i]);
                assert_leader_remedy("python3", (Owner){ .unit = unit, .of_user = true }, closed);
        }
        for (size_t i = 0; i < ARRAY_SIZE(named); ++i) {
                snprintf(unit, sizeof(unit), "%s", named[i].unit);
                assert_holder_remedy(named[i].command,
                                (Owner){ .unit = unit, .of_user = named[i].of_user },
                                named[i].remedy);
        }
}

static void the_node_of_the_card_makes_no_desktop(void **state _unused_) {
        const Findings findings = LIST(
                        HOLDER(9, "python3", "/dev/dri/card1"), HOLDER(2, "nvtop", "/dev/nvidia0"));
        Finding *one = &findings.items[0];

        one->leads = true;
        one->owner = (Owner){ .unit = S("frigate.service") };
        assert_remedy(&findings, "systemctl stop 'frigate.service'");
        one->leads = false;
        assert_remedy(&findings, "close it, or kill 9");
        one->command = S("discord");
        one->owner = (Owner){ .unit = S("app-gnome-discord-2222.scope"), .of_user = true };
        assert_remedy(&findings,
                        "close it, or as its user: systemctl --user stop 'app-gnome-discord-2222.scope'");
}

static void a_machine_is_shut_down_and_never_ended_with_what_it_is_in(void **state _unused_) {
        static const char shut[] = "shut the virtual machine down";
        Finding items[] = {
                { .kind = FINDING_HOLDER, .pid = 8, .command = S("glxgears") },
                { .kind = FINDING_HOLDER, .pid = 9, .command = S("qemu-system-x86") },
        };
        const Findings findings = { .items = items, .n = 2 };
        const Owner boxes = { .kind = OWNER_FLATPAK,
                .name = S("org.gnome.Boxes"),
                .unit = S("app-flatpak-org.gnome.Boxes-4711.scope"),
                .of_user = true };

        assert_holder_remedy("qemu-system-x86", boxes, shut);
        assert_holder_remedy("qemu-system-x86",
                        (Owner){ .kind = OWNER_DOCKER, .id = S("0123456789ab") }, shut);
        assert_holder_remedy("qemu-system-x86",
                        (Owner){ .kind = OWNER_RUNTIME, .unit = S("incus.service") }, shut);
        assert_holder_remedy("gnome-boxes", boxes, "shut its virtual machines down, then close it");
        items[0].owner = items[1].owner = boxes;
        assert_remedy(&findings, "shut the virtual machine in there down first");
        items[0].owner = items[1].owner = (Owner){ .unit = S("a.service") };
        items[0].leads = true;
        assert_remedy(&findings, "close it, or kill 8");
}

/* It has the lock of its display open, and is called as nobody else is. */
static void a_compositor_is_known_by_what_it_serves(void **state _unused_) {
        static const char log_out[] = "log out, or have it use another GPU only; loginctl "
                                      "terminate-session 2 ends all that runs in that session";
        Finding items[] = {
                { .kind = FINDING_HOLDER, .pid = 8, .command = S("foowm"), .serves = true },
                { .kind = FINDING_HOLDER, .pid = 9, .command = S("trainer"), .leads = true },
        };
        const Findings one = { .items = items, .n = 1 }, both = { .items = items, .n = 2 };

        items[0].owner = (Owner){ .unit = S("session-2.scope"), .session = S("2") };
        assert_remedy(&one, log_out);
        items[1].owner = (Owner){ .unit = S("trainer.service") };
        assert_remedy(&both, "systemctl stop 'trainer.service'");
        items[0].owner = items[1].owner;
        assert_remedy(&both, "close it, or kill 9");
}

static void who_works_from_afar_is_not_cut_off_unasked(void **state _unused_) {
        static const char *const commands[] = { "xpra", "dcvserver", "dcvagent", "dcvsessionlaunc",
                "selkies-gstreame", "krdpserver", "x2goagent", "nxagent", "dwagent", "sunshine",
                "rustdesk", "parsecd", "anydesk" };
        static const char *const units[] = { "dcvserver.service", "selkies.service", "xpra.service",
                "app-org.kde.krdpserver.service" };

        for (size_t i = 0; i < ARRAY_SIZE(commands); ++i)
                assert_leader_remedy(commands[i], (Owner){ .unit = S("x.service") },
                                "close it, or kill 9, which cuts off who works through it");
        for (size_t i = 0; i < ARRAY_SIZE(units); ++i) {
                char unit[64];

                snprintf(unit, sizeof(unit), "%s", units[i]);
                assert_leader_remedy("ffmpeg", (Owner){ .unit = unit }, "close it, or kill 9");
        }
}

static void a_greeter_is_no_session_of_anybody(void **state _unused_) {
        static const char greeter[] = "it seems to be the login screen, where nobody is logged in: "
                                      "have it use another GPU only, or when all have logged out "
                                      "elsewhere: systemctl stop display-manager";
        const Findings findings = LIST(HOLDER(8, "gnome-shell", "/dev/dri/card1"),
                        HOLDER(9, "wireplumber", "/dev/snd/controlC1"));
        const Findings shell = { .items = findings.items, .n = 1 };
        Finding *one = &findings.items[0];

        one->uid = findings.items[1].uid = 120;
        one->owner = (Owner){ .unit = S("session-c1.scope"), .session = S("c1") };
        findings.items[1].owner = (Owner){ .unit = S("wireplumber.service"), .of_user = true };
        assert_remedy(&findings, greeter);
        /* A kiosk, which logind knows. */
        one->of_person = true;
        assert_remedy(&shell,
                        "log out, or have it use another GPU only; loginctl terminate-session c1 "
                        "ends all that runs in that session");
        one->of_person = false;
        one->uid = 60578;
        assert_remedy(&shell, greeter);
        one->uid = 1000;
        assert_remedy(&shell,
                        "log out, or have it use another GPU only; loginctl terminate-session c1 "
                        "ends all that runs in that session");
        assert_holder_remedy("lightdm-gtk-gre",
                        (Owner){ .unit = S("session-c1.scope"), .session = S("c1") }, greeter);
        assert_finding_remedy((Finding){ .kind = FINDING_HOLDER,
                                              .pid = 9,
                                              .uid = 120,
                                              .node = S("/dev/nvidia0") },
                        "python3", (Owner){ .unit = S("x.service"), .of_user = true },
                        "close it, or kill 9");
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
        finding.detail = finding.command = finding.node = strings;
        finding.carries = finding.gpus = strings;
        finding.owner.name = finding.owner.id = strings;
        finding.owner.unit = finding.owner.session = strings;
        assert_int_equal(findings_push(&findings, &finding), 0);
        strings[0] = 'x';
        assert_int_equal(findings.n, 2);
        assert_int_equal(findings.items[1].pid, 8);
        assert_string_equal(findings.items[1].detail, "dcusn");
        assert_string_equal(findings.items[1].command, "dcusn");
        assert_string_equal(findings.items[1].carries, "dcusn");
        assert_string_equal(findings.items[1].gpus, "dcusn");
        assert_string_equal(findings.items[1].owner.name, "dcusn");
        assert_string_equal(findings.items[1].owner.id, "dcusn");
        assert_string_equal(findings.items[1].owner.unit, "dcusn");
        assert_string_equal(findings.items[1].owner.session, "dcusn");
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
                        "in use by a (pid 8) and b (pid 9): /dev/nvidia0, /dev/nvidiactl; kill 8 9",
                        "8 (a) /dev/nvidia0, 8 (a) /dev/nvidiactl, 9 (b) /dev/nvidia0, 9 (b) /dev/nvidiactl");
}

static void what_helps_can_be_had_apart(void **state _unused_) {
        const Findings used = LIST(HOLDER(8, "a", "/dev/nvidia0"),
                        { .kind = FINDING_HOLDER,
                                        .pid = 9,
                                        .command = (char *) "b",
                                        .node = (char *) "/dev/x",
                                        .owner = { .kind = OWNER_DOCKER, .id = (char *) "0123" } });
        const Findings missing = LIST({ .kind = FINDING_NO_HOST_DRIVER });
        const struct {
                const Findings *findings;
                const char *what, *remedy;
        } expected[] = {
                { &used, "in use by a (pid 8): /dev/nvidia0; also in use by b (pid 9, Docker container 0123): /dev/x",
                                "kill 8; docker stop 0123 (one with the restart policy always comes back when "
                                "Docker is started again)" },
                { &missing, "no host driver is known for it",
                                "install NVIDIA's driver, or nouveau, for the running kernel" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(expected); ++i) {
                _cleanup_(freep) char *what = NULL, *remedy = NULL;

                assert_int_equal(findings_explain_apart(expected[i].findings, &gpu,
                                                 MODE_PASSTHROUGH, &what, &remedy),
                                0);
                assert_string_equal(what, expected[i].what);
                assert_string_equal(remedy, expected[i].remedy);
        }
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
                        { .kind = FINDING_OTHER_CARD,
                                        .other = { .bus = 1 },
                                        .detail = S("10de:1234") });

        assert_explained(&findings,
                        "this is not the card that was here before (10de:1234), and 1 more; "
                        "if it is meant to be here: vfioptctl forget 0000:01:00.0",
                        "8 (a) /dev/nvidia0");
}

#define MEMBER(bus_, driver, ...)                                                        \
        {                                                                                \
                .kind = FINDING_GROUP_MEMBER, .number = 15, .other = { .bus = (bus_) },  \
                .detail = S(driver), .gpus = S("0000:01:00.0 0000:06:00.0"), __VA_ARGS__ \
        }
#define SLOT "put the card into another slot, or turn ACS on in the firmware, where it can"

static void all_members_of_a_group_are_named_and_none_that_is_needed_is_given_away(
                void **state _unused_) {
        const Findings needed = LIST(
                        MEMBER(2, "xhci_hcd", .needed = true,
                                        .carries = S("USB controller with input devices")),
                        MEMBER(3, "ahci", .needed = true,
                                        .carries = S("disk controller with the root file system")),
                        MEMBER(4, "snd_hda_intel", .carries = S("sound card")),
                        { .kind = FINDING_NO_HOST_DRIVER });
        const Findings idle = LIST(MEMBER(4, "snd_hda_intel", .carries = S("sound card")),
                        MEMBER(5, "r8169", .carries = S("network card")));
        const Findings gpus = LIST(MEMBER(6, "nova_core", .is_gpu = true),
                        MEMBER(7, "snd_hda_intel", .is_gpu = true));
        const Findings mixed = LIST(MEMBER(6, "nova_core", .is_gpu = true),
                        MEMBER(4, "snd_hda_intel", .carries = S("sound card")));
        const Findings other = LIST({ .kind = FINDING_GROUP_MEMBER,
                                                    .number = 15,
                                                    .carries = S("fd400000.smmu"),
                                                    .needed = true },
                        MEMBER(4, "snd_hda_intel", .carries = S("sound card")));

        assert_explained(&needed,
                        "0000:02:00.0 (xhci_hcd, USB controller with input devices), 0000:03:00.0 (ahci, "
                        "disk controller with the root file system) and 0000:04:00.0 (snd_hda_intel, sound "
                        "card) share its IOMMU group 15, and 1 more; " SLOT
                        "; the host needs what it shares the group with",
                        NULL);
        assert_explained(&idle,
                        "0000:04:00.0 (snd_hda_intel, sound card) and 0000:05:00.0 (r8169, network card) share "
                        "its IOMMU group 15; " SLOT
                        "; or, as long as the host can do without and nothing uses it: driverctl --nosave "
                        "set-override 0000:04:00.0 vfio-pci; driverctl --nosave set-override 0000:05:00.0 "
                        "vfio-pci",
                        NULL);
        assert_explained(&gpus,
                        "0000:06:00.0 (nova_core) and 0000:07:00.0 (snd_hda_intel) share its IOMMU group 15; "
                        "move all GPUs of the group at once: vfioptctl switch passthrough 0000:01:00.0 "
                        "0000:06:00.0",
                        NULL);
        assert_explained(&mixed,
                        "0000:06:00.0 (nova_core) and 0000:04:00.0 (snd_hda_intel, sound card) share its IOMMU "
                        "group 15; " SLOT
                        "; or, as long as the host can do without and nothing uses it: driverctl --nosave "
                        "set-override 0000:04:00.0 vfio-pci; vfioptctl switch passthrough 0000:01:00.0 "
                        "0000:06:00.0",
                        NULL);
        assert_explained(&other,
                        "fd400000.smmu (no PCI device) and 0000:04:00.0 (snd_hda_intel, sound card) share its "
                        "IOMMU group 15; " SLOT "; the host needs what it shares the group with",
                        NULL);
}

static void what_computes_is_named_before_the_desktop(void **state _unused_) {
        const Findings findings = LIST(
                        { .kind = FINDING_UNKNOWN, .pid = 1, .command = S("x"), .error = EACCES },
                        HOLDER(2, "gnome-shell", "/dev/nvidia0"),
                        HOLDER(3, "pipewire", "/dev/snd/controlC1"),
                        HOLDER(4, "trainer", "/dev/nvidia0"), HOLDER(5, "nvtop", "/dev/nvidia0"));
        const Findings desktop = { .items = findings.items, .n = 3 };

        assert_explained(&findings,
                        "in use by trainer (pid 4) and nvtop (pid 5): /dev/nvidia0; kill 4 5; also in use by "
                        "pipewire (pid 3): /dev/snd/controlC1; " SOUND
                        "; also in use by gnome-shell (pid 2): /dev/nvidia0, and 1 more; log out, or have it "
                        "use another GPU only",
                        "1 (x) ?, 2 (gnome-shell) /dev/nvidia0, 3 (pipewire) /dev/snd/controlC1, "
                        "4 (trainer) /dev/nvidia0, 5 (nvtop) /dev/nvidia0");
        assert_explained(&desktop,
                        "in use by pipewire (pid 3): /dev/snd/controlC1; " SOUND
                        "; also in use by gnome-shell (pid 2): /dev/nvidia0, and 1 more; log out, or have it "
                        "use another GPU only",
                        "1 (x) ?, 2 (gnome-shell) /dev/nvidia0, 3 (pipewire) /dev/snd/controlC1");
}

static void holders_are_told_of_in_groups_that_have_one_remedy(void **state _unused_) {
        const Findings findings = LIST(HOLDER(11, "discord", "/dev/nvidia0"),
                        HOLDER(2, "trainer", "/dev/nvidia0"),
                        HOLDER(2, "trainer", "/dev/nvidiactl"),
                        HOLDER(3, "trainer", "/dev/nvidia-uvm"),
                        HOLDER(4, "wireplumber", "/dev/snd/controlC1"),
                        HOLDER(5, "pipewire", "/dev/snd/controlC1"),
                        HOLDER(6, "discord", "/dev/nvidia0"));
        Finding *items = findings.items;

        items[0].owner = items[6].owner =
                        (Owner){ .unit = S("app-discord-7.scope"), .of_user = true };
        items[1].owner = items[2].owner = items[3].owner = (Owner){ .unit = S("trainer.service") };
        items[4].owner = (Owner){ .unit = S("wireplumber.service"), .of_user = true };
        items[5].owner = (Owner){ .unit = S("pipewire.service"), .of_user = true };
        assert_explained(&findings,
                        "in use by discord (pid 11, app-discord-7.scope) and discord (pid 6, "
                        "app-discord-7.scope): /dev/nvidia0; close it, or as its user: systemctl --user stop "
                        "'app-discord-7.scope'; also in use by trainer (pid 2, trainer.service) and trainer "
                        "(pid 3, trainer.service): /dev/nvidia0, /dev/nvidiactl, /dev/nvidia-uvm; systemctl "
                        "stop 'trainer.service'; also in use by wireplumber (pid 4, wireplumber.service) and "
                        "pipewire (pid 5, pipewire.service): /dev/snd/controlC1; " SOUND,
                        "11 (discord) /dev/nvidia0, 2 (trainer) /dev/nvidia0, 2 (trainer) /dev/nvidiactl, "
                        "3 (trainer) /dev/nvidia-uvm, 4 (wireplumber) /dev/snd/controlC1, "
                        "5 (pipewire) /dev/snd/controlC1, 6 (discord) /dev/nvidia0");
}

/* Each is in a unit of its own. */
static void more_groups_than_can_be_told_are_counted(void **state _unused_) {
        Findings findings = FINDINGS_NULL;
        char unit[32], *reason = NULL, *holders = NULL;

        for (pid_t pid = 10; pid < 30; ++pid) {
                snprintf(unit, sizeof(unit), "x%d.service", (int) pid);
                assert_int_equal(findings_push(&findings,
                                                 &(Finding){ .kind = FINDING_HOLDER,
                                                                 .pid = pid,
                                                                 .leads = true,
                                                                 .command = S("x"),
                                                                 .owner.unit = unit,
                                                                 .node = S("/dev/nvidia0") }),
                                0);
        }
        assert_int_equal(findings_explain(&findings, &gpu, MODE_PASSTHROUGH, &reason, &holders), 0);
        assert_non_null(strstr(reason,
                        "stop 'x16.service'; also in use by x (pid 17, x17.service): "
                        "/dev/nvidia0, and 12 more; systemctl stop 'x17.service'"));
        assert_null(strstr(reason, "pid 18"));
        free(reason);
        free(holders);
        findings_deinit(&findings);
}

static void findings_without_a_process_are_no_holders(void **state _unused_) {
        const Findings findings = LIST(
                        { .kind = FINDING_USB, .detail = S("Disk") }, { .kind = FINDING_CUDA });

        assert_explained(&findings,
                        "the USB device Disk is plugged into the card, and 1 more; move it to another port of the machine",
                        NULL);
}

static void more_processes_than_can_be_told_are_counted(void **state _unused_) {
        Findings findings = FINDINGS_NULL;
        char *reason = NULL, *holders = NULL;

        assert_int_equal(findings_push(&findings,
                                         &(Finding){ .kind = FINDING_USB, .detail = S("x") }),
                        0);
        for (pid_t pid = 1000; pid < 101000; ++pid)
                for (int k = 0; k < 2; ++k)
                        assert_int_equal(
                                        findings_push(&findings,
                                                        &(Finding){ .kind = FINDING_HOLDER,
                                                                        .pid = pid,
                                                                        .command = S("many"),
                                                                        .node = S("/dev/nvidia0") }),
                                        0);
        assert_int_equal(findings.n, 1 + FINDINGS_PROCESSES_MAX);
        assert_int_equal(findings.n_more, 100000 - FINDINGS_PROCESSES_MAX / 2);
        assert_int_equal(findings_explain(&findings, &gpu, MODE_PASSTHROUGH, &reason, &holders), 0);
        assert_non_null(strstr(reason, "also in use by many (pid 1000), many (pid 1001), "));
        assert_non_null(strstr(
                        reason, "many (pid 1007) and 24 others: /dev/nvidia0, and 99968 more; "));
        assert_non_null(strstr(reason, " 1030 1031"));
        assert_true(strlen(reason) < 1024);
        assert_non_null(strstr(holders, ", and 99968 more processes"));
        assert_true(strlen(holders) < 4096);
        free(reason);
        free(holders);
        findings_deinit(&findings);
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
                cmocka_unit_test(every_cause_of_no_iommu_has_a_remedy),
                cmocka_unit_test(each_owner_is_named_with_what_ends_just_that),
                cmocka_unit_test(no_unit_is_stopped_that_a_desktop_hangs_on),
                cmocka_unit_test(helpers_of_a_desktop_come_between_it_and_what_computes),
                cmocka_unit_test(who_holds_it_for_a_session_comes_last_and_is_left_alone),
                cmocka_unit_test(no_unit_is_stopped_that_the_machine_or_others_hang_on),
                cmocka_unit_test(who_shows_something_on_a_screen_is_not_killed),
                cmocka_unit_test(no_unit_is_stopped_that_has_a_display_server_in_it),
                cmocka_unit_test(a_unit_is_stopped_for_what_it_is_there_for_alone),
                cmocka_unit_test(the_node_of_the_card_makes_no_desktop),
                cmocka_unit_test(a_machine_is_shut_down_and_never_ended_with_what_it_is_in),
                cmocka_unit_test(a_compositor_is_known_by_what_it_serves),
                cmocka_unit_test(who_works_from_afar_is_not_cut_off_unasked),
                cmocka_unit_test(a_greeter_is_no_session_of_anybody),
                cmocka_unit_test(holders_are_told_of_in_groups_that_have_one_remedy),
                cmocka_unit_test(more_groups_than_can_be_told_are_counted),
                cmocka_unit_test(names_are_shown_in_one_printable_line),
                cmocka_unit_test(what_is_not_known_is_said_to_be_unknown),
                cmocka_unit_test(a_pushed_finding_is_a_copy),
                cmocka_unit_test(only_use_of_the_gpu_is_busy_and_only_the_kernel_is_stuck),
                cmocka_unit_test(a_process_counts_once_with_all_its_nodes),
                cmocka_unit_test(a_long_list_of_nodes_is_cut_but_holders_are_not),
                cmocka_unit_test(a_precondition_outweighs_holders),
                cmocka_unit_test(
                                all_members_of_a_group_are_named_and_none_that_is_needed_is_given_away),
                cmocka_unit_test(what_computes_is_named_before_the_desktop),
                cmocka_unit_test(what_helps_can_be_had_apart),
                cmocka_unit_test(findings_without_a_process_are_no_holders),
                cmocka_unit_test(a_process_that_cannot_be_looked_into_is_listed),
                cmocka_unit_test(more_processes_than_can_be_told_are_counted),
        };

        return cmocka_run_group_tests_name("probe/finding", tests, NULL, NULL);
}
