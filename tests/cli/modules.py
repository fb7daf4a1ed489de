#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A copy of a machine is judged by its own modules and its own modprobe.d, with kmod's real library.

modules.py PROGRAM

Modules are objects with nothing but what depmod(8) reads.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

import tree

RELEASE = "6.1.0-copy"
MODULES = {
    "vfio-pci": ("alias=vfio_pci:v*d*sv*sd*bc*sc*i*",),
    "nvidia": ("alias=pci:v000010DEd*sv*sd*bc03sc00i00*",),
}
SKIP = 77


def build(root, release):
    """What a package of the kernel installs."""
    folder = root.path / "lib/modules" / release
    (folder / "kernel").mkdir(parents=True)
    for name, lines in MODULES.items():
        lines = (*lines, f"name={name.replace('-', '_')}")
        source = "".join(f'__attribute__((used, section(".modinfo"))) static const char s{i}[] = "{line}";\n'
                         for i, line in enumerate(lines))
        subprocess.run(["cc", "-c", "-x", "c", "-", "-o", folder / f"kernel/{name}.ko"], input=source, text=True,
                       check=True)
    for name in "modules.order", "modules.builtin", "modules.builtin.modinfo":
        (folder / name).touch()
    subprocess.run(["depmod", "-b", root.path, release], check=True)


def diagnose(program, make):
    with tempfile.TemporaryDirectory() as folder:
        root = tree.Tree(f"{folder}/root")
        root.device("0000:00:02.0", "8086:4680", "0300", boot_vga="1")
        root.device("0000:01:00.0", "10de:2204", "0300", None, 12, boot_vga="0")
        root.write("proc/sys/kernel/osrelease", RELEASE + "\n")
        make(root)
        words = program, f"--root={root.path}"
        done = subprocess.run([*words, "diagnose", "--json"], capture_output=True, text=True)
        dry_run = subprocess.run([*words, "switch", "--dry-run", "passthrough"], capture_output=True, text=True)
        assert (dry_run.returncode == 4) == (done.returncode == 4), dry_run.stderr
        return {check["id"]: f"{check['status']}: {check['summary']}" for check in json.loads(done.stdout)["checks"]}


def with_modules(root):
    build(root, RELEASE)


def with_a_lock(root):
    """By a link as Debian's alternatives have it."""
    build(root, RELEASE)
    root.write("etc/nvidia/lock.conf", "install nvidia /bin/false\n")
    (root.path / "etc/modprobe.d").mkdir()
    (root.path / "etc/modprobe.d/nvidia.conf").symlink_to("/etc/nvidia/lock.conf")


def with_a_lock_undone(root):
    """kmod runs no install line of a module with a softdep."""
    with_a_lock(root)
    root.write("etc/nvidia/lock.conf", "install nvidia /bin/false\nsoftdep nvidia pre: vfio-pci\n")


def of_another_kernel(root):
    build(root, "6.1.0-other")


CASES = (
    (with_modules, "KR07", "pass: vfio-pci"),
    (with_modules, "HO01", "pass: nvidia would have it"),
    (with_a_lock, "HO01", "warn: module nvidia, its driver on the host, is kept from loading by "
     "/etc/modprobe.d/nvidia.conf:1: install nvidia /bin/false"),
    (with_a_lock_undone, "HO01", "pass: nvidia would have it"),
    (of_another_kernel, "KR07", f"fail: the modules of the running kernel ({RELEASE}) are not there, and no driver "
     "for it is loaded for guests"),
)


def main(program):
    if not shutil.which("depmod") or not shutil.which("cc"):
        print("depmod or cc is not installed")
        return SKIP
    problems = []
    for make, id, expected in CASES:
        found = diagnose(os.path.abspath(program), make).get(id)
        if found != expected:
            problems.append(f"{make.__name__}: {id} is {found}, not {expected}")
    print("\n".join(problems) or f"{len(CASES)} cases")
    return 1 if problems else 0


if __name__ == "__main__":
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    sys.exit(main(*sys.argv[1:]))
