# SPDX-License-Identifier: LGPL-2.1-or-later
"""The machine: one QEMU process, started by booting or from a snapshot.

A snapshot only fits the machine that it was taken of, so everything that is in
the machine from power-on depends on its Shape alone, and what differs between
scenarios is either plugged in later or on a disk whose content the guest has
not read when it is saved.

QEMU gets its sockets as open file descriptors: there is nothing to wait for. That
of the command channel listens, because each boot of the guest gets a connection
of its own: what was half said in one is not heard in the next.
"""

import json
import socket
import subprocess
from dataclasses import dataclass

from .artefacts import IMAGE
from .channel import Channel
from .qmp import Qmp, QmpError

# Addresses of the root ports. What is behind sp1 and sp2 shares an IOMMU group,
# because the kernel is told to switch their access control off.
PORTS = {"rp1": "10.0", "rp2": "11.0", "rp3": "12.0", "sp1": "13.0", "sp2": "13.1"}

COMMAND_LINE = (
    "console=ttyS0 quiet loglevel=4 systemd.show_status=0 panic=-1 mitigations=off"
    f" iommu=pt pci=disable_acs_redir=00:{PORTS['sp1']};00:{PORTS['sp2']}"
)


@dataclass(frozen=True)
class Shape:
    """What a machine is from power-on.

    iommu: with an IOMMU. igpu: with a display device of another vendor, the
    boot display. native_hotplug: slots that take five seconds to let go of a
    card, as real ones do, in place of ACPI's. counted: its clock goes by what the
    processor does, one nanosecond for each instruction, however busy the host is.
    """

    iommu: bool = True
    igpu: bool = True
    native_hotplug: bool = False
    counted: bool = False
    cpus: int = 2
    memory: str = "1G"

    @property
    def name(self):
        words = [
            "iommu" if self.iommu else "no-iommu",
            "igpu" if self.igpu else "headless",
            *(["native"] if self.native_hotplug else []),
            *(["counted"] if self.counted else []),
        ]
        return "-".join(words)

    @property
    def processor(self):
        """QEMU's best one, less what takes longer under emulation than to do without.

        A "rep movsb" goes byte by byte, each page table costs a step at each miss of the TLB,
        and what lets the kernel look at user memory makes another TLB of it.
        """
        # Else 64 bit BARs land in a hole that AMD's processors have there.
        words = ["max", "phys-bits=39"]
        if not self.counted:  # what is counted stays comparable
            words += ["-erms", "-fsrm", "-la57", "-smap"]
        return ",".join(words)

    def arguments(self):
        """QEMU's arguments for it, all with fixed addresses."""
        hotplug = "off" if self.native_hotplug else "on"
        arguments = [
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-machine", "q35,kernel-irqchip=split,memory-backend=ram",
            "-accel", f"tcg,thread={'single' if self.counted else 'multi'}",
            "-cpu", self.processor,
            "-smp", str(self.cpus), "-m", self.memory,
            # Shared, so that the GPU server can reach the guest's memory.
            "-object", f"memory-backend-memfd,id=ram,size={self.memory},share=on",
            "-global", f"ICH9-LPC.acpi-pci-hotplug-with-bridge-support={hotplug}",
            "-device", "virtio-serial-pci,bus=pcie.0,addr=03.0",
        ]
        if self.counted:
            arguments += ["-icount", "shift=0,sleep=off"]
        if self.iommu:
            # Without caching-mode QEMU aborts when the guest's vfio maps memory.
            arguments += ["-device", "intel-iommu,intremap=on,caching-mode=on"]
        if self.igpu:
            arguments += ["-device", "VGA,bus=pcie.0,addr=02.0"]
        # Three ports of their own; then two functions of one device, sp1 and sp2.
        for n, (name, address) in enumerate(PORTS.items(), 1):
            arguments += [
                "-device",
                f"pcie-root-port,id={name},bus=pcie.0,addr={address},chassis={n},slot={n},"
                f"multifunction={'on' if name.startswith('sp') else 'off'},"
                "pref64-reserve=1G,mem-reserve=64M",
            ]
        return arguments


