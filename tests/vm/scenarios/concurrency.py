# SPDX-License-Identifier: LGPL-2.1-or-later
"""Several at once: one wins or waits, and nothing interleaves."""

from testvm import Gpu, scenario
from testvm.product import clean, on_vfio, records, state, unfinished

GPU = Gpu("rp1")
SECOND = Gpu("rp2")


@scenario(gpus=[GPU], timeout=300, rounds=(8, 50))
def opposite_directions_at_once(vm):
    """Two switches of one GPU at the same instant, in opposite directions, again and again."""
    before = state(vm, GPU)
    cursor = vm.journal_cursor()
    for _ in range(vm.rounds):
        out = vm.sh(
            "vfioptctl switch --direct passthrough 2>/dev/null & a=$!\n"
            "vfioptctl switch --direct host 2>/dev/null & b=$!\n"
            "wait $a; echo $?; wait $b; echo $?", quiet=True,
        ).out.split()
        vm.equal(out, ["0", "0"], "exit codes of the two")
        drivers = vm.drivers(GPU)
        if drivers[0] == "vfio-pci":
            on_vfio(vm, GPU)
        else:
            vm.equal(state(vm, GPU), before, "functions")

    # From `started` to its end, every record of the GPU is of one process, but that another waits.
    owner = None
    for record in records(vm, since=cursor):
        pid, result = record["_PID"], record["VFIOPT_RESULT"]
        vm.check(owner in (None, pid) or record["VFIOPT_PHASE"] == "wait", f"{pid} speaks while {owner} switches")
        if result == "started":
            owner = pid
        elif owner == pid and record["VFIOPT_PHASE"] == "end":
            owner = None
    vm.sh("vfioptctl switch host")
    clean(vm, GPU, before=before)


@scenario(gpus=[GPU, SECOND], timeout=120, rounds=(2, 20))
def two_gpus_at_once(vm):
    """Two jobs for two GPUs run side by side, and both are remembered."""
    before = state(vm, GPU, SECOND)
    for _ in range(vm.rounds):
        vm.sh("systemctl start vfiopt@passthrough:0000:01:00.0 vfiopt@passthrough:0000:02:00.0")
        on_vfio(vm, GPU)
        on_vfio(vm, SECOND)
        vm.equal(vm.read("/etc/vfiopt/state").count('"passthrough"'), 2, "wishes in the state file")
        vm.sh("systemctl start vfiopt@host:0000:01:00.0 vfiopt@host:0000:02:00.0")
        clean(vm, GPU, SECOND, before=before)


@scenario(gpus=[GPU])
def the_same_twice_at_once(vm):
    """Two users ask for the same: both get it, and it is done once."""
    cursor = vm.journal_cursor()
    vm.sh("vfioptctl switch passthrough & a=$!; vfioptctl switch passthrough & b=$!; "
          "wait $a && wait $b")
    on_vfio(vm, GPU)
    started = [r for r in records(vm, since=cursor) if r["VFIOPT_RESULT"] == "started"]
    vm.equal(len(started), 1, "number of switches")
    vm.equal(unfinished(vm), [], "files in /run/vfiopt")
