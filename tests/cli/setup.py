#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Set-up and rollback, as a user meets them, on machines made of files.

setup.py PROGRAM BUSYBOX
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import machines
import schema
import tree

PROGRAM = BUSYBOX = None
WORDS = {"debian": "intel_iommu=on iommu=pt", "ubuntu_dracut": "amd_iommu=on iommu=pt",
         "arch": "amd_iommu=on iommu=pt", "fedora": "intel_iommu=on iommu=pt",
         "debian_sdboot": "intel_iommu=on iommu=pt"}
SOFTDEPS = "".join(f"softdep {name} pre: vfio-pci\n" for name in (
    "nvidia", "nvidia_modeset", "nvidia_uvm", "nvidia_drm", "nouveau", "nova_core", "snd_hda_intel"))


class Failure(Exception):
    pass


def check(condition, *what):
    if not condition:
        raise Failure(*what)


def run(machine, *argv, status=0):
    # Standard input that is no terminal: nobody is asked.
    result = subprocess.run([PROGRAM, argv[0], f"--root={machine.root}", *argv[1:]], capture_output=True, text=True,
                            stdin=subprocess.DEVNULL, timeout=60)
    check(result.returncode == status, argv, result.returncode, result.stdout, result.stderr)
    return result


def run_script(machine, script, status=0, has_cwd=False, **environment):
    """restore.sh, in a rescue system around the machine, chrooted: what goes wrong stays in there."""
    rescue = machine.root.parent
    if not (rescue / "bin").exists():
        (rescue / "bin").mkdir()
        (rescue / "dev").mkdir()
        (rescue / "dev/null").touch()
        shutil.copy(BUSYBOX, rescue / "bin/busybox")
        for name in ("sh", "cat", "cmp", "cp", "grep", "mkdir", "mv", "rm", "rmdir", "sed", "sync"):
            (rescue / "bin" / name).symlink_to("busybox")
        for path in ("etc/default/grub", "etc/kernel/cmdline", "etc/modprobe.d/00-vfiopt.conf", "boot/grub/grub.cfg"):
            (rescue / path).parent.mkdir(parents=True)
            (rescue / path).write_text("of the rescue system\n")
    inside = pathlib.Path("/", script.relative_to(rescue))
    argv = ["sh", "-c", 'cd "$1" && exec sh "$2"', "sh", inside.parent, inside.name] if has_cwd else ["sh", inside]
    result = subprocess.run([shutil.which("chroot"), rescue, *argv], env={"PATH": "/bin", **environment}, capture_output=True,
                            text=True)
    check(result.returncode == status, script, result.returncode, result.stdout, result.stderr)
    for path in ("etc/default/grub", "etc/kernel/cmdline", "etc/modprobe.d/00-vfiopt.conf", "boot/grub/grub.cfg"):
        check((rescue / path).exists() and (rescue / path).read_text() == "of the rescue system\n", path)
    return result


def same(machine, before, times=True):
    now = machine.picture(times)
    differing = {k: (before.get(k), now.get(k)) for k in before.keys() | now.keys() if before.get(k) != now.get(k)}
    check(not differing, differing)


def there_and_back(name, machine):
    before = machine.picture()
    plan = run(machine, "setup", "--dry-run")
    same(machine, before)
    for argv in (["setup"], ["setup", "--json"]):
        run(machine, *argv, status=4)
        same(machine, before)

    done = run(machine, "setup", "--yes")
    check(plan.stdout in done.stdout, "another plan than --dry-run has shown", plan.stdout, done.stdout)
    check("softdep" in plan.stdout and "Done, and verified." in done.stdout, done.stdout)
    check(machine.read("etc/modprobe.d/00-vfiopt.conf").endswith(SOFTDEPS))
    boot = "".join(path.read_text() for path in (machine.root / "boot").rglob("*")
                   if path.is_file() and path.suffix in (".cfg", ".conf"))
    lines = [line for line in boot.splitlines() if re.match(r"\s*(linux\t|options )", line)]
    with_words = [line for line in lines if WORDS[name] in line]
    check(len(with_words) == 2, boot)

    after = machine.picture()
    again = run(machine, "setup", "--yes")
    check("nothing to do" in again.stdout, again.stdout)
    same(machine, after)
    listed = run(machine, "rollback", "--list").stdout
    check(re.fullmatch(r"\d{8}T\d{6}Z  in force\n", listed), listed)

    run(machine, "rollback")
    same(machine, before)
    check("taken back" in run(machine, "rollback", "--list").stdout)
    check("no set-up" in run(machine, "rollback").stdout)
    same(machine, before)


