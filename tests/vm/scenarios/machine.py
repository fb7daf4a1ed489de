# SPDX-License-Identifier: LGPL-2.1-or-later
"""The machine itself: what every other scenario takes for granted."""

import signal

from testvm import Device, Failure, Gpu, MachineGone, Shape, scenario

GPU = Gpu("rp1")
SECOND = Gpu("rp2")
HOST_DRIVERS = ["nvidia", "snd_hda_intel", "xhci_hcd", None]
NO_GPU_DRIVER = [None, "snd_hda_intel", "xhci_hcd", None]


def bind(vm, address, driver):
    """By hand, as a script would."""
    vm.write(f"/sys/bus/pci/devices/{address}/driver_override", driver + "\n")
    if vm.driver(address):
        vm.write(f"/sys/bus/pci/devices/{address}/driver/unbind", address)
    vm.write("/sys/bus/pci/drivers_probe", address)
    vm.equal(vm.driver(address), driver, f"driver of {address}")


# --- the guest ------------------------------------------------------------------


@scenario(driver=None, product=False)
def guest_is_a_debian_at_rest(vm):
    """systemd, udev, dbus, polkit and logind run; nothing has failed; no console has a login."""
    vm.equal(vm.sh("systemctl is-system-running").out.strip(), "running", "systemd")
    vm.sh("systemctl is-active dbus systemd-udevd systemd-logind systemd-journald")
    vm.sh("busctl call org.freedesktop.PolicyKit1 /org/freedesktop/PolicyKit1/Authority"
          " org.freedesktop.DBus.Peer Ping")
    vm.equal(vm.sh("loginctl list-sessions --no-legend").out, "", "sessions")
    vm.sh("systemctl is-active libvirtd libvirtd.socket", ok=3)
    vm.match(r"\bintel_iommu=on\b", vm.read("/proc/cmdline"), "command line")


@scenario(driver=None, product=False)
def commands_report_how_they_end(vm):
    """Exit code, signal, both outputs, input and user of a command arrive as they are."""
    r = vm.sh("echo out; echo err >&2; exit 7", ok=7)
    vm.equal((r.out, r.err), ("out\n", "err\n"), "outputs")
    vm.equal(vm.sh("kill -KILL $$", ok=None).code, -signal.SIGKILL, "code after a signal")
    vm.equal(vm.sh("cat", input="x" * 3_000_000).out, "x" * 3_000_000, "three megabytes and back")
    vm.equal(vm.sh("id -un; echo $HOME", user="alice").out.split(), ["alice", "/home/alice"], "user")
    vm.equal(vm.sh("id -Gn bob").out.split(), ["bob"], "groups of bob")
    vm.check(0.2 <= vm.sh("sleep 0.2").seconds < 2, "the guest's clock measures a command")
    try:
        vm.sh("exit 3")
    except Failure as failure:
        vm.match("exit code 3", str(failure), "message")
    else:
        raise Failure("an exit code that was not asked for has passed")


@scenario(driver=None, product=False)
def commands_run_side_by_side(vm):
    """Many programs run at a time, and each has its own input and end."""
    processes = [vm.spawn(f"read line; echo {n} $line") for n in range(20)]
    for n, process in reversed(list(enumerate(processes))):
        process.write(f"for {n}\n")
    for n, process in enumerate(processes):
        vm.equal(process.wait(ok=0).out, f"{n} for {n}\n", "output")
    reader = vm.spawn("sleep 1000")
    reader.write("nobody reads this" * 1000)
    vm.equal(reader.kill().code, -signal.SIGKILL, "code")


@scenario(driver=None, product=False, gpus=[Gpu("rp1", functions=("gpu", "audio"))])
def channel_survives_a_blocked_command(vm):
    """A command that sleeps in the kernel and cannot be killed holds up nobody else."""
    audio = "0000:01:00.1"
    vm.sh("udevadm wait --timeout=20 /dev/snd/controlC0")
    holder = vm.spawn("exec hold /dev/snd/controlC0")
    holder.wait_for("held")
    writer = vm.spawn(f"echo {audio} >/sys/bus/pci/drivers/snd_hda_intel/unbind")
    # The driver link goes away before the driver's remove() begins to wait.
    vm.sh(f"until ! test -e /sys/bus/pci/devices/{audio}/driver; do :; done", timeout=20)
    writer.signal(signal.SIGKILL)
    vm.equal(vm.sh("echo alive").out, "alive\n", "another command")
    state = vm.sh(f"grep State /proc/{writer.pid}/status").out
    vm.match(r"\bD\b", state, "state of the writer")
    vm.check(writer.running, "the writer still waits")
    holder.stop()
    writer.wait(20)


