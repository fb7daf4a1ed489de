# SPDX-License-Identifier: LGPL-2.1-or-later
"""The switching process is killed after every single step: the next call makes it good."""

from testvm import Gpu, scenario
from testvm.product import clean, on_vfio, state, unfinished

GPU = Gpu("rp1")

# More system calls of the kind than any switch makes; the loops end before.
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


def kill_everywhere(vm, call, mode, then, stride=1):
    """Kill a switch to `mode` at each of its calls, or every so many, then ask for `then`."""
    without_agent(vm)
    before = state(vm, GPU)
    opposite = {"passthrough": "host", "host": "passthrough"}[mode]
    good_again(vm, opposite, before)
    for n in range(1, MANY, stride):
        if n > 1 and then != opposite:  # else it has just been brought there
            good_again(vm, opposite, before)
        if not killed_at(vm, call, n, mode):
            break
        good_again(vm, then, before)
    else:
        vm.check(False, "the switch never came to its end")
    vm.check(n > 8, f"only {n - 1} steps were killed")
    good_again(vm, "host", before)


# A step is asked for with sendto(2): who dies at it has every step before behind him, and none
# under way. It is waited for with ppoll(2): who dies there has one under way, in a worker that
# may or may not have begun with it.


@scenario(gpus=[GPU], timeout=900)
def killed_after_each_step_to_passthrough(vm):
    """To passthrough, killed after each write; the same again finishes it."""
    kill_everywhere(vm, "sendto", "passthrough", "passthrough")


@scenario(gpus=[GPU], timeout=900)
def killed_after_each_step_to_host(vm):
    """To host, killed after each write; the same again finishes it."""
    kill_everywhere(vm, "sendto", "host", "host")


@scenario(gpus=[GPU], timeout=900)
def killed_during_each_step(vm):
    """To passthrough, killed while its worker is about to write; the opposite undoes it."""
    # What lies between is tried over the model of the driver core, all of it (tests/scenario).
    kill_everywhere(vm, "ppoll", "passthrough", "host")


@scenario(gpus=[GPU], timeout=900)
def killed_at_each_rename(vm):
    """To passthrough, killed at each rename of a file of ours, and at each removal."""
    without_agent(vm)
    before = state(vm, GPU)
    for call in ("renameat", "unlinkat"):
        for n in range(1, MANY):
            good_again(vm, "host", before)
            if not killed_at(vm, call, n, "passthrough"):
                break
            good_again(vm, "passthrough", before)
        vm.check(n > 1, f"no {call} was killed")
        good_again(vm, "host", before)
