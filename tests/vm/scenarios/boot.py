# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where a GPU is after the machine has come up: before the first driver was loaded for it."""

import json
import time

from testvm import Gpu, Shape, scenario
from testvm.agent import on, rest, until
from testvm.product import BUSY, VFIO, leftovers, on_vfio, records

GPU = Gpu("rp1")
SECOND = Gpu("rp2")
THIRD = Gpu("rp3")
AUTO = f"vfiopt@auto:{GPU.address}.service"
HOME = ["nvidia", "snd_hda_intel", "xhci_hcd", None]
FILE = "/etc/vfiopt/state"
CONFIG = "/etc/vfiopt/vfiopt.conf"


def entry(card, mode="passthrough", id=None):
    """What is remembered of a card."""
    return {"address": card.address, "id": id or card.id, "subsystem": card.subsystem, "mode": mode}


def state_file(*entries):
    return json.dumps({"version": 1, "gpus": entries})


def remembered(*cards, mode="passthrough"):
    """A state file."""
    return state_file(*(entry(card, mode) for card in cards))


def came_up_well(vm):
    """The boot is over, and nothing of it failed."""
    vm.sh("systemctl is-system-running --wait", timeout=90)


def when(vm, unit, what):
    """Microseconds since the kernel's start; what: Start or Exit of its process."""
    return int(vm.sh(f"systemctl show -P ExecMain{what}TimestampMonotonic {unit}").out)


def bound_first(vm):
    """On vfio-pci before udev looked at anything, and NVIDIA's driver never saw it."""
    came_up_well(vm)
    bound, coldplug = when(vm, "vfiopt-boot", "Exit"), when(vm, "systemd-udev-trigger", "Start")
    vm.check(0 < bound <= coldplug, f"bound at {bound}, before coldplug at {coldplug}")
    said = [r for r in records(vm) if r["VFIOPT_RESULT"] == "done" and r["VFIOPT_PHASE"] == "end"]
    vm.equal({r["VFIOPT_TRIGGER"] for r in said}, {"boot"}, "who moved it")
    log = vm.sh("dmesg", quiet=True).out
    vm.check(f"nvidia {GPU.address}" not in log, "NVIDIA's driver never probed it")


@scenario(gpus=[GPU], boot="cold", files={FILE: remembered(GPU)})
def wish_for_passthrough_at_boot(vm):
    """Remembered in passthrough: bound before coldplug, and at home in all its drivers later."""
    bound_first(vm)
    on_vfio(vm, GPU)
    vm.check(not vm.exists("/sys/module/nvidia"), "nvidia was never loaded")
    vm.sh("systemctl start vfiopt@host")
    vm.equal(vm.drivers(GPU), HOME, "drivers")
    vm.equal(vm.overrides(GPU), [None] * 4, "overrides")
    vm.equal(leftovers(vm), [], "files in /run/vfiopt")
    # By upstream's names of modules: a card that was away at boot has nvidia-drm as well. Debian's
    # are in packaging.py.
    vm.check(vm.exists("/sys/module/nvidia_drm"), "nvidia-drm is loaded")


@scenario(gpus=[GPU], boot="cold", disk=True, shape=Shape(igpu=False), timeout=200, files={
    "/etc/vfiopt/vfiopt.conf": f"[GPU {GPU.address}]\nAllowDisplay=yes\n"})
def single_gpu_with_consent(vm):
    """The only GPU of a machine, with consent for good: it moves by a job, and at each boot."""
    came_up_well(vm)
    vm.equal(vm.drivers(GPU), HOME, "drivers")
    vm.sh("systemctl start vfiopt@passthrough")
    on_vfio(vm, GPU)
    vm.reboot()
    bound_first(vm)
    on_vfio(vm, GPU)
    vm.sh("systemctl start vfiopt@host")
    vm.equal(vm.drivers(GPU), HOME, "drivers")