@scenario(driver=None, product=False, expect_kernel=["WARNING: of a scenario"])
def kernel_complaints_are_seen(vm):
    """A warning in the kernel log fails a scenario, unless it is expected."""
    vm.sh("echo 'WARNING: of a scenario' >/dev/kmsg")
    vm.check_kernel()
    vm.sh("echo 'BUG: of a scenario' >/dev/kmsg")
    try:
        vm.check_kernel()
    except Failure:
        vm.sh("dmesg -C")
    else:
        raise Failure("a complaint has passed")


@scenario(
    driver="standin", product=False, gpus=[GPU],
    options={"nvidia": "version=580.1"}, files={"/etc/of-a-scenario": "text\n"},
)
def files_and_options_are_in_place(vm):
    """Files and module options of a scenario are there before its cards are."""
    vm.equal(vm.read("/etc/of-a-scenario"), "text", "file")
    vm.equal(vm.read("/sys/module/nvidia/version"), "580.1", "version of the driver")


# --- cards ----------------------------------------------------------------------


@scenario(gpus=[GPU], driver=None, product=False)
def card_of_four_functions(vm):
    """A card shows four functions of NVIDIA in one IOMMU group, with the kernel's own drivers."""
    ids = [vm.read(f"/sys/bus/pci/devices/{a}/{f}") for a in GPU.addresses for f in ("vendor", "device")]
    vm.equal(
        ids,
        ["0x10de", "0x2204", "0x10de", "0x1aef", "0x10de", "0x1ad8", "0x10de", "0x1ad9"],
        "ids of the functions",
    )
    vm.equal(vm.group(GPU.address), GPU.addresses, "IOMMU group")
    vm.equal(vm.drivers(GPU), NO_GPU_DRIVER, "drivers")
    vm.equal(vm.facts([GPU.address])[GPU.address]["boot_vga"], "0", "boot_vga beside an iGPU")
    vm.sh("udevadm wait --timeout=20 /dev/snd/controlC0")  # the codec has answered


# By the stand-in alone: that NVIDIA's does so is said by driver_numbers_gpus.
@scenario(gpus=[GPU, SECOND], driver="standin", product=False)
def driver_binds_two_identical_cards(vm):
    """NVIDIA's driver is loaded by udev and binds both of two cards that are the same."""
    for card in (GPU, SECOND):
        vm.equal(vm.drivers(card), HOST_DRIVERS, f"drivers of {card.port}")
    ids = [vm.sh(f"lspci -mmn -s {c.address}").out.split(" ", 1)[1] for c in (GPU, SECOND)]
    vm.equal(ids[0], ids[1], "ids of the two")
    vm.check(vm.facts([GPU.address])[GPU.address]["group"] != vm.facts([SECOND.address])[SECOND.address]["group"],
             "each has a group of its own")


# By the stand-in alone: NVIDIA's goes through twenty such rounds in driver_bound_and_unbound.
@scenario(gpus=[GPU], driver="standin", product=False)
def card_goes_to_vfio_by_hand(vm):
    """Plain sysfs writes give a card to vfio-pci; a program reads its ids through the group."""
    vm.sh("modprobe vfio-pci")
    for address in reversed(GPU.addresses):
        bind(vm, address, "vfio-pci")
    vm.equal(len(vm.vfio_nodes()), 1, "group nodes")
    before = vm.gpu(GPU).stats()["flrs"]
    vm.match(rf"device {GPU.address} 10de:2204", vm.sh(f"vfio-open {GPU.address}").out, "device")
    vm.check(vm.gpu(GPU).stats()["flrs"] > before, "vfio-pci has reset the function")


@scenario(driver=None, product=False)
def plug_unplug_plug_another(vm):
    """A card leaves and another one comes to the same slot."""
    vm.plug(GPU)
    vm.unplug(GPU)
    vm.equal(vm.sh("ls /sys/bus/pci/devices | grep -c ^0000:01", ok=1).out, "0\n", "functions left")
    other = Gpu("rp1", functions=("gpu", "audio"), subsystem="1462:3751")
    vm.plug(other)
    vm.equal(vm.read(f"/sys/bus/pci/devices/{other.address}/subsystem_vendor"), "0x1462", "subsystem")
    vm.equal(vm.drivers(other), [None, "snd_hda_intel"], "drivers")


