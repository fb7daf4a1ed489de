# SPDX-License-Identifier: LGPL-2.1-or-later
"""Refusals: each names its culprit, at once, with nothing written."""

from testvm import Device, Gpu, Shape, scenario
from testvm.product import BUSY, PRECONDITION, clean, leftovers, on_vfio, refused, state

GPU = Gpu("rp1")
SECOND = Gpu("rp2")
# The limit is for the decision; what PID 1 adds to start a job is measured by tests/bench/switch.
SWITCH = "vfioptctl switch --direct passthrough"


def held_by(vm, command, node, *cards, user=None, switch=SWITCH):
    """Somebody holds a node: the switch is refused, and names process and node."""
    process = vm.spawn(f"exec {command}", user=user)
    process.wait_for("held")
    refused(vm, switch, BUSY, r"\bhold\b", rf"\b{process.pid}\b", node, cards=cards)
    process.stop()


@scenario(gpus=[GPU], driver=("standin", "nvidia"))
def nvidia_node_open(vm):
    """/dev/nvidia0 is open."""
    before = state(vm, GPU)
    vm.sh("nvidia-nodes")
    held_by(vm, "hold /dev/nvidia0", "/dev/nvidia0", GPU)
    clean(vm, GPU, before=before)
    vm.sh(SWITCH)
    on_vfio(vm, GPU)


@scenario(gpus=[GPU])
def nvidia_node_mapped(vm):
    """Only a mapping of /dev/nvidia0 is left; the file is closed."""
    vm.sh("nvidia-nodes")
    held_by(vm, "hold --map /dev/nvidia0", "/dev/nvidia0", GPU)


# By the stand-in alone: NVIDIA's own node is opened in driver_uvm_and_modeset_nodes, and who has
# it open is found like who has any.
@scenario(gpus=[GPU])
def modeset_node_open(vm):
    """/dev/nvidia-modeset is open for the GPU, which shows by nothing but that it is started."""
    vm.sh("nvidia-nodes; modprobe nvidia-modeset")
    held_by(vm, f"hold --write={GPU.address} /dev/nvidia-modeset", "/dev/nvidia-modeset", GPU)


@scenario(gpus=[GPU, SECOND], driver=("standin", "nvidia"))
def modeset_node_open_for_no_gpu(vm):
    """What all GPUs share is open, and none is started, as for a desktop that draws elsewhere: that holds none."""
    vm.sh("modprobe nvidia-modeset; nvidia-nodes")
    process = vm.spawn("exec hold /dev/nvidiactl /dev/nvidia-modeset")
    process.wait_for("held")
    vm.sh(f"{SWITCH} {SECOND.address}")
    on_vfio(vm, SECOND)
    process.stop()


@scenario(gpus=[GPU, SECOND])
def modeset_node_open_for_another_gpu(vm):
    """A program works with the second GPU, and has what all of them share open: the first one moves."""
    vm.sh("nvidia-nodes; modprobe nvidia-modeset")
    process = vm.spawn("exec hold /dev/nvidia1 /dev/nvidiactl /dev/nvidia-modeset")
    process.wait_for("held")
    vm.sh(f"{SWITCH} {GPU.address}")
    on_vfio(vm, GPU)
    process.stop()


@scenario(gpus=[GPU], driver=("standin", "nvidia"))
def drm_card_open(vm):
    """The DRM card, or its render node, is open."""
    vm.sh("modprobe nvidia-drm && udevadm settle")
    card = vm.sh(f"ls -d /sys/bus/pci/devices/{GPU.address}/drm/card*").out.strip().split("/")[-1]
    held_by(vm, f"hold /dev/dri/{card}", f"/dev/dri/{card}", GPU)
    render = vm.sh(f"ls -d /sys/bus/pci/devices/{GPU.address}/drm/renderD*").out.strip().split("/")[-1]
    held_by(vm, f"hold /dev/dri/{render}", f"/dev/dri/{render}", GPU)


@scenario(gpus=[GPU])
def audio_control_open(vm):
    """The ALSA control of the audio function is open."""
    # The codec is found by a work item, some time after the driver has bound.
    node = "/dev/snd/controlC0"
    vm.sh(f"udevadm wait --timeout=30 --settle {node}")
    held_by(vm, f"hold {node}", node, GPU)