@scenario(gpus=[GPU], boot="cold", timeout=200, files={
    FILE: remembered(GPU, mode="host"), CONFIG: f"[GPU {GPU.address}]\nBootMode=passthrough\n"})
def boot_mode_is_for_the_boot(vm):
    """BootMode= moves a GPU at boot, and not when the unit starts again later, as with a package's upgrade."""
    came_up_well(vm)
    on_vfio(vm, GPU)
    vm.sh("systemctl start vfiopt@host")
    for again in ("systemctl restart vfiopt-boot.service", "systemctl start vfiopt-boot.service",
                  "systemctl restart vfiopt-boot.target", "systemctl isolate multi-user.target",
                  "systemctl daemon-reexec && systemctl try-restart vfiopt-boot.service vfioptd.service"):
        vm.sh(again)
        rest(vm)
        vm.equal(vm.drivers(GPU), HOME, f"drivers after {again}")
    vm.sh("systemctl is-failed vfiopt-boot.service", ok=1)


@scenario(gpus=[GPU, SECOND, THIRD], boot="cold", files={
    FILE: state_file(entry(GPU), entry(THIRD, id="10de:1e04"))})
def one_of_three_at_boot(vm):
    """One of three identical GPUs is remembered, one is unknown, one is where another was: it alone is moved."""
    bound_first(vm)
    on_vfio(vm, GPU)
    vm.equal(vm.drivers(SECOND), HOME, "drivers of the unknown one")
    vm.equal(vm.drivers(THIRD), HOME, "drivers of the one that is not remembered")
    said = [r["MESSAGE"] for r in records(vm)]
    vm.match(rf"{THIRD.address}.*not the card that was here.*10de:1e04", "\n".join(said), "the journal")


@scenario(gpus=[GPU, SECOND])
def one_of_two_is_refused_at_boot(vm):
    """What the boot runs, where one GPU is in use: it is told, and the other is moved all the same."""
    vm.sh("systemctl mask --now vfioptd; nvidia-nodes")
    holder = vm.spawn("exec hold /dev/nvidia0")
    holder.wait_for("held")
    vm.write(FILE, remembered(GPU, SECOND))
    r = vm.sh("vfioptctl switch --direct --trigger=boot auto", ok=BUSY)
    vm.match(rf"{GPU.address}: refused", r.err, "what it says")
    vm.equal(vm.drivers(GPU), HOME, "drivers of the one in use")
    on_vfio(vm, SECOND)
    holder.stop()


@scenario(gpus=[GPU], boot="cold", cmdline="vfiopt.mode=off vfiopt.mode=passthrough", files={
    FILE: remembered(GPU, mode="host")})
def kernel_line_says_passthrough(vm):
    """vfiopt.mode=passthrough beats the state: all managed GPUs; and off, which is said before it."""
    bound_first(vm)
    rest(vm)
    on_vfio(vm, GPU)


@scenario(gpus=[GPU], boot="cold", files={
    FILE: remembered(GPU)[:40],
    "/etc/vfiopt/vfiopt.conf.d/bad.conf": "[vfiopt]\nDefaultMode=sideways\nColour=green\n",
    "/etc/vfiopt/vfiopt.conf.d/good.conf": f"[vfiopt]\nDefaultMode=passthrough\n[GPU {GPU.address}]\nBootMode=passthrough\n"})
def broken_state_at_boot(vm):
    """A state file cut off in the middle: nothing is moved or lost, and the journal says why."""
    came_up_well(vm)
    rest(vm)
    vm.equal(vm.drivers(GPU), HOME, "drivers")
    vm.equal(leftovers(vm), [], "files in /run/vfiopt")
    said = vm.sh("journalctl -b -u vfiopt-boot -o cat", quiet=True).out
    vm.match("/state cannot be parsed", said, "the journal")
    vm.match(r"bad\.conf:2: .*sideways", said, "the journal")
    vm.match(r"bad\.conf:3: .*Colour", said, "the journal")
    # The next switch keeps it under another name.
    before = vm.read(FILE)
    vm.sh("systemctl start vfiopt@passthrough")
    vm.equal(vm.read("/etc/vfiopt/state.damaged"), before, "what was set aside")
    vm.equal([g["mode"] for g in json.loads(vm.read(FILE))["gpus"]], ["passthrough"], "the new one")


