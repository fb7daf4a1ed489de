# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guided tour: what a user types, and what comes out of it."""

import sys

from . import bench
from .gpu import Gpu

GPU = Gpu("rp1")


def _tour(vm, say, run):
    say("A desktop with an NVIDIA card of four functions, all on the host:")
    run("vfioptctl status")

    say("Give the card to virtual machines. No reboot, no script, no logout:")
    run("systemctl start vfiopt@passthrough")
    run("vfioptctl status")

    say("What a virtual machine monitor does first: open the VFIO group, get the device:")
    run(f"vfio-open {GPU.address}")

    say("While somebody has it, it does not go back. The refusal names who that is:")
    guest = vm.spawn(f"exec vfio-open --hold=device {GPU.address}")
    guest.wait_for("held")
    run("vfioptctl switch host", ok=3)
    guest.stop()

    say("The virtual machine has ended. Take the card back:")
    run("systemctl start vfiopt@host")
    run("vfioptctl status")

    say("And the same on the host's side: a program that uses the card is not cut off:")
    vm.sh("nvidia-nodes")
    holder = vm.spawn("exec hold /dev/nvidia0")
    holder.wait_for("held")
    run("vfioptctl switch passthrough", ok=3)
    holder.stop()

    say("Who moved which card when, and how long it took, is in the journal:")
    run("journalctl --no-pager -o short-precise -u 'vfiopt@*'")


def run():
    """Show the tour on standard output; returns the exit code of the program."""
    tty = sys.stdout.isatty()

    def say(text):
        print(f"\n\033[1m{text}\033[0m" if tty else f"\n### {text}", flush=True)

    def type_in(vm, command, ok):
        print(f"\n[root@guest]# {command}", flush=True)
        result = vm.sh(command, ok=ok)
        print((result.out + result.err).rstrip(), flush=True)
        print(f"({result.seconds:.2f} s" + (f", exit code {result.code})" if result.code else ")"))

    def tour(vm):
        _tour(vm, say, lambda command, ok=0: type_in(vm, command, ok))

    say("Booting the emulated machine …")
    return bench.run("demo", tour, gpus=[GPU])
