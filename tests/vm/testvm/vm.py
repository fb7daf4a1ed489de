# SPDX-License-Identifier: LGPL-2.1-or-later
"""The machine as a scenario sees it.

Every wait has a limit, every command leaves its trace in the transcript, and
times are taken inside the guest, so that neither the channel nor a busy host is
measured.
"""

import json
import os
import random
import re
import shlex
import shutil
import signal
import tempfile
import time
import zlib
from contextlib import contextmanager
from dataclasses import dataclass

from . import layer, plugged
from .gpu import Gpu, GpuServer
from .machine import Machine
from .snapshot import installed
from .transcript import Transcript

# Bits of /proc/sys/kernel/tainted that only a fault of the kernel sets: an oops,
# a warning, a soft lockup.
TAINT_FAULTS = 1 << 7 | 1 << 9 | 1 << 14
KERNEL_FAULT = re.compile(
    r"WARNING: |BUG: |Oops|kernel BUG at|general protection fault|Call Trace:"
    r"|Kernel panic|blocked for more than|soft lockup|rcu.*detected stall|KASAN|UBSAN"
)


# How much of the journal a report of a failure shows.
JOURNAL_LINES = 60


# What a scenario that boots does without, for it takes a fifth of the time: units that have no
# part in anything here, and security modules and serial lines that nobody uses. An empty file is a
# unit that is masked. The machines of snapshots are booted with all of it. The kernel's check of the
# timer is a panic where the host is too busy to emulate enough of its ticks in time.
UNWANTED = (
    "modprobe@configfs.service", "sys-kernel-config.mount", "modprobe@fuse.service", "sys-fs-fuse-connections.mount",
    "dev-hugepages.mount", "dev-mqueue.mount", "run-lock.mount", "sys-kernel-tracing.mount",
    "proc-sys-fs-binfmt_misc.automount", "systemd-udev-load-credentials.service", "systemd-random-seed.service",
    "systemd-journal-flush.service", "systemd-remount-fs.service", "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path", "systemd-hostnamed.socket", "systemd-importd.socket",
    "systemd-sysext.socket", "systemd-creds.socket",
)
LEAN_FILES = {f"/etc/systemd/system/{unit}": "" for unit in UNWANTED}
LEAN_LINE = "lsm=lockdown,capability,landlock,yama,apparmor audit=0 8250.nr_uarts=1 no_timer_check"


class Failure(AssertionError):
    """The scenario has not seen what it wants to see."""


@dataclass
class Result:
    """How a program has ended. seconds: by the guest's clock."""

    command: str
    code: int
    out: str
    err: str
    start: float
    end: float

    @property
    def seconds(self):
        return self.end - self.start

    def __str__(self):
        text = [f"$ {self.command}", f"exit code {self.code} after {self.seconds:.3f} s"]
        text += [f"stdout: {line}" for line in self.out.splitlines()]
        text += [f"stderr: {line}" for line in self.err.splitlines()]
        return "\n".join(text)


class Process:
    """A program that goes on running while the scenario does other things."""

    def __init__(self, vm, job, command):
        self._vm = vm
        self._job = job
        self.command = command

    @property
    def pid(self):
        """Of the program, which is the shell's unless the script says exec."""
        self._job.wait_until(lambda: self._job.pid is not None, 10)
        return self._job.pid

    @property
    def running(self):
        return self._job.running

    @property
    def out(self):
        return self._job.out.decode(errors="replace")

    @property
    def err(self):
        return self._job.err.decode(errors="replace")

    def wait_for(self, text, timeout=30):
        """Wait until it has written this text to its standard output."""
        if not self._job.wait_until(lambda: text.encode() in self._job.out, timeout):
            what = "went on" if self.running else f"ended with {self._job.code}"
            raise Failure(
                f"{self.command}: {what} without saying {text!r} within {timeout} s\n{self.out}{self.err}"
            )

    def write(self, text):
        self._job.write(text.encode())

    def close_input(self):
        self._job.close_input()

    def signal(self, number):
        """To its whole process group."""
        self._job.signal(number)

    def wait(self, timeout=30, ok=None):
        """Wait for its end; returns a Result. ok: see Vm.sh."""
        if not self._job.wait(timeout):
            raise Failure(f"{self.command}: still runs after {timeout} s\n{self.out}{self.err}")
        return self._vm.finish_job(self._job, self.command, ok)

    def stop(self, timeout=30):
        """End it as its user would: end of input, and SIGTERM for who does not read it."""
        self.close_input()
        if not self._job.wait(0.5):
            self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self, timeout=30):
        self.signal(signal.SIGKILL)
        return self.wait(timeout)