@scenario(gpus=[GPU], boot="cold", files={
    FILE: remembered(GPU), "/etc/modprobe.d/no.conf": "install vfio_pci /bin/false\n"})
def no_vfio_at_boot(vm):
    """vfio-pci cannot be loaded: the boot completes, and the GPU is the host's."""
    vm.sh("systemctl is-system-running --wait", ok=None, timeout=90)
    # The agent tries it once more, in vain.
    until(vm, f"systemctl -q is-failed {AUTO}", "the agent's job fails")
    rest(vm)
    vm.equal(vm.sh("systemctl list-units --failed --plain --no-legend | cut -d' ' -f1").out.split(),
             ["vfiopt-boot.service", AUTO], "failed units")
    # What is started later wants sysinit.target, which wants this one: that is not run again by it.
    said = [r for r in records(vm) if r["VFIOPT_TRIGGER"] == "boot"]
    vm.equal(len({r["_PID"] for r in said}), 1, "runs of vfiopt-boot.service")
    vm.equal(vm.drivers(GPU), HOME, "drivers")
    vm.match("module vfio_pci.*/etc/modprobe.d/no.conf:1", said[0]["MESSAGE"], "the journal")
    # The process has ended before the journal's service is there to look whose it is.
    vm.match("module vfio_pci", vm.sh("journalctl -b -u vfiopt-boot -o cat").out, "the journal of the unit")
    vm.equal([g["mode"] for g in json.loads(vm.read(FILE))["gpus"]], ["passthrough"], "the wish")


# What was said before a reboot is there behind it in full_and_read_only_root_at_boot.
@scenario(gpus=[GPU], boot="cold", disk=True, timeout=240)
def wish_survives_a_power_cut(vm):
    """Said once: there after a power cut; and so is the way back, where nothing is written by us."""
    vm.sh("systemctl start vfiopt@passthrough")
    vm.reset()
    bound_first(vm)
    on_vfio(vm, GPU)
    vm.sh("systemctl start vfiopt@host")
    vm.equal(vm.drivers(GPU), HOME, "drivers")
    vm.reset()
    came_up_well(vm)
    rest(vm)
    vm.equal(vm.drivers(GPU), HOME, "drivers")
    vm.equal(leftovers(vm), [], "files in /run/vfiopt")


