# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel's command line, for the day when the screen stays black."""

import json

from testvm import Gpu, scenario
from testvm.agent import rest
from testvm.product import on_vfio, records

GPU = Gpu("rp1")
HOME = ["nvidia", "snd_hda_intel", "xhci_hcd", None]
UNIT = "vfiopt@passthrough.service"
FILE = "/etc/vfiopt/state"

# All that wants the GPU away at boot: it was there last, the configuration says so, and an
# instance is enabled.
FILES = {
    FILE: json.dumps({"version": 1, "gpus": [{
        "address": GPU.address, "id": GPU.id, "subsystem": GPU.subsystem, "mode": "passthrough"}]}),
    "/etc/vfiopt/vfiopt.conf.d/x.conf": "[GPU 01:00]\nBootMode=passthrough\n",
    "/etc/systemd/system/multi-user.target.d/vm.conf": f"[Unit]\nWants={UNIT}\n",
}


def remembered(vm):
    return [g["mode"] for g in json.loads(vm.read(FILE))["gpus"]]


def comes_up_at_home(vm):
    vm.sh("systemctl is-system-running --wait", timeout=90)
    rest(vm)
    vm.equal(vm.drivers(GPU), HOME, "drivers")
    said = vm.sh(f"journalctl -b -u {UNIT} -o cat", quiet=True).out
    vm.match(r"nothing is moved.*vfiopt\.mode=", said, "the journal of the instance")
    vm.equal(vm.read(FILE), FILES[FILE], "the state file")


def moves_for_a_person(vm):
    """A person is obeyed, and the agent does not undo it: not even when it starts anew."""
    vm.sh(f"systemctl start {UNIT}")
    rest(vm)
    on_vfio(vm, GPU)
    vm.sh("systemctl restart vfioptd; udevadm trigger --settle -s pci")
    rest(vm)
    on_vfio(vm, GPU)
    vm.equal(remembered(vm), ["passthrough"], "what is remembered")


@scenario(gpus=[GPU], boot="cold", cmdline="vfiopt.mode=host", files=FILES)
def host_beats_an_enabled_instance(vm):
    """vfiopt.mode=host beats state, configuration and enabled instance, and lasts for a boot."""
    comes_up_at_home(vm)
    moves_for_a_person(vm)
    vm.sh("systemctl start vfiopt@host")
    rest(vm)
    vm.equal(vm.drivers(GPU), HOME, "drivers")
    # That is what the kernel's command line says, too.
    vm.sh("""grep -l '"mode"' /run/vfiopt/gpu/*""", ok=(1, 2))


@scenario(gpus=[GPU], boot="cold", cmdline="vfiopt.mode=off", files=FILES)
def off_beats_an_enabled_instance(vm):
    """vfiopt.mode=off: nothing is touched at boot, and a person may still move the GPU."""
    comes_up_at_home(vm)
    vm.equal(records(vm), [], "records")
    moves_for_a_person(vm)
