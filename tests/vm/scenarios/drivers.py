# SPDX-License-Identifier: LGPL-2.1-or-later
"""The drivers themselves: what the stand-in does, NVIDIA's own does, and the other way round.

Whatever a scenario of the product concludes from the stand-in rests on this file. A case that
exists for the stand-in alone is one that NVIDIA's own cannot show on an emulated GPU; then a
comment or the README of tests/vm/modules says why.
"""

import json
import re

from testvm import Gpu, scenario

GPU = Gpu("rp1", functions=("gpu", "audio"))
SECOND = Gpu("rp2", functions=("gpu", "audio"))
BOTH = ("standin", "nvidia")

DEVICE = f"/sys/bus/pci/devices/{GPU.address}"
DRIVER = "/sys/bus/pci/drivers/nvidia"
PROC = f"/proc/driver/nvidia/gpus/{GPU.address}"
MODULE = "/sys/module/nvidia/parameters"
UNLOAD = "modprobe -r nvidia_drm; modprobe -r nvidia_modeset; modprobe -r nvidia"

INFORMATION = rf"""Model: \t\t NVIDIA GeForce RTX 3090
IRQ:   \t\t \d+
GPU UUID: \t GPU-\?{{8}}-\?{{4}}-\?{{4}}-\?{{4}}-\?{{12}}
Video BIOS: \t \?\?\.\?\?\.\?\?\.\?\?\.\?\?
Bus Type: \t PCIe
DMA Size: \t \d+ bits
DMA Mask: \t 0x[0-9a-f]+
Bus Location: \t {GPU.address}
Device Minor: \t 0
GPU Firmware: \t N/A
GPU Excluded:\t No"""

ATTEMPTING = f"NVRM: Attempting to remove device {GPU.address} with non-zero usage count!"
CONTINUING = f"NVRM: Continuing with GPU removal for device {GPU.address}"


def hold(vm, what="/dev/nvidia0"):
    process = vm.spawn(f"exec hold {what}")
    process.wait_for("held")
    return process


def kernel_log(vm):
    """A process that prints what the kernel logs from now on: nothing of it can be missed."""
    mark = f"from {vm.sh('cat /proc/uptime', quiet=True).out.split()[0]} on"
    vm.write("/dev/kmsg", mark)
    return vm.spawn(f"exec dmesg --follow --notime > >(exec sed -u '0,/{mark}/d')")


def unbind(vm):
    """Start an unbind, and return its writer once the driver has said that it waits."""
    log = kernel_log(vm)
    writer = vm.spawn(f"exec bash -c 'echo {GPU.address} >{DRIVER}/unbind'")
    log.wait_for(ATTEMPTING)
    log.kill()
    return writer


def process_state(vm, process):
    return vm.sh(f"sed -n 's/^State:\\s*//p' /proc/{process.pid}/status").out[0]


def minor(vm, card):
    information = vm.read(f"/proc/driver/nvidia/gpus/{card.address}/information")
    return re.search(r"Device Minor: \t (\d+)", information)[1]


def minors(vm, *cards):
    return [minor(vm, card) for card in cards]


@scenario(gpus=[GPU], driver=BOTH, product=False)
def driver_when_plugged(vm):
    """udev loads it; it makes no nodes, has three names for one major, and knows no UUID yet."""
    vm.equal(vm.driver(GPU.address), "nvidia", "driver")
    vm.equal(vm.read("/sys/module/nvidia/version"), "550.163.01", "version")
    vm.equal(vm.read("/sys/module/nvidia_drm/parameters/modeset"), "N", "modeset")
    vm.equal(vm.sh("ls -d /dev/nvidia* 2>/dev/null || true").out, "", "nodes of NVIDIA")
    names = vm.sh("awk '$1 == 195 { print $2 }' /proc/devices").out.split()
    vm.equal(sorted(names), ["nvidia", "nvidia-modeset", "nvidiactl"], "names of major 195")
    vm.match(rf"\A{INFORMATION}\Z", vm.read(f"{PROC}/information"), "information")
    vm.match(r"\ARuntime D3 status:          \?\nVideo Memory:               \?\n\nGPU Hardware Support:\n",
             vm.read(f"{PROC}/power"), "power")
    vm.equal(vm.read(f"{PROC}/registry"), 'Binary: ""', "registry")
    vm.check(not vm.exists(f"{DEVICE}/msi_irqs"), "no interrupt was ever allocated")
    vm.match(rf"nvidia {GPU.address}: vgaarb: VGA decodes changed", vm.sh("dmesg").out, "the log")


