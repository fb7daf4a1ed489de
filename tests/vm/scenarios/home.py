# SPDX-License-Identifier: LGPL-2.1-or-later
"""The way home of a card that something else has bound to vfio-pci."""

from testvm import Gpu, scenario
from testvm.product import PRECONDITION, on_vfio

GPU, SECOND = Gpu("rp1"), Gpu("rp2")
HOME = ["nvidia", "snd_hda_intel", "xhci_hcd"]
IDS = "10de:2204,10de:1aef,10de:1ad8,10de:1ad9"
BLACKLIST = {"/etc/modprobe.d/recipe.conf": "blacklist nvidia\nblacklist nouveau\nsoftdep nvidia pre: vfio-pci\n"}


def at_home(vm):
    """Each function is on the driver that is meant for it, and nothing is set."""
    vm.equal(vm.drivers(GPU)[:3], HOME, "drivers")
    vm.equal(vm.overrides(GPU), [None] * 4, "overrides")


@scenario(gpus=[GPU], boot="cold", cmdline=f"vm.early=vfio-pci vfio-pci.ids={IDS}",
          options={"vfio-pci": f"ids={IDS}"}, files=BLACKLIST, timeout=300, rounds=(3, 10))
def ids_and_a_blacklist(vm):
    """`vfio-pci.ids=` and `blacklist nvidia`, the most copied recipe: home by one command, there and back again and again."""
    vm.equal(vm.drivers(GPU), ["vfio-pci"] * 4, "drivers after the boot")
    for _ in range(vm.rounds):
        vm.sh("systemctl start vfiopt@host")
        at_home(vm)
        vm.sh("systemctl start vfiopt@passthrough")
        on_vfio(vm, GPU)
    vm.sh("systemctl start vfiopt@host")
    at_home(vm)
    vm.sh("test -e /proc/driver/nvidia/gpus/0000:01:00.0")


@scenario(gpus=[GPU])
def given_to_vfio_by_new_id(vm):
    """The way of Proxmox: new_id and bind, without an override."""
    vm.sh("modprobe vfio-pci; "
          "for f in 3 2 1 0; do d=/sys/bus/pci/devices/0000:01:00.$f; "
          "! test -e $d/driver || echo 0000:01:00.$f >$d/driver/unbind; done; "
          "for f in 0 1 2 3; do d=/sys/bus/pci/devices/0000:01:00.$f; "
          "echo $(cut -c3- $d/vendor) $(cut -c3- $d/device) >/sys/bus/pci/drivers/vfio-pci/new_id || true; done")
    vm.sh("vfioptctl switch host")
    at_home(vm)
    vm.sh("vfioptctl switch passthrough")
    on_vfio(vm, GPU)
    vm.sh("vfioptctl switch host")
    at_home(vm)


@scenario(gpus=[GPU], files={"/etc/modprobe.d/eco.conf": "install nvidia /bin/false\n"})
def an_install_line_is_named(vm):
    """A line of a laptop tool that is not used any more keeps nvidia away: told before anything is unbound."""
    vm.sh("vfioptctl switch passthrough")
    vm.sh("modprobe -r nvidia_uvm nvidia_drm nvidia_modeset nvidia 2>/dev/null; rmmod nvidia_uvm nvidia_drm "
          "nvidia_modeset nvidia 2>/dev/null; ! test -e /sys/module/nvidia")
    result = vm.sh("vfioptctl switch host", ok=4)
    vm.match(r"/etc/modprobe\.d/eco\.conf:1: install nvidia /bin/false", result.err, "the refusal")
    on_vfio(vm, GPU)
    vm.sh("rm /etc/modprobe.d/eco.conf; vfioptctl switch host")
    at_home(vm)


@scenario(gpus=[GPU])
def nouveau_is_the_second_choice(vm):
    """A driver that was replaced meanwhile does not know the card any more: it is told, and nouveau takes the card."""
    vm.sh("vfioptctl switch passthrough")
    vm.write("/etc/modprobe.d/nouveau.conf", "alias pci:v000010DEd*sv*sd*bc03sc*i* nouveau\n")
    vm.write("/sys/module/nvidia/parameters/fail_probe", "all")
    result = vm.sh("vfioptctl switch host")
    vm.match("nvidia.*nouveau", result.err.replace("\n", " "), "what it says")
    vm.equal(vm.drivers(GPU)[:3], ["nouveau", *HOME[1:]], "drivers")
    vm.equal(vm.overrides(GPU), [None] * 4, "overrides")
    # From there and back, now that it came from there.
    vm.sh("vfioptctl switch passthrough")
    on_vfio(vm, GPU)
    vm.write("/sys/module/nvidia/parameters/fail_probe", "none")
    vm.sh("vfioptctl switch host")
    vm.equal(vm.drivers(GPU)[:3], ["nouveau", *HOME[1:]], "drivers")


@scenario(gpus=[GPU], files={"/etc/modprobe.d/eco.conf": "install nvidia /bin/false\n"})
def a_gpu_without_a_driver_gets_one(vm):
    """At the host without a driver: a person who asks for the host gets one, or an exit code that says why not."""
    vm.sh("for f in 3 2 1 0; do d=/sys/bus/pci/devices/0000:01:00.$f; "
          "! test -e $d/driver || echo 0000:01:00.$f >$d/driver/unbind; done; rmmod nvidia_uvm nvidia_drm "
          "nvidia_modeset nvidia 2>/dev/null; ! test -e /sys/module/nvidia")
    for options in ("--dry-run", "--direct", ""):
        result = vm.sh(f"vfioptctl switch {options} host", ok=7)
        vm.match(r"/etc/modprobe\.d/eco\.conf:1: install nvidia /bin/false", result.err, "the reason")
    vm.sh("rm /etc/modprobe.d/eco.conf; vfioptctl switch host")
    at_home(vm)


@scenario(gpus=[GPU, SECOND], options={"vfio-pci": f"ids={IDS}"})
def another_gpu_whose_audio_is_idle(vm):
    """vfio-pci has `ids=` of it: loaded for the first GPU, it does not take the audio beside nvidia on the second."""
    audio = SECOND.addresses[1]
    vm.sh(f"test -e /sys/bus/pci/drivers/nvidia/{SECOND.address}; ! test -e /sys/bus/pci/drivers/vfio-pci; "
          f"echo {audio} >/sys/bus/pci/drivers/snd_hda_intel/unbind")
    for command in ("vfioptctl switch --dry-run passthrough", "vfioptctl switch passthrough"):
        refusal = vm.sh(f"{command} {GPU.address}", ok=PRECONDITION).err
        advice = vm.match(rf"vfio_pci, once loaded, would take {audio}.*: (echo none \| tee \S+)$", refusal.strip(), "why")
    vm.sh("! test -e /sys/bus/pci/drivers/vfio-pci")
    vm.sh(advice.group(1))
    vm.sh(f"vfioptctl switch passthrough {GPU.address}")
    on_vfio(vm, GPU)
    vm.equal(vm.drivers(SECOND)[:2], ["nvidia", None], "drivers of the second GPU")
    vm.sh(f"vfioptctl switch host {GPU.address}")
    at_home(vm)
