# SPDX-License-Identifier: LGPL-2.1-or-later
"""Boots of machines that a distribution has prepared: modules by other names, loaded early, or bound."""

import json

from testvm import Gpu, scenario
from testvm.agent import on, rest, until
from testvm.debian import BOOT as DEBIAN
from testvm.product import RULES, VFIO, on_vfio, records

GPU = Gpu("rp1")
SECOND = Gpu("rp2")
HOME = ["nvidia", "snd_hda_intel", "xhci_hcd", None]
STATE = "/etc/vfiopt/state"

# Starts as early as anything can, and writes down which drivers the card has then.
DISPLAY = {
    "/etc/systemd/system/display-manager.service":
        "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
        f"ExecStart=/bin/sh -c 'for f in /sys/bus/pci/devices/{GPU.slot}.*; do "
        "readlink -f $f/driver; done >/run/seen'\n",
    "/etc/systemd/system/sysinit.target.d/display.conf": "[Unit]\nWants=display-manager.service\n",
}
EARLY = "vm.early=nvidia,snd_hda_codec_hdmi,snd_hda_intel"


def wish(mode):
    entry = {"address": GPU.address, "id": GPU.id, "subsystem": GPU.subsystem, "mode": mode}
    return {STATE: json.dumps({"version": 1, "gpus": [entry]})}


def runs(vm):
    """The machine is up, and no unit has failed."""
    vm.sh("systemctl is-system-running --wait || { systemctl list-units --failed; exit 1; }", timeout=90)


def moves(vm):
    """(from, to, trigger) of each move that was completed."""
    return [(r["VFIOPT_FROM"], r["VFIOPT_TO"], r["VFIOPT_TRIGGER"]) for r in records(vm)
            if r["VFIOPT_RESULT"] == "done" and r["VFIOPT_PHASE"] == "end"]


def seen_by_display(vm):
    return [path.rpartition("/")[2] for path in vm.read("/run/seen").split()]


@scenario(gpus=[GPU], boot="cold", driver="nvidia", files={**DEBIAN, **wish("passthrough")}, timeout=240)
def debian_boots_without_its_gpu(vm):
    """Debian's packaging loads nvidia-drm at boot, with its only GPU in passthrough: no unit fails."""
    vm.match("nvidia-current.ko", vm.sh("modprobe --show-depends -i nvidia-current").out, "Debian's names")
    runs(vm)
    on_vfio(vm, GPU)
    vm.equal([m for m in vm.ls("/sys/module") if m.startswith("nvidia")], [], "modules")
    vm.check("NVRM" not in vm.sh("dmesg", quiet=True).out, "it was loaded in vain")
    vm.sh("systemctl restart systemd-modules-load")

    # It comes home to all that a boot at the host has.
    vm.sh("systemctl start vfiopt@host")
    vm.equal(vm.drivers(GPU), HOME, "drivers")
    until(vm, "[ -e /sys/module/nvidia_drm ]", "what was left out is loaded")
    runs(vm)

    # By name and by alias, everybody else loads what he wants.
    vm.sh("systemctl start vfiopt@passthrough; modprobe -r nvidia; ! test -e /sys/module/nvidia")
    vm.match("nvidia-current.ko", vm.sh("modprobe --show-depends -i nvidia-current").out, "by name")
    vm.plug(SECOND)
    vm.sh(f"udevadm trigger --settle --action=add /sys/bus/pci/devices/{SECOND.address}")
    vm.equal(vm.driver(SECOND.address), "nvidia", "driver of a card that was plugged in")
    on_vfio(vm, GPU)


@scenario(gpus=[GPU], boot="cold", driver="nvidia", cmdline=EARLY, files={**DISPLAY, **wish("passthrough")})
def taken_by_the_initramfs(vm):
    """Wish passthrough, and nvidia has it since the initramfs: switched before the display manager starts."""
    runs(vm)
    log = vm.sh("dmesg", quiet=True).out
    vm.check(f"nvidia {GPU.address}" in log, "nvidia has had it")
    vm.equal(seen_by_display(vm), [VFIO] * 4, "drivers when the display manager started")
    on_vfio(vm, GPU)
    vm.equal(moves(vm), [("host", "passthrough", "boot")], "moves")
    vm.sh("systemctl start vfiopt@host")
    vm.equal(vm.drivers(GPU), HOME, "drivers")
    vm.equal(vm.overrides(GPU), [None] * 4, "overrides")


SCRIPT = {
    "/etc/modprobe.d/local.conf": "install vfio-pci /usr/local/bin/vfio-override\n",
    "/usr/local/bin/vfio-override": (
        "#!/bin/sh\ntouch /run/script-ran\nfor f in /sys/bus/pci/devices/0000:0[1-9]:*/driver_override; do\n"
        "echo vfio-pci >$f\ndone\nexec modprobe -i vfio-pci\n", 0o755),
}


@scenario(gpus=[GPU, SECOND], files=SCRIPT)
def script_in_the_place_of_vfio_pci(vm):
    """An install line has a script reserve all cards when vfio-pci is loaded: it is told, and the other card stays."""
    vm.check(not vm.exists("/sys/module/vfio_pci"), "vfio-pci is not loaded")
    vm.sh(f"systemctl start vfiopt@passthrough:{GPU.address}")
    on_vfio(vm, GPU)
    vm.equal(vm.overrides(SECOND), [None] * 4, "overrides of the other card")
    vm.equal(vm.drivers(SECOND), HOME, "its drivers")
    vm.check(not vm.exists("/run/script-ran"), "the script has not run")
    vm.match("without running /etc/modprobe.d/local.conf:1: install",
             "\n".join(r["MESSAGE"] for r in records(vm)), "the journal")
    # For everybody else it does.
    vm.sh(f"systemctl start vfiopt@host; modprobe -r vfio_pci && modprobe vfio-pci; test -e /run/script-ran")