def restored_by_script(name, machine):
    before = machine.picture(times=False)
    images = {k for k in before if k.startswith("boot/init")}
    for way in ("it says where", "as it lies", "from its own directory"):
        run(machine, "setup", "--yes")
        script = sorted((machine.root / "var/lib/vfiopt/backups").glob("*/restore.sh"))[-1]
        for _ in range(2):
            if way == "it says where":
                copy = machine.root.parent / "copy"
                shutil.copytree(script.parent, copy, dirs_exist_ok=True)
                told = run_script(machine, copy / script.name, status=1).stderr
                check("set ROOT=" in told, told)
                run_script(machine, copy / script.name, ROOT=f"/{machine.root.name}/")
            else:
                run_script(machine, script, has_cwd=way == "from its own directory")
        now = machine.picture(times=False)
        differing = {k: (before.get(k), now.get(k)) for k in before.keys() | now.keys()
                     if before.get(k) != now.get(k) and k not in images}
        check(not differing, way, differing)


def script_and_later_kernels(name, machine):
    """A menu that was written anew since keeps its kernels, and no entry of a kernel that is gone is made."""
    settings = machine.picture()
    run(machine, "setup", "--yes")
    gone = machines.KERNELS[0]
    shutil.rmtree(machine.root / "lib/modules" / gone)
    for path in list((machine.root / "boot").rglob(f"*{gone}*")):
        path.unlink()
    machine.write("lib/modules/6.13.0-amd64/modules.dep", "")
    menu = machine.root / "boot/grub/grub.cfg"
    if menu.exists():
        machine.run("grub-mkconfig", "-o", "/boot/grub/grub.cfg")
    mine = menu.read_text() + "# " + WORDS[name] + "\n" if menu.exists() else ""
    if mine:
        menu.write_text(mine)
    script, = (machine.root / "var/lib/vfiopt/backups").glob("*/restore.sh")
    for _ in range(2):
        said = run_script(machine, script).stderr
    check(not list((machine.root / "boot").rglob(f"*{gone}*")))
    if mine:
        check("grub.cfg was written anew since" in said, said)
        check(menu.read_text() == mine.replace(f" {WORDS[name]}\n", "\n").replace("#\n", f"# {WORDS[name]}\n"),
              menu.read_text())
        kept, = (script.parent / "changed").iterdir()
        check(kept.read_text() == mine, kept.read_text())
        menu.write_text("")
        run_script(machine, script)
        check(menu.read_bytes() == settings["boot/grub/grub.cfg"][3], menu.read_text())


def links_on_the_way(name, machine):
    """A directory behind an absolute link is that of the machine, not of the rescue system."""
    theirs = machine.root.parent / "shared/modprobe.d/00-vfiopt.conf"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("of the rescue system\n")
    inside = machine.root / "shared/modprobe.d"
    inside.parent.mkdir()
    (machine.root / "etc/modprobe.d").rename(inside)
    (machine.root / "etc/modprobe.d").symlink_to("/shared/modprobe.d")
    machine.age()
    before = machine.picture()
    run(machine, "setup", "--yes")
    run(machine, "rollback")
    same(machine, before)
    run(machine, "setup", "--yes")
    script = sorted((machine.root / "var/lib/vfiopt/backups").glob("*/restore.sh"))[-1]
    run_script(machine, script)
    check(not list(inside.iterdir()) and theirs.read_text() == "of the rescue system\n")
    (machine.root / "etc/initramfs-tools").rename(machine.root / "elsewhere")
    (machine.root / "etc/initramfs-tools").symlink_to("../elsewhere")
    check("has become a link" in run_script(machine, script, status=1).stderr)


def broken(file, what):
    def test(name, machine):
        machine.write(f"etc/{file}", "")
        machine.age()
        before = machine.picture()
        result = run(machine, "setup", "--yes", status=5)
        check(what in result.stderr and "all was undone" in result.stderr, result.stderr)
        same(machine, before)
        check(not (machine.root / "var/lib/vfiopt").exists())
    return test


def changed_since(name, machine):
    run(machine, "setup", "--yes")
    path = {"arch": "etc/default/grub", "fedora": "etc/kernel/cmdline", "debian_sdboot": "etc/kernel/cmdline"}.get(name)
    if path:
        machine.write(path, machine.read(path).replace("quiet", "quiet mitigations=off"))
    machine.write("etc/modprobe.d/00-vfiopt.conf",
                  machine.read("etc/modprobe.d/00-vfiopt.conf") + "options vfio-pci disable_idle_d3=1\n")
    run(machine, "rollback")
    check(machine.read("etc/modprobe.d/00-vfiopt.conf") == "options vfio-pci disable_idle_d3=1\n")
    if path:
        check("mitigations=off" in machine.read(path) and "iommu" not in machine.read(path), machine.read(path))


