# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cards that are plugged into a machine that runs: what binds them first, and where they end."""

import re
from statistics import median

from testvm import Gpu, scenario
from testvm.agent import jobs, on, remember, rest, until
from testvm.debian import MODPROBE, become_debian
from testvm.product import BUSY, VFIO, leftovers, on_vfio, records

GPU = Gpu("rp1")
SECOND = Gpu("rp2")
THIRD = Gpu("rp3", id="10de:1e04")
OTHER = Gpu("rp2", id="10de:2684")
AUTO = f"vfiopt@auto:{GPU.address}.service"
FUNCTION_1 = f"/sys/bus/pci/devices/{OTHER.slot}.1"
DEFAULT = {"/etc/vfiopt/vfiopt.conf.d/a.conf": "[vfiopt]\nDefaultMode=passthrough\n"}


class Uevents:
    """What the kernel says of devices and modules, with the guest's time of each."""

    def __init__(self, vm):
        self._vm, self._marks, self._read = vm, 0, 0
        self._monitor = vm.spawn("exec udevadm monitor --kernel --property")
        self._monitor.wait_for("KERNEL - ")
        self.read()

    def read(self):
        """All events that have come since the last call, oldest first, as dictionaries."""
        # An event of our own tells that all before it have been written.
        self._marks += 1
        mark = f"SYNTH_UUID=00000000-0000-0000-0000-{self._marks:012}"
        self._vm.write("/sys/bus/pci/uevent", f"change {mark.partition('=')[2]}")
        self._monitor.wait_for(mark)
        text = self._monitor.out
        begin, self._read = self._read, text.index(mark)
        return [self._parse(block) for block in text[begin:self._read].split("\n\n") if "KERNEL[" in block]

    @staticmethod
    def _parse(block):
        event = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        event["time"] = float(re.search(r"KERNEL\[([\d.]+)\]", block)[1])
        return event


def unload(vm):
    """NVIDIA's modules are not there, by whichever names of files."""
    vm.sh("for m in nvidia_drm nvidia_modeset nvidia_uvm nvidia; do "
          "! test -e /sys/module/$m || modprobe -r -i $m; done; ! ls -d /sys/module/nvidia* 2>/dev/null")


def loaded_vfio(vm):
    return [m for m in vm.ls("/sys/module") if m.startswith("vfio")]


def pinned(vm):
    """Addresses of the functions that udev would reserve."""
    return sorted(f.rpartition("/")[2][:12] for f in leftovers(vm) if "/pins/" in f)


def plug_without_nvidia(vm):
    """One round of never_loaded_for_it, with whatever names the modules have."""
    vm.unplug(GPU)
    unload(vm)
    comes_without_nvidia(vm)


def comes_without_nvidia(vm):
    """Plug it into a machine that has NVIDIA's modules not loaded: it is on vfio-pci, and they still are not."""
    vm.sh("dmesg -C")
    uevents = Uevents(vm)
    vm.plug(GPU)
    on(vm, GPU, VFIO)
    on_vfio(vm, GPU)
    loaded = [e["DEVPATH"] for e in uevents.read() if e.get("SUBSYSTEM") == "module"]
    vm.equal([m for m in loaded if "nvidia" in m], [], "modules that came, if only for a moment")
    vm.equal([m for m in vm.ls("/sys/module") if m.startswith("nvidia")], [], "modules")
    log = vm.sh("dmesg", quiet=True).out
    vm.check("NVRM" not in log and f"nvidia {GPU.address}" not in log, "NVIDIA's driver has a part in it")

    # Another card has the driver loaded, which then counts one card. (Where udev is faster than
    # the kernel, it finds none yet and refuses.)
    vm.plug(SECOND)
    rest(vm)
    vm.sh("test -e /sys/module/nvidia || modprobe nvidia")
    vm.equal(vm.driver(SECOND.address), "nvidia", "driver of another card")
    if vm.exists("/sys/module/nvidia/parameters/probes"):
        vm.equal(vm.read("/sys/module/nvidia/parameters/probes"), "1", "calls of its probe")
    log = vm.sh("dmesg", quiet=True).out
    vm.check(f"nvidia {GPU.address}" not in log, "it has probed the card in passthrough")
    on_vfio(vm, GPU)
    vm.unplug(SECOND)


@scenario(gpus=[GPU], driver="nvidia", files=MODPROBE)
def never_loaded_for_it(vm):
    """Wish passthrough, nvidia not loaded: it never is, by upstream's file names and by Debian's."""
    vm.sh("systemctl start vfiopt@passthrough")
    plug_without_nvidia(vm)
    become_debian(vm)
    plug_without_nvidia(vm)


def comes_to_the_host(vm):
    """Plug it in where nobody wishes it to be anywhere else: it is left to the kernel."""
    vm.plug(GPU)
    rest(vm)
    # As above: the driver may have been asked too early.
    vm.sh("test -e /sys/module/nvidia || modprobe nvidia")
    vm.equal(vm.drivers(GPU)[:3], ["nvidia", "snd_hda_intel", "xhci_hcd"], "drivers of the host's")
    vm.equal(vm.overrides(GPU), [None] * 4, "overrides of the host's")