@scenario(driver=None, product=False, shape=Shape(native_hotplug=True))
def native_hotplug(vm):
    """With a slot of real hardware unplugging takes the five seconds of its button."""
    vm.plug(GPU)
    start = vm.monotonic()
    vm.unplug(GPU)
    vm.check(vm.monotonic() - start > 4, "the guest has waited for the button")


@scenario(gpus=[GPU], driver="standin", product=False)
def card_falls_off_the_bus(vm):
    """A card that is gone reads as all ones, its driver refuses it, and it can come back."""
    config = f"setpci -s {GPU.address} VENDOR_ID"
    vm.gpu(GPU).gone()
    vm.equal(vm.sh(config).out, "ffff\n", "vendor in the configuration space")
    vm.write("/sys/bus/pci/drivers/nvidia/unbind", GPU.address)
    vm.sh(f"echo {GPU.address} >/sys/bus/pci/drivers/nvidia/bind", ok=1)
    vm.match("fallen off the bus", vm.sh("dmesg").out, "kernel log")
    vm.gpu(GPU).gone(False)
    vm.equal(vm.sh(config).out, "10de\n", "vendor when it is back")
    vm.write("/sys/bus/pci/drivers/nvidia/bind", GPU.address)


@scenario(gpus=[GPU], driver=None, product=False)
def card_is_slow(vm):
    """Configuration accesses can be made to take their time."""
    vm.gpu(GPU).slow(200)
    vm.check(vm.sh(f"setpci -s {GPU.address} VENDOR_ID").seconds > 0.2, "an access takes 200 ms")
    vm.gpu(GPU).slow(0)


@scenario(gpus=[GPU], driver=None, product=False)
def card_server_crashes(vm):
    """The machine goes on when the process that plays a card is killed."""
    vm.gpu(GPU).kill()
    vm.sh(f"setpci -s {GPU.address} VENDOR_ID", ok=None)
    vm.equal(vm.sh("systemctl is-system-running").out.strip(), "running", "systemd")


@scenario(
    gpus=[Gpu("rp1", flr=False, functions=("gpu", "audio", "xhci"))], driver=None, product=False
)
def card_without_function_reset(vm):
    """A card can lack FLR, and have QEMU's own USB controller."""
    vm.equal(vm.read(f"/sys/bus/pci/devices/{GPU.address}/reset_method"), "bus", "ways to reset")
    vm.equal(vm.driver("0000:01:00.2"), "xhci_hcd", "driver of QEMU's controller")


# --- further boots --------------------------------------------------------------

UNIT = """\
[Unit]
Description=Unit of a scenario
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/touch /run/of-a-unit
[Install]
WantedBy=multi-user.target
"""


@scenario(
    gpus=[GPU], boot="cold", disk=True, timeout=240,
    files={"/etc/changed": "old\n", "/etc/deleted": "", "/etc/systemd/system/of-a-scenario.service": UNIT},
)
def reboot_keeps_the_root(vm):
    """After a reboot what was written is there, what was enabled runs, and the card is bound; also without room to write."""
    vm.sh("echo new >/etc/changed; rm /etc/deleted; systemctl enable of-a-scenario; mkdir -m 700 /var/lib/of-a-scenario")
    vm.sh("vfioptctl --version; touch /etc/vm-full /etc/vm-read-only")
    boot = vm.read("/proc/sys/kernel/random/boot_id")
    vm.reboot()
    vm.equal(vm.boots, 2, "boots")
    vm.check(vm.read("/proc/sys/kernel/random/boot_id") != boot, "it is another boot")
    vm.equal(vm.read("/etc/changed"), "new", "a file of the scenario that it has changed")
    vm.check(not vm.exists("/etc/deleted"), "a file that was deleted is still deleted")
    vm.equal(vm.sh("stat -c %a /var/lib/of-a-scenario").out, "700\n", "mode of a directory")
    vm.check(vm.exists("/run/of-a-unit"), "the unit that was enabled has run")
    vm.equal(vm.sh("systemctl is-system-running").out.strip(), "running", "systemd")
    vm.sh("vfioptctl --version")
    vm.equal(vm.drivers(GPU), HOST_DRIVERS, "drivers")

    write = "echo text >/etc/file && sync /etc/file"
    vm.match("Read-only", vm.sh(write, ok=1).err, "message of a read-only root")
    vm.sh("mount -o remount,rw overlay /")
    vm.match("No space left", vm.sh(write, ok=1).err, "message of a full one")
    vm.sh(f"rm /fill; {write}")