def script_changed_since(path, old, new):
    """Half of a script is none: it goes whole, and is kept."""
    def test(name, machine):
        before = machine.picture()
        run(machine, "setup", "--yes")
        mine = machine.read(path).replace(old, new)
        check(mine != machine.read(path), mine)
        machine.write(path, mine, 0o755)
        result = run(machine, "rollback")
        kept, = re.findall(r"/(var/lib/vfiopt/backups/\S+/changed/\d+)", result.stdout + result.stderr)
        check(machine.read(kept) == mine and (machine.root / kept).stat().st_mode & 0o777 == 0o755, kept)
        same(machine, before)
    return test


def earlier_manifest(name, machine):
    """Of a version that did not have the programs of the set-up in it."""
    before = machine.picture()
    run(machine, "setup", "--yes")
    path, = (machine.root / "var/lib/vfiopt/backups").glob("*/manifest")
    manifest = json.loads(path.read_text())
    for key in ("commands", "listers", "images", "kernels"):
        check(manifest.pop(key), key)
    path.write_text(json.dumps(manifest))
    run(machine, "rollback")
    same(machine, before)


def words_of(machine):
    """Of the lines that are booted."""
    return " ".join(line for path in (machine.root / "boot").rglob("*") if path.suffix in (".cfg", ".conf")
                    for line in path.read_text().splitlines() if re.match(r"\s*(linux\t|options )", line))


def images_of(machine):
    return {path.name: path.read_text() for path in (machine.root / "boot").glob("init*")}


def not_mounted(name, machine):
    before = machine.picture()
    run(machine, "setup", "--yes")
    after = machine.picture()
    (machine.root / "boot").rename(machine.root / "boot.real")
    (machine.root / "boot").mkdir()
    check("mount /boot first" in run(machine, "rollback", status=4).stderr)
    (machine.root / "boot").rmdir()
    (machine.root / "boot.real").rename(machine.root / "boot")
    same(machine, after)
    run(machine, "rollback")
    same(machine, before)


def programs_of_the_setup(name, machine):
    """What cannot be told today was told at set-up."""
    before = machine.picture()
    run(machine, "setup", "--yes")
    machine.write("boot/efi/loader/loader.conf", "timeout 3\n")
    machine.program("dracut", "#!/bin/sh\n")
    result = run(machine, "rollback")
    (machine.root / "usr/sbin/dracut").unlink()
    check("running update-grub" in result.stderr and "running update-initramfs" in result.stderr, result.stderr)
    now = machine.picture()
    check(now.keys() - before.keys() == {"boot/efi", "boot/efi/loader", "boot/efi/loader/loader.conf"}, now.keys())
    check(all(now[path] == entry for path, entry in before.items()))


def idle_generators(name, machine):
    """They end with success and have done nothing: that is not over."""
    before = machine.picture()
    run(machine, "setup", "--yes")
    machine.write("etc/idle-image", "")
    machine.write("etc/idle-mkconfig", "")
    result = run(machine, "rollback", status=1)
    check("initrd.img-6.12.9-amd64 still has 00-vfiopt.conf" in result.stderr, result.stderr)
    check("iommu" not in words_of(machine), words_of(machine))
    (machine.root / "etc/idle-image").unlink()
    (machine.root / "etc/idle-mkconfig").unlink()
    run(machine, "rollback")
    same(machine, before)
    check("no set-up" in run(machine, "rollback").stdout)


def image_is_lost(name, machine):
    """The power goes while an image is replaced."""
    before = images_of(machine)
    dracut = machine.read("usr/sbin/dracut")
    machine.program("dracut", "#!/bin/sh\nrm -f $2\nkill -9 $PPID\n")
    run(machine, "setup", "--yes", status=-9)
    check(images_of(machine) != before)
    machine.program("dracut", "#!/bin/sh\n")
    result = run(machine, "rollback", status=1)
    check("is missing: make it anew" in result.stderr, result.stderr)
    machine.program("dracut", dracut)
    run(machine, "rollback")
    check(images_of(machine) == before, images_of(machine))


def kernel_is_gone(name, machine):
    """Its image and its entry went with it."""
    run(machine, "setup", "--yes")
    gone = machines.KERNELS[0]
    shutil.rmtree(machine.root / "lib/modules" / gone)
    for path in list((machine.root / "boot").rglob(f"*{gone}*")):
        path.unlink()
    run(machine, "rollback")
    check(not list((machine.root / "boot").rglob(f"*{gone}*")))
    check("taken back" in run(machine, "rollback", "--list").stdout)


def later_kernel(name, machine):
    run(machine, "setup", "--yes")
    entry = "boot/loader/entries/0123-7.0.0.conf"
    machine.write(entry, "title new\noptions root=UUID=0 ro intel_iommu=on iommu=pt\n")
    run(machine, "rollback")
    check(machine.read(entry) == "title new\noptions root=UUID=0 ro\n", machine.read(entry))


