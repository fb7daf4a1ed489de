# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where nothing is said, nothing is done, and nothing is paid."""

import re

from testvm import Gpu, scenario
from testvm.product import clean, leftovers, on_vfio, state, usable_by_a_guest

GPU = Gpu("rp1")
BOOT = "vfiopt-boot.service"
HOME = ["nvidia", "snd_hda_intel", "xhci_hcd", None]


def look(vm):
    """The process that looked last, 0 for none."""
    return re.search(r" pid=(\d+)", vm.sh(f"systemctl show -P ExecCondition {BOOT}").out)[1]


@scenario(gpus=[GPU], boot="cold")
def nothing_said_at_boot(vm):
    """No file, no word on the command line: no process is started, and udev goes on at once."""
    vm.sh("systemctl is-system-running --wait", timeout=90)
    shown = vm.sh(f"systemctl show -p ConditionResult -p ExecMainPID -p ActiveState {BOOT}").out
    vm.equal(sorted(shown.split()), ["ActiveState=inactive", "ConditionResult=no", "ExecMainPID=0"],
             "the unit")
    vm.equal(vm.drivers(GPU), HOME, "drivers")
    vm.equal(leftovers(vm), [], "files in /run/vfiopt")
    vm.sh("systemctl is-active vfioptd")

    # A GPU that was there from power-on moves as a hot-plugged one does.
    before = state(vm, GPU)
    vm.sh("systemctl start vfiopt@passthrough")
    on_vfio(vm, GPU)
    usable_by_a_guest(vm, GPU)
    vm.sh("systemctl start vfiopt@host")
    clean(vm, GPU, before=before)


@scenario(gpus=[GPU], boot="cold", disk=True, timeout=240)
def remembered_at_the_host(vm):
    """At the host, and remembered there: one look, once per boot, and the sandbox is not paid for."""
    vm.sh("systemctl start vfiopt@host")
    wish = vm.read("/etc/vfiopt/state")
    vm.reboot()
    vm.sh("systemctl is-system-running --wait", timeout=90)
    shown = vm.sh(f"systemctl show -p Result -p ExecMainPID -p ActiveState {BOOT}").out
    vm.equal(sorted(shown.split()), ["ActiveState=inactive", "ExecMainPID=0", "Result=exec-condition"],
             "the unit")
    look = vm.sh(f"systemctl show -P ExecCondition {BOOT}").out
    vm.match("status=1", look, "the look")
    vm.sh("systemctl restart vfioptd && systemctl is-active vfiopt-boot.target vfioptd")
    vm.equal(vm.sh(f"systemctl show -P ExecCondition {BOOT}").out, look, "the look, when a unit starts later")
    vm.equal(vm.drivers(GPU), HOME, "drivers")
    vm.equal(vm.read("/etc/vfiopt/state"), wish, "the state file")
    vm.equal(leftovers(vm), [], "files in /run/vfiopt")


@scenario(gpus=[GPU])
def anything_said_is_looked_at(vm):
    """A state, a configuration, a switch that was cut off: each is reason enough to look."""
    # Conditions are looked at anew with each start, and a start that is skipped is no failure.
    looked = f"systemctl stop {BOOT}; systemctl start {BOOT}; systemctl is-active {BOOT}"
    vm.sh(looked, ok=3)
    vm.equal(vm.ls("/etc/vfiopt"), [], "files in /etc/vfiopt")
    seen = {look(vm)}
    for path in ("/etc/vfiopt/state", "/etc/vfiopt/vfiopt.conf", "/etc/vfiopt/vfiopt.conf.d/a.conf",
                 f"/run/vfiopt/gpu/{GPU.address}"):
        # Of each, one that means nothing: only looking at it is asked for. Nothing comes of it, for
        # the machine has started.
        vm.sh(f"mkdir -p {path.rsplit('/', 1)[0]} && echo >{path}")
        vm.sh(looked, ok=3)
        pid = look(vm)
        vm.check(pid not in seen, f"it does not look at {path}")
        seen.add(pid)
        vm.sh(f"rm -f {path}; rmdir /etc/vfiopt/vfiopt.conf.d 2>/dev/null || true")
    vm.sh(looked, ok=3)
    vm.check(look(vm) in seen, "it looks where nothing is said")
    vm.equal(vm.drivers(GPU), HOME, "drivers")


@scenario(gpus=[GPU])
def agent_stays_small(vm):
    """After some switches the agent is as small as it shall be: 2 MB, and no crypto."""
    for _ in range(3):
        vm.sh("systemctl start vfiopt@passthrough && systemctl start vfiopt@host && udevadm settle")
    proc = f"/proc/{vm.sh('systemctl show -P MainPID vfioptd').out.strip()}"
    found = dict(line.split()[:2] for line in vm.read(f"{proc}/smaps_rollup").splitlines()[1:])
    vm.check(int(found["Pss:"]) <= 2048, f"PSS is {found['Pss:']} kB")
    vm.equal(found["AnonHugePages:"], "0", "huge pages of its own")
    libraries = vm.sh(f"grep -oE 'lib(kmod|crypto|pci|smartcols)[^/]*$' {proc}/maps", ok=1).out
    vm.equal(libraries, "", "libraries that it has no use for")