@scenario(gpus=[SECOND, THIRD], boot="cold", disk=True, timeout=400)
def buses_are_renumbered(vm):
    """A bridge is put in before two identical cards, and taken out: each stays itself, and no section moves the wrong one."""
    vm.sh(f"vfioptctl switch passthrough {SECOND.address} && vfioptctl switch --direct host {THIRD.address}")
    vm.sh("sync")
    vm.reset(refit=lambda: vm.qmp("device_add", driver="pcie-pci-bridge", id="bridge", bus="rp1", addr="0.0"))
    came_up_well(vm)
    rest(vm)
    # The one that was remembered has the other one's address, and that one has a port's behind it.
    first, second = Gpu("rp3"), Gpu("sp1")
    vm.check(not vm.exists(f"/sys/bus/pci/devices/{SECOND.address}/driver_override")
             or vm.read(f"/sys/bus/pci/devices/{SECOND.address}/vendor") != "0x10de", "no card is where the first one was")
    on_vfio(vm, first)
    vm.equal(vm.drivers(second), HOME, "drivers of the second one")
    known = {g["address"]: g["mode"] for g in json.loads(vm.read(FILE))["gpus"]}
    vm.equal(known, {first.address: "passthrough", second.address: "host"}, "what is remembered")
    vm.equal(vm.sh("vfioptctl status").err, "", "complaints")

    vm.write("/etc/vfiopt/vfiopt.conf", f"[GPU {first.address}]\nBootMode=passthrough\n")
    vm.sh("sync")
    vm.reset(refit=lambda: vm.qmp("device_del", id="bridge"))
    came_up_well(vm)
    rest(vm)
    on_vfio(vm, SECOND)
    vm.equal(vm.drivers(THIRD), HOME, "drivers of the one that the section hits")
    status = vm.sh("vfioptctl status")
    vm.match(rf"\[GPU {first.address}\].*names another card.*write \[GPU {SECOND.address}\]", status.err, "the warning")
    vm.match(rf"{SECOND.address} is the card that was at {first.address}", status.out, "the status")
    vm.match(rf"{THIRD.address} is the card that was at {second.address}[^\n]*\n.*does not move", status.out, "the status")
    said = "\n".join(r["MESSAGE"] for r in records(vm))
    vm.match(rf"{THIRD.address}.*was at {second.address} before", said, "the journal")
    # As it says there: the section gets the address of now, and a person says where the other one belongs.
    vm.write("/etc/vfiopt/vfiopt.conf", f"[GPU {SECOND.address}]\nBootMode=passthrough\n")
    vm.sh(f"vfioptctl switch --direct passthrough {SECOND.address} && vfioptctl forget {second.address}")
    vm.equal([g["address"] for g in json.loads(vm.read(FILE))["gpus"]], [SECOND.address], "what is not forgotten")
    vm.sh(f"vfioptctl switch --direct host {THIRD.address}")
    vm.match("host$", vm.sh(f"vfioptctl status --json | tr -d ' \n' | grep -o '{THIRD.address}.*wish\":\"[a-z]*'").out.strip(),
             "its wish")
    known = {g["address"]: g["mode"] for g in json.loads(vm.read(FILE))["gpus"]}
    vm.equal(known, {SECOND.address: "passthrough", THIRD.address: "host"}, "what is remembered in the end")


@scenario(gpus=[GPU], boot="cold", disk=True, timeout=240)
def enabled_instance_is_a_policy(vm):
    """systemctl enable vfiopt@passthrough: there from the next boot on, before the display."""
    vm.sh("systemctl enable vfiopt@passthrough")
    vm.reboot()
    came_up_well(vm)
    on_vfio(vm, GPU)
    vm.reboot()
    bound_first(vm)
    on_vfio(vm, GPU)
    for mode in ("passthrough", "host"):
        vm.match("display-manager.service", vm.sh(f"systemctl show -P Before vfiopt@{mode}").out, "what waits for it")
    vm.sh("systemctl disable vfiopt@passthrough; systemctl enable vfiopt@host")
    vm.reboot()
    came_up_well(vm)
    rest(vm)
    vm.equal(vm.drivers(GPU), HOME, "drivers with vfiopt@host")
    vm.equal(json.loads(vm.read(FILE))["gpus"][0]["mode"], "host", "what is remembered")


@scenario(gpus=[GPU])
def pinned_when_plugged(vm):
    """Unplugged in passthrough and plugged again: reserved before a module is loaded for it."""
    vm.sh("systemctl start vfiopt@passthrough")
    vm.unplug(GPU)
    vm.sh("modprobe -r nvidia_drm nvidia_uvm nvidia_modeset nvidia snd_hda_intel")
    vm.plug(GPU)
    # xhci_hcd is there always and may have been faster: then the agent has that one moved.
    on(vm, GPU, VFIO)
    on_vfio(vm, GPU)
    vm.check(not vm.exists("/sys/module/nvidia"), "nvidia was never loaded")
    # It comes home to what drives it, though nobody remembers where it was.
    vm.sh("systemctl start vfiopt@host")
    vm.equal(vm.drivers(GPU), HOME, "drivers")
    vm.equal(leftovers(vm), [], "files in /run/vfiopt")
    vm.unplug(GPU)
    vm.plug(GPU)
    rest(vm)
    vm.equal(vm.drivers(GPU), HOME, "drivers when plugged at the host")


