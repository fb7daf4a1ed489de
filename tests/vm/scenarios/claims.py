# SPDX-License-Identifier: LGPL-2.1-or-later
"""Other programs that give a GPU to a virtual machine: what they do is respected."""

import json

from testvm import Gpu, scenario
from testvm.agent import DRIVERS, jobs, on, rest, until
from testvm.product import BUSY, VFIO, on_vfio, records

GPU = Gpu("rp1", functions=("gpu", "audio"))
HOME = ["nvidia", "snd_hda_intel"]

QEMU_CONF = """security_driver = "none"
user = "root"
group = "root"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
"""


def domain(managed):
    """A virtual machine that has both functions of the card."""
    hostdevs = "".join(
        f"<hostdev mode='subsystem' type='pci' managed='{managed}'><source>"
        f"<address domain='0' bus='1' slot='0' function='{function}'/></source></hostdev>"
        for function in range(2))
    return ("<domain type='qemu'><name>guest</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>"
            "<os><type arch='x86_64' machine='q35'>hvm</type></os>"
            f"<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>{hostdevs}<memballoon model='none'/>"
            "</devices></domain>\n")


FILES = {
    "/etc/libvirt/qemu.conf": QEMU_CONF,
    "/root/yes.xml": domain("yes"),
    "/root/no.xml": domain("no"),
}


def status(vm):
    return json.loads(vm.sh("vfioptctl status --json").out)["gpus"][0]


def at_home(vm):
    vm.equal(vm.drivers(GPU)[:2], HOME, "drivers")
    vm.equal(vm.overrides(GPU), [None] * 2, "overrides")


def comes_home(vm):
    on_host = " && ".join(f"[ {DRIVERS}/{driver}/{address} -ef /sys/bus/pci/devices/{address} ]"
                          for driver, address in zip(HOME, GPU.addresses))
    until(vm, f"{{ {on_host}; }}", "the GPU is on its drivers again")
    rest(vm)
    at_home(vm)


def claimed(vm, since):
    return [r for r in records(vm, since) if r["VFIOPT_RESULT"] == "claimed"]


def given(vm, wish):
    """The wish of somebody who has never moved it, has it at the host, or in passthrough."""
    if wish:
        vm.sh("vfioptctl switch passthrough")
    if wish == "host":
        vm.sh("vfioptctl switch host")
    rest(vm)
    vm.equal(status(vm)["wish"], wish or "unset", "the wish")


@scenario(gpus=[GPU], files=FILES, timeout=300, rounds=(1, 3))
def libvirt_managed(vm):
    """managed='yes', the default of virt-manager, with every wish: the guest starts, and the card comes back."""
    vm.sh("systemctl start libvirtd; virsh define /root/yes.xml")
    for wish in (None, "host", "passthrough"):
        given(vm, wish)
        for _ in range(vm.rounds):
            cursor = vm.journal_cursor()
            vm.sh("virsh start guest", timeout=60)
            rest(vm)
            vm.match("running", vm.sh("virsh domstate guest").out, "the domain")
            on_vfio(vm, GPU)
            vm.equal(status(vm)["claimed"], wish == "host", "claimed")
            vm.equal(len(claimed(vm, cursor)), int(wish == "host"), "records of the claim")
            refusal = vm.sh("vfioptctl switch host", ok=BUSY)
            vm.match("qemu-system-x86.*guest.*virsh shutdown", refusal.err, "who has it")
            vm.match("running", vm.sh("virsh domstate guest").out, "the domain")
            vm.sh("virsh destroy guest", timeout=60)
            if wish == "passthrough":
                on(vm, GPU, VFIO)
                on_vfio(vm, GPU)
            else:
                vm.equal(jobs(vm, cursor), 0, "jobs of the agent")
                comes_home(vm)
            vm.equal(status(vm)["claimed"], False, "claimed")


@scenario(gpus=[GPU], files=FILES, timeout=200, rounds=(1, 3))
def libvirt_not_managed(vm):
    """managed='no': moved by hand for each round, or left in passthrough."""
    vm.sh("systemctl start libvirtd; virsh define /root/no.xml")
    for stays in (False, True):
        for _ in range(vm.rounds):
            vm.sh("vfioptctl switch passthrough")
            vm.sh("virsh start guest", timeout=60)
            rest(vm)
            vm.match("running", vm.sh("virsh domstate guest").out, "the domain")
            vm.sh("virsh destroy guest", timeout=60)
            rest(vm)
            on_vfio(vm, GPU)
            if not stays:
                vm.sh("vfioptctl switch host")
                at_home(vm)


