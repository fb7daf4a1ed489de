# SPDX-License-Identifier: LGPL-2.1-or-later
"""The switching process is killed after every single step: the next call makes it good."""

from testvm import Gpu, scenario
from testvm.product import clean, on_vfio, state, unfinished

GPU = Gpu("rp1")

# More system calls of the kind than any switch makes.
MANY = 200


def without_agent(vm):
    """Nobody sees to what was cut off but the next call: what the agent does is in storms.py."""
    vm.sh("systemctl mask --quiet --runtime --now vfioptd")


def killed_at(vm, call, n, mode):
    """Run a switch that is killed at its n-th call of a kind. False: it made fewer."""
    # Only the switching process is traced: its children live on, as they do after a real kill.
    script = (
        f"exec strace -qq -o /dev/null -e trace={call} -e inject={call}:signal=KILL:when={n} "
        f"vfioptctl switch --direct {mode}"
    )
    # strace ends as what it traces does.
    return vm.sh(script, ok=(0, -9, 137)).code != 0


def good_again(vm, mode, before):
    vm.sh(f"vfioptctl switch --direct {mode}")
    if mode == "passthrough":
        on_vfio(vm, GPU)
        vm.equal(unfinished(vm), [], "files in /run/vfiopt")
    else:
        clean(vm, GPU, before=before)


def calls_of(vm, call, mode):
    """How many calls of a kind a whole switch makes."""
    trace = "/run/calls"
    # Without signals, each of which would be a line as well.
    vm.sh(f"strace -qq -o {trace} -e trace={call} -e signal=none vfioptctl switch --direct {mode}")
    n = len(vm.read(trace).splitlines())
    vm.check(n < MANY, f"{n} calls of {call}")
    return n


def kill_everywhere(vm, call, mode, then, least):
    """Kill a switch to `mode` at each of its calls, or as many of them as there are rounds, then ask for `then`."""
    before = state(vm, GPU)
    opposite = {"passthrough": "host", "host": "passthrough"}[mode]
    # The first one loads modules, and makes calls for it that later ones do not make.
    good_again(vm, mode, before)
    good_again(vm, opposite, before)
    n_calls = calls_of(vm, call, mode)
    vm.check(n_calls >= least, f"only {n_calls} calls of {call}")
    points = range(1, n_calls + 1)
    if vm.rounds < n_calls:
        points = sorted(vm.dice().sample(points, vm.rounds))
    for n in points:
        good_again(vm, opposite, before)
        vm.check(killed_at(vm, call, n, mode), f"it was killed at {call} {n} of {n_calls}")
        good_again(vm, then, before)
    vm.report(f"killed at {', '.join(map(str, points))} of {n_calls} calls of {call}")
    good_again(vm, "host", before)


# All the points are tried over the model of the driver core (tests/scenario); a usual run tries some of them here.
SOME = (3, MANY)

# A step is asked for with sendto(2): who dies at it has every step before behind him, and none
# under way. It is waited for with ppoll(2): who dies there has one under way, in a worker that
# may or may not have begun with it.


@scenario(gpus=[GPU], timeout=300, rounds=SOME)
def killed_after_each_step(vm):
    """There and back, killed after each write; the same again finishes it."""
    without_agent(vm)
    kill_everywhere(vm, "sendto", "passthrough", "passthrough", 8)
    kill_everywhere(vm, "sendto", "host", "host", 8)


@scenario(gpus=[GPU], timeout=200, rounds=SOME)
def killed_during_each_step(vm):
    """To passthrough, killed while its worker is about to write; the opposite undoes it."""
    without_agent(vm)
    kill_everywhere(vm, "ppoll", "passthrough", "host", 8)


@scenario(gpus=[GPU], timeout=300, rounds=SOME)
def killed_at_each_rename(vm):
    """To passthrough, killed at each rename of a file of ours, and at each removal."""
    without_agent(vm)
    for call in ("renameat", "unlinkat"):
        kill_everywhere(vm, call, "passthrough", "passthrough", 1)