# By the stand-in alone: what is seen here is that the driver is never loaded.
@scenario(gpus=[GPU])
def pinned_when_rescanned(vm):
    """Removed and found again through sysfs, with NVIDIA's driver not loaded."""
    vm.sh("systemctl start vfiopt@passthrough")
    vm.sh("for m in nvidia_drm nvidia_uvm nvidia_modeset nvidia; do "
          "! test -e /sys/module/$m || modprobe -r $m; done")
    for address in reversed(GPU.addresses):
        vm.write(f"/sys/bus/pci/devices/{address}/remove", "1")
    vm.sh("echo 1 >/sys/bus/pci/rescan; udevadm settle")
    # vfio-pci is loaded, so that the kernel's own probe may have come before the pin: then
    # the agent has the functions moved.
    on(vm, GPU, VFIO)
    on_vfio(vm, GPU)
    vm.check(not vm.exists("/sys/module/nvidia"), "nvidia was never loaded")


EAGER = "/etc/udev/rules.d/{}-gpu-modules.rules"
LOAD = ('ACTION=="add", DEVPATH=="/bus/pci/drivers/nvidia", RUN+="/sbin/modprobe nvidia-modeset"\n'
        'ACTION=="add", DEVPATH=="/bus/pci/drivers/nvidia", RUN+="/sbin/modprobe nvidia-drm"\n')
WANT = ('ACTION=="add", DEVPATH=="/bus/pci/drivers/nvidia", TAG+="systemd", '
        'ENV{SYSTEMD_WANTS}="eager.service"\n')
UNIT = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo >>/run/started; modprobe nvidia-modeset'\n"
COUNT = 'ACTION=="add", DEVPATH=="/bus/pci/drivers/nvidia", PROGRAM="/bin/sh -c \'echo >>/run/appeared\'"\n'


@scenario(gpus=[GPU], driver=("standin", "nvidia"), files={
    EAGER.format(61): LOAD, EAGER.format(71): LOAD + WANT, EAGER.format(10): COUNT,
    "/etc/systemd/system/eager.service": UNIT})
def rules_that_load_with_the_driver(vm):
    """udev rules load nvidia's modules when its driver appears: quiet while it has no card, and heeded else."""
    vm.sh("systemctl start vfiopt@passthrough")
    vm.sh("modprobe -r nvidia_drm nvidia_uvm nvidia_modeset nvidia 2>/dev/null; udevadm settle; rm -f /run/appeared /run/started")
    vm.check(not vm.exists("/sys/module/nvidia"), "nvidia is not loaded")
    vm.sh("modprobe nvidia", ok=1)
    vm.sh("udevadm settle --timeout=20")
    # The first one may be looked at while its driver is there still: then each command of two files loads once more.
    appeared = int(vm.sh("wc -l </run/appeared").out)
    vm.check(1 <= appeared <= 6, f"the driver appeared {appeared} times")
    started = int(vm.sh("cat /run/started 2>/dev/null | wc -l").out)
    vm.check(started <= 1, f"a unit was started for it {started} times")
    vm.sh("systemctl reset-failed eager; rm -f /run/started", ok=None)
    vm.sh("systemctl start vfiopt@host; udevadm settle")
    vm.equal(vm.driver(GPU.address), "nvidia", "driver")
    # What systemd has started for it loads a module, too, and must be through with that.
    until(vm, "[ -e /run/started ]", "what systemd starts for it is started")
    vm.sh("systemctl start eager; rm -f /run/started; "
          "modprobe -r nvidia_drm nvidia_uvm nvidia_modeset nvidia 2>/dev/null; ! test -e /sys/module/nvidia")
    vm.sh("modprobe nvidia; udevadm settle")
    vm.check(vm.exists("/sys/module/nvidia_drm"), "the rules are heeded while the driver has a card")
    until(vm, "[ -e /run/started ]", "and so is what systemd starts for it")


