# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices that a scenario plugs in: emulated GPUs, and others beside them."""

import socket
import subprocess
from dataclasses import dataclass, field

from .machine import PORTS

# Where a port's devices appear in the guest.
BUS_OF_PORT = {"rp1": 1, "rp2": 2, "rp3": 3, "sp1": 4, "sp2": 5}


@dataclass(frozen=True)
class Gpu:
    """A card of up to four functions in a slot.

    Two cards that are equal but for the port are identical as two cards of one
    make are. functions: models of the GPU server by function number, None for a
    hole; "xhci" is QEMU's own controller. id, subsystem: "VENDOR:DEVICE" of
    function 0. options: further keys of the GPU server for function 0.
    """

    port: str = "rp1"
    functions: tuple = ("gpu", "audio", "usb", "ucsi")
    id: str = "10de:2204"
    subsystem: str = "1043:89e5"
    flr: bool = True
    options: str = ""

    @property
    def name(self):
        return f"gpu-{self.port}"

    @property
    def slot(self):
        return f"0000:{BUS_OF_PORT[self.port]:02x}:00"

    @property
    def address(self):
        """Of function 0."""
        return self.slot + ".0"

    @property
    def addresses(self):
        """Of all functions, ascending."""
        return [f"{self.slot}.{n}" for n, model in enumerate(self.functions) if model]

    @property
    def location(self):
        """The way to function 0 from the root bus, as the state file has it."""
        return f"0000:00/{PORTS[self.port]}/00.0"

    def server_argument(self, number):
        words = [f"{self.name}.{number}={self.functions[number]}", f"subsystem={self.subsystem}"]
        if number == 0:
            vendor, device = self.id.split(":")
            words += [f"vendor={vendor}", f"device={device}"]
            words += [self.options] if self.options else []
        if not self.flr:
            words.append("flr=no")
        return ",".join(words)

    def device(self, number, directory):
        """Arguments of device_add for one function."""
        common = {
            "id": f"{self.name}.{number}",
            "bus": self.port,
            "addr": f"0.{number}",
            "multifunction": True,
        }
        if self.functions[number] == "xhci":
            return {"driver": "qemu-xhci", **common}
        path = f"{directory}/{self.name}.{number}.sock"
        return {"driver": "vfio-user-pci", "socket": {"type": "unix", "path": path}, **common}

    def devices(self, directory):
        """All functions in the order of plugging: function 0 makes them appear."""
        numbers = [n for n, model in enumerate(self.functions) if model]
        return [self.device(n, directory) for n in reversed(numbers)]


@dataclass(frozen=True)
class Device:
    """Any other PCI device of QEMU."""

    port: str
    driver: str = "e1000e"
    properties: dict = field(default_factory=dict, hash=False)

    @property
    def name(self):
        return f"device-{self.port}"

    @property
    def address(self):
        return f"0000:{BUS_OF_PORT[self.port]:02x}:00.0"

    @property
    def addresses(self):
        return [self.address]

    def devices(self, _directory):
        return [{"driver": self.driver, **self.properties, "id": self.name, "bus": self.port, "addr": "0.0"}]


class GpuServer:
    """The running server of one Gpu, and its faults."""

    def __init__(self, program, gpu, directory):
        self.gpu = gpu
        numbers = [n for n, model in enumerate(gpu.functions) if model and model != "xhci"]
        self._process = subprocess.Popen(
            [program, str(directory), *(gpu.server_argument(n) for n in numbers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(f"{directory}/{gpu.name}.log", "wb"),
        )
        self._control = f"{directory}/{gpu.name}.ctl"
        if self._process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"the GPU server has not started, see {directory}/{gpu.name}.log")

    def _command(self, function, text):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self._control)
            s.sendall(f"{self.gpu.name}.{function} {text}\n".encode())
            answer = s.makefile().readline().strip()
        if answer.startswith("error") or not answer:
            raise RuntimeError(f"GPU server: {text}: {answer or 'no answer'}")
        return answer

    def _all(self, text, function):
        numbers = range(len(self.gpu.functions)) if function is None else [function]
        for n in numbers:
            if self.gpu.functions[n] not in (None, "xhci"):
                self._command(n, text)

    def gone(self, gone=True, function=None):
        """Fall off the bus, all functions or one; or come back."""
        self._all(f"gone {int(gone)}", function)

    def slow(self, milliseconds, function=None):
        """Delay each access to the configuration space."""
        self._all(f"slow {milliseconds}", function)

    def stats(self, function=0):
        """Counters of one function."""
        words = self._command(function, "stats").split()
        return {key: int(value) for key, value in (word.split("=") for word in words)}

    def stop(self):
        self._process.stdin.close()
        self._process.wait(10)

    def kill(self):
        """As if the server had crashed: QEMU goes on without it."""
        self._process.kill()
        self._process.wait(10)