@scenario(gpus=[GPU], options={"nvidia": "i2c=probe"})
def i2c_node_open(vm):
    """A node of the GPU's I2C adapter is open, as monitor tools do."""
    vm.sh("modprobe i2c-dev && udevadm settle")
    adapter = vm.sh(f"ls -d /sys/bus/pci/devices/{GPU.address}/i2c-*").out.split()[0].split("/")[-1]
    held_by(vm, f"hold /dev/{adapter}", f"/dev/{adapter}", GPU)


@scenario(gpus=[GPU])
def held_by_a_user(vm):
    """A holder that belongs to a user and runs in a unit: both are named."""
    vm.sh("nvidia-nodes")
    vm.sh("systemd-run --unit=trainer.service --uid=nobody sh -c 'exec hold /dev/nvidia0 < /dev/zero'")
    vm.sh("until fuser -s /dev/nvidia0; do :; done", timeout=20)
    refused(vm, SWITCH, BUSY, "trainer.service", "systemctl stop 'trainer.service'", cards=[GPU])
    vm.sh("systemctl stop trainer.service")


@scenario(gpus=[GPU])
def cuda_retains_the_gpu(vm):
    """UVM retains the GPU, though no node of the GPU itself is open."""
    vm.sh("modprobe nvidia-uvm && nvidia-nodes")
    # A first open gives the GPU its UUID, which UVM goes by.
    vm.sh("exec hold /dev/nvidia0 </dev/null")
    process = vm.spawn(f"exec hold --write={GPU.address} /dev/nvidia-uvm")
    process.wait_for("held")
    refused(vm, SWITCH, BUSY, r"(?i)cuda|uvm", cards=[GPU])
    process.stop()


@scenario(gpus=[GPU])
def guest_has_the_gpu(vm):
    """On the way home: the VFIO group, or the device, is open."""
    vm.sh(SWITCH)
    for what in ("group", "device"):
        process = vm.spawn(f"exec vfio-open --hold={what} {GPU.address}")
        process.wait_for("held")
        refused(vm, "vfioptctl switch --direct host", BUSY, r"vfio-open", rf"\b{process.pid}\b", "/dev/vfio/",
                cards=[GPU])
        process.stop()
    on_vfio(vm, GPU)
    vm.sh("vfioptctl switch host")


@scenario(gpus=[GPU], shape=Shape(iommu=False))
def switch_without_iommu(vm):
    """There is no IOMMU."""
    refused(vm, SWITCH, PRECONDITION, "IOMMU", r"(?i)VT-d|AMD-Vi", cards=[GPU])


@scenario(gpus=[Gpu("sp1")], devices=[Device("sp2")])
def stranger_in_the_group(vm):
    """A device that is not ours shares the IOMMU group, and is in use by a driver."""
    gpu, stranger = Gpu("sp1"), Device("sp2")
    vm.check(stranger.address in vm.group(gpu.address), "the stranger is in the group")
    refused(vm, SWITCH, PRECONDITION, stranger.address, "e1000e", cards=[gpu])
    # Without a driver it is harmless.
    vm.write(f"/sys/bus/pci/devices/{stranger.address}/driver/unbind", stranger.address)
    vm.sh(SWITCH)
    on_vfio(vm, gpu)


@scenario(gpus=[Gpu("rp1", functions=("gpu", "audio"))], boot="cold", shape=Shape(igpu=False))
def boot_display(vm):
    """The GPU is the only display: refused, unless that is asked for."""
    gpu = Gpu("rp1", functions=("gpu", "audio"))
    vm.equal(vm.facts([gpu.address])[gpu.address]["boot_vga"], "1", "boot_vga")
    refused(vm, SWITCH, PRECONDITION, "only display", "--allow-display", "AllowDisplay=yes", cards=[gpu])
    for command in ("vfioptctl switch --allow-display passthrough",
                    f"systemctl start vfiopt@passthrough_allow-display:{gpu.address}"):
        vm.sh(command)
        on_vfio(vm, gpu)
        vm.sh("vfioptctl switch host")
    vm.check(vm.journal("vfiopt@passthrough_allow-display.service"), "no job of that name has logged anything")