class Vm:
    """One machine for one scenario."""

    def __init__(self, artefacts, case, directory):
        self._artefacts = artefacts
        self._case = case
        self._directory = directory
        self.log = Transcript(f"{directory}/transcript.log")
        self._machine = Machine(artefacts, case.shape, directory, self.log)
        self._servers = {}
        self.phases = {}
        self.notes = []
        self.boots = 0

    # --- start and end --------------------------------------------------------

    @classmethod
    @contextmanager
    def running(cls, artefacts, case):
        """A machine that is set up as a case says, for as long as the block runs."""
        directory = tempfile.mkdtemp(prefix="vfiopt-vm-")
        vm = cls(artefacts, case, directory)
        try:
            vm.prepare()
            vm.start()
            yield vm
        finally:
            vm.stop()
            shutil.rmtree(directory, ignore_errors=True)

    def prepare(self):
        """Have everything built; raises Unavailable if that cannot be."""
        case, artefacts = self._case, self._artefacts
        self._files = f"{self._directory}/files"
        lean = LEAN_FILES if case.boot == "cold" else {}
        layer.write_from_files(self._files, {**lean, **case.files, **self._option_files()})
        if case.gpus:
            artefacts.gpusrv
        if case.boot == "snapshot":
            self._snapshot = installed(artefacts, case.shape, case.driver, case.product)
            self._layers = [self._files]
        else:
            self._layers = [*artefacts.layers(case.driver, case.product), self._files]

    def _option_files(self):
        return {
            f"/etc/modprobe.d/scenario-{module}.conf": f"options {module} {options}\n"
            for module, options in self._case.options.items()
        }

    def start(self):
        layer.write_disk(f"{self._directory}/layers", self._layers)
        with self._phase("start"):
            if self._case.boot == "cold":
                self._boot()
            else:
                self._restore()
        self.boots = 1
        if self._case.boot == "snapshot":
            with self._phase("plug"):
                self.plug(*self._case.devices, *self._case.gpus)

    def _boot(self):
        devices = []
        for card in [*self._case.devices, *self._case.gpus]:
            self._serve(card)
            devices += card.devices(self._directory)
        line = f"{LEAN_LINE} {self._case.cmdline}" + (" vm.product" if self._case.product else "")
        disk = f"{self._directory}/disk" if self._case.disk else None
        if disk:
            self._artefacts.make_disk(disk)
            line += " loglevel=5"  # warnings, too, must outlive a reset
        self._machine.boot(line, devices, disk)
        self.sh("/usr/local/lib/vm/settle", timeout=120)

    def _restore(self):
        self._machine.restore(self._snapshot)
        unpack = "--unpack" if os.path.getsize(self._files) > 0 else ""
        self.sh(f"/usr/local/lib/vm/restored {int(time.time())} {unpack}")

    def _phase(self, name):
        vm = self

        class Phase:
            def __enter__(self):
                self.start = time.monotonic()

            def __exit__(self, *_):
                vm.phases[name] = time.monotonic() - self.start

        return Phase()

    def check_kernel(self):
        """Fail if the kernel has complained about itself."""
        tainted, *lines = self.sh("cat /proc/sys/kernel/tainted; dmesg", quiet=True).out.splitlines()
        if self.boots > 1:  # the log of an earlier one is gone
            lines = [*self._machine.serial().splitlines(), *lines]
        faults = int(tainted) & TAINT_FAULTS
        bad = [line for line in lines if KERNEL_FAULT.search(line)]
        unexpected = [
            line for line in bad if not any(re.search(e, line) for e in self._case.expect_kernel)
        ]
        if unexpected or (faults and not self._case.expect_kernel):
            first = lines.index(unexpected[0]) if unexpected else 0
            extract = "\n".join(lines[max(0, first - 5) : first + 60])
            raise Failure(f"the kernel complains (tainted by {faults:#x}):\n{extract}")

    def diagnose(self):
        """What the guest can still say about itself after a failure.

        The end of it goes into the report, all of it into the files of the run.
        """
        parts = []
        for title, command in (
            ("blocked tasks", "dmesg -C; echo w >/proc/sysrq-trigger; dmesg"),
            ("journal", "journalctl --no-pager -b -o short-monotonic --no-hostname"),
        ):
            try:
                job = self._machine.channel.run(["bash", "-c", command])
                job.wait(20)
                text = job.out.decode(errors="replace")
                with open(f"{self._directory}/{title.replace(' ', '-')}.log", "w") as file:
                    file.write(text)
                parts += [f"--- {title}", *text.splitlines()[-JOURNAL_LINES:]]
            except Exception as error:  # whatever it is, the other parts still help
                parts.append(f"--- {title}: {error}")
        parts += ["--- serial console", *self._machine.serial().splitlines()[-20:]]
        return "\n".join(parts)

    # --- further boots --------------------------------------------------------

    def reboot(self, command="systemctl reboot", settle=True, timeout=120):
        """Shut down and boot again, as a user would; returns when it has come to rest.

        command: which may never return. settle=False: as soon as it runs commands.
        timeout: of the way down.
        """
        self.log(f"--- reboot: {command}")
        self._boot_again(lambda: self.spawn(command), True, settle, timeout)

    def reset(self, settle=True, refit=None):
        """Reset it as it is, as after a power cut; returns when it has come to rest.

        What the guest has not yet written to its disk is lost. settle: see reboot.
        refit: called while the power is off, to put devices in by QMP or take them out.
        """
        self.log("--- reset")

        def cut():
            self.qmp("stop")
            if refit:
                refit()
            self.qmp("system_reset")
            self.qmp("cont")

        self._boot_again(cut if refit else lambda: self.qmp("system_reset"), False, settle, 60)

    def _boot_again(self, request, by_guest, settle, timeout):
        if self._case.boot != "cold":
            raise ValueError("to boot again needs boot='cold'")
        self._machine.boot_again(request, by_guest, timeout)
        self.boots += 1
        self.log(f"--- boot {self.boots}")
        if settle:
            self.sh("/usr/local/lib/vm/settle", timeout=120)

    def stop(self):
        self._machine.kill()
        for server in self._servers.values():
            server.stop()

    @property
    def rounds(self):
        """How often to do what is to be done often; see scenario()."""
        return self._case.rounds

    @property
    def machines(self):
        """How many machines share the processors: so many times as long anything may take."""
        return self._case.machines

    def dice(self):
        """A random.Random: the same numbers in each usual run, others with each --long one."""
        case = self._case
        is_long = 1 < case.rounds == case.long_rounds
        seed = random.randrange(1 << 32) if is_long else zlib.crc32(case.name.encode())
        self.log(f"--- seed {seed}")
        return random.Random(seed)

    @property
    def console(self):
        return self._machine.console

    # --- commands -------------------------------------------------------------

    def _argv(self, script, user):
        argv = ["bash", "-c", script]
        if user:
            argv = ["runuser", "-u", user, "--", *argv]
        return argv

    def spawn(self, script, user=None, quiet=False):
        """Start a script and go on; returns a Process."""
        if not quiet:
            self.log(f"$ {script}" + (f"   (as {user})" if user else "") + " &")
        return Process(self, self._machine.channel.run(self._argv(script, user)), script)

    def sh(self, script, user=None, ok=0, timeout=60, input=None, quiet=False):
        """Run a bash script as root or another user; returns a Result.

        ok: the exit code, or several, that it must have; None to look at it oneself.
        """
        if not quiet:
            self.log(f"$ {script}" + (f"   (as {user})" if user else ""))
        job = self._machine.channel.run(self._argv(script, user))
        if input is not None:
            job.write(input if isinstance(input, bytes) else input.encode(), timeout)
        job.close_input()
        if not job.wait(timeout):
            raise Failure(
                f"$ {script}\nstill runs after {timeout} s\n"
                f"{job.out.decode(errors='replace')}{job.err.decode(errors='replace')}"
            )
        return self.finish_job(job, script, ok, quiet)

    def finish_job(self, job, script, ok, quiet=False):
        result = Result(
            command=script,
            code=job.code,
            out=job.out.decode(errors="replace"),
            err=job.err.decode(errors="replace"),
            start=job.start,
            end=job.end,
        )
        if not quiet:
            self.log(f"  [{script.splitlines()[0][:60]}] code {job.code}, {result.seconds:.3f} s")
            self.log.block("|", bytes(job.out))
            self.log.block("!", bytes(job.err))
        allowed = ok if isinstance(ok, (tuple, list)) else (ok,)
        if ok is not None and result.code not in allowed:
            raise Failure(f"{result}\nbut {ok} was expected")
        return result

    # --- files and facts ------------------------------------------------------

    def read(self, path):
        """Content of a file, without the last newline."""
        return self.sh(f"cat {shlex.quote(path)}", quiet=True).out.removesuffix("\n")

    def write(self, path, text):
        """One write(2), as sysfs wants it."""
        if not text:
            raise ValueError("an empty write is none: sysfs would not see it")
        self.log(f"write {path}: {text!r}")
        self.sh(f"dd of={shlex.quote(path)} bs=1M iflag=fullblock status=none", input=text, quiet=True)

    def exists(self, path):
        return self.sh(f"test -e {shlex.quote(path)}", ok=(0, 1), quiet=True).code == 0

    def ls(self, path):
        """Names in a directory, sorted; none if there is no such directory."""
        q = shlex.quote(path)
        return self.sh(f"test ! -d {q} || ls -A {q}", quiet=True).out.split()

    def facts(self, addresses):
        """For each function: driver, override, group, power/control, d3cold_allowed.

        One program for all, because starting one is what takes time: the shell does all of it
        itself. None stands for "no such file"; a driver of None is an unbound function.
        """
        script = r"""
            for a; do
                    d=/sys/bus/pci/devices/$a
                    printf '%s' "$a"
                    for l in driver iommu_group; do
                            t=-
                            cd -P $d/$l 2>/dev/null && t=${PWD##*/}
                            printf '\t%s' "$t"
                    done
                    for f in driver_override power/control d3cold_allowed boot_vga class; do
                            { IFS= read -r t <$d/$f; } 2>/dev/null || t=-
                            printf '\t%s' "$t"
                    done
                    echo
            done"""
        words = " ".join(shlex.quote(a) for a in addresses)
        out = self.sh(f"set -- {words}; {script}", quiet=True).out
        keys = ("driver", "group", "override", "control", "d3cold", "boot_vga", "class")
        facts = {}
        for line in out.splitlines():
            address, *values = line.split("\t")
            facts[address] = {k: None if v in ("-", "(null)") else v for k, v in zip(keys, values)}
        return facts

    def driver(self, address):
        """Name of the driver of a function, None if unbound."""
        return self.facts([address])[address]["driver"]

    def drivers(self, card):
        """Drivers of all functions of a card, by ascending function."""
        facts = self.facts(card.addresses)
        return [facts[a]["driver"] for a in card.addresses]

    def overrides(self, card):
        facts = self.facts(card.addresses)
        return [facts[a]["override"] for a in card.addresses]

    def group(self, address):
        """Addresses of all devices in the IOMMU group of a function, sorted."""
        return self.ls(f"/sys/bus/pci/devices/{address}/iommu_group/devices")

    def vfio_nodes(self):
        """Nodes of groups: ["/dev/vfio/12", ...]."""
        return [f"/dev/vfio/{n}" for n in self.ls("/dev/vfio") if n.isdigit()]

    def journal(self, unit=None, match=(), since=None):
        """Records as dictionaries. match: "FIELD=value" words; since: a cursor."""
        words = ["journalctl", "-o", "json", "--no-pager", "--all"]
        words += ["-u", unit] if unit else []
        words += ["--after-cursor", since] if since else []
        words += match
        # What was sent to the journal is in its file then.
        line = "journalctl --sync; " + " ".join(shlex.quote(w) for w in words)
        out = self.sh(line, quiet=True).out
        return [json.loads(line) for line in out.splitlines()]

    def journal_cursor(self):
        """The end of the journal, for journal(since=...)."""
        records = self.sh("journalctl --sync; journalctl -n 1 -o json --no-pager", quiet=True).out
        return json.loads(records)["__CURSOR"]

    def monotonic(self):
        """The guest's clock; differences are seconds inside the guest."""
        return float(self.read("/proc/uptime").split()[0])

    # --- hardware -------------------------------------------------------------

    def _serve(self, card):
        if isinstance(card, Gpu) and card.name not in self._servers:
            self._servers[card.name] = GpuServer(self._artefacts.gpusrv, card, self._directory)

    def plug(self, *cards, wait=True):
        """Hot-plug cards one after the other; wait until the guest has dealt with them."""
        for card in cards:
            waiter = self.spawn(plugged.script(card), quiet=True) if wait else None
            self._serve(card)
            for device in card.devices(self._directory):
                self.qmp("device_add", **device)
            if waiter:
                waiter.wait(90, ok=0)

    def unplug(self, card, wait=True):
        """Ask the guest to let go of a card, and wait until it has."""
        self.qmp("device_del", id=card.devices(self._directory)[-1]["id"])
        if wait:
            for device in card.devices(self._directory):
                self._machine.qmp.event("DEVICE_DELETED", device=device["id"])
            self.forget(card)
            self.sh("udevadm settle")

    def forget(self, card):
        """The card has gone from its slot: another one can be put there."""
        server = self._servers.pop(card.name, None)
        if server:
            server.stop()

    def gpu(self, card):
        """The server of a card: .gone(), .slow(ms), .stats(), .kill()."""
        return self._servers[card.name]

    def qmp(self, command, **arguments):
        return self._machine.qmp(command, **arguments)

    def qmp_event(self, name, timeout=60, **data):
        return self._machine.qmp.event(name, timeout, **data)

    def settle(self):
        self.sh("udevadm settle", quiet=True)

    # --- report ---------------------------------------------------------------

    def report(self, text):
        """Have it printed below the line that says how the scenario has ended."""
        self.log(f"--- {text}")
        self.notes += text.splitlines()

    # --- judgement ------------------------------------------------------------

    def check(self, condition, message):
        if not condition:
            raise Failure(message)

    def equal(self, actual, expected, what):
        if actual != expected:
            raise Failure(f"{what}: is {actual!r}, should be {expected!r}")

    def match(self, pattern, text, what):
        found = re.search(pattern, text)
        if not found:
            raise Failure(f"{what}: nothing matches {pattern!r} in\n{text}")
        return found