@scenario(gpus=[GPU], boot="cold", disk=True, timeout=400)
def plugged_after_a_reboot(vm):
    """Put in passthrough, and not there when the machine comes up again: reserved when it is plugged."""
    vm.sh("systemctl start vfiopt@passthrough")
    vm.unplug(GPU)
    vm.reboot()
    vm.sh("systemctl is-system-running --wait", timeout=90)
    vm.equal(loaded_vfio(vm), [], "vfio's modules")
    vm.equal(pinned(vm), GPU.addresses, "functions with pins")
    comes_without_nvidia(vm)

    vm.sh("systemctl start vfiopt@host")
    vm.equal(pinned(vm), [], "functions with pins on the host")
    vm.unplug(GPU)
    vm.reboot()
    vm.equal(pinned(vm), [], "functions with pins after a boot that remembers the host")
    comes_to_the_host(vm)

    # While it is away, a word is enough to have it back on the host.
    vm.sh("systemctl start vfiopt@passthrough")
    vm.unplug(GPU)
    vm.equal(pinned(vm), GPU.addresses, "functions with pins")
    vm.sh(f"vfioptctl forget {GPU.address}")
    vm.equal(pinned(vm), [], "functions with pins when it is forgotten")
    comes_to_the_host(vm)


@scenario(gpus=[GPU], timeout=300, rounds=(4, 50))
def agent_wins_the_race(vm):
    """Wish passthrough, nvidia loaded: plugged again and again, all functions end on vfio-pci."""
    vm.sh("systemctl start vfiopt@passthrough; modprobe snd_hda_intel")
    vm.plug(SECOND)
    vm.check(vm.exists("/sys/module/nvidia"), "nvidia is loaded")
    uevents = Uevents(vm)
    times, lost = [], 0
    for _ in range(vm.rounds):
        vm.unplug(GPU)
        uevents.read()
        cursor = vm.journal_cursor()
        vm.plug(GPU)
        on(vm, GPU, VFIO)
        on_vfio(vm, GPU)
        asked = jobs(vm, cursor)
        vm.check(asked <= 2, f"{asked} jobs for one card")
        lost += asked > 0

        seen = [e for e in uevents.read() if e.get("PCI_SLOT_NAME") in GPU.addresses]
        first = next(e["time"] for e in seen if e["ACTION"] == "add")
        binds = [e for e in seen if e["ACTION"] == "bind"]
        vm.equal({e["PCI_SLOT_NAME"] for e in binds if e["DRIVER"] == VFIO}, set(GPU.addresses), "bound")
        times.append(binds[-1]["time"] - first)
    vm.report(f"from `add` to the last bind: median {median(times):.2f} s, worst {max(times):.2f} s, "
              f"{vm.rounds} plugs; another driver was faster in {lost}")
    vm.equal(vm.driver(SECOND.address), "nvidia", "driver of another card")


def left_to_the_host(vm, card):
    """All of it is as if we were not there."""
    rest(vm)
    vm.equal(vm.drivers(card)[:3], ["nvidia", "snd_hda_intel", "xhci_hcd"], "drivers of the other card")
    vm.equal(vm.overrides(card), [None] * 4, "its overrides")


