# SPDX-License-Identifier: LGPL-2.1-or-later
"""There and back again, as a user does it."""

import json

from testvm import Gpu, scenario
from testvm.agent import rest
from testvm.product import clean, leftovers, on_vfio, state, usable_by_a_guest

GPU = Gpu("rp1")
SECOND = Gpu("rp2")
SMALL = Gpu("rp1", functions=("gpu", "audio"))


# What twenty rounds do to NVIDIA's own driver is seen in driver_bound_and_unbound.
@scenario(gpus=[GPU], driver=("standin", "nvidia"), timeout=300, rounds={"standin": (6, 20), "nvidia": (3, 20)})
def twenty_rounds(vm):
    """Host to passthrough and back, again and again: usable by a guest, then as before."""
    before = state(vm, GPU)
    modules = vm.sh("lsmod | grep -E '^(nvidia|snd_hda_intel)' | sort; true").out
    # What is there for good from the first round on.
    lasting = ("lsmod | grep -E '^vfio' | sort; ls /proc/$(systemctl show -P MainPID vfioptd)/fd | wc -l")
    lasts = None
    for _ in range(vm.rounds):
        vm.sh("systemctl start vfiopt@passthrough")
        on_vfio(vm, GPU)
        usable_by_a_guest(vm, GPU)
        vm.sh("systemctl start vfiopt@host")
        clean(vm, GPU, before=before)
        if not lasts:
            rest(vm)
            lasts = vm.sh(lasting).out
    after = vm.sh("lsmod | grep -E '^(nvidia|snd_hda_intel)' | sort; true").out
    vm.equal(after, modules, "module references")
    rest(vm)
    vm.equal(vm.sh(lasting).out, lasts, "references of vfio's modules, and open files of the agent")
    held = vm.sh("ls -l /proc/[0-9]*/fd 2>/dev/null | grep -E '/dev/(vfio|nvidia)' || true").out
    vm.equal(held, "", "open device nodes")
    vm.equal(vm.sh("systemctl is-system-running", ok=None).out.strip(), "running", "the system")


@scenario(gpus=[GPU])
def switching_is_idempotent(vm):
    """A mode that is there already is reached at once, and nothing is written."""
    before = state(vm, GPU)
    vm.sh("vfioptctl switch host")
    clean(vm, GPU, before=before)
    vm.sh("vfioptctl switch passthrough")
    there = state(vm, GPU)
    result = vm.sh("vfioptctl switch passthrough")
    vm.match(r"already", result.out + result.err, "what it says")
    vm.equal(state(vm, GPU), there, "functions")
    vm.sh("vfioptctl switch host")
    clean(vm, GPU, before=before)


@scenario(gpus=[GPU, SECOND], driver=("standin", "nvidia"))
def two_identical_gpus(vm):
    """One of two identical GPUs moves; the other is untouched, also while it is in use."""
    before = state(vm, GPU, SECOND)
    vm.sh("nvidia-nodes")
    # The first is bound first: it has the lowest minor.
    holder = vm.spawn("exec hold /dev/nvidia0")
    holder.wait_for("held")
    vm.sh("systemctl start vfiopt@passthrough:0000:02:00.0")
    on_vfio(vm, SECOND)
    vm.equal(state(vm, GPU), {a: before[a] for a in GPU.addresses}, "the other GPU")
    usable_by_a_guest(vm, SECOND)
    vm.sh("systemctl start vfiopt@host:0000:02:00.0")
    holder.stop()
    clean(vm, GPU, SECOND, before=before)


@scenario(gpus=[GPU, SECOND])
def all_managed_gpus(vm):
    """Without a name, all managed GPUs move."""
    before = state(vm, GPU, SECOND)
    vm.sh("systemctl start vfiopt@passthrough")
    on_vfio(vm, GPU)
    on_vfio(vm, SECOND)
    vm.sh("systemctl start vfiopt@host")
    clean(vm, GPU, SECOND, before=before)


@scenario(gpus=[Gpu("sp1"), Gpu("sp2")])
def two_gpus_in_one_group(vm):
    """GPUs that share an IOMMU group move together, and not one alone."""
    one, two = Gpu("sp1"), Gpu("sp2")
    before = state(vm, one, two)
    result = vm.sh(f"vfioptctl switch passthrough {one.address}", ok=4)
    vm.match(two.address, result.err, "the culprit")
    vm.equal(state(vm, one, two), before, "functions after the refusal")
    vm.sh(f"vfioptctl switch passthrough {one.address} {two.address}")
    on_vfio(vm, one)
    on_vfio(vm, two)
    usable_by_a_guest(vm, one)
    vm.sh("systemctl start vfiopt@host")
    clean(vm, one, two, before=before)


@scenario(gpus=[Gpu("rp1", functions=("gpu", "audio", "xhci", "ucsi"))])
def card_with_a_real_usb_controller(vm):
    """The USB function has its driver, leaves it, and gets it back."""
    card = Gpu("rp1", functions=("gpu", "audio", "xhci", "ucsi"))
    before = state(vm, card)
    vm.equal(before[card.addresses[2]]["driver"], "xhci_hcd", "driver of the USB function")
    vm.sh("systemctl start vfiopt@passthrough")
    on_vfio(vm, card)
    vm.sh("systemctl start vfiopt@host")
    clean(vm, card, before=before)


@scenario(gpus=[SMALL])
def card_of_two_functions(vm):
    """An older card has two functions only."""
    before = state(vm, SMALL)
    vm.sh("systemctl start vfiopt@passthrough")
    on_vfio(vm, SMALL)
    vm.sh("systemctl start vfiopt@host")
    clean(vm, SMALL, before=before)