@scenario(gpus=[GPU], timeout=240)
def triggers_during_switches(vm):
    """`udevadm trigger` replays add ten times during 20 switches or more: nothing is reserved again."""
    before = vm.facts(GPU.addresses)
    noise = vm.spawn(">/run/noise; while :; do udevadm trigger --action=add --subsystem-match=pci && udevadm settle && "
                     "echo >>/run/noise; done")
    rounds = 0
    # A switch may be faster than a replay, then it takes more of them.
    while rounds < 10 or int(vm.sh("wc -l </run/noise").out) < 10:
        rounds += 1
        # What is left must be for the agent to read, whatever a person's shell says.
        vm.sh("umask 077; vfioptctl switch --direct passthrough; "
              "test -z \"$(find /run/vfiopt /etc/vfiopt -path '/run/vfiopt/lock/*' -o -not -perm -o+r -print)\"")
        on_vfio(vm, GPU)
        vm.sh("vfioptctl switch --direct host")
        vm.equal(vm.overrides(GPU), [None] * 4, "overrides")
    noise.kill()
    vm.sh("udevadm settle")
    vm.equal(vm.facts(GPU.addresses), before, "functions")
    vm.equal(leftovers(vm), [], "files in /run/vfiopt")


def boot_with_root(vm, file):
    """Remembered in passthrough, and booted with a root as a file of that name makes it."""
    wish = vm.read(FILE)
    vm.sh(f"touch {file}; sync")
    vm.reboot()
    bound_first(vm)
    rest(vm)
    on_vfio(vm, GPU)
    vm.equal(vm.read(FILE), wish, "the state file")


def goes_home_unremembered(vm, why):
    """A mode that cannot be remembered is said to be so; the GPU moves, and stays there."""
    wish = vm.read(FILE)
    result = vm.sh("vfioptctl switch host")
    vm.match(why, result.err, "what it says")
    rest(vm)
    vm.equal(vm.drivers(GPU), HOME, "drivers")
    vm.equal(vm.read(FILE), wish, "the state file")


@scenario(gpus=[GPU], boot="cold", disk=True, timeout=300)
def full_and_read_only_root_at_boot(vm):
    """The root is full, then read-only, too: the wish holds all the same, and is not lost."""
    vm.sh("systemctl start vfiopt@passthrough")
    boot_with_root(vm, "/etc/vm-full")
    vm.sh("echo x >/etc/vfiopt/x", ok=1)
    goes_home_unremembered(vm, "No space left")
    boot_with_root(vm, "/etc/vm-read-only")
    goes_home_unremembered(vm, "Read-only file system")


@scenario(gpus=[GPU], boot="cold", disk=True, timeout=300, rounds=(2, 100))
def power_cuts_at_any_moment(vm):
    """Switches without end, and the power goes: the state is whole, and the GPU there."""
    dice, parts = vm.dice(), min(vm.rounds, 5)
    vm.sh("sync")
    for n in range(vm.rounds):
        busy = vm.spawn("while :; do for m in passthrough host; do "
                        "vfioptctl switch --direct $m 2>&1; done; done")
        busy.wait_for("moved")
        # At no moment in particular, that is the point; but all over the six seconds that the
        # disk takes to see what was written, also where there are few rounds.
        time.sleep((n % parts + dice.random()) * 6 / parts)
        vm.reset()
        came_up_well(vm)
        # One switch at least was said to be done.
        known, = json.loads(vm.read(FILE))["gpus"]
        if known["mode"] == "passthrough":
            on_vfio(vm, GPU)
        else:
            vm.equal(vm.drivers(GPU), HOME, "drivers")
        # What was being written under another name is replaced by the next one.
        names = [n for n in vm.ls("/etc/vfiopt") if n != ".state.tmp"]
        vm.equal(names, ["state"], "files in /etc/vfiopt")