@scenario(gpus=[GPU], driver=BOTH, product=False)
def driver_in_use(vm):
    """An open of nvidia0 counts, and the interrupt tells; nvidiactl and unknown minors do not."""
    vm.sh("nvidia-nodes; mknod /dev/nvidia9 c 195 9")
    idle = int(vm.read("/sys/module/nvidia/refcnt"))
    holder = hold(vm, "/dev/nvidia0 /dev/nvidiactl")
    vm.equal(len(vm.ls(f"{DEVICE}/msi_irqs")), 1, "interrupts while in use")
    vm.equal(int(vm.read("/sys/module/nvidia/refcnt")), idle + 2, "references on the module")
    vm.sh("modprobe -r nvidia 2>&1", ok=1)
    holder.stop()
    vm.equal((vm.exists(f"{DEVICE}/msi_irqs"), vm.ls(f"{DEVICE}/msi_irqs")), (True, []), "interrupts")
    vm.equal(int(vm.read("/sys/module/nvidia/refcnt")), idle, "references on the module")
    vm.match("No such device", vm.sh("hold /dev/nvidia9", ok=1).err, "an unknown minor")
    holder = hold(vm, "--path /dev/nvidia0")
    vm.equal(vm.ls(f"{DEVICE}/msi_irqs"), [], "interrupts with O_PATH")
    holder.stop()


@scenario(gpus=[GPU], driver=BOTH, product=False)
def driver_uvm_and_modeset_nodes(vm):
    """nvidia-uvm and nvidia-modeset open without touching a GPU; UVM counts each file twice."""
    vm.sh("modprobe nvidia-uvm; modprobe nvidia-modeset; nvidia-nodes")
    drm = int(vm.read("/sys/module/nvidia_modeset/refcnt"))
    holder = hold(vm, "/dev/nvidia-uvm /dev/nvidia-modeset")
    vm.equal(vm.read("/sys/module/nvidia_uvm/refcnt"), "2", "references on nvidia-uvm")
    vm.equal(int(vm.read("/sys/module/nvidia_modeset/refcnt")), drm + 1, "references on nvidia-modeset")
    vm.check(not vm.exists(f"{DEVICE}/msi_irqs"), "the GPU was not started")
    vm.sh(f"echo {GPU.address} >{DRIVER}/unbind")
    holder.stop()


@scenario(gpus=[GPU], driver=BOTH, product=False)
def driver_unbound_in_use(vm):
    """remove() waits for the user: S, then R after a signal; the signs of it; opens still succeed."""
    vm.sh("nvidia-nodes")
    holder = hold(vm)
    writer = unbind(vm)
    vm.equal(process_state(vm, writer), "S", "state of the writer")
    vm.match("os_delay", vm.read(f"/proc/{writer.pid}/wchan"), "where it waits")
    vm.match("nv_pci_remove", vm.read(f"/proc/{writer.pid}/stack"), "its stack")
    vm.check(not vm.exists(f"{DEVICE}/driver"), "the link to the driver has gone")
    vm.check(not vm.exists(f"{DRIVER}/{GPU.address}"), "the driver's link has gone")
    vm.match(f"Bus Location: \t {GPU.address}", vm.read(f"{PROC}/information"), "the directory in procfs")

    for how in ("", "--nonblock"):
        hold(vm, f"{how} /dev/nvidia0").stop()
    vm.check(writer.running, "the unbind still waits")

    writer.signal(15)
    vm.sh(f"until grep -q '^State:.R' /proc/{writer.pid}/status; do :; done", timeout=10)
    vm.check(writer.running, "the signal has not ended it")
    holder.stop()
    writer.wait(10)
    vm.match(CONTINUING, vm.sh("dmesg").out, "the log")
    vm.check(not vm.exists(PROC), "the directory in procfs has gone")
    vm.write(f"{DRIVER}/bind", GPU.address)


@scenario(gpus=[GPU], driver=BOTH, product=False)
def driver_holder_without_a_file(vm):
    """A reference inside the kernel, as nvidia-modeset takes it, holds a GPU like an open file."""
    if vm.exists(f"{MODULE}/version"):
        vm.sh("modprobe nvidia-modeset; nvidia-nodes")
        holder = hold(vm, f"--write={GPU.address} /dev/nvidia-modeset")
        release = holder.stop
    else:
        vm.sh("modprobe nvhold")
        vm.write("/sys/module/nvhold/parameters/hold", GPU.address)
        release = lambda: vm.write("/sys/module/nvhold/parameters/release", GPU.address)
    vm.equal(len(vm.ls(f"{DEVICE}/msi_irqs")), 1, "interrupts")
    writer = unbind(vm)
    release()
    writer.wait(10, ok=0)