@scenario(gpus=[GPU])
def override_of_the_owner_is_kept(vm):
    """An override that was there before comes back with the function."""
    path = f"/sys/bus/pci/devices/{GPU.addresses[1]}/driver_override"
    vm.write(path, "snd_hda_intel\n")
    vm.write(f"/sys/bus/pci/devices/{GPU.address}/power/control", "auto")
    before = state(vm, GPU)
    vm.sh("systemctl start vfiopt@passthrough")
    on_vfio(vm, GPU)
    vm.sh("systemctl start vfiopt@host")
    clean(vm, GPU, before=before)


@scenario(gpus=[GPU])
def power_settings_are_kept(vm):
    """Whatever the owner has set, the drivers' own settings or the opposite, comes back and stays."""
    for _ in range(2):
        for address, f in state(vm, GPU).items():
            device = f"/sys/bus/pci/devices/{address}"
            vm.write(f"{device}/power/control", "on" if f["control"] == "auto" else "auto")
            vm.write(f"{device}/d3cold_allowed", "0" if f["d3cold"] == "1" else "1")
        before = state(vm, GPU)
        for command in ("systemctl start vfiopt@{}", "vfioptctl switch --direct {}"):
            vm.sh(command.format("passthrough"))
            vm.sh(command.format("host"))
            clean(vm, GPU, before=before)
            # The sound card comes behind the probe of its driver, and sets one itself.
            vm.sh(f"udevadm wait --settle /sys/bus/pci/devices/{GPU.addresses[1]}/sound/card*/controlC*")
            clean(vm, GPU, before=before)


@scenario(gpus=[GPU])
def home_without_memory(vm):
    """A GPU that somebody else put on vfio comes home to the drivers that fit it."""
    before = state(vm, GPU)
    vm.sh("modprobe vfio-pci")
    for address in reversed(GPU.addresses):
        device = f"/sys/bus/pci/devices/{address}"
        vm.write(f"{device}/driver_override", "vfio-pci\n")
        if before[address]["driver"]:
            vm.write(f"{device}/driver/unbind", address)
        vm.write("/sys/bus/pci/drivers/vfio-pci/bind", address)
    on_vfio(vm, GPU)
    vm.sh("vfioptctl switch host")
    after = state(vm, GPU)
    vm.equal({a: f["driver"] for a, f in after.items()},
             {a: f["driver"] for a, f in before.items()}, "drivers")
    vm.equal({f["override"] for f in after.values()}, {None}, "overrides")
    vm.equal(leftovers(vm), [], "files in /run/vfiopt")


@scenario(gpus=[GPU])
def home_when_the_driver_is_not_loaded(vm):
    """The host driver is loaded when the GPU comes home, which is when it can be."""
    before = state(vm, GPU)
    vm.sh("systemctl start vfiopt@passthrough")
    vm.sh("modprobe -r nvidia_uvm nvidia_drm nvidia_modeset nvidia; ! test -e /sys/module/nvidia")
    vm.sh("systemctl start vfiopt@host")
    clean(vm, GPU, before=before)


@scenario(gpus=[GPU])
def status_tells(vm):
    """status, as a table and as JSON, tells the modes; any user may ask."""
    table = vm.sh("vfioptctl").out
    vm.match(r"0000:01:00\.0\b.*\bhost\b", table, "the table")
    before = json.loads(vm.sh("vfioptctl status --json").out)["gpus"]
    vm.equal(len(before), 1, "number of GPUs")
    gpu = before[0]
    for key, value in {
        "address": GPU.address, "id": GPU.id, "subsystem": GPU.subsystem, "mode": "host",
        "wish": "unset", "pending": False, "managed": True, "boot_vga": False, "job": None,
        "interrupted": False, "stuck": False,
    }.items():
        vm.equal(gpu[key], value, f"status of {key}")
    vm.equal([f["address"] for f in gpu["functions"]], GPU.addresses, "functions")
    vm.equal([f["driver"] for f in gpu["functions"]], vm.drivers(GPU), "drivers")
    vm.equal([f["class"] for f in gpu["functions"]], ["0300", "0403", "0c03", "0c80"], "classes")

    vm.sh("systemctl start vfiopt@passthrough")
    gpu = json.loads(vm.sh("vfioptctl status --json", user="nobody").out)["gpus"][0]
    vm.equal((gpu["mode"], gpu["wish"]), ("passthrough", "passthrough"), "mode and wish")
    vm.equal([f["override"] for f in gpu["functions"]], ["vfio-pci"] * 4, "overrides")
    vm.sh("systemctl start vfiopt@host")
    gpu = json.loads(vm.sh("vfioptctl status --json").out)["gpus"][0]
    vm.equal((gpu["mode"], gpu["wish"]), ("host", "host"), "mode and wish")


@scenario(gpus=[GPU])
def dry_run_does_nothing(vm):
    """--dry-run prints the plan in both directions, as text and JSON, and writes nothing."""
    before = state(vm, GPU)
    text = vm.sh("vfioptctl switch --dry-run passthrough").out
    for address in GPU.addresses:
        vm.match(rf"bind {address} to vfio-pci", text, "the plan")
    plan = json.loads(vm.sh("vfioptctl switch --dry-run --json passthrough").out)["plans"][0]
    vm.equal((plan["gpu"], plan["from"], plan["to"]), (GPU.address, "host", "passthrough"), "plan")
    actions = [(s["action"], s["function"]) for s in plan["steps"]]
    unbinds = [function for action, function in actions if action == "unbind"]
    vm.equal(unbinds, sorted(unbinds, reverse=True), "order of unbinding")
    clean(vm, GPU, before=before)
    vm.sh("vfioptctl switch passthrough")
    text = vm.sh("vfioptctl switch --dry-run host").out
    vm.match(rf"bind {GPU.address} to nvidia", text, "the plan home")
    on_vfio(vm, GPU)