class Machine:
    """A QEMU process, its monitor, and the command channel into its guest."""

    def __init__(self, artefacts, shape, directory, transcript):
        self._artefacts = artefacts
        self._shape = shape
        self._directory = directory
        self.transcript = transcript
        self._process = None
        self._ends = []
        self._channel_address = f"{directory}/channel.sock"
        self.qmp = self.channel = self.console = None

    # --- start and end --------------------------------------------------------

    def _socket(self):
        """A socket pair: our end, and the number of QEMU's."""
        ours, theirs = socket.socketpair()
        self._ends.append(theirs)
        return ours, theirs.fileno()

    def _listener(self):
        """The number of QEMU's end of the command channel, to which we connect."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self._channel_address)
        listener.listen(1)
        self._ends.append(listener)
        return listener.fileno()

    def _connect(self):
        channel = socket.socket(socket.AF_UNIX)
        channel.connect(self._channel_address)
        self.channel = Channel(channel)

    def key(self):
        """What a snapshot of this machine has to agree with."""
        return [*self._arguments("", {}), self._artefacts.tools.parent.name]

    def _arguments(self, command_line, fds):
        image = self._artefacts.image
        iommu = "intel_iommu=on" if self._shape.iommu else "intel_iommu=off"
        arguments = self._shape.arguments()
        for name, fd in fds.items():
            listens = ",server=on,wait=off" if name == "channel" else ""
            arguments += ["-chardev", f"socket,id={name},fd={fd}{listens}"]
        arguments += [
            "-mon", "chardev=qmp,mode=control",
            "-device", "virtserialport,chardev=channel,name=org.vfiopt.test,nr=2",
            "-device", "virtconsole,chardev=console,nr=1",
            "-serial", f"file:{self._directory}/serial.log",
            "-kernel", f"{image}/vmlinux", "-initrd", f"{image}/initrd",
            "-append", f"{COMMAND_LINE} {iommu} {command_line}",
        ]
        for address, name, path in (
            ("04.0", "root", f"{image}/root.erofs"),
            ("05.0", "layers", f"{self._directory}/layers"),
        ):
            arguments += [
                "-blockdev",
                json.dumps({
                    "driver": "raw", "node-name": name, "read-only": True,
                    "file": {"driver": "file", "filename": path},
                }),
                "-device", f"virtio-blk-pci,drive={name},serial={name},bus=pcie.0,addr={address}",
            ]
        return arguments

    def _start(self, command_line="", extra=()):
        fds = {}
        qmp, fds["qmp"] = self._socket()
        fds["channel"] = self._listener()
        self.console, fds["console"] = self._socket()
        with open(f"{self._directory}/qemu.log", "wb") as log:
            # Whatever becomes of the runner, its machine does not outlive it.
            self._process = subprocess.Popen(
                [
                    "setpriv", "--pdeathsig", "KILL", "--",
                    IMAGE / "program.sh", self._artefacts.tools, "qemu-system-x86_64",
                    "-L", self._artefacts.tools / "usr/share/qemu",
                    "-L", self._artefacts.tools / "usr/share/seabios",
                    *self._arguments(command_line, fds), *extra,
                ],
                pass_fds=list(fds.values()), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        for end in self._ends:
            end.close()
        self._ends.clear()
        try:
            self.qmp = Qmp(qmp, self.transcript)
        except (QmpError, OSError) as error:
            log = open(f"{self._directory}/qemu.log", errors="replace").read()
            raise QmpError(f"QEMU has not started: {error}\n{log}") from error
        self._connect()

    def boot(self, command_line="", devices=(), disk=None):
        """Power on, with these devices plugged, and with a disk to be written to."""
        extra = self._disk(disk) if disk else []
        for device in devices:
            extra += ["-device", json.dumps(device)]
        self._start(command_line, extra)
        self.channel.hello(120)

    @staticmethod
    def _disk(path):
        # What the guest has written stays in the file, whatever becomes of the
        # guest; as QEMU and this machine do not crash, flushing it is in vain.
        cache = {"no-flush": True}
        return [
            "-blockdev",
            json.dumps({
                "driver": "raw", "node-name": "disk", "cache": cache,
                "file": {"driver": "file", "filename": path, "cache": cache},
            }),
            "-device", "virtio-blk-pci,drive=disk,serial=disk,bus=pcie.0,addr=06.0",
        ]

    def boot_again(self, request, by_guest, timeout):
        """A reset, which request() leads to; returns when the new boot answers.

        Any other reset ends QEMU, else a guest that has crashed would look like
        one that has just been slow. On the way up there is another one, though:
        the firmware finds itself used and asks for it.
        """
        self.qmp("set-action", reboot="reset")
        request()
        self.qmp.event("RESET", timeout, guest=by_guest)
        self.channel.close("the machine was reset")
        self._connect()
        self.channel.hello(120)
        self.qmp("set-action", reboot="shutdown")
        self.qmp.forget("RESET")

    def restore(self, snapshot):
        """Go on where the snapshot was taken."""
        self._start(extra=["-incoming", "defer"])
        self._migrate("migrate-incoming", snapshot)
        self.qmp("cont")
        self.channel.hello(30)

    def save(self, snapshot):
        """Write a snapshot. The machine is of no use after that."""
        self.qmp("stop")
        self._migrate("migrate", snapshot)

    def _migrate(self, command, path):
        # One fixed place per page, so that empty ones cost nothing.
        self.qmp(
            "migrate-set-capabilities",
            capabilities=[
                {"capability": "mapped-ram", "state": True},
                {"capability": "events", "state": True},
            ],
        )
        self.qmp(command, uri=f"file:{path}")
        while True:
            status = self.qmp.event("MIGRATION")["data"]["status"]
            if status == "completed":
                return
            if status == "failed":
                reason = self.qmp("query-migrate").get("error-desc", "")
                raise QmpError(f"{command} failed: {reason}")

    def kill(self):
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def serial(self):
        """What the kernel has said on its serial console."""
        try:
            with open(f"{self._directory}/serial.log", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