@scenario(gpus=[GPU], driver=BOTH, product=False)
def driver_without_a_gpu(vm):
    """It does not load when every GPU is elsewhere, and says what it found."""
    vm.sh(f"{UNLOAD}; modprobe vfio-pci")
    vm.write(f"{DEVICE}/driver_override", "vfio-pci")
    vm.write("/sys/bus/pci/drivers/vfio-pci/bind", GPU.address)
    vm.sh("dmesg -C")
    vm.match("No such device", vm.sh("modprobe nvidia", ok=1).err, "modprobe")
    log = vm.sh("dmesg").out
    vm.match(f"NVRM: GPU {GPU.address} is already bound to vfio-pci", log, "the log")
    vm.match(r"NVRM: The NVIDIA probe routine was not called for 1 device\(s\)", log, "the log")
    vm.match("NVRM: No NVIDIA devices probed", log, "the log")
    vm.check(not vm.exists("/sys/module/nvidia"), "the module has gone")
    vm.write("/sys/bus/pci/drivers/vfio-pci/unbind", GPU.address)
    vm.sh(f"echo >{DEVICE}/driver_override; modprobe nvidia")
    vm.equal(vm.driver(GPU.address), "nvidia", "driver")


@scenario(gpus=[GPU, SECOND], driver=BOTH, product=False)
def driver_numbers_gpus(vm):
    """A minor is the lowest free number: two GPUs bound in the other order swap theirs."""
    vm.equal(minors(vm, GPU, SECOND), ["0", "1"], "minors")
    for card in (GPU, SECOND):
        vm.write(f"{DRIVER}/unbind", card.address)
    for card in (SECOND, GPU):
        vm.write(f"{DRIVER}/bind", card.address)
    vm.equal(minors(vm, GPU, SECOND), ["1", "0"], "minors")
    vm.write(f"{DRIVER}/unbind", GPU.address)
    vm.write(f"{DRIVER}/bind", GPU.address)
    vm.equal(minors(vm, GPU, SECOND), ["1", "0"], "minors after one was bound again")


@scenario(gpus=[GPU, SECOND], driver=BOTH, product=False)
def driver_stuck_on_one_gpu(vm):
    """While one GPU cannot be unbound, the other one can be used, unbound and bound."""
    vm.sh("nvidia-nodes")
    holder = hold(vm)
    writer = unbind(vm)
    hold(vm, "/dev/nvidia1").stop()
    vm.write(f"{DRIVER}/unbind", SECOND.address)
    vm.write(f"{DRIVER}/bind", SECOND.address)
    vm.equal(vm.driver(SECOND.address), "nvidia", "driver of the other GPU")
    vm.check(writer.running, "the first one still waits")
    holder.stop()
    writer.wait(10, ok=0)


@scenario(gpus=[GPU], driver=BOTH, product=False)
def driver_card_without_modeset(vm):
    """A card of nvidia-drm with modeset=0 holds nothing, and stays when its GPU goes."""
    vm.sh("modprobe nvidia-drm; udevadm settle")
    card = [name for name in vm.ls(f"{DEVICE}/drm") if name.startswith("card")][0]
    vm.equal([n for n in vm.ls("/sys/class/drm") if n.startswith(f"{card}-")], [], "connectors")
    holder = hold(vm, f"/dev/dri/{card}")
    vm.write(f"{DRIVER}/unbind", GPU.address)
    vm.equal(vm.driver(GPU.address), None, "driver")
    vm.check(vm.exists(f"{DEVICE}/drm/{card}"), "the card is still there")
    hold(vm, f"/dev/dri/{card}").stop()
    vm.write(f"{DRIVER}/bind", GPU.address)
    holder.stop()


