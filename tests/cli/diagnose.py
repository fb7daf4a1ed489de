#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each check of `vfioptctl diagnose` comes out both ways, and its verdict is that of a switch.

diagnose.py PROGRAM MAN-PAGE...

The manual lists the checks. CASES has for each of them a machine that it holds on, and one on which it
does not.
"""

import inspect
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import schema
import tree

LISTED = re.compile(r"^\.It ([A-Z]{2}\d{2})$", re.M)
GPU = "0000:01:00.0"
ABSENT = "absent"  # nothing is to be said


def with_files(base, **files):
    """A machine of tree.py, and files below its root."""
    def make(root):
        base(root)
        for path, text in files.items():
            root.write(path, text)
    return make


def add(path, text, base=tree.host):
    return with_files(base, **{path: text})


def half_there(root):
    """Its display is with vfio, and its sound is in use on the host."""
    tree.host(root, ("vfio-pci", "snd_hda_intel"), ("vfio-pci", None))
    sound = "sys/devices/pci0000:00/0000:01:00.1/sound/card1/controlC1"
    root.write(f"{sound}/dev", "1:7\n")
    root.write(f"{sound}/uevent", "DEVNAME=snd/controlC1\n")
    root.process(5000804, "wireplumber", "/dev/full",
                 "/user.slice/user-1000.slice/user@1000.service/session.slice/wireplumber.service")


def off_the_bus(root):
    """It is awake, and its configuration space reads as all ones."""
    tree.host(root)
    root.write(f"sys/devices/pci0000:00/{GPU}/power/runtime_status", "active\n")
    root.write(f"sys/devices/pci0000:00/{GPU}/config", b"\xff" * 64)


def awake(root):
    tree.host(root)
    for function in "01":
        root.write(f"sys/devices/pci0000:00/{GPU[:-1]}{function}/power/runtime_status", "active\n")


def old_driver(root):
    tree.host(root)
    root.nvidia(GPU, 0, False)
    root.write("sys/module/nvidia/version", "550.54.14\n")


def idle_function(root):
    """vfio-pci, once it is loaded, has the sound of another card, whose display is on nvidia."""
    root.device("0000:00:02.0", "8086:4680", "0300", boot_vga="1")
    root.device(GPU, "10de:2204", "0300", "nvidia", 12, boot_vga="0")
    root.device("0000:02:00.0", "10de:2684", "0300", "nvidia", 13, boot_vga="0")
    root.device("0000:02:00.1", "10de:22ba", "0403", None, 13, override="vfio-pci")
    root.write("etc/vfiopt/vfiopt.conf", "[GPU 02:00]\nManaged=no\n")


UNITS = ("vfiopt@.service", "vfiopt-boot.service", "vfioptd.service", "vfiopt-ask.socket")


def installed(root):
    """With all that there is to be."""
    awake(root)
    root.write("dev/kvm", "")
    root.write("usr/lib/udev/rules.d/70-vfiopt.rules", "#\n")
    for unit in UNITS:
        root.write(f"usr/lib/systemd/system/{unit}", "[Unit]\n")
    root.write("sys/fs/cgroup/system.slice/vfioptd.service/cgroup.procs", "")


def masked(root):
    """By an administrator, as systemctl and udev(7) have it."""
    installed(root)
    for path in "etc/systemd/system/vfioptd.service", "etc/udev/rules.d/70-vfiopt.rules":
        (root.path / path).parent.mkdir(parents=True, exist_ok=True)
        (root.path / path).symlink_to("/dev/null")


def overridden(root):
    """A file of an administrator's goes before a package's, and a link in it means a file of the machine."""
    installed(root)
    root.write("opt/rules", "#\n")
    (root.path / "etc/udev/rules.d").mkdir(parents=True)
    (root.path / "etc/udev/rules.d/70-vfiopt.rules").symlink_to("/opt/rules")


def not_running(root):
    installed(root)
    (root.path / "sys/fs/cgroup/system.slice/vfioptd.service/cgroup.procs").unlink()
    (root.path / "sys/fs/cgroup/system.slice/vfioptd.service").rmdir()


def remapping(*capabilities):
    return with_files(tree.host, **{f"sys/class/iommu/dmar{i}/intel-iommu/ecap": f"{value}\n"
                                    for i, value in enumerate(capabilities)})


def with_a_link(root):
    """As Debian's alternatives have it: an absolute link, which means a file of the copy."""
    tree.host(root)
    root.write("etc/nvidia/vfio.conf", "options vfio-pci ids=10de:2204\n")
    (root.path / "etc/modprobe.d").mkdir()
    (root.path / "etc/modprobe.d/vfio.conf").symlink_to("/etc/nvidia/vfio.conf")


