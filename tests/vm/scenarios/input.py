# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad input: a one-line error, exit code 2 or 4, nothing touched."""

import shlex

from testvm import Gpu, scenario
from testvm.product import PRECONDITION, USAGE, clean, leftovers, state

GPU = Gpu("rp1")
SECOND = Gpu("rp2")

BAD = [
    # arguments, exit code
    (["frobnicate"], USAGE),
    (["switch"], USAGE),
    (["switch", "sideways"], USAGE),
    (["switch", ""], USAGE),
    (["switch", "PASSTHROUGH"], USAGE),
    (["switch", "passthrough", "--frobnicate"], USAGE),
    (["switch", "passthrough", "0000:01:00.8"], USAGE),
    (["switch", "passthrough", "0000:01:20.0"], USAGE),
    (["switch", "passthrough", "0000:1:0.0"], USAGE),
    (["switch", "passthrough", "100000000:01:00.0"], USAGE),
    (["switch", "passthrough", "0000:01:00.0/../../.."], USAGE),
    (["switch", "passthrough", "../../../0000:01:00.0"], USAGE),
    (["switch", "passthrough", "/sys/bus/pci/devices/0000:01:00.0"], USAGE),
    (["switch", "passthrough", "0000:01:00.0\n0000:02:00.0"], USAGE),
    (["switch", "passthrough", "0" * 5000], USAGE),
    (["switch", "passthrough", "\x1b[31mred"], USAGE),
    (["switch", "passthrough:"], USAGE),
    (["switch", "passthrough_"], USAGE),
    (["switch", "passthrough_root./:0000:01:00.0"], USAGE),
    (["switch", "passthrough_allow-display.1"], USAGE),
    (["switch", "passthrough:0000:01:00.0:"], USAGE),
    (["switch", "passthrough", "10de:zzzz"], USAGE),
    (["switch", "passthrough", "0000:0a:00.0"], PRECONDITION),
    (["switch", "passthrough", "0000:01:00.7"], PRECONDITION),
    (["switch", "passthrough", "ffff:ff:1f.7"], PRECONDITION),
    (["switch", "passthrough", "0000:00:00.0"], PRECONDITION),
    (["switch", "passthrough", "10de:ffff"], PRECONDITION),
    (["switch", "passthrough", "10de:2204"], PRECONDITION),  # ambiguous
]


@scenario(gpus=[GPU, SECOND])
def bad_arguments(vm):
    """Every kind of bad argument, with and without --direct."""
    before = state(vm, GPU, SECOND)
    for arguments, code in BAD:
        for extra in ([], ["--direct"]) if len(arguments) > 1 else ([],):
            command = shlex.join(["vfioptctl", *arguments, *extra])
            result = vm.sh(command, ok=code, quiet=True)
            lines = result.err.splitlines()
            vm.check(len(lines) == 1, f"{command[:200]}: not one line: {result.err!r}")
            vm.check(lines[0].startswith("vfioptctl: "), f"{command[:200]}: {lines[0]!r}")
            vm.check(len(lines[0]) < 300, f"{command[:200]}: {len(lines[0])} characters")
            vm.check(lines[0].isprintable(), f"{command[:200]}: {lines[0]!r}")
            vm.equal(result.out, "", f"{command[:200]}: standard output")
    clean(vm, GPU, SECOND, before=before)


@scenario(gpus=[GPU, SECOND])
def hostile_instances(vm):
    """Instances of the unit that no systemctl would make, sent straight to PID 1."""
    before = state(vm, GPU, SECOND)
    hostile = [
        "vfiopt@nonsense.service",
        "vfiopt@passthrough:.service",
        "vfiopt@passthrough:0000:01:00.9.service",
        "vfiopt@passthrough:..-..-..-x.service",
        "vfiopt@-.service",
        "vfiopt@--help.service",
        "vfiopt@--direct.service",
        r"vfiopt@passthrough\x0a.service",
        r"vfiopt@passthrough:0000:01:00.0\x20host.service",
        r"vfiopt@\x2e\x2e.service",
        r"vfiopt@passthrough:\x24\x28reboot\x29.service",
        r"vfiopt@passthrough\x3areboot.service",
        "vfiopt@passthrough:10de:2204.service",
        "vfiopt@passthrough_.service",
        "vfiopt@passthrough_direct.service",
        "vfiopt@passthrough_allow-display.1.service",
        "vfiopt@passthrough_allow-display_allow-display.service",
        "vfiopt@passthrough@allow-display.service",
        "vfiopt@passthrough:0000:01:00.0_allow-display.service",
        r"vfiopt@passthrough\x2d\x2ddirect.service",
        "vfiopt@" + "a" * 184 + ".service",
    ]
    for unit in hostile:
        vm.sh(
            "busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 "
            f"org.freedesktop.systemd1.Manager StartUnit ss {shlex.quote(unit)} replace",
            ok=(0, 1), quiet=True,
        )
        # Ask PID 1 to wait for the job that this may have made.
        vm.sh(f"systemctl start -- {shlex.quote(unit)}", ok=(1, 4, 5), quiet=True)
        code = vm.sh(f"systemctl show -P ExecMainStatus -- {shlex.quote(unit)}", quiet=True).out.strip()
        vm.check(code in ("2", "4"), f"{unit}: exit code {code}")
    clean(vm, GPU, SECOND, before=before)


@scenario(gpus=[GPU])
def missing_privileges(vm):
    """Somebody without privileges may look, but not switch."""
    before = state(vm, GPU)
    for command in (
        "vfioptctl switch --direct passthrough",
        "vfioptctl switch passthrough",
        "vfioptctl forget 0000:01:00.0",
    ):
        result = vm.sh(command, user="nobody", ok=(USAGE, PRECONDITION))
        vm.equal(len(result.err.splitlines()), 1, f"lines of error of {command}")
    vm.sh("vfioptctl status", user="nobody")
    vm.equal(state(vm, GPU), before, "functions")
    vm.equal(leftovers(vm), [], "files in /run/vfiopt")


@scenario(gpus=[])
def machine_without_a_gpu(vm):
    """There is no NVIDIA GPU: status says so, a switch is refused."""
    vm.match(r"(?i)no nvidia gpu", "".join(vm.sh("vfioptctl status").__dict__[k] for k in ("out", "err")),
             "status")
    result = vm.sh("vfioptctl switch passthrough", ok=PRECONDITION)
    vm.equal(len(result.err.splitlines()), 1, "lines of error")


@scenario(gpus=[GPU])
def help_and_version(vm):
    """--help and --version, for the program and each verb."""
    for command in ("", "status", "switch", "forget"):
        result = vm.sh(f"vfioptctl {command} --help")
        vm.match(r"(?m)^Usage: vfioptctl|^vfioptctl \[", result.out, f"help of {command!r}")
    vm.match(r"^vfioptctl \d", vm.sh("vfioptctl --version").out, "version")