def words_of_the_administrator(name, machine):
    """A machine that had the words keeps them, in entries of later kernels too."""
    words = " " + WORDS[name]
    for path in ["etc/kernel/cmdline", "etc/default/grub"] + [
            f"boot/loader/entries/0123-{kernel}.conf" for kernel in machines.KERNELS]:
        machine.write(path, machine.read(path).replace("rhgb quiet", "rhgb quiet" + words))
    run(machine, "setup", "--yes")
    entry = "boot/loader/entries/0123-7.0.0.conf"
    machine.write(entry, "title new\noptions root=UUID=0 ro" + words + "\n")
    run(machine, "rollback")
    check(machine.read(entry) == "title new\noptions root=UUID=0 ro" + words + "\n", machine.read(entry))


def entries_behind_a_link(name, machine):
    (machine.root / "boot/loader").rename(machine.root / "loader-real")
    (machine.root / "boot/loader").symlink_to("../loader-real")
    entry = "loader-real/entries/0123-6.12.9-amd64.conf"
    machine.write(entry, machine.read(entry).replace("quiet", "quiet iommu=pt"))
    machine.age()
    before = machine.picture()
    run(machine, "setup", "--yes")
def interrupted(name, machine):
    """What was written before the power cut is no set-up."""
    before = machine.picture()
    program = machine.read("usr/sbin/update-initramfs")
    machine.program("update-initramfs", "#!/bin/sh\nkill -9 $PPID\n")
    run(machine, "setup", "--yes", status=-9)
    machine.program("update-initramfs", program)
    os.utime(machine.root / "usr/sbin/update-initramfs", ns=(10**18, 10**18 + 123456789))
    for argv in (["--yes"], ["--dry-run"]):
        result = run(machine, "setup", *argv, status=4)
        check(f"first: vfioptctl rollback --root={machine.root}\n" in result.stderr and "nothing to do" not in result.stdout, result.stdout, result.stderr)
    run(machine, "rollback")
    same(machine, before)


def stale(path, what, command):
    def test(name, machine):
        old = machine.read(path)
        run(machine, "setup", "--yes")
        machine.write(path, old)
        after = machine.picture()
        result = run(machine, "setup", "--yes", status=4)
        check(what in result.stderr and f"{command}\n" in result.stderr, result.stderr)
        check("nothing to do" not in result.stdout, result.stdout)
        same(machine, after)
        text = run(machine, "setup", "--json", status=4).stdout
        plan, = json.loads(text)["plans"]
        check(plan["result"] == "refused" and what in plan["problem"] and not list(schema.problems("setup", text)), text)
    return test


def copied_image(name, machine):
    """kernel-install copies the initramfs: what is undone counts for the copy, too."""
    machine.program("kernel-install", machine.read("usr/sbin/kernel-install") +
                    "mkdir -p /boot/0123/$2\ncp /boot/initrd.img-$2 /boot/0123/$2/initrd\n")
    for kernel in machines.KERNELS:
        machine.run("kernel-install", "add", kernel, "image")
    machine.program("lsinitramfs", "#!/bin/sh\n")
    machine.age()
    before = machine.picture()
    check("all was undone" in run(machine, "setup", "--yes", status=5).stderr)
    same(machine, before)


def kernel_without_entry(name, machine):
    (machine.root / "boot/loader/entries/0123456789abcdef-6.1.0-18-amd64.conf").unlink()
    # No kernel's entry is that of one whose release it begins with.
    machine.write("lib/modules/6.12.9/modules.dep", "kernel/drivers/vfio/pci/vfio-pci.ko:\n")
    machine.write("boot/vmlinuz-6.12.9", "kernel")
    before = machine.picture()
    result = run(machine, "setup", "--yes")
    check(result.stdout.count("  kernel-install add ") == 1, result.stdout)
    check(len(os.listdir(machine.root / "boot/loader/entries")) == 1)
    run(machine, "rollback")
    same(machine, before)