# id, what comes of it, on which machine, and words of the summary or the remedy
CASES = (
    ("SY01", ABSENT, tree.host, ""),
    ("SY01", "warn", add("run/systemd/container", "docker\n"), "on the host itself"),
    ("FW01", "unknown", tree.host, "does not tell"),
    ("FW01", "pass", add("dev/kvm", ""), "/dev/kvm"),
    ("FW01", "warn", add("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu vme lm\n"), "in the firmware"),
    ("FW01", "warn", add("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu vmx lm\n"), "modprobe kvm_intel"),
    ("FW01", "warn", add("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu svm lm\n"), "modprobe kvm_amd"),
    ("FW02", "pass", tree.host, ""),
    ("FW02", "pass", tree.iommu_not_asked_for, ""),
    ("FW02", "fail", tree.iommu_off_in_the_firmware, "enable VT-d or AMD-Vi"),
    ("FW02", "fail", add("sys/firmware/devicetree/base/model", "", tree.no_iommu), "device tree"),
    ("FW02", ABSENT, tree.iommu_of_xen, ""),
    ("KR01", "pass", tree.host, ""),
    ("KR01", "fail", tree.iommu_not_asked_for, "boot with intel_iommu=on"),
    ("KR01", "fail", tree.iommu_turned_off, "boot without amd_iommu=off"),
    ("KR01", "fail", tree.iommu_of_xen, "Xen"),
    ("KR01", ABSENT, tree.iommu_off_in_the_firmware, ""),
    ("CF01", "pass", tree.host, ""),
    ("CF01", "warn", tree.damaged_state, "cannot be parsed"),
    ("CF01", "warn", add("etc/vfiopt/vfiopt.conf", "[GPU 09:00]\nManage=no\n"), "and 1 more"),
    ("CF02", ABSENT, tree.host, ""),
    ("CF02", "warn", add("proc/cmdline", "quiet vfiopt.mode=off\n"), "no GPU moves"),
    ("CF02", "warn", add("proc/cmdline", "quiet vfiopt.mode=host\n"), "belong in host"),
    ("DV01", "pass", tree.host, ""),
    ("DV01", "fail", tree.empty, "there is no NVIDIA GPU"),
    ("DV01", "fail", tree.removed, "50-remove.rules:1"),
    ("DV01", "fail", tree.switched_off, "dgpu_disable"),
    ("KR03", "pass", tree.host, ""),
    ("KR03", "warn", add("sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "Y\n"), "unsafe_interrupts"),
    ("KR03", "warn", add("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n"), "noiommu"),
    ("KR05", ABSENT, tree.host, ""),
    ("KR05", "pass", remapping("f020df"), "the IOMMU has it"),
    ("KR05", "warn", remapping("f020df", "f020d7"), "allow_unsafe_interrupts=1"),
    ("KR05", "warn", add("proc/cmdline", "quiet intremap=off\n"), "boot without intremap=off"),
    ("KR06", "pass", add("sys/kernel/iommu_groups/12/reserved_regions", "0xfee00000 0xfeefffff msi\n"
                         "0x9d000000 0x9f7fffff direct-relaxable\n"), ""),
    ("KR06", "warn", add("sys/kernel/iommu_groups/12/reserved_regions", "0x9d000000 0x9f7fffff direct\n"
                         "0xfee00000 0xfeefffff msi\n"), "update the firmware"),
    ("GR02", ABSENT, tree.host, ""),
    ("GR02", ABSENT, add("proc/cmdline", "quiet -- pcie_acs_override=downstream\n"), ""),
    ("GR02", "warn", add("proc/cmdline", "quiet pcie_acs_override=downstream,multifunction\n"), "boot without it"),
    ("GR02", "warn", add("proc/cmdline", "quiet pcie_acs_override=\x1b[2J\xff\n".encode("latin-1")), "boot without it"),
    ("DV07", "pass", tree.host, "flr bus"),
    ("DV07", "warn", add(f"sys/devices/pci0000:00/{GPU}/reset_method", "\n"), "power the machine off"),
    ("UN01", "pass", installed, "/usr/lib/udev/rules.d/70-vfiopt.rules"),
    ("UN01", "pass", overridden, "/etc/udev/rules.d/70-vfiopt.rules"),
    ("UN01", "warn", tree.host, "install vfiopt again"),
    ("UN01", "warn", masked, "rm /etc/udev/rules.d/70-vfiopt.rules"),
    ("UN01", "warn", with_files(installed, **{"etc/udev/rules.d/70-vfiopt.rules": ""}), "masks them"),
    ("UN02", "pass", installed, ""),
    ("UN02", "warn", tree.host, "vfiopt-boot.service, vfioptd.service"),
    ("UN02", "warn", masked, "systemctl unmask vfioptd.service"),
    ("UN03", ABSENT, tree.host, ""),
    ("UN03", ABSENT, masked, ""),
    ("UN03", "pass", installed, ""),
    ("UN03", "warn", not_running, "systemctl start vfioptd.service"),
    ("MD02", "pass", tree.host, ""),
    ("MD02", "warn", tree.script_for_vfio, "local.conf:2"),
    ("MD03", "pass", tree.host, ""),
    ("MD03", "warn", tree.ids, "vfio.conf:2"),
    ("MD03", "warn", tree.saved_by_driverctl, "/etc/driverctl.d/pci-0000:01:00.0"),
    ("MD03", "warn", tree.given_by_a_rule, "10-gpu.rules:1"),
    ("MD03", "warn", with_a_link, "vfio.conf:1"),
    ("MD03", ABSENT, tree.ids_and_passthrough, ""),
    ("MD04", "pass", tree.host, ""),
    ("MD04", "warn", add("etc/modprobe.d/nvidia-passthrough-blacklist.conf", "blacklist nvidia\n"),
     "mv -t /root /etc/modprobe.d/nvidia-passthrough-blacklist.conf;"),
    ("IR02", ABSENT, tree.host, ""),
    ("IR02", "pass", tree.two, ""),
    ("IR02", "warn", tree.early, "mkinitcpio -P"),
    ("FW01", ABSENT, tree.image, ""),
    ("FW02", ABSENT, tree.image, ""),
    ("KR01", ABSENT, tree.image, ""),
    ("KR03", ABSENT, tree.image, ""),
    ("DV01", "unknown", tree.image, "mounted in there"),
    ("MD02", "warn", tree.image, "local.conf:1"),
    ("MD04", "warn", tree.image, "vfio-passthrough.conf"),
    ("SY02", "pass", tree.host, ""),
    ("SY02", "fail", tree.leaving, "stuck in the kernel"),
    ("SY02", "warn", tree.interrupted, f"vfioptctl switch host {GPU}"),
    ("SY03", "pass", tree.host, ""),
    ("SY03", "fail", tree.another_card, f"vfioptctl forget {GPU}"),
    ("SY03", "warn", tree.in_another_slot, "it may be the card"),
    ("DV09", "pass", awake, "it answers"),
    ("DV09", "pass", tree.asleep, "not woken"),
    ("DV09", "fail", off_the_bus, "does not answer"),
    ("GR01", "pass", tree.host, "group 12"),
    ("GR01", "fail", tree.group_with_strangers, "another slot"),
    ("GR01", "fail", add("sys/kernel/iommu_groups/12/name", "vfio-noiommu\n"), "protects nothing"),
    ("GR01", ABSENT, tree.iommu_not_asked_for, ""),
    ("KR07", "pass", tree.host, "vfio-pci"),
    ("KR07", "fail", add("etc/modprobe.d/local.conf", "install vfio-pci /bin/true\n"), "local.conf:1"),
    ("DV12", "pass", tree.host, ""),
    ("DV12", "fail", tree.virtual_functions, "sriov_numvfs"),
    ("DV12", "fail", tree.divided, "MIG"),
    ("DV05", "pass", tree.host, ""),
    ("DV05", "pass", tree.only_display_allowed, "AllowDisplay=yes"),
    ("DV05", "fail", tree.only_display, "only display"),
    ("DV05", "fail", tree.boot_display, "boots on"),
    ("DV14", ABSENT, tree.host, ""),
    ("DV14", "fail", idle_function, "0000:02:00.1"),
    ("HU05", "pass", tree.host, ""),
    ("HU05", "fail", old_driver, "550.54.14"),
    ("HU01", "pass", tree.host, ""),
    ("HU01", "warn", tree.held_by_docker, "docker stop"),
    ("HU01", "warn", half_there, "wireplumber"),
    ("HU01", "warn", tree.held_by_a_desktop, "ffmpeg"),
    ("HO01", "pass", tree.host, "nvidia"),
    ("HO01", "pass", tree.claimed, "nvidia would have it"),
    ("HO01", "warn", tree.no_host_driver, "install NVIDIA's driver"),
    ("HO01", "warn", tree.host_driver_kept_away, "eco.conf:1"),
    ("DV02", "pass", tree.host, ""),
    ("DV02", "warn", tree.mixed, "switch host"),
    ("DV04", ABSENT, tree.host, ""),
    ("DV04", "pass", add("etc/vfiopt/vfiopt.conf", "[vfiopt]\nDefaultMode=host\n"), "where it belongs"),
    ("DV04", "warn", tree.claimed, "another program"),
)


class Machine:
    def __init__(self, program, make):
        self.folder = tempfile.TemporaryDirectory()
        self.program = program
        make(tree.Tree(f"{self.folder.name}/root"))

    def run(self, *words):
        return subprocess.run([self.program, f"--root={self.folder.name}/root", *words], text=True, timeout=60,
                              capture_output=True, cwd=self.folder.name, env={"LC_ALL": "C", "TERM": "dumb"})


def diagnose(machine):
    """Its checks by id, of the first GPU, and its exit status."""
    done = machine.run("diagnose", "--json")
    problems = schema.problems("diagnose", done.stdout) + done.stderr.splitlines()
    checks = {} if problems else {check["id"]: check for check in reversed(json.loads(done.stdout)["checks"])}
    return checks, done.returncode, problems


def check_case(program, id, status, make, words):
    checks, code, problems = diagnose(Machine(program, make))
    yield from problems
    found = checks.get(id, {"status": ABSENT, "summary": "", "remedy": None})
    told = f"{found['summary']}; {found['remedy']}"
    if found["status"] != status or words not in told:
        yield f"is {found['status']} ({told}), not {status} ({words})"
    if not told.isascii() or not told.isprintable():
        yield f"is not fit for a terminal: {told!r}"
    if found["status"] == "pass" and found["remedy"]:
        yield f"needs no remedy: {found['remedy']}"
    worst = {check["status"] for check in checks.values()}
    if code != (4 if "fail" in worst else 1 if worst & {"warn", "unknown"} else 0):
        yield f"exit status {code}, with {sorted(worst)}"


def check_verdict(program, make):
    """What a switch would be refused for has failed, and the other way round."""
    machine = Machine(program, make)
    if make is tree.image:
        return
    all_gpus = [gpu["address"] for gpu in json.loads(machine.run("--json").stdout)["gpus"]]
    for gpus in ([], *([gpu] for gpu in all_gpus)):
        switch = machine.run("switch", "--dry-run", "passthrough", *gpus)
        diagnosis = machine.run("diagnose", *gpus)
        if "no managed NVIDIA GPU" in switch.stderr:
            continue
        if (switch.returncode in (4, 6)) != (diagnosis.returncode == 4):
            yield f"{gpus}: switch {switch.returncode}, diagnose {diagnosis.returncode}: {switch.stderr}{diagnosis.stdout}"
        first = diagnosis.stdout.partition("\n")[0]
        if not re.match(r"(Yes|No|After|Not known)\b.*\.$", first):
            yield f"{gpus}: begins with {first}"


def main(program, *pages):
    page, = (page for page in pages if pathlib.Path(page).name == "vfioptctl.1")
    listed = LISTED.findall(pathlib.Path(page).read_text())
    problems = []
    program = os.path.abspath(program)

    for id in sorted({*listed, *(case[0] for case in CASES)}):
        statuses = {status for known, status, *_ in CASES if known == id}
        if listed.count(id) != 1 or not statuses & {"pass", ABSENT} or not statuses & {"warn", "fail"}:
            problems.append(f"{id}: listed {listed.count(id)} times, with cases of {sorted(statuses)}")
    for case in CASES:
        problems += [f"{case[0]} {case[1]} {case[3]!r}: {problem}" for problem in check_case(program, *case)]
    trees = [make for name, make in inspect.getmembers(tree, inspect.isfunction)
             if list(inspect.signature(make).parameters)[:1] == ["tree"]
             and all(p.default is not p.empty for p in list(inspect.signature(make).parameters.values())[1:])]
    ready = Machine(program, installed).run("diagnose")
    if ready.returncode != 0 or not ready.stdout.startswith("Yes.\n\n"):
        problems.append(f"exit status {ready.returncode} where all is well: {ready.stdout}")
    for make in trees:
        problems += [f"{make.__name__}: {problem}" for problem in check_verdict(program, make)]
    print("\n".join(problems) or f"{len(listed)} checks, {len(CASES)} cases, {len(trees)} verdicts")
    return 1 if problems or len(trees) < 20 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