@scenario(gpus=[GPU])
def driverctl_keeps_what_it_sets(vm):
    """driverctl set-override is left alone at the host and in passthrough; unset-override ends that."""
    given(vm, "host")
    cursor = vm.journal_cursor()
    for address in GPU.addresses:
        vm.sh(f"driverctl --nosave set-override {address} vfio-pci")
        rest(vm)
    on_vfio(vm, GPU)
    vm.equal((status(vm)["claimed"], status(vm)["wish"]), (True, "host"), "status")
    vm.match("claimed by another program.*vfioptctl switch host", vm.sh("vfioptctl").out.replace("\n", " "), "status")
    vm.equal(len(claimed(vm, cursor)), 1, "records of the claim")
    # Not by an agent that has just come either, nor by what is automatic at all.
    vm.sh("systemctl restart vfioptd; vfioptctl switch auto")
    rest(vm)
    on_vfio(vm, GPU)
    for address in reversed(GPU.addresses):
        vm.sh(f"driverctl --nosave unset-override {address}")
        rest(vm)
    comes_home(vm)
    vm.equal(jobs(vm, cursor), 0, "jobs of the agent")
    vm.equal(status(vm)["claimed"], False, "claimed")

    # A person's word for this GPU goes before it.
    for address in GPU.addresses:
        vm.sh(f"driverctl --nosave set-override {address} vfio-pci")
    rest(vm)
    vm.sh("vfioptctl switch host")
    at_home(vm)

    given(vm, "passthrough")
    vm.sh(f"driverctl --nosave set-override {GPU.address} nvidia")
    rest(vm)
    vm.equal(vm.driver(GPU.address), "nvidia", "what driverctl has set")
    vm.equal(status(vm)["claimed"], True, "claimed")
    vm.sh(f"driverctl --nosave unset-override {GPU.address}")
    on(vm, GPU, VFIO)
    on_vfio(vm, GPU)


@scenario(gpus=[GPU])
def new_id_keeps_what_it_binds(vm):
    """Proxmox's way, without an override: the whole card is left, until a part of it leaves vfio."""
    given(vm, "host")
    cursor = vm.journal_cursor()
    # Slowly: between two functions udev and the agent have time for a look.
    take = ("udevadm settle; d=/sys/bus/pci/devices/%s; echo $(cut -c3- $d/vendor) $(cut -c3- $d/device) >/sys/bus/pci/drivers/"
            "vfio-pci/new_id || true; ! test -e $d/driver || echo %s >$d/driver/unbind; "
            f"test -e {DRIVERS}/vfio-pci/%s || echo %s >{DRIVERS}/vfio-pci/bind; udevadm settle; sleep 3")
    vm.sh("modprobe vfio-pci; " + "; ".join(take.replace("%s", a) for a in GPU.addresses))
    rest(vm)
    vm.equal(vm.drivers(GPU), [VFIO] * 2, "drivers")
    vm.equal(status(vm)["claimed"], True, "claimed")
    vm.equal(len(claimed(vm, cursor)), 1, "records of the claim")
    vm.match("bound to a vfio driver", claimed(vm, cursor)[0]["MESSAGE"], "the message")

    # One that a guest has stays, whoever asks.
    holder = vm.spawn("exec hold /dev/vfio/$(basename $(readlink -f /sys/bus/pci/devices/0000:01:00.0/iommu_group))")
    holder.wait_for("held")
    vm.sh("vfioptctl switch host", ok=BUSY)
    vm.equal(vm.drivers(GPU), [VFIO] * 2, "drivers")
    holder.stop()
    vm.sh("vfioptctl switch host")
    at_home(vm)

    vm.sh("; ".join(take.replace("%s", a) for a in GPU.addresses))
    rest(vm)
    vm.equal(vm.drivers(GPU), [VFIO] * 2, "drivers")
    # The claim ends, and the wish counts.
    vm.write(f"{DRIVERS}/vfio-pci/unbind", GPU.addresses[1])
    comes_home(vm)


@scenario(gpus=[GPU])
def a_claim_ends_when_the_card_is_plugged_anew(vm):
    """A card that comes again is at the host, where it belongs."""
    given(vm, "host")
    for address in GPU.addresses:
        vm.sh(f"driverctl --nosave set-override {address} vfio-pci")
    rest(vm)
    on_vfio(vm, GPU)
    vm.unplug(GPU)
    vm.plug(GPU)
    comes_home(vm)
    vm.equal(status(vm)["claimed"], False, "claimed")


@scenario(gpus=[GPU], options={"vfio-pci": "ids=10de:2204,10de:1aef"})
def ids_are_nobodys_claim(vm):
    """vfio-pci takes a card by its own ids= when it comes: nobody has claimed it, and its wish counts."""
    given(vm, "host")
    vm.unplug(GPU)
    vm.sh("rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia snd_hda_intel 2>/dev/null; modprobe vfio-pci")
    cursor = vm.journal_cursor()
    vm.plug(GPU, wait=False)
    comes_home(vm)
    vm.equal(status(vm)["claimed"], False, "claimed")
    vm.equal(claimed(vm, cursor), [], "records of a claim")