# what is refused: files to add, or to remove, and what the message has
REFUSED = (
    ("debian", {"etc/NIXOS": ""}, 'boot.kernelParams = [ "intel_iommu=on" "iommu=pt" ];'),
    ("debian", {"run/ostree-booted": ""}, "rpm-ostree kargs --append-if-missing=intel_iommu=on --append-if-missing=iommu=pt"),
    ("debian", {"etc/kernel/proxmox-boot-uuids": "0000-0000\n"}, "proxmox-boot-tool refresh"),
    ("debian", {"boot/limine.conf": ""}, "each cmdline: in /boot/limine.conf:"),
    ("debian", {"etc/default/limine": ""}, "the whole line, with root=... in it"),
    ("debian", {"boot/refind_linux.conf": ""}, "refind_linux.conf"),
    ("debian_sdboot", {"etc/kernelstub/configuration": "{}"}, "kernelstub -a"),
    ("debian_sdboot", {"etc/sdboot-manage.conf": ""}, "sdboot-manage gen"),
    ("debian_sdboot", {"boot/EFI/Linux/a.efi": ""}, "add to the line of /etc/kernel/cmdline"),
    ("fedora", {"boot/efi/EFI/Linux/a.efi": "", "etc/kernel/cmdline": None},
     "make /etc/kernel/cmdline: one whole line, with root="),
    ("debian_sdboot", {"boot/grub/grub.cfg": ""}, "two boot loaders"),
    ("debian_sdboot", {"boot/grub/grub.cfg": "", "proc/cmdline": "BOOT_IMAGE=/live/vmlinuz\n"}, "two boot loaders"),
    ("debian", {"etc/sysconfig/bootloader": 'LOADER_TYPE="grub2-bls"\n', "usr/bin/sdbootutil": "",
                "etc/kernel/cmdline": "quiet\n"}, "add to the line of /etc/kernel/cmdline:\n"
     "  intel_iommu=on iommu=pt\nthen: sdbootutil update-all-entries"),
    ("debian", {"etc/sysconfig/bootloader": 'LOADER_TYPE="grub2-bls"\n'}, "GRUB reads boot entries here"),
    ("debian_sdboot", {"etc/kernel/cmdline": None}, "there is no such file"),
    ("debian_sdboot", {"etc/kernel/cmdline": "quiet iommu=off\n"}, "/etc/kernel/cmdline:1: iommu=off contradicts"),
    ("debian", {"boot/grub/grub.cfg": None}, "no boot loader is found"),
    ("debian", {"usr/sbin/dracut": ""}, "two generators"),
    ("debian", {"etc/initramfs-tools/update-initramfs.conf": "update_initramfs='no' # yes\n"},
     "/etc/initramfs-tools/update-initramfs.conf:1"),
    ("debian", {"etc/default/grub": 'A=1\nGRUB_CMDLINE_LINUX="intel_iommu=off"\n'}, "/etc/default/grub:2"),
    ("debian", {"etc/default/grub": "export GRUB_CMDLINE_LINUX=intel_iommu=off\n"}, "/etc/default/grub:1"),
    ("debian", {"etc/default/grub.d/50-x.cfg": '\nGRUB_CMDLINE_LINUX="intel_iommu=off"\n'},
     "/etc/default/grub.d/50-x.cfg:2: intel_iommu=off contradicts intel_iommu=on"),
    ("fedora", {"etc/kernel/cmdline": "# intel_iommu=on iommu=pt\n"}, "/etc/kernel/cmdline:1"),
    ("arch", {"etc/default/grub": 'A=1\nGRUB_CMDLINE_LINUX_DEFAULT+=" quiet"\n'}, "/etc/default/grub:2"),
    ("arch", {"etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT="quiet intel_iommu=off amd_iommu=off"\n'},
     "/etc/default/grub:1: amd_iommu=off contradicts amd_iommu=on"),
    ("arch", {"etc/default/grub": "GRUB_TIMEOUT=5\r\n"}, "line ends of DOS"),
    ("arch", {"etc/mkinitcpio.d/linux.preset": "default_config=/etc/other.conf\n", "etc/other.conf": "# vfio_pci\n"},
     "add these lines at the end of /etc/other.conf, and change nothing else there:\n"
     '  MODULES=(vfio_pci vfio vfio_iommu_type1 "${MODULES[@]}")\n  FILES+=(/etc/modprobe.d/00-vfiopt.conf)\n'),
    ("arch", {"etc/mkinitcpio.d/linux.preset": "default_config=/etc/other.conf\n"},
     "/etc/mkinitcpio.d/linux.preset:1: this preset reads /etc/other.conf, and not /etc/mkinitcpio.conf.d/vfiopt.conf\n"),
    ("arch", {"etc/mkinitcpio.d/linux.preset": 'ALL_config="/etc/mkinitcpio.conf" # as it came\n'},
     "take that line out"),
    ("fedora", {"boot/loader/entries/0123-6.12.9-amd64.conf": "title x\noptions $kernelopts\n"},
     "/boot/loader/entries/0123-6.12.9-amd64.conf:2"),
)


def refused(name, machine, changes, words):
    for path, text in changes.items():
        if text is None:
            (machine.root / path).unlink()
        else:
            machine.write(path, text)
    before = machine.picture()
    result = run(machine, "setup", "--yes", status=4)
    check(words in result.stderr, words, result.stderr)
    same(machine, before)
    text = run(machine, "setup", "--json", "--yes", status=4).stdout
    plan, = json.loads(text)["plans"]
    check(plan["result"] == "refused" and plan["refusals"] and not list(schema.problems("setup", text)), text)


def special_files(name, machine):
    path = machine.root / "etc/modprobe.d/00-vfiopt.conf"
    path.symlink_to("/dev/null")
    before = machine.picture()
    result = run(machine, "setup", "--yes", status=4)
    # The same path on the machine where this runs is another file.
    check(f'in the machine below "{machine.root}"' in result.stderr and "move /etc/modprobe.d/00-vfiopt.conf away" in
          result.stderr, result.stderr)
    same(machine, before)
    path.unlink()
    outside = pathlib.Path(machine.root, "..", "outside").resolve()
    outside.write_text("GRUB_CMDLINE_LINUX_DEFAULT=quiet\n")
    grub = machine.root / "etc/default/grub"
    grub.unlink()
    grub.symlink_to(outside)
    check("/etc/default/grub" in run(machine, "setup", "--yes", status=4).stderr)
    grub.unlink()
    os.mkfifo(grub)
    check("/etc/default/grub" in run(machine, "setup", "--yes", status=4).stderr)
    check(outside.read_text() == "GRUB_CMDLINE_LINUX_DEFAULT=quiet\n")


def softdeps(name, machine):
    """What kmod goes by today stays, and an install line is not undone."""
    machine.write("usr/lib/modprobe.d/nvidia.conf", "softdep nvidia post: nvidia-uvm nvidia-drm\n")
    for kernel in machines.KERNELS:
        machine.write(f"lib/modules/{kernel}/modules.softdep", "softdep nvidia pre: ecdh_generic,ecdsa_generic\n")
    machine.write("etc/modprobe.d/blacklist.conf", "install nouveau /bin/false\nblacklist nouveau\n")
    machine.write("etc/modprobe.d/00-a.conf", "softdep nvidia_uvm pre: nvidia\n")
    machine.write("usr/lib/modprobe.d/masked.conf", "install nvidia_drm /bin/false\n")
    (machine.root / "etc/modprobe.d/masked.conf").symlink_to("/dev/null")
    result = run(machine, "setup", "--yes")
    lines = machine.read("etc/modprobe.d/00-vfiopt.conf").splitlines()
    check("softdep nvidia pre: ecdh_generic,ecdsa_generic vfio-pci" in lines, lines)
    check("softdep nvidia_drm pre: vfio-pci" in lines and "softdep nova_core pre: vfio-pci" in lines, lines)
    check(not any(re.match("softdep (nouveau|nvidia_uvm) ", line) for line in lines), lines)
    check("/etc/modprobe.d/blacklist.conf:1 has an install line" in result.stdout, result.stdout)
    check("/etc/modprobe.d/00-a.conf:1 comes first" in result.stdout, result.stdout)


def as_json(name, machine):
    text = run(machine, "setup", "--dry-run", "--json", "--mode=host").stdout
    check(not list(schema.problems("setup", text)), list(schema.problems("setup", text)))
    plan, = json.loads(text)["plans"]
    check(plan["result"] == "planned" and plan["mode"] == "host" and plan["files"] and plan["commands"], plan)
    text = run(machine, "setup", "--yes", "--json").stdout
    plan, = json.loads(text)["plans"]
    check(plan["result"] == "done" and plan["backup"], plan)
    check(not list(schema.problems("setup", text)), list(schema.problems("setup", text)))
    plan, = json.loads(run(machine, "setup", "--json").stdout)["plans"]
    check(plan["result"] == "nothing" and not plan["files"], plan)


def empty_folder(name, machine):
    """bootctl makes it, whether or not there is an image."""
    machine.write("boot/EFI/Linux/README", "")
    run(machine, "setup", "--yes")


def presets(name, machine):
    """One that reads another file which has our lines; one that is not made; an image that is left over."""
    machine.write("etc/other.conf", "MODULES=(vfio_pci)\nFILES+=(/etc/modprobe.d/00-vfiopt.conf)\n")
    machine.write("etc/mkinitcpio.d/linux.preset", "PRESETS=('default')\ndefault_config='/etc/other.conf'\n"
                  'default_image="/boot/initramfs-linux.img"\nfallback_config=/etc/fallback.conf\n'
                  'fallback_image="/boot/initramfs-linux-fallback.img"\n')
    machine.write("boot/initramfs-linux-fallback.img", "old\n")
    result = run(machine, "setup", "--yes")
    check("running lsinitcpio /boot/initramfs-linux.img\n" in result.stderr, result.stderr)
    machine.write("etc/mkinitcpio.d/linux.preset", "PRESETS=('default')\n")
    check("names an image" in run(machine, "setup", "--dry-run").stdout)


def kernel_without_vfio(name, machine):
    machine.write("lib/modules/6.1.0-18-amd64/modules.dep", "kernel/fs/ext4.ko:\n")
    machine.rewrite("usr/sbin/update-initramfs", "|| echo usr/lib", "|| ! grep -q vfio /lib/modules/$k/modules.dep || echo usr/lib")
    result = run(machine, "setup", "--yes")
    check("in a kernel that has no vfio-pci: 6.1.0-18-amd64." in result.stdout, result.stdout)


def card(machine):
    """An NVIDIA card beside the display, and vfio-pci as a part of each kernel."""
    for path in ("sys/bus/pci/devices", "sys/bus/pci/drivers", "sys/kernel/iommu_groups", "run"):
        (machine.root / path).mkdir(parents=True, exist_ok=True)
    machine.write("proc/cmdline", "quiet\n")
    machine.write("proc/locks", "")
    fake = tree.Tree.__new__(tree.Tree)
    fake.path = machine.root
    fake.device("0000:00:02.0", "8086:4680", "0300", boot_vga="1")
    fake.device("0000:01:00.0", "10de:2204", "0300", "nvidia", 12, boot_vga="0")
    fake.driver("vfio-pci")
    for kernel in machines.KERNELS:
        machine.write(f"lib/modules/{kernel}/modules.dep", "")
        machine.write(f"lib/modules/{kernel}/modules.builtin", "kernel/drivers/vfio/pci/vfio-pci.ko\n")
    machine.age()


def holds(machine, what):
    return [path.relative_to(machine.root).as_posix() for folder in ("boot", "etc")
            for path in (machine.root / folder).rglob("*") if path.is_file() and what in path.read_text()]


def built_in(name, machine):
    """ids= are on the kernel's command line: a second set-up keeps them, and the way home takes them out."""
    card(machine)
    before = machine.picture()
    done = run(machine, "setup", "--yes", "--mode=passthrough")
    check("take vfio-pci.ids=... out of it" in done.stdout, done.stdout)
    check(holds(machine, "vfio-pci.ids=10de:2204"))
    check("nothing to do" in run(machine, "setup", "--yes").stdout)
    run(machine, "setup", "--yes", "--mode=host")
    check(not holds(machine, "vfio-pci.ids=") and holds(machine, "iommu=pt"), holds(machine, "vfio-pci.ids="))
    check("nothing to do" in run(machine, "setup", "--yes").stdout)
    for _ in range(2):
        run(machine, "rollback")
    same(machine, before)


def ids_by_hand(path):
    def test(name, machine):
        card(machine)
        machine.rewrite(path, "quiet", "quiet vfio_pci.ids=10de:2204")
        before = machine.picture()
        result = run(machine, "setup", "--yes", "--mode=host", status=4)
        check(re.search(f"/{path}:[0-9]+: vfio_pci.ids=10de:2204 brings a GPU to passthrough", result.stderr), result.stderr)
        same(machine, before)
    return test


def code_with_words(name, machine):
    """What is no list of settings is not edited: there is no need to, as the menu has the words."""
    machine.write("etc/default/grub", 'if true; then\nGRUB_CMDLINE_LINUX_DEFAULT="quiet amd_iommu=on iommu=pt"\nfi\n')
    machine.run("grub-mkconfig", "-o", "/boot/grub/grub.cfg")
    run(machine, "setup", "--yes")


def entry_with_words(name, machine):
    path = "boot/loader/entries/0123-6.12.9-amd64.conf"
    machine.rewrite(path, "quiet", "quiet intel_iommu=on iommu=pt $tuned_params")
    run(machine, "setup", "--yes")


def other_drop_in(name, machine):
    """A name like ours does not make it ours."""
    machine.write("etc/default/grub.d/zz-10-vfiopt.cfg", "GRUB_TIMEOUT=2\n")
    run(machine, "setup", "--yes")
    check(machine.read("etc/default/grub.d/zz-10-vfiopt.cfg") == "GRUB_TIMEOUT=2\n")


def enabled_with_comment(name, machine):
    machine.write("etc/initramfs-tools/update-initramfs.conf", "update_initramfs=yes # none other\n")
    run(machine, "setup", "--yes")


def loader_type(name, machine):
    machine.write("boot/grub/grub.cfg", "")
    machine.write("etc/sysconfig/bootloader", 'LOADER_TYPE="systemd-boot"\n')
    check("systemd-boot (kernel-install)" in run(machine, "setup", "--yes").stdout)


def daemon_left_behind(name, machine):
    """It holds the output of the program that started it, and writes until nobody reads."""
    (machine.root / "bin/sleep").symlink_to("busybox")
    machine.write("usr/sbin/update-initramfs", machine.read("usr/sbin/update-initramfs") +
                  "(while echo on; do sleep 1; done) &\n", 0o755)
    run(machine, "setup", "--yes")


def command_line(name, machine):
    run(machine, "setup", "--mode=toggle", status=2)
    run(machine, "setup", "all", status=2)
    run(machine, "rollback", "a", "b", status=2)
    run(machine, "rollback", "--list", "a", status=2)
    run(machine, "rollback", "20260101T000000Z", status=4)
    run(machine, "rollback", "../..", status=4)


def tests():
    for name in machines.MACHINES:
        for test in (there_and_back, restored_by_script, script_and_later_kernels, changed_since):
            yield f"{name}: {test.__name__}", name, test, ()
    yield "a generator fails", "debian", broken("fail-image", "update-initramfs has failed"), ()
    yield "an image is not made anew", "debian", broken("idle-image", "does not have 00-vfiopt.conf"), ()
    yield "a menu cannot be made", "debian", broken("fail-mkconfig", "update-grub has failed"), ()
    yield "a menu is not made anew", "arch", broken("idle-mkconfig", "does not have amd_iommu=on"), ()
    yield "an entry is not made anew", "debian_sdboot", broken("idle-kernel-install", "does not have"), ()
    yield "a drop-in that was changed", "debian", script_changed_since(
        "etc/default/grub.d/zz-vfiopt.cfg", "iommu=pt;", "iommu=pt pci=nomsi;"), ()
    yield "a hook that was changed", "debian", script_changed_since(
        "etc/initramfs-tools/hooks/vfiopt", "force_load vfio\n", "force_load vfio\nforce_load nvme\n"), ()
    for name in ("debian", "fedora", "debian_sdboot"):
        yield f"{name}: /boot is not mounted", name, not_mounted, ()
    for name in ("ubuntu_dracut", "fedora"):
        yield f"{name}: an image is lost", name, image_is_lost, ()
    for name in ("ubuntu_dracut", "fedora", "debian_sdboot", "debian"):
        yield f"{name}: a kernel is gone", name, kernel_is_gone, ()
    yield "a manifest of an earlier version", "debian", earlier_manifest, ()
    yield "programs of the set-up", "debian", programs_of_the_setup, ()
    yield "generators that do nothing", "debian", idle_generators, ()
    yield "a kernel that came later", "fedora", later_kernel, ()
    yield "words of the administrator", "fedora", words_of_the_administrator, ()
    yield "entries behind a link", "fedora", entries_behind_a_link, ()
    yield "links on the way", "debian", links_on_the_way, ()
    yield "a set-up that was interrupted", "debian", interrupted, ()
    yield "an old image", "debian", stale("boot/initrd.img-6.12.9-amd64", "does not have 00-vfiopt.conf",
                                          "update-initramfs -u -k all"), ()
    yield "an old menu", "arch", stale("boot/grub/grub.cfg", "does not have amd_iommu=on",
                                       "grub-mkconfig -o /boot/grub/grub.cfg"), ()
    yield "a folder for images", "debian_sdboot", empty_folder, ()
    yield "presets", "arch", presets, ()
    yield "a kernel without vfio-pci", "debian", kernel_without_vfio, ()
    for name in machines.MACHINES:
        yield f"{name} with vfio-pci built in", name, built_in, ()
    for name, path in (("debian", "etc/default/grub"), ("arch", "etc/default/grub"),
                       ("fedora", "boot/loader/entries/0123-6.12.9-amd64.conf"), ("debian_sdboot", "etc/kernel/cmdline")):
        yield f"{name} with ids= by hand", name, ids_by_hand(path), ()
    yield "code that has the words", "arch", code_with_words, ()
    yield "an entry that has the words", "fedora", entry_with_words, ()
    yield "a drop-in like ours", "debian", other_drop_in, ()
    yield "a setting with a comment", "debian", enabled_with_comment, ()
    yield "a boot loader that is named", "debian_sdboot", loader_type, ()
    yield "a daemon that is left behind", "debian", daemon_left_behind, ()
    yield "copies of images", "debian_sdboot", copied_image, ()
    yield "a kernel without an entry", "debian_sdboot", kernel_without_entry, ()
    yield "files that are none", "arch", special_files, ()
    for test in (softdeps, as_json, command_line):
        yield test.__name__, "debian", test, ()
    for name, changes, words in REFUSED:
        yield f"{name} with {', '.join(changes)}", name, refused, (changes, words)


def main():
    if os.geteuid() != 0:
        print("programs of a machine run chrooted, which needs root")
        return 77
    failures = n = 0
    for title, name, test, more in tests():
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
            machine = machines.Machine(pathlib.Path(folder, "root"), BUSYBOX)
            machines.MACHINES[name](machine)
            machine.age()
            n += 1
            try:
                test(name, machine, *more)
            except Failure as failure:
                failures += 1
                print(f"{title}:", *failure.args, sep="\n    ")
    print(f"{n} tests, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    PROGRAM, BUSYBOX = sys.argv[1:]
    sys.exit(main())
