# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine for a benchmark: as for a scenario, but the result is what it prints."""

from .artefacts import Artefacts
from .cache import Cache
from .cases import Case
from .machine import Shape
from .vm import Vm


def machine(name, function, gpus, driver="standin", boot="cold", disk=False,
            shape=Shape()):
    """A case that is in no list of scenarios."""
    return Case(
        name=name, function=function, module=name, driver=driver, gpus=gpus, devices=[], boot=boot,
        shape=shape, product=True, disk=disk, options={}, files={}, cmdline="", timeout=3600,
    )


def run(name, function, gpus, **kwargs):
    """Set a machine up, call function(vm), and end it; returns 0."""
    case = machine(name, function, gpus, **kwargs)
    with Vm.running(Artefacts(Cache()), case) as vm:
        function(vm)
    return 0
