# SPDX-License-Identifier: LGPL-2.1-or-later
"""How a scenario says what it needs.

    @scenario(gpus=[Gpu("rp1")], driver=("standin", "nvidia"))
    def passthrough_and_back(vm):
        "What this shows, in one line."
        vm.sh("systemctl start vfiopt@passthrough")

Each function becomes one case per driver, named FUNCTION[DRIVER].
"""

import importlib.util
import sys
from dataclasses import dataclass, field

from .machine import Shape

REGISTRY = []


class Skip(Exception):
    """Raised by a scenario which finds that it cannot run here; the text says why."""


@dataclass
class Case:
    """One function with one driver: what is run, passes or fails."""

    name: str
    function: object
    module: str
    driver: str
    gpus: list
    devices: list
    boot: str
    shape: Shape
    product: bool
    options: dict
    files: dict
    cmdline: str
    timeout: int
    expect_kernel: list = field(default_factory=list)
    disk: bool = False
    alone: str = ""
    machines: int = 1  # that share the processors
    rounds: int = 1
    long_rounds: int = 1

    @property
    def description(self):
        return (self.function.__doc__ or "").strip().splitlines()[0]

    def lengthen(self):
        """Go through all of its rounds."""
        self.timeout = self.timeout * self.long_rounds // self.rounds
        self.rounds = self.long_rounds


def scenario(
    gpus=(),
    driver="standin",
    devices=(),
    boot="snapshot",
    disk=False,
    shape=None,
    product=True,
    options=None,
    files=None,
    cmdline="",
    timeout=120,
    expect_kernel=(),
    rounds=(1, 1),
    alone="",
):
    """Make a function a scenario.

    gpus           cards plugged before it starts
    driver         "standin", "nvidia", None (no NVIDIA driver), or several of these
    devices        other devices plugged before it starts
    boot           "snapshot": restored and hot-plugged; "cold": plugged and booted
    disk           the root keeps what was written when it boots again; needs boot="cold"
    shape          the machine, see Shape
    product        with the product installed
    options        module options, {"nvidia": "order=595"}, in place before plugging
    files          files in the guest, {"/path": "text"}, likewise
    cmdline        added to the kernel's command line; needs boot="cold"
    timeout        seconds after which it has failed, without start-up
    expect_kernel  regular expressions of kernel complaints that are no failure
    rounds         vm.rounds: in a usual run, and with --long, which also gives it that
                   much more time; for each driver, if it is a dictionary
    alone          why no other machine may run meanwhile: what it measures, say
    """
    if boot not in ("snapshot", "cold"):
        raise ValueError(f"boot is snapshot or cold, not {boot}")
    if cmdline and boot != "cold":
        raise ValueError("a command line needs boot='cold'")
    if disk and boot != "cold":
        raise ValueError("a disk needs boot='cold'")

    def register(function):
        if not function.__doc__:
            raise ValueError(f"{function.__name__} has no docstring")
        several = isinstance(driver, (tuple, list))
        for one in driver if several else (driver,):
            usual, long = rounds[one] if isinstance(rounds, dict) else rounds
            REGISTRY.append(
                Case(
                    name=f"{function.__name__}[{one}]" if several else function.__name__,
                    function=function,
                    module=function.__module__,
                    driver=one,
                    gpus=list(gpus),
                    devices=list(devices),
                    boot=boot,
                    shape=shape or Shape(),
                    product=product,
                    options=dict(options or {}),
                    files=dict(files or {}),
                    cmdline=cmdline,
                    timeout=timeout,
                    expect_kernel=list(expect_kernel),
                    disk=disk,
                    alone=alone,
                    rounds=usual,
                    long_rounds=long,
                )
            )
        return function

    return register


def load(directory):
    """All cases of all files in a directory, in the order in which they stand."""
    for path in sorted(directory.glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"scenarios.{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    names = [case.name for case in REGISTRY]
    for name in set(names):
        if names.count(name) > 1:
            raise ValueError(f"two scenarios are named {name}")
    return REGISTRY