@scenario(gpus=[GPU])
def another_card_at_the_address(vm):
    """Another card sits where the remembered one was; it can be accepted."""
    vm.sh(SWITCH)
    vm.sh("vfioptctl switch host")
    vm.unplug(GPU)
    other = Gpu("rp1", subsystem="1462:5000")
    vm.plug(other)
    refused(vm, SWITCH, PRECONDITION, r"0000:01:00\.0", GPU.subsystem, "vfioptctl forget", cards=[other])
    vm.sh("vfioptctl forget 0000:01:00.0")
    vm.sh(SWITCH)
    on_vfio(vm, other)


@scenario(gpus=[GPU], options={"nvidia": "version=575.64.03", "nvidia-drm": "modeset=1"})
def driver_that_cannot_release_one_gpu(vm):
    """modeset=1 with a driver that holds every GPU for as long as it is loaded."""
    vm.sh("modprobe nvidia-drm && udevadm settle")
    refused(vm, SWITCH, PRECONDITION, r"575\.64\.03", "modeset", cards=[GPU])


@scenario(gpus=[GPU], options={"nvidia": "version=595.45.04", "nvidia-drm": "modeset=1"})
def driver_that_can_release_one_gpu(vm):
    """modeset=1 with a driver that lets one GPU go: it moves, and its card comes back."""
    vm.sh("modprobe nvidia-drm && udevadm settle")
    before = state(vm, GPU)
    drm = f"/sys/bus/pci/devices/{GPU.address}/drm"
    vm.check(vm.ls(drm), "there is a DRM card")
    vm.sh(SWITCH)
    on_vfio(vm, GPU)
    vm.sh("vfioptctl switch host")
    vm.check(vm.ls(drm), "the DRM card is back")
    clean(vm, GPU, before=before)


@scenario(gpus=[GPU], options={"nvidia": "version=595.45.04", "nvidia-drm": "modeset=1"})
def lit_display(vm):
    """A monitor on the GPU shows a picture."""
    vm.sh("modprobe nvidia-drm && udevadm settle")
    vm.write("/sys/module/nvidia_drm/parameters/lit", GPU.address)
    refused(vm, SWITCH, PRECONDITION, r"HDMI-A-\d", cards=[GPU])


@scenario(gpus=[Gpu("rp1", functions=("gpu", "audio", "xhci", "ucsi"))])
def usb_device_on_the_card(vm):
    """A USB device hangs on the card's own port."""
    card = Gpu("rp1", functions=("gpu", "audio", "xhci", "ucsi"))
    vm.qmp("device_add", driver="usb-tablet", id="tablet", bus="gpu-rp1.2.0")
    vm.sh("udevadm wait --timeout=20 --settle "
          "$(ls -d /sys/bus/pci/devices/0000:01:00.2/usb1/1-1 2>/dev/null || echo /sys/bus/usb/devices/1-1)",
          ok=(0, 1))
    refused(vm, SWITCH, BUSY, "USB Tablet", cards=[card])


@scenario(gpus=[GPU])
def off_the_bus(vm):
    """The GPU does not answer any more."""
    vm.gpu(GPU).gone()
    refused(vm, SWITCH, PRECONDITION, r"(?i)not answer on the PCI bus", cards=[GPU])


@scenario(gpus=[GPU, SECOND])
def one_of_two_is_busy(vm):
    """All are checked before any is touched."""
    before = state(vm, GPU, SECOND)
    vm.sh("nvidia-nodes")
    held_by(vm, "hold /dev/nvidia1", "/dev/nvidia1", GPU, SECOND)
    vm.equal(state(vm, GPU, SECOND), before, "both GPUs")


@scenario(gpus=[GPU])
def refusal_of_a_unit(vm):
    """systemctl start fails, and its unit has the exit code and says why."""
    vm.sh("nvidia-nodes")
    process = vm.spawn("exec hold /dev/nvidia0")
    process.wait_for("held")
    cursor = vm.journal_cursor()
    vm.sh("systemctl start vfiopt@passthrough", ok=1)
    code = vm.sh("systemctl show -P ExecMainStatus vfiopt@passthrough").out.strip()
    vm.equal(code, str(BUSY), "exit code of the job")
    text = " ".join(r.get("MESSAGE", "") for r in vm.journal("vfiopt@passthrough", since=cursor))
    vm.match("/dev/nvidia0", text, "the journal")
    vm.equal(leftovers(vm), [], "files in /run/vfiopt")
    process.stop()
    vm.sh("systemctl start vfiopt@passthrough")
    on_vfio(vm, GPU)