@scenario(gpus=[GPU], driver=BOTH, product=False)
def driver_bound_and_unbound(vm):
    """Twenty rounds between nvidia and vfio-pci by bare writes, and every fault injected on the way."""
    vm.sh("modprobe vfio-pci; modprobe pcifault")
    out = vm.sh(f"switch-floor --json {GPU.address}=nvidia {GPU.addresses[1]}=snd_hda_intel").out
    vm.equal(json.loads(out)["rounds"], 20, "rounds")
    vm.equal(vm.drivers(GPU), ["nvidia", "snd_hda_intel"], "drivers")

    rules = "/sys/module/pcifault/parameters/rules"
    vm.write(f"{DRIVER}/unbind", GPU.address)
    vm.write(rules, f"refuse-bind {GPU.address} nvidia 16 1")
    vm.match("Device or resource busy", vm.sh(f"echo {GPU.address} >{DRIVER}/bind", ok=1).err, "refused")
    vm.match(r"refuse-bind 0000:01:00\.0 nvidia 16 1 struck=1", vm.read(rules), "the rule")
    vm.write(f"{DRIVER}/bind", GPU.address)
    vm.equal(vm.driver(GPU.address), "nvidia", "driver, as the rule was for once")
    vm.write(rules, "clear")
    vm.equal(vm.read(rules), "", "rules")

    vm.write(rules, f"delay-unbind {GPU.address} * 700")
    result = vm.sh(f"echo {GPU.address} >{DRIVER}/unbind")
    vm.check(result.seconds >= 0.7, f"it took {result.seconds:.2f} s")


@scenario(gpus=[GPU], product=False, options={"nvidia": "version=580.105.08"})
def driver_580_refuses_opens(vm):
    """From 580 on a GPU on its way out cannot be opened; kernel references still count."""
    vm.sh("nvidia-nodes")
    vm.equal(vm.read("/sys/module/nvidia/version"), "580.105.08", "version")
    holder = hold(vm)
    writer = unbind(vm)
    vm.match("No such device", vm.sh("hold /dev/nvidia0", ok=1).err, "an open")
    holder.stop()
    writer.wait(10, ok=0)


@scenario(gpus=[GPU], product=False, options={"nvidia": "version=595.45.04"})
def driver_595_loses_references(vm):
    """From 595 on a file counts down, but a kernel reference dropped too late is lost: for ever."""
    vm.sh("modprobe nvidia-uvm; modprobe -r nvidia-drm; nvidia-nodes")
    holder = hold(vm)
    writer = unbind(vm)
    vm.match("No such device", vm.sh("hold /dev/nvidia0", ok=1).err, "an open")
    holder.stop()
    writer.wait(10, ok=0)
    vm.write(f"{DRIVER}/bind", GPU.address)

    holder = hold(vm, f"--write={GPU.address} /dev/nvidia-uvm")
    writer = unbind(vm)
    holder.stop()
    # Twice as long as the driver sleeps between two looks, and then some.
    vm.sh(f"! timeout 2 tail --pid={writer.pid} -f /dev/null")
    vm.equal(process_state(vm, writer), "S", "state of the writer")


@scenario(gpus=[GPU], product=False)
def driver_uvm_retains(vm):
    """While UVM has a GPU, there is a directory by its UUID, which the first use has made known."""
    vm.sh("modprobe nvidia-uvm; nvidia-nodes")
    holder = hold(vm, f"--write={GPU.address} /dev/nvidia-uvm")
    uuid = vm.sh(f"sed -n 's/^GPU UUID: *\\t *//p' {PROC}/information").out.strip()
    vm.match(r"\AGPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", uuid, "UUID")
    vm.equal(vm.ls("/proc/driver/nvidia-uvm/gpus"), [uuid], "GPUs of UVM")
    holder.stop()
    vm.equal(vm.ls("/proc/driver/nvidia-uvm/gpus"), [], "GPUs of UVM")
    vm.write(f"{DRIVER}/unbind", GPU.address)
    vm.write(f"{DRIVER}/bind", GPU.address)
    hold(vm).stop()
    vm.match(uuid, vm.read(f"{PROC}/information"), "UUID after it was bound again")


@scenario(gpus=[GPU], product=False, options={"nvidia": "version=575.64.03", "nvidia-drm": "modeset=1"})
def driver_card_that_holds(vm):
    """modeset=1 without per-GPU removal: no unbind ends before nvidia-drm has been unloaded."""
    vm.sh("modprobe nvidia-drm; udevadm settle")
    vm.equal(vm.read("/sys/module/nvidia_drm/refcnt"), "0", "references on nvidia-drm")
    vm.equal(len(vm.ls(f"{DEVICE}/msi_irqs")), 1, "interrupts")
    writer = unbind(vm)
    vm.sh("modprobe -r nvidia-drm")
    writer.wait(10, ok=0)


