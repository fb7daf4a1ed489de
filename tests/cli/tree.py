# SPDX-License-Identifier: LGPL-2.1-or-later
"""A copy of a machine, as `vfioptctl --root` looks at one.

Only what can be read; the model of a kernel that answers writes is in tests/lib.
"""

import json
import os
import pathlib
import re
import stat


def number_of(node):
    """The device number of a node below /dev, as the kernel and NVIDIA's driver give them."""
    special = {"nvidiactl": 255, "nvidia-modeset": 254}
    name = node.rsplit("/", 1)[-1]
    kind, number = re.fullmatch(r"(\D+)(\d*)", name).groups()
    return os.makedev({"card": 226, "renderD": 226}.get(kind, 195), special.get(name) or int(number))


class Tree:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        for folder in ("sys/bus/pci/devices", "sys/bus/pci/drivers", "sys/kernel/iommu_groups", "proc", "dev",
                       "run", "etc"):
            (self.path / folder).mkdir(parents=True)
        self.write("proc/locks", "")
        self.write("proc/cmdline", "quiet\n")

    def write(self, path, text):
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())

    def link(self, path, target):
        """A relative link, as sysfs has them."""
        link = self.path / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(self.path / target, link.parent))

    def device(self, address, id, kind, driver=None, group=None, subsystem="1043:89e5", override=None, port="",
               **attributes):
        """port: the directories above it, if it is not to be below the root as if there were no bridge."""
        vendor, device = id.split(":")
        folder = f"sys/devices/pci0000:00/{port}{address}"
        modalias = f"pci:v0000{vendor.upper()}d0000{device.upper()}sv00001043sd000089E5bc{kind[:2]}sc{kind[2:4]}i00"
        values = {
            "vendor": "0x" + vendor, "device": "0x" + device, "class": f"0x{kind}00",
            "subsystem_vendor": "0x" + subsystem[:4], "subsystem_device": "0x" + subsystem[5:],
            "modalias": modalias, "driver_override": override or "(null)",
            "power/control": "on", "d3cold_allowed": "1", "msi_bus": "1", "reset_method": "flr bus", **attributes,
        }
        for name, value in values.items():
            self.write(f"{folder}/{name}", value + "\n")
        self.write(f"{folder}/config", bytes.fromhex(vendor)[::-1] + bytes.fromhex(device)[::-1] + bytes(60))
        self.link(f"sys/bus/pci/devices/{address}", folder)
        if driver:
            self.driver(driver)
            self.link(f"{folder}/driver", f"sys/bus/pci/drivers/{driver}")
        if group is not None:
            self.link(f"{folder}/iommu_group", f"sys/kernel/iommu_groups/{group}")
            self.link(f"sys/kernel/iommu_groups/{group}/devices/{address}", folder)

    def driver(self, name):
        (self.path / "sys/bus/pci/drivers" / name).mkdir(exist_ok=True)

    def idler(self, pid, command, cgroup, uid=1000, parent=1):
        """A process that has nothing open."""
        self.write(f"proc/{pid}/comm", command + "\n")
        self.write(f"proc/{pid}/status", f"Name:\t{command}\nPPid:\t{parent}\nThreads:\t1\n"
                   f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nNSsid:\t{pid}\n")
        self.write(f"proc/{pid}/cgroup", f"0::{cgroup}\n")
        (self.path / f"proc/{pid}/fd").mkdir()

    def process(self, pid, command, node, cgroup, **more):
        """One that has a node open: as the real /dev/null, whose numbers 1:3 the node is given below the card."""
        self.idler(pid, command, cgroup, **more)
        (self.path / f"proc/{pid}/fd/3").symlink_to(node)

    def drm(self, address, card, connector, lit):
        """A DRM card with one connector."""
        folder = f"sys/devices/pci0000:00/{address}/drm/card{card}"
        self.write(f"{folder}/dev", f"226:{card}\n")
        self.write(f"{folder}/uevent", f"MAJOR=226\nMINOR={card}\nDEVNAME=dri/card{card}\n")
        self.write(f"{folder}/card{card}-{connector}/enabled", "enabled\n" if lit else "disabled\n")
        self.write(f"{folder}/card{card}-{connector}/dpms", "On\n" if lit else "Off\n")

    def mapper(self, pid, name, *mapped):
        """A process, and the device nodes that it has mapped."""
        self.idler(pid, name, "/")
        self.write(f"proc/{pid}/maps", "".join(
            f"7f00000{i}0000-7f00000{i}1000 rw-s 00000000 00:05 {160 + i}    /dev/{node}\n"
            for i, node in enumerate(mapped)))
        folder = self.path / f"proc/{pid}/map_files"
        folder.mkdir()
        for i, node in enumerate(mapped):
            try:
                os.mknod(folder / f"7f00000{i}0000-7f00000{i}1000", stat.S_IFCHR | 0o600, number_of(node))
            except PermissionError:
                folder.chmod(0o400)  # Nobody but root may ask, and the names count.

    def nvidia(self, address, minor, started):
        """What NVIDIA's driver, with nvidia-drm's modeset on, tells of a GPU."""
        self.write("sys/module/nvidia/version", "595.71.05\n")
        self.write("sys/module/nvidia_drm/parameters/modeset", "Y\n")
        self.write("sys/bus/pci/drivers/nvidia/bind", "")
        self.write(f"proc/driver/nvidia/gpus/{address}/information",
                   f"GPU UUID: \t GPU-00000000-0000-0000-0000-{minor:012d}\nDevice Minor: \t {minor}\n")
        if started:
            self.write(f"sys/devices/pci0000:00/{address}/msi_irqs/{100 + minor}", "msi\n")

    def intent(self, address, id, subsystem, origin, target):
        """What a switch has left that was killed."""
        name = "-".join((address, id, subsystem)).replace(":", "-").replace(address.replace(":", "-"), address)
        self.write(f"run/vfiopt/gpu/{name}.json",
                   f'{{"version": 1, "address": "{address}", "id": "{id}", "subsystem": "{subsystem}", '
                   f'"move": {{"from": "{origin}", "to": "{target}", "trigger": "command", "asked": 255, "moved": 3}}}}')

    def state(self, *entries):
        """The state file: (address, id, subsystem, mode) each; and the location, which old ones have not."""
        keys = ("address", "id", "subsystem", "mode", "location")
        self.write("etc/vfiopt/state", json.dumps({
            "version": max((len(entry) - 3 for entry in entries), default=2),
            "gpus": [dict(zip(keys, entry)) for entry in entries],
        }))


def host(tree, drivers=("nvidia", "snd_hda_intel"), overrides=(None, None)):
    """One card of two functions, on the host, beside another display."""
    tree.device("0000:00:02.0", "8086:4680", "0300", boot_vga="1")
    tree.device("0000:01:00.0", "10de:2204", "0300", drivers[0], 12, boot_vga="0", override=overrides[0])
    tree.device("0000:01:00.1", "10de:1aef", "0403", drivers[1], 12, override=overrides[1])
    tree.driver("vfio-pci")


def two(tree):
    """Two that are the same model; the second one is with a guest."""
    host(tree)
    tree.write("sys/bus/pci/drivers/nvidia/bind", "")
    tree.device("0000:02:00.0", "10de:2204", "0300", "vfio-pci", 13, override="vfio-pci", boot_vga="0")
    tree.device("0000:02:00.1", "10de:1aef", "0403", "vfio-pci", 13, override="vfio-pci")
    tree.state(("0000:01:00.0", "10de:2204", "1043:89e5", "passthrough"),
               ("0000:02:00.0", "10de:2204", "1043:89e5", "passthrough"))


def unfenced(tree):
    """With a guest; an override of it has gone."""
    host(tree)
    tree.device("0000:02:00.0", "10de:2204", "0300", "vfio-pci", 13, override="vfio-pci", boot_vga="0")
    tree.device("0000:02:00.1", "10de:1aef", "0403", "vfio-pci", 13)
    tree.write("etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nManaged=no\n")


def renumbered(tree):
    """A disk was put in before the card, which was 01:00.0 when it was remembered."""
    port = "0000:00:01.1/"
    tree.device("0000:00:02.0", "8086:4680", "0300", boot_vga="1")
    tree.device("0000:01:00.0", "144d:a80a", "0108", "nvme", 10, port="0000:00:01.0/")
    tree.device("0000:02:00.0", "10de:2204", "0300", None, 12, boot_vga="0", port=port)
    tree.device("0000:02:00.1", "10de:1aef", "0403", None, 12, port=port)
    tree.driver("vfio-pci")
    tree.state(("0000:01:00.0", "10de:2204", "1043:89e5", "passthrough", "0000:00/01.1/00.0"))


def renumbered_with_a_section(tree):
    renumbered(tree)
    tree.write("etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nManaged=yes\n")


def renumbered_with_a_ban(tree):
    renumbered(tree)
    tree.write("etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nBootMode=unset\n")


def in_another_slot(tree):
    """One like the remembered card, which is not where it was."""
    renumbered(tree)
    tree.state(("0000:01:00.0", "10de:2204", "1043:89e5", "passthrough", "0000:00/07.0/00.0"))
    tree.write("etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nBootMode=passthrough\n")


def renumbered_in_an_old_state(tree):
    renumbered(tree)
    tree.state(("0000:01:00.0", "10de:2204", "1043:89e5", "passthrough"))


def two_renumbered(tree):
    """The remembered card has the address of one of its model that was never moved."""
    renumbered(tree)
    tree.device("0000:03:00.0", "10de:2204", "0300", "nvidia", 13, boot_vga="0", port="0000:00:06.0/")
    tree.state(("0000:01:00.0", "10de:2204", "1043:89e5", "passthrough", "0000:00/01.1/00.0"),
               ("0000:02:00.0", "10de:2204", "1043:89e5", "host", "0000:00/06.0/00.0"))


def another_has_its_address(tree):
    """A second card was put in before the remembered one."""
    renumbered(tree)
    tree.device("0000:03:00.0", "10de:1e04", "0300", "nvidia", 13, boot_vga="0", port="0000:00:06.0/")
    tree.state(("0000:03:00.0", "10de:2204", "1043:89e5", "passthrough", "0000:00/01.1/00.0"))
    tree.write("etc/vfiopt/vfiopt.conf", "[GPU 03:00]\nBootMode=passthrough\n")


def another_in_place_of_a_missing_one(tree):
    """The card that is there was behind the missing one, and has its address now."""
    renumbered(tree)
    tree.state(("0000:02:00.0", "10de:1e04", "1043:89e5", "passthrough", "0000:00/07.0/00.0"),
               ("0000:03:00.0", "10de:2204", "1043:89e5", "host", "0000:00/01.1/00.0"))


def two_in_an_old_state(tree):
    """A disk was put in before two cards of one model, which an older version has remembered."""
    renumbered(tree)
    tree.device("0000:03:00.0", "10de:2204", "0300", "nvidia", 13, boot_vga="0", port="0000:00:06.0/")
    tree.state(("0000:01:00.0", "10de:2204", "1043:89e5", "host"), ("0000:02:00.0", "10de:2204", "1043:89e5", "passthrough"))
    tree.write("etc/vfiopt/vfiopt.conf", "[GPU 02:00]\nBootMode=passthrough\n")


def old_name_taken(tree):
    """What an older version has remembered had an address that another remembered card has now."""
    renumbered(tree)
    tree.device("0000:03:00.0", "10de:2204", "0300", "nvidia", 13, boot_vga="0", port="0000:00:06.0/")
    tree.state(("0000:02:00.0", "10de:2204", "1043:89e5", "passthrough"),
               ("0000:01:00.0", "10de:2204", "1043:89e5", "host", "0000:00/01.1/00.0"))


def in_a_slot_behind_another(tree):
    """The second of two cards is the first one now, as that is in a slot behind it."""
    renumbered(tree)
    tree.device("0000:03:00.0", "10de:2204", "0300", "nvidia", 13, boot_vga="0", port="0000:00:06.0/")
    tree.state(("0000:02:00.0", "10de:2204", "1043:89e5", "host", "0000:00/01.0/00.0"),
               ("0000:03:00.0", "10de:2204", "1043:89e5", "passthrough", "0000:00/01.1/00.0"))
    tree.write("etc/vfiopt/vfiopt.conf", "[GPU 03:00]\nBootMode=passthrough\n")


def no_host_driver(tree):
    """With a guest, and nothing is known that could have it on the host."""
    tree.device("0000:01:00.0", "10de:2204", "0302", "vfio-pci", 12, override="vfio-pci")
    tree.write("no-modules", "")


def host_driver_kept_away(tree):
    """With a guest; a line of a laptop's tool keeps NVIDIA's driver from loading."""
    host(tree, ("vfio-pci", "vfio-pci"), ("vfio-pci", "vfio-pci"))
    tree.write("etc/modprobe.d/eco.conf", 'install nvidia /bin/sh -c "exit 1"\n')


def host_driver_passed_over(tree):
    """Likewise, and nouveau is there; and the sound is not wanted."""
    host_driver_kept_away(tree)
    tree.write("sys/bus/pci/drivers/nouveau/bind", "")
    tree.write("etc/modprobe.d/quiet.conf", "install snd_hda_intel /bin/true\n")


def kernel_updated(tree):
    """The package manager has taken the running kernel's modules away."""
    no_host_driver(tree)
    tree.write("proc/sys/kernel/osrelease", "7.0.1-arch1-1\n")
    tree.write("lib/modules/7.0.2-arch1-1/modules.dep", "")


def idle(tree):
    """At the host, and nothing is known that could have it there."""
    tree.device("0000:01:00.0", "10de:2204", "0302", None, 12)
    tree.write("no-modules", "")


def idle_by_override(tree):
    """At the host, where its owner keeps all drivers from it."""
    tree.device("0000:01:00.0", "10de:2204", "0302", None, 12, override="nobody")
    tree.driver("nvidia")


def no_iommu(tree):
    tree.device("0000:01:00.0", "10de:2204", "0302", "nvidia")


def iommu_off_in_the_firmware(tree):
    no_iommu(tree)
    tree.write("sys/firmware/acpi/tables/FACP", "")
    tree.write("proc/cmdline", "root=UUID=0 intel_iommu=on iommu=pt quiet\n")


def iommu_not_asked_for(tree):
    no_iommu(tree)
    tree.write("sys/firmware/acpi/tables/DMAR", "")
    tree.write("proc/cmdline", "root=UUID=0 iommu=pt quiet\n")


def iommu_turned_off(tree):
    no_iommu(tree)
    tree.write("sys/firmware/acpi/tables/IVRS", "")
    tree.write("proc/cmdline", "root=UUID=0 amd_iommu=off quiet\n")


def iommu_of_xen(tree):
    no_iommu(tree)
    tree.write("sys/hypervisor/type", "xen\n")


def boot_display(tree):
    tree.device("0000:00:02.0", "8086:4680", "0300", boot_vga="0")
    tree.device("0000:01:00.0", "10de:2204", "0300", "nvidia", 12, boot_vga="1")


def boot_display_not_managed(tree):
    boot_display(tree)
    tree.write("etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nManaged=no\n")


def boot_display_managed(tree):
    boot_display(tree)
    tree.write("etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nManaged=yes\n")


def only_display(tree):
    """One card, which nobody uses: the display manager is stopped."""
    tree.device("0000:01:00.0", "10de:2786", "0300", "nvidia", 12, boot_vga="1")
    tree.device("0000:01:00.1", "10de:22bc", "0403", "snd_hda_intel", 12)
    tree.driver("vfio-pci")


def only_display_allowed(tree):
    only_display(tree)
    tree.write("etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nAllowDisplay=yes\n")


def only_display_remembered(tree):
    """A server without a monitor: its one card is for a guest, and nothing is bound yet."""
    tree.device("0000:01:00.0", "10de:2786", "0300", None, 12, boot_vga="1")
    tree.device("0000:01:00.1", "10de:22bc", "0403", None, 12)
    tree.driver("vfio-pci")
    tree.state(("0000:01:00.0", "10de:2786", "1043:89e5", "passthrough"))


def only_display_remembered_and_allowed(tree):
    only_display_remembered(tree)
    tree.write("etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nAllowDisplay=yes\n")


def hybrid_laptop(tree):
    """The integrated GPU has the panel, and is of a class that has no boot_vga."""
    tree.device("0000:c4:00.0", "10de:2d58", "0300", "nvidia", 15, boot_vga="1")
    tree.device("0000:c4:00.1", "10de:22eb", "0403", "snd_hda_intel", 15)
    tree.device("0000:c5:00.0", "1002:150e", "0380", "amdgpu", 20)
    tree.drm("0000:c5:00.0", 1, "eDP-1", True)
    tree.driver("vfio-pci")


def hybrid_laptop_with_a_closed_lid(tree):
    """The monitor hangs on the integrated GPU; NVIDIA's driver, without modeset, may show something or not."""
    hybrid_laptop(tree)
    folder = "sys/devices/pci0000:00/0000:c5:00.0/drm/card1/card1-eDP-1"
    for name, value in {"status": "connected", "enabled": "disabled", "dpms": "Off"}.items():
        tree.write(f"{folder}/{name}", value + "\n")
    tree.drm("0000:c5:00.0", 1, "DP-9", True)


def hybrid_laptop_of_intel(tree):
    """The firmware prefers NVIDIA's card, which nothing has started; its driver is without modeset."""
    tree.device("0000:00:02.0", "8086:a780", "0300", "i915", 1, boot_vga="0")
    tree.drm("0000:00:02.0", 0, "eDP-1", True)
    tree.device("0000:01:00.0", "10de:28a1", "0300", "nvidia", 14, boot_vga="1")
    tree.write("proc/driver/nvidia/params", "EnableMSI: 1\n")
    tree.driver("vfio-pci")


def hybrid_laptop_of_intel_in_use(tree):
    hybrid_laptop_of_intel(tree)
    tree.write("sys/devices/pci0000:00/0000:01:00.0/msi_irqs/130", "msi\n")


def console_elsewhere(tree):
    """A server that is used over the network: the text console is on the processor's graphics."""
    tree.device("0000:00:02.0", "8086:a780", "0300", "i915", 1, boot_vga="0")
    tree.drm("0000:00:02.0", 0, "DP-1", False)
    tree.link("sys/class/graphics/fb0/device", "sys/devices/pci0000:00/0000:00:02.0")
    tree.device("0000:01:00.0", "10de:2786", "0300", None, 14, boot_vga="1")
    tree.driver("vfio-pci")
    tree.state(("0000:01:00.0", "10de:2786", "1043:89e5", "passthrough"))


def desktop_on_second(tree):
    """The firmware has made the first card primary; the monitor is on the other one."""
    tree.device("0000:01:00.0", "10de:2684", "0300", "nvidia", 14, boot_vga="1")
    tree.device("0000:06:00.0", "10de:2204", "0300", "nvidia", 20, boot_vga="0")
    tree.nvidia("0000:01:00.0", 0, True)
    tree.nvidia("0000:06:00.0", 1, True)
    tree.drm("0000:01:00.0", 0, "DP-1", False)
    tree.drm("0000:06:00.0", 1, "DP-4", True)
    tree.write("sys/module/nvidia_drm/parameters/fbdev", "N\n")
    tree.driver("vfio-pci")


def desktop_on_second_remembered(tree):
    desktop_on_second(tree)
    tree.state(("0000:06:00.0", "10de:2204", "1043:89e5", "passthrough"))


def guest_has_the_other_display(tree):
    tree.device("0000:00:02.0", "8086:a780", "0300", "vfio-pci", 1, boot_vga="1", override="vfio-pci")
    tree.device("0000:01:00.0", "10de:2786", "0300", "nvidia", 14, boot_vga="0")


def boot_display_elsewhere(tree):
    """Likewise with nothing lit, as the lid is closed; the kernel tells."""
    tree.device("0000:c4:00.0", "10de:2d58", "0300", "nvidia", 15, boot_vga="1", boot_display="0")
    tree.device("0000:c5:00.0", "1002:150e", "0380", "amdgpu", 20, boot_display="1")
    tree.driver("vfio-pci")


def server_board(tree):
    """The user's monitor is on NVIDIA's card, without modeset; the board's chip is lit with nobody there."""
    tree.device("0000:03:00.0", "1a03:2000", "0300", "ast", 5, boot_vga="0")
    tree.drm("0000:03:00.0", 0, "VGA-1", True)
    tree.device("0000:41:00.0", "10de:2230", "0300", "nvidia", 12, boot_vga="1")
    tree.driver("vfio-pci")


def second_monitor(tree):
    """A desktop that boots on NVIDIA's card, without modeset; another monitor is on the processor's graphics."""
    tree.device("0000:00:02.0", "8086:a780", "0380", "i915", 1)
    tree.drm("0000:00:02.0", 0, "HDMI-A-1", True)
    tree.device("0000:01:00.0", "10de:2786", "0300", "nvidia", 12, boot_vga="1")
    tree.driver("vfio-pci")
    tree.write("etc/vfiopt/vfiopt.conf", "[vfiopt]\nDefaultMode=passthrough\n")


def docked_laptop(tree):
    """The firmware has made the discrete GPU primary, as a monitor is plugged into it; it was for a guest."""
    tree.device("0000:00:02.0", "8086:a780", "0300", "i915", 1, boot_vga="0")
    tree.drm("0000:00:02.0", 0, "eDP-1", False)
    tree.device("0000:01:00.0", "10de:2786", "0300", "nvidia", 12, boot_vga="1")
    tree.drm("0000:01:00.0", 1, "HDMI-A-1", True)
    tree.driver("vfio-pci")
    tree.state(("0000:01:00.0", "10de:2786", "1043:89e5", "passthrough"))


def console_on_second_card(tree):
    """A dummy plug, which the kernel's console has lit; no process has the card open."""
    host(tree)
    tree.drm("0000:01:00.0", 1, "HDMI-A-1", True)


def desktop_on_first(tree):
    """Two cards: the desktop works on the first, and has what is shared by both open as well."""
    for minor, bus in enumerate(("01", "06")):
        tree.device(f"0000:{bus}:00.0", "10de:2684", "0300", "nvidia", 14 + minor, boot_vga="01"[bus == "01"])
        tree.device(f"0000:{bus}:00.1", "10de:22ba", "0403", "snd_hda_intel", 14 + minor)
        tree.nvidia(f"0000:{bus}:00.0", minor, True)
        tree.drm(f"0000:{bus}:00.0", minor, "DP-1", bus == "01")
    tree.driver("vfio-pci")
    tree.mapper(1401, "Xorg", "dri/card0", "nvidia0", "nvidiactl", "nvidia-modeset")
    tree.mapper(1601, "kwin_x11", "nvidia0", "nvidiactl", "nvidia-modeset")


def desktop_that_dropped_a_card(tree):
    """A compositor still has what is shared by all cards open, and no card: for which one is not known."""
    desktop_on_first(tree)
    tree.mapper(1701, "kwin_wayland", "nvidiactl", "nvidia-modeset")


def not_managed(tree):
    host(tree)
    tree.state(("0000:01:00.0", "10de:2204", "1043:89e5", "passthrough"))
    tree.write("etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nManaged=no\n")


def mixed(tree):
    tree.device("0000:00:02.0", "8086:4680", "0300", boot_vga="1")
    tree.device("0000:01:00.0", "10de:2204", "0300", "nvidia", 12, boot_vga="0")
    tree.device("0000:01:00.1", "10de:1aef", "0403", "vfio-pci", 12, override="vfio-pci")


def interrupted(tree):
    """A switch to passthrough was killed, and nobody has said where the card belongs."""
    mixed(tree)
    tree.intent("0000:01:00.0", "10de:2204", "1043:89e5", "host", "passthrough")


def interrupted_with_a_wish(tree):
    interrupted(tree)
    tree.state(("0000:01:00.0", "10de:2204", "1043:89e5", "passthrough"))


def interrupted_not_managed(tree):
    interrupted(tree)
    tree.write("etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nManaged=no\n")


def interrupted_and_off(tree):
    interrupted(tree)
    tree.write("proc/cmdline", "quiet vfiopt.mode=off\n")


def taken_for_another(tree):
    """udev has taken the audio function for that of the card which was here before."""
    mixed(tree)
    tree.write("run/vfiopt/pins/0000:01:00.1-0x10de-0x1aef-0x1043-0x89e5", "VFIOPT_DRIVER=vfio-pci\n")


def leaving(tree):
    """A script's own unbind hangs: the driver's link has gone, and what the driver keeps has not."""
    tree.device("0000:00:02.0", "8086:4680", "0300", boot_vga="1")
    tree.device("0000:01:00.0", "10de:2204", "0300", None, 12, boot_vga="0")
    tree.write("proc/driver/nvidia/gpus/0000:01:00.0/information", "")


def left_behind(tree, age):
    """A job was killed while its child unbinds the GPU. Root alone may ask the locks; others read the list."""
    host(tree)
    tree.intent("0000:01:00.0", "10de:2204", "1043:89e5", "host", "passthrough")
    for name in ("0000:01:00.0", "0000:01:00.0.writer"):
        tree.write(f"run/vfiopt/lock/{name}", "")
        (tree.path / f"run/vfiopt/lock/{name}").chmod(0)
    file = (tree.path / "run/vfiopt/lock/0000:01:00.0.writer").stat()
    tree.write("proc/locks", f"1: POSIX  ADVISORY  WRITE 5000813 {os.major(file.st_dev):02x}:"
               f"{os.minor(file.st_dev):02x}:{file.st_ino} 0 0\n")
    tree.write("proc/uptime", "100000.00 5.00\n")
    start = (100000 - age) * os.sysconf("SC_CLK_TCK")
    tree.write("proc/5000813/stat", f"5000813 (vfioptctl) D 1 1 1 0 -1 64 0 0 0 0 0 0 0 0 20 0 1 0 {start} 0 0\n")


def at_work(tree):
    left_behind(tree, 299)


def overdue(tree):
    left_behind(tree, 300)


def held(tree, cgroup, command="python3", **more):
    """Its render node is open in a process. Such numbers no process of this machine has."""
    host(tree)
    tree.write("sys/devices/pci0000:00/0000:01:00.0/drm/renderD128/dev", "1:3\n")
    tree.write("sys/devices/pci0000:00/0000:01:00.0/drm/renderD128/uevent", "DEVNAME=dri/renderD128\n")
    tree.process(5000812, command, "/dev/null", cgroup, **more)


CONTAINER = "0123456789abcdef" * 4


def held_by_docker(tree):
    held(tree, f"/system.slice/docker-{CONTAINER}.scope")


def held_by_a_guest(tree):
    held(tree, r"/machine.slice/machine-qemu\x2d2\x2dwin11.scope/libvirt/emulator", "qemu-system-x86")


def held_by_a_desktop(tree):
    """And by what computes, which is found later."""
    user = "/user.slice/user-1000.slice/user@1000.service"
    held(tree, f"{user}/session.slice/org.gnome.Shell@wayland.service", "gnome-shell")
    tree.process(5000813, "ffmpeg", "/dev/null", "/lxc/101/ns/system.slice/jellyfin.service")


def held_by_a_whole_desktop(tree):
    """The desktop, its sound, and what runs on it; each of them has one node open, as a real one of this machine."""
    user = "/user.slice/user-1000.slice/user@1000.service"
    gpu, sound = "sys/devices/pci0000:00/0000:01:00.0/drm/", "sys/devices/pci0000:00/0000:01:00.1/sound/card1/"
    host(tree)
    for folder, node, number in ((gpu + "renderD128", "dri/renderD128", "1:3"), (gpu + "card0", "dri/card0", "1:5"),
                                 (sound + "controlC1", "snd/controlC1", "1:7")):
        tree.write(f"{folder}/dev", f"{number}\n")
        tree.write(f"{folder}/uevent", f"DEVNAME={node}\n")
    shell = f"{user}/session.slice/org.gnome.Shell@wayland.service"
    tree.process(5000801, "gnome-shell", "/dev/zero", shell)
    tree.process(5000802, "Xwayland", "/dev/null", shell)
    tree.process(5000803, "pipewire", "/dev/full", f"{user}/session.slice/pipewire.service")
    tree.process(5000804, "wireplumber", "/dev/full", f"{user}/session.slice/wireplumber.service")
    tree.process(5000805, "discord", "/dev/zero", f"{user}/app.slice/app-gnome-discord-2222.scope")
    tree.process(5000806, "python3", "/dev/null", f"{user}/app.slice/app-org.kde.yakuake@autostart.service", parent=77)
    tree.process(5000807, "nvtop", "/dev/null", f"{user}/app.slice/app-org.kde.yakuake@autostart.service", parent=77)
    tree.process(5000808, "python3", "/dev/zero", "/system.slice/frigate.service")
    tree.process(5000809, "ffmpeg", "/dev/null", "/system.slice/frigate.service", parent=5000808)
    tree.process(5000810, "qemu-system-x86", "/dev/null", f"{user}/app.slice/app-flatpak-org.gnome.Boxes-4711.scope")


def held_by_a_greeter(tree):
    held(tree, "/user.slice/user-120.slice/session-c1.scope", "gnome-shell", uid=120)


def group_with_strangers(tree):
    """Half of the board hangs off the chipset, as does the card."""
    device = "sys/devices/pci0000:00/"
    tree.device("0000:00:02.0", "8086:a780", "0300", "i915", 0, boot_vga="1")
    tree.device("0000:02:00.0", "1022:43d5", "0c03", "xhci_hcd", 15)
    tree.device("0000:02:00.1", "1022:43c8", "0106", "ahci", 15)
    tree.device("0000:02:00.2", "1022:43c6", "0604", "pcieport", 15)
    tree.device("0000:04:00.0", "10ec:8168", "0200", "r8169", 15)
    tree.device("0000:05:00.0", "10de:1c82", "0300", "nvidia", 15, boot_vga="0")
    tree.device("0000:05:00.1", "10de:0fb9", "0403", "snd_hda_intel", 15)
    tree.write(f"{device}0000:02:00.0/usb1/devpath", "0\n")
    tree.write(f"{device}0000:02:00.0/usb1/1-1/devpath", "1\n")
    tree.write(f"{device}0000:02:00.0/usb1/1-1/1-1:1.0/input/input3/event3/dev", "13:67\n")
    tree.write(f"{device}0000:02:00.1/ata1/host0/block/sda/dev", "8:0\n")
    tree.write(f"{device}0000:02:00.1/ata1/host0/block/sda/size", "1000\n")
    tree.write(f"{device}0000:02:00.1/ata1/host0/block/sda/sda2/dev", "8:2\n")
    tree.write(f"{device}0000:02:00.1/ata1/host0/block/sda/sda2/size", "900\n")
    tree.write(f"{device}0000:04:00.0/net/enp4s0/operstate", "up\n")
    tree.write("proc/self/mountinfo", "22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw\n")


def group_with_sound(tree):
    """Nothing that the host could not do without."""
    host(tree)
    tree.device("0000:03:00.0", "1102:0012", "0403", "snd_hda_intel", 12)


def group_with_sound_in_use(tree):
    group_with_sound(tree)
    sound = "sys/devices/pci0000:00/0000:03:00.0/sound/card1"
    tree.write(f"{sound}/controlC1/dev", "1:3\n")
    tree.write(f"{sound}/controlC1/uevent", "DEVNAME=snd/controlC1\n")
    tree.process(5000812, "pipewire", "/dev/null", "/user.slice/user-1000.slice/user@1000.service/session.slice/pipewire.service")


def group_with_a_disk_of_a_guest(tree):
    """A machine has a whole disk, of which the host has mounted nothing."""
    host(tree)
    tree.device("0000:03:00.0", "1b21:0612", "0106", "ahci", 12)
    disk = "sys/devices/pci0000:00/0000:03:00.0/ata3/host3/target3:0:0/3:0:0:0"
    tree.write(f"{disk}/block/sdb/dev", "8:16\n")
    tree.write(f"{disk}/block/sdb/size", "1000\n")
    tree.write(f"{disk}/scsi_generic/sg1/dev", "1:3\n")
    tree.write("proc/self/mountinfo", "22 1 8:2 / / rw - ext4 /dev/sda2 rw\n")
    tree.process(5000812, "qemu-system-x86", "/dev/null", "/qemu.slice/101.scope")


def group_with_the_spare_of_a_bond(tree):
    host(tree)
    tree.device("0000:03:00.0", "8086:1533", "0200", "igb", 12)
    tree.write("sys/devices/pci0000:00/0000:03:00.0/net/eth1/operstate", "down\n")
    tree.write("sys/devices/virtual/net/bond0/operstate", "up\n")
    tree.link("sys/devices/pci0000:00/0000:03:00.0/net/eth1/master", "sys/devices/virtual/net/bond0")


def group_of_gpus(tree):
    """A kernel of a distribution has given the second one to another driver."""
    host(tree)
    tree.device("0000:02:00.0", "10de:1f08", "0300", "nova_core", 12, boot_vga="0")
    tree.device("0000:02:00.1", "10de:10f9", "0403", "snd_hda_intel", 12)


def asleep(tree):
    """It does not wake up any more: its configuration space reads as all ones."""
    tree.device("0000:00:02.0", "8086:a780", "0300", "i915", 0, boot_vga="1")
    tree.device("0000:01:00.0", "10de:1c8c", "0302", "vfio-pci", 14, override="vfio-pci", power_state="D3cold")
    tree.write("sys/devices/pci0000:00/0000:01:00.0/config", b"\xff" * 64)
    tree.write("sys/bus/pci/drivers/nvidia/bind", "")


def never_cold(tree):
    host(tree)
    tree.write("etc/vfiopt/vfiopt.conf", "[GPU 01:00]\nD3cold=no\n")


def virtual_functions(tree):
    tree.device("0000:41:00.0", "10de:2331", "0302", "nvidia", 40)
    for i in range(2):
        tree.device(f"0000:41:00.{4 + i}", "10de:2331", "0302", "nvidia", 41 + i)
        tree.link(f"sys/devices/pci0000:00/0000:41:00.0/virtfn{i}", f"sys/devices/pci0000:00/0000:41:00.{4 + i}")
        tree.link(f"sys/devices/pci0000:00/0000:41:00.{4 + i}/physfn", "sys/devices/pci0000:00/0000:41:00.0")


def divided(tree):
    """A card with instances of MIG, and no virtual functions."""
    tree.device("0000:41:00.0", "10de:2331", "0302", "nvidia", 40)
    tree.nvidia("0000:41:00.0", 0, False)
    tree.write("proc/driver/nvidia/capabilities/gpu0/mig/gi1/access", "DeviceFileMinor: 3\n")
    tree.driver("vfio-pci")


def network_on_the_card(tree):
    """A network adapter is plugged into the card's own USB port."""
    host(tree)
    tree.device("0000:01:00.2", "10de:1ada", "0c03", "xhci_hcd", 12)
    folder = "sys/devices/pci0000:00/0000:01:00.2/usb5"
    tree.write(f"{folder}/devpath", "0\n")
    tree.write(f"{folder}/5-1/devpath", "1\n")
    tree.write(f"{folder}/5-1/product", "USB LAN\n")
    tree.write(f"{folder}/5-1/5-1:1.0/net/enp1s0f2u1/operstate", "up\n")


def another_card(tree):
    host(tree)
    tree.state(("0000:01:00.0", "10de:2684", "1043:89e5", "passthrough"))


def claimed(tree, override="vfio-pci"):
    """It belongs at the host, and another program has given it to a guest."""
    host(tree, ("vfio-pci", "vfio-pci"), (override, override))
    tree.state(("0000:01:00.0", "10de:2204", "1043:89e5", "host"))


def claimed_without_an_override(tree):
    """The same, by new_id."""
    claimed(tree, None)


def claimed_for_the_host(tree):
    """It belongs in passthrough, and an override names the host's driver."""
    host(tree, overrides=("nvidia", None))
    tree.state(("0000:01:00.0", "10de:2204", "1043:89e5", "passthrough"))


def reserved_by_a_script(tree):
    """Nothing is wished, and an override waits for the driver to leave."""
    host(tree, overrides=("vfio-pci", "vfio-pci"))


def damaged_state(tree):
    host(tree)
    tree.write("etc/vfiopt/state", "{")


def empty(tree):
    pass


def image(tree):
    """The files of a machine, on a disk that another one has mounted."""
    for folder in "sys/bus/pci/devices", "sys/bus/pci/drivers", "sys/bus/pci", "sys/bus", "sys/kernel/iommu_groups", \
            "sys/kernel", "sys", "dev":
        (tree.path / folder).rmdir()
    for file in "proc/locks", "proc/cmdline":
        (tree.path / file).unlink()
    (tree.path / "proc").rmdir()
    tree.write("etc/modprobe.d/vfio-passthrough.conf", "options vfio-pci ids=10de:2204\n")
    tree.write("etc/modprobe.d/local.conf", "install vfio-pci /sbin/vfio-override.sh\n")


def script_for_vfio(tree):
    """An install line runs a script with vfio-pci, which has written an override on another card as well."""
    host(tree)
    tree.device("0000:02:00.0", "10de:2204", "0300", "nvidia", 13, override="vfio-pci", boot_vga="0")
    tree.write("etc/modprobe.d/local.conf", "# all cards\ninstall vfio-pci /sbin/vfio-override.sh\n")


def ids(tree):
    """Two lines of the old way of passing a card through, and nothing is wished."""
    host(tree, ("vfio-pci", "vfio-pci"))
    tree.write("proc/cmdline", "root=UUID=0 vfio-pci.ids=10de:2204,10de:1aef quiet\n")
    tree.write("etc/modprobe.d/vfio.conf", "# old\noptions vfio-pci disable_vga=1 ids=10de:2204,10de:1aef\n")


def ids_of_sound(tree):
    """Of the sound function alone, which is at the host."""
    host(tree)
    tree.state(("0000:01:00.0", "10de:2204", "1043:89e5", "host"))
    tree.write("etc/modprobe.d/vfio.conf", "options vfio_pci ids=10de:1aef\noptions vfio-pci ids=1002:73bf\n")


def ids_and_passthrough(tree):
    ids_of_sound(tree)
    tree.state(("0000:01:00.0", "10de:2204", "1043:89e5", "passthrough"))


def saved_by_driverctl(tree):
    claimed(tree)
    tree.write("etc/driverctl.d/pci-0000:01:00.0", "vfio-pci\n")
    tree.write("etc/driverctl.d/0000:01:00.1", "vfio-pci\n")
    tree.write("etc/driverctl.d/pci-0000:02:00.0", "vfio-pci\n")


def given_by_a_rule(tree):
    claimed(tree)
    tree.write("etc/udev/rules.d/10-gpu.rules",
               'SUBSYSTEM=="pci", ATTR{vendor}=="0x10de", ATTR{driver_override}="vfio-pci"\n')


def switched_off(tree):
    """A laptop's own switch."""
    tree.device("0000:00:02.0", "8086:a780", "0300", "i915", 0, boot_vga="1")
    tree.state(("0000:01:00.0", "10de:2204", "1043:89e5", "passthrough"))
    tree.write("sys/devices/platform/asus-nb-wmi/dgpu_disable", "1\n")


def removed_another(tree):
    """The rule is about another card than the one that is missing."""
    removed_and_remembered(tree)
    tree.write("etc/udev/rules.d/50-remove.rules",
               'SUBSYSTEM=="pci", ATTR{vendor}=="0x10de", ATTR{device}=="0x1f08", ATTR{remove}="1"\n')


def unplugged(tree):
    """One that is remembered is not there, and nothing tells why."""
    host(tree)
    tree.state(("0000:02:00.0", "10de:2204", "1043:89e5", "passthrough"))


def removed(tree):
    """A laptop's tool has a rule that takes the card off the bus."""
    tree.device("0000:00:02.0", "8086:a780", "0300", "i915", 0, boot_vga="1")
    tree.write("etc/udev/rules.d/50-remove.rules", 'SUBSYSTEM=="pci", ATTR{vendor}=="0x10de", ATTR{remove}="1"\n')


def removed_and_remembered(tree):
    removed(tree)
    tree.state(("0000:01:00.0", "10de:2204", "1043:89e5", "passthrough"))


def early(tree):
    """Remembered in passthrough, and the initramfs has its driver load."""
    host(tree)
    tree.state(("0000:01:00.0", "10de:2204", "1043:89e5", "passthrough"))
    tree.write("etc/mkinitcpio.conf", "MODULES=(btrfs nvidia nvidia_drm)\nHOOKS=(base kms)\n")


def early_and_splash(tree):
    held(tree, "/system.slice/plymouth-start.service", "plymouthd")
    tree.state(("0000:01:00.0", "10de:2204", "1043:89e5", "passthrough"))


def early_and_held(tree):
    held(tree, "/system.slice/compute.service")
    tree.state(("0000:01:00.0", "10de:2204", "1043:89e5", "passthrough"))
    tree.write("usr/lib/dracut/dracut.conf.d/gpu.conf", 'add_drivers+=" nvidia "\n')


def early_and_not_wanted(tree):
    held(tree, "/system.slice/compute.service")
    tree.write("etc/initramfs-tools/modules", "nvidia\n")