@scenario(gpus=[GPU], product=False, boot="cold", disk=True, timeout=300)
def reset_is_a_power_cut(vm):
    """After a reset what was synced is there, what was not is lost, as is what ran; cards are bound."""
    vm.plug(SECOND)
    vm.sh("echo synced >/etc/synced; sync /etc/synced /etc")
    ended = vm.spawn("echo done")
    ended.wait()
    running = vm.spawn("echo begun; sleep 1000")
    running.wait_for("begun")
    before = [vm.gpu(card).stats()["resets"] for card in (GPU, SECOND)]
    # The kernel writes data after 30 seconds unless it is told to.
    vm.sh("echo lost >/etc/not-synced; ln -s x /run/of-this-boot")
    vm.reset(settle=False)
    vm.reset()  # the way up is cut off, too
    vm.equal(vm.boots, 3, "boots")
    vm.check(not running.running, "the command of the first boot does not run")
    try:
        running.wait()
    except MachineGone as gone:
        vm.match("reset", str(gone), "reason")
    else:
        raise Failure("a command that was cut off has not been reported as lost")
    vm.equal((running.out, ended.wait().code), ("begun\n", 0), "what came before")
    vm.equal(vm.read("/etc/synced"), "synced", "what was synced")
    vm.sh("test -s /etc/not-synced || test -L /run/of-this-boot", ok=1)
    for card, resets in zip((GPU, SECOND), before):
        vm.check(vm.gpu(card).stats()["resets"] > resets, f"the card in {card.port} was reset")
        vm.equal(vm.drivers(card), HOST_DRIVERS, f"drivers of {card.port}")


# --- groups and displays --------------------------------------------------------


@scenario(
    gpus=[Gpu("sp1")], devices=[Device("sp2", "e1000e"), Device("rp3", "nvme", {"serial": "x"})],
    driver=None, product=False,
)
def foreign_device_in_the_group(vm):
    """Without access control a network card shares the group of the GPU, driver and all."""
    group = vm.group("0000:04:00.0")
    vm.check("0000:05:00.0" in group, f"the network card is in the group: {group}")
    vm.equal(vm.driver("0000:05:00.0"), "e1000e", "its driver")
    vm.equal(vm.driver("0000:03:00.0"), "nvme", "driver of a disk elsewhere")
    vm.check("0000:03:00.0" not in group, "the disk is not in the group")


@scenario(gpus=[Gpu("sp1"), Gpu("sp2")], driver="standin", product=False)
def two_cards_in_one_group(vm):
    """Two cards can share one group, and work."""
    group = vm.group("0000:04:00.0")
    for card in (Gpu("sp1"), Gpu("sp2")):
        vm.check(set(card.addresses) <= set(group), f"{card.port} is in {group}")
        vm.equal(vm.drivers(card), HOST_DRIVERS, f"drivers of {card.port}")


@scenario(gpus=[GPU], driver=None, product=False, shape=Shape(iommu=False))
def machine_without_iommu(vm):
    """A machine can be without IOMMU: no groups."""
    vm.equal(vm.ls("/sys/kernel/iommu_groups"), [], "groups")
    vm.equal(vm.facts([GPU.address])[GPU.address]["group"], None, "group of the GPU")


@scenario(gpus=[GPU, SECOND], driver="standin", product=False, boot="cold", shape=Shape(igpu=False))
def nvidia_is_the_boot_display(vm):
    """On a cold boot without another display device the first card is the boot display."""
    facts = vm.facts([GPU.address, SECOND.address])
    vm.equal([f["boot_vga"] for f in facts.values()], ["1", "0"], "boot_vga")
    vm.equal(vm.drivers(GPU), HOST_DRIVERS, "drivers")


@scenario(
    gpus=[Gpu("rp1", functions=("display",), id="1002:744c"), SECOND],
    driver=None, product=False, boot="cold", shape=Shape(igpu=False), cmdline="vm.word=1",
)
def amd_is_the_boot_display(vm):
    """A card of another vendor in the first slot is the boot display, NVIDIA's is not."""
    facts = vm.facts(["0000:01:00.0", SECOND.address])
    vm.equal([f["boot_vga"] for f in facts.values()], ["1", "0"], "boot_vga")
    vm.match("vm.word=1", vm.read("/proc/cmdline"), "command line")