@scenario(gpus=[GPU], product=False, options={"nvidia": "version=590.44.01", "nvidia-drm": "modeset=1"})
def driver_card_that_lets_go(vm):
    """modeset=1 with per-GPU removal: the card goes with its GPU, and comes back with it."""
    vm.sh("modprobe nvidia-drm; udevadm settle")
    before = vm.ls(f"{DEVICE}/drm")
    vm.check(before, "there is a card")
    vm.write(f"{DRIVER}/unbind", GPU.address)
    vm.check(not vm.exists(f"{DEVICE}/drm"), "the card has gone")
    vm.write(f"{DRIVER}/bind", GPU.address)
    vm.equal(vm.ls(f"{DEVICE}/drm"), before, "the card")


@scenario(gpus=[GPU], product=False, options={"nvidia-drm": "modeset=1"})
def driver_monitor(vm):
    """A monitor comes and shows a picture, as the DRM core tells it to everybody."""
    vm.sh("modprobe nvidia-drm; udevadm settle")
    connector = vm.sh(f"ls -d {DEVICE}/drm/card*/card*-HDMI-A-*").out.strip()

    def display():
        return [vm.read(f"{connector}/{name}") for name in ("status", "enabled")]

    monitor = vm.spawn("exec udevadm monitor --kernel --property --subsystem-match=drm")
    monitor.wait_for("KERNEL")
    vm.equal(display(), ["disconnected", "disabled"], "without a monitor")
    vm.write("/sys/module/nvidia_drm/parameters/connected", "all")
    vm.equal(display(), ["connected", "disabled"], "with a monitor")
    monitor.wait_for("HOTPLUG=1")
    vm.write("/sys/module/nvidia_drm/parameters/lit", GPU.address)
    vm.equal(display(), ["connected", "enabled"], "with a picture")
    vm.write("/sys/module/nvidia_drm/parameters/lit", "none")
    vm.equal(display(), ["connected", "disabled"], "without a picture")
    monitor.kill()


@scenario(gpus=[GPU], product=False)
def driver_held_by_i2c_and_mapping(vm):
    """Two holders that no search for open NVIDIA nodes finds: an I2C node, and a mapping."""
    vm.sh("modprobe i2c-dev; nvidia-nodes")
    holder = hold(vm, "--map /dev/nvidia0")
    vm.equal(vm.sh(f"ls -l /proc/{holder.pid}/fd | grep nvidia || true").out, "", "open files")
    writer = unbind(vm)
    holder.stop()
    writer.wait(10, ok=0)
    vm.write(f"{DRIVER}/bind", GPU.address)

    hold(vm).stop()  # the adapter comes with the first start
    bus = vm.sh(f"udevadm settle; basename {DEVICE}/i2c-*").out.strip()
    holder = hold(vm, f"/dev/{bus}")
    writer = vm.spawn(f"exec bash -c 'echo {GPU.address} >{DRIVER}/unbind'")
    vm.sh(f"until grep -q i2c_del_adapter /proc/{writer.pid}/wchan; do :; done", timeout=10)
    vm.equal(process_state(vm, writer), "D", "state of the writer")
    holder.stop()
    writer.wait(10, ok=0)


@scenario(gpus=[GPU], product=False)
def driver_fails_on_demand(vm):
    """A bind fails with EPERM, a load with ENODEV, and an open with EIO."""
    vm.sh("nvidia-nodes")
    vm.write(f"{MODULE}/fail_open", GPU.address)
    vm.match("Input/output error", vm.sh("hold /dev/nvidia0", ok=1).err, "an open")
    vm.equal(vm.ls(f"{DEVICE}/msi_irqs"), [], "interrupts")
    vm.write(f"{MODULE}/fail_open", "none")

    vm.write(f"{MODULE}/fail_probe", GPU.address)
    vm.write(f"{DRIVER}/unbind", GPU.address)
    vm.match("Operation not permitted", vm.sh(f"echo {GPU.address} >{DRIVER}/bind", ok=1).err, "a bind")
    vm.write("/sys/bus/pci/drivers_probe", GPU.address)
    vm.equal(vm.driver(GPU.address), None, "driver")
    vm.equal(vm.read(f"{MODULE}/probes"), "3", "calls of probe")
    vm.write(f"{MODULE}/fail_probe", "none")
    vm.write(f"{DRIVER}/bind", GPU.address)

    vm.sh(UNLOAD)
    vm.match("No such device", vm.sh("modprobe nvidia fail_probe=all", ok=1).err, "a load")
    vm.match("NVRM: None of the NVIDIA devices were initialized", vm.sh("dmesg").out, "the log")