@scenario(gpus=[], files=DEFAULT, timeout=240)
def each_to_its_place(vm):
    """Two identical GPUs with opposite wishes, in both orders; an unknown one; another at a known address."""
    remember(vm, (GPU, "host"), (SECOND, "passthrough"))
    cursor = vm.journal_cursor()
    for order in ((GPU, SECOND), (SECOND, GPU)):
        vm.plug(*order)
        on(vm, SECOND, VFIO)
        on_vfio(vm, SECOND)
        vm.equal(vm.drivers(GPU)[:2], ["nvidia", "snd_hda_intel"], "drivers of the host's")
        vm.equal(vm.overrides(GPU), [None] * 4, "overrides of the host's")
        for card in order:
            vm.unplug(card)
    vm.plug(GPU, SECOND, THIRD)
    on(vm, SECOND, VFIO)
    on(vm, THIRD, VFIO)
    on_vfio(vm, THIRD)
    moved = [r for r in records(vm, cursor) if r["VFIOPT_GPU"] == GPU.address]
    vm.equal(moved, [], "records of the host's")
    why = [r["MESSAGE"] for r in records(vm, cursor)
           if r["VFIOPT_GPU"] == THIRD.address and r["VFIOPT_RESULT"] == "asked"]
    vm.match("default of vfiopt.conf", "\n".join(why), "why the unknown one is moved")

    vm.unplug(SECOND)
    cursor = vm.journal_cursor()
    vm.plug(OTHER)
    until(vm, f"journalctl -q _COMM=vfioptd VFIOPT_RESULT=warning VFIOPT_GPU={OTHER.address} | grep -q .",
          "the agent tells of another card")
    # Its sound, USB and UCSI functions have the ids of those that were here, and their pins are still there.
    vm.equal([a for a in pinned(vm) if a in SECOND.addresses], SECOND.addresses, "functions with pins")
    left_to_the_host(vm, OTHER)
    moved = [r["VFIOPT_FUNCTION"] for r in records(vm, cursor) if r["VFIOPT_PHASE"] in ("unbind", "bind", "probe")]
    vm.check(not set(OTHER.addresses) & set(moved), "no function of it is touched")
    vm.sh("udevadm trigger --action=add --settle -s pci")
    left_to_the_host(vm, OTHER)
    before = vm.sh(f"udevadm info -q property {FUNCTION_1}").out
    vm.match("PCI_ID=10DE:1AEF\n", before, "what udev knows of function 1")
    vm.match(f"PCI_SLOT_NAME={OTHER.slot}.1\n", before, "what udev knows of function 1")
    told = [r["MESSAGE"] for r in records(vm, cursor)
            if r["VFIOPT_GPU"] == OTHER.address and r["_COMM"] == "vfioptd" and r["VFIOPT_RESULT"] == "warning"]
    vm.equal(len(told), 1, "warnings of the other card")
    vm.match(rf"{OTHER.address}.*not the card that was here.*{SECOND.id}", told[0], "what is told")
    on_vfio(vm, THIRD)

    vm.unplug(OTHER)
    vm.plug(SECOND)
    on(vm, SECOND, VFIO)
    on_vfio(vm, SECOND)

    # Without the agent it is the same, with a vfio-pci that would take whatever it may.
    vm.unplug(SECOND)
    # It may have asked for a job when the card was half gone.
    rest(vm)
    agent = vm.sh("systemctl show -P MainPID vfioptd").out.strip()
    vm.sh(f"kill -STOP {agent}")
    vm.plug(OTHER)
    vm.sh("udevadm settle")
    vm.check(vm.exists("/sys/bus/pci/drivers/vfio-pci"), "vfio-pci is loaded")
    vm.equal(vm.drivers(OTHER)[:3], ["nvidia", "snd_hda_intel", "xhci_hcd"], "drivers of the other card")
    vm.equal(vm.overrides(OTHER), [None] * 4, "its overrides")
    vm.unplug(OTHER)

    # The card itself has its functions pinned: but beside nvidia, which was faster, function 1 waits.
    vm.sh("modprobe nvidia")
    vm.plug(SECOND)
    vm.sh("udevadm settle")
    if vm.driver(SECOND.address) == "nvidia":
        vm.check(vm.driver(SECOND.addresses[1]) != "vfio-pci", "function 1 is not on vfio beside nvidia")
        vm.equal(vm.overrides(SECOND)[1], None, "override of function 1 beside nvidia")
    vm.sh(f"kill -CONT {agent}")
    on(vm, SECOND, VFIO)
    on_vfio(vm, SECOND)
    vm.unplug(SECOND)
    vm.plug(OTHER)
    left_to_the_host(vm, OTHER)

    # It is there to stay, and moved like any other.
    vm.sh(f"vfioptctl forget {OTHER.address} && vfioptctl switch passthrough {OTHER.address}")
    on_vfio(vm, OTHER)


@scenario(gpus=[SECOND], timeout=240)
def busy_when_plugged(vm):
    """Refused since somebody was faster: not tried again and again, but when it is let go."""
    vm.sh("nvidia-nodes")
    until(vm, "systemctl -q is-active vfioptd", "the agent runs")
    remember(vm, GPU)
    cursor = vm.journal_cursor()
    agent = vm.sh("systemctl show -P MainPID vfioptd").out.strip()

    # The agent sees the card when somebody uses it already.
    vm.sh(f"kill -STOP {agent}")
    vm.plug(GPU)
    vm.equal(vm.driver(GPU.address), "nvidia", "driver")
    vm.sh("nvidia-nodes")
    holder = vm.spawn("exec hold /dev/nvidia1")
    second = vm.spawn("exec hold /dev/nvidia1")
    holder.wait_for("held")
    second.wait_for("held")
    vm.sh(f"kill -CONT {agent}")
    until(vm, f"systemctl -q is-failed {AUTO}", "the job is refused")
    rest(vm)
    vm.equal(vm.sh(f"systemctl show -P ExecMainStatus {AUTO}").out.strip(), str(BUSY), "exit status")
    said = [r for r in records(vm, cursor, unit=AUTO) if r["VFIOPT_RESULT"] == "refused"]
    vm.match("hold", said[0]["VFIOPT_HOLDERS"], "who is told to hold it")

    # Events without an end, of all devices: it looks, and has no reason to try again.
    vm.sh("for i in $(seq 10); do udevadm trigger --settle -s pci; done", timeout=120)
    rest(vm)
    vm.equal(jobs(vm, cursor), 1, "jobs while nothing has changed")
    vm.equal(vm.driver(GPU.address), "nvidia", "driver while it is held")

    # It is not forgotten: nothing happens to the GPU, but nobody holds it any more.
    second.stop()
    rest(vm)
    vm.equal(jobs(vm, cursor), 1, "jobs while one of two still holds it")
    holder.stop()
    on(vm, GPU, VFIO)
    on_vfio(vm, GPU)
    vm.equal(jobs(vm, cursor), 2, "jobs")
