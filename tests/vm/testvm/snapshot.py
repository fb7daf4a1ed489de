# SPDX-License-Identifier: LGPL-2.1-or-later
"""Saved machines, in two steps.

A machine of each shape is booted and saved once; that takes the better part of
a minute. From there each combination of driver and product is installed as into
a running machine, and saved again; that takes seconds, and is what changes when
the product does. A scenario restores the latter and finds everything in place.
"""

import os
import tempfile
import time
import traceback

from . import layer
from .cache import BuildError, hash_of
from .machine import Machine
from .transcript import Transcript


def _save(artefacts, shape, layers, out, log, start):
    """Start a machine with these layers on its disk, let it settle, save it."""
    log.close()
    with tempfile.TemporaryDirectory(prefix="vfiopt-vm-") as directory:
        layer.write_disk(f"{directory}/layers", layers)
        transcript = Transcript(log.name)
        machine = Machine(artefacts, shape, directory, transcript)
        try:
            start(machine)
            _run(machine, transcript, "/usr/local/lib/vm/settle")
            machine.save(out / "state")
        finally:
            transcript(f"serial console:\n{machine.serial()}")
            machine.kill()


def _run(machine, transcript, *argv):
    transcript("$ " + " ".join(argv))
    job = machine.channel.run(argv)
    ended = job.wait(120)
    transcript.block("|", bytes(job.out + job.err))
    if not ended or job.code != 0:
        raise RuntimeError(f"{argv[0]} has not succeeded: {job.code}")
    transcript(f"  took {job.end - job.start:.3f} s")


def booted(artefacts, shape):
    """Snapshot of a machine that has just booted."""
    return artefacts.once(("booted", shape), lambda: _booted(artefacts, shape))


def _booted(artefacts, shape):
    def build(out, log):
        _save(artefacts, shape, [], out, log, Machine.boot)

    key = hash_of(*Machine(artefacts, shape, "", None).key())
    return artefacts.cache.get(f"booted-{shape.name}", [key], build) / "state"


def installed(artefacts, shape, driver, product):
    """Snapshot of a machine with a driver (or None), and the product or not."""
    key = ("installed", shape, driver, product)
    return artefacts.once(key, lambda: _installed(artefacts, shape, driver, product))


def _installed(artefacts, shape, driver, product):
    layers = artefacts.layers(driver, product)
    base = booted(artefacts, shape)

    def build(out, log):
        def start(machine):
            machine.restore(base)
            argv = ["/usr/local/lib/vm/restored", str(int(time.time())), "--unpack"]
            argv += ["--installed"] if product else []
            _run(machine, machine.transcript, *argv)

        _save(artefacts, shape, layers, out, log, start)

    name = f"installed-{shape.name}-{driver or 'none'}-{'product' if product else 'bare'}"
    parts = [base.parent.name, *(path.parent.name for path in layers)]
    return artefacts.cache.get(name, parts, build) / "state"


def make(artefacts, wanted, jobs):
    """Have snapshots made, each a (function, *arguments) of this file, several at a time.

    Each in a process of its own, which leaves it in the cache. It is asked for once more here,
    so that it is known and held in this one; what has failed fails here again, and says why.
    """
    waiting, running = list(wanted), set()
    while jobs > 1 and (waiting or running):
        while waiting and len(running) < jobs:
            function, *arguments = waiting.pop(0)
            pid = os.fork()
            if pid == 0:
                _make(function, artefacts, *arguments)
            running.add(pid)
        running.discard(os.wait()[0])
    for function, *arguments in wanted:
        function(artefacts, *arguments)


def _make(function, *arguments):
    """The child's part: it only leaves what it makes."""
    from .suite import die_with_parent  # which imports this file

    try:
        die_with_parent()
        function(*arguments)
    except BuildError:
        pass  # the parent tries it again
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)