SPLASH = {
    "/etc/systemd/system/splash.service":
        "[Unit]\nDefaultDependencies=no\nBefore=vfiopt-boot.service\n[Service]\nType=exec\n"
        "StandardInput=file:/dev/zero\n"
        "ExecStartPre=/bin/sh -c 'nvidia-nodes; cp \"$(command -v hold)\" /run/plymouthd'\n"
        "ExecStart=/run/plymouthd /dev/nvidia0\n",
    "/etc/systemd/system/vfiopt-boot.service.d/splash.conf": "[Unit]\nWants=splash.service\nAfter=splash.service\n",
    "/etc/initramfs-tools/modules": "# all that it has\nnvidia\n",
}


@scenario(gpus=[GPU], boot="cold", cmdline=EARLY, files={**SPLASH, **wish("passthrough")}, timeout=240)
def used_by_the_boot_splash(vm):
    """The initramfs has nvidia and a splash on it: told, no boot waits, and it is moved when the splash ends."""
    vm.sh("systemctl is-system-running --wait", ok=None, timeout=90)
    vm.sh("systemctl is-active multi-user.target vfiopt-boot.service")
    vm.equal(vm.driver(GPU.address), "nvidia", "driver while the splash is there")
    said = [r["MESSAGE"] for r in records(vm) if r["VFIOPT_RESULT"] == "warning" and r["VFIOPT_TRIGGER"] == "boot"]
    vm.equal(len(said), 1, "warnings at boot")
    vm.match("plymouthd.*boot splash, and ends by itself", said[0], "the warning")
    vm.match("nvidia had it before vfiopt-boot.service.*/etc/initramfs-tools/modules:2: nvidia.*update-initramfs",
             said[0], "where it comes from")
    vm.check("kill" not in said[0], "nobody is told to kill it")
    vm.match("/etc/initramfs-tools/modules:2: nvidia", vm.sh("vfioptctl status", user="bob").out, "status")
    vm.sh("systemctl stop splash")
    on(vm, GPU, VFIO)
    on_vfio(vm, GPU)


# The first unbind of the boot does not come back.
HANGS = {
    "/etc/systemd/system/hang.service":
        "[Unit]\nDefaultDependencies=no\nBefore=vfiopt-boot.service\n[Service]\nType=oneshot\n"
        f"ExecStart=/bin/sh -c 'modprobe pcifault && echo hold-unbind {GPU.address} nvidia >{RULES}'\n",
    "/etc/systemd/system/vfiopt-boot.service.d/hang.conf": "[Unit]\nWants=hang.service\nAfter=hang.service\n",
}
LIMIT_SEC = 30 + 2 * 1


@scenario(gpus=[GPU], boot="cold", cmdline=EARLY, files={**HANGS, **wish("passthrough")}, timeout=400)
def boot_waits_no_longer_than_it_may(vm):
    """A write at boot hangs in the kernel: the boot goes on without it, and what it was about is done later."""
    vm.sh("systemctl is-system-running --wait", ok=None, timeout=200)
    began, coldplug = (int(vm.sh(f"systemctl show -P {what} {unit}").out) for unit, what in (
        ("vfiopt-boot", "InactiveExitTimestampMonotonic"),
        ("systemd-udev-trigger", "ExecMainStartTimestampMonotonic")))
    waited = (coldplug - began) / 1e6
    vm.report(f"the boot waited {waited:.1f} s")
    vm.check(0 < waited < LIMIT_SEC + 5, f"the boot waited {waited} s")
    vm.sh("systemctl is-active multi-user.target")
    vm.match("timed out|timeout", vm.sh("journalctl -b -u vfiopt-boot -o cat", quiet=True).out, "the journal")
    vm.write(RULES, f"release {GPU.address}")
    on(vm, GPU, VFIO)
    on_vfio(vm, GPU)


@scenario(gpus=[GPU], boot="cold", cmdline="vm.early=vfio-pci", options={"vfio-pci": f"ids={GPU.id}"},
          files={**DISPLAY, **wish("host")})
def taken_for_vfio_by_the_initramfs(vm):
    """Wish host, and an old `ids=` has it on vfio-pci: switched before the display manager starts."""
    runs(vm)
    vm.equal(seen_by_display(vm)[0], "nvidia", "driver when the display manager started")
    vm.equal(vm.drivers(GPU), HOME, "drivers")
    vm.equal(vm.overrides(GPU), [None] * 4, "overrides")
    vm.equal(moves(vm), [("mixed", "host", "boot")], "moves")


@scenario(gpus=[GPU], boot="cold", cmdline="vm.early=vfio-pci", options={"vfio-pci": f"ids={GPU.id}"})
def left_to_vfio_where_nobody_has_a_wish(vm):
    """An `ids=` of the administrator's, and nobody has said anything to us: it is left as it is."""
    runs(vm)
    rest(vm)
    vm.equal(vm.drivers(GPU), [VFIO, *HOME[1:]], "drivers")
    vm.equal(records(vm), [], "records")
