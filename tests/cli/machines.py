# SPDX-License-Identifier: LGPL-2.1-or-later
"""Machines made of files, with programs of their own.

Each has what a distribution has of boot files, and small scripts in place of its generators, which
read and write what the real ones do. A static busybox runs them, chrooted.
"""

import os
import pathlib
import shutil
import stat

KERNELS = ("6.12.9-amd64", "6.1.0-18-amd64")
LINKS = ("sh", "cat", "mv", "cp", "ls", "grep", "rm", "mkdir", "echo", "cut")

MKCONFIG = """#!/bin/sh
set -e
out=/boot/grub/grub.cfg
[ "$1" != -o ] || out=$2
. /etc/default/grub
%s
[ ! -e /etc/fail-mkconfig ] || exit 1
[ ! -e /etc/idle-mkconfig ] || exit 0
{
        for k in /lib/modules/*; do
                echo "menuentry 'Linux ${k##*/}' {"
                echo "	linux	/boot/vmlinuz-${k##*/} root=/dev/sda1 ro ${GRUB_CMDLINE_LINUX} ${GRUB_CMDLINE_LINUX_DEFAULT}"
                echo "	initrd	/boot/initrd.img-${k##*/}"
                echo "}"
                echo "menuentry 'Linux ${k##*/} (recovery mode)' {"
                echo "	linux	/boot/vmlinuz-${k##*/} root=/dev/sda1 ro single ${GRUB_CMDLINE_LINUX}"
                echo "}"
        done
} >$out.new
mv $out.new $out
"""
DROP_INS = """for x in /etc/default/grub.d/*.cfg; do
        if [ -e "$x" ]; then . "$x"; fi
done"""

# The lists of what they hold are their content.
IMAGE = """        {
                echo usr/lib/modules/$k/kernel/drivers/nvme.ko
                %s
        } >$image.new
        mv $image.new $image
"""
UPDATE_INITRAMFS = """#!/bin/sh
[ ! -e /etc/fail-image ] || exit 1
[ ! -e /etc/idle-image ] || exit 0
for k in /lib/modules/*; do
        k=${k##*/}
        image=/boot/initrd.img-$k
        [ -e $image ] || continue
""" + IMAGE % """ls /etc/modprobe.d
                [ ! -x /etc/initramfs-tools/hooks/vfiopt ] || echo usr/lib/modules/$k/kernel/drivers/vfio/pci/vfio-pci.ko.xz""" + "done\n"
DRACUT = """#!/bin/sh
[ "$1" = --force ] || exit 2
[ ! -e /etc/fail-image ] || exit 1
image=$2
k=$3
# Lists are added to, which takes bash.
force_drivers=$(grep -hs ^force_drivers /etc/dracut.conf.d/*.conf | cut -d '"' -f 2)
install_items=$(grep -hs ^install_items /etc/dracut.conf.d/*.conf | cut -d '"' -f 2)
""" + IMAGE % """for f in $install_items; do [ ! -e $f ] || echo $f; done
                case $force_drivers in *vfio_pci*) echo usr/lib/modules/$k/vfio-pci.ko ;; esac"""
# A list of bash: its elements, by a shell that has none.
MKINITCPIO = """#!/bin/sh
[ "$1" = -P ] || exit 2
[ ! -e /etc/fail-image ] || exit 1
k=any
image=/boot/initramfs-linux.img
""" + IMAGE % """cat /etc/mkinitcpio.conf
                grep -s vfio_pci /etc/mkinitcpio.conf.d/*.conf && echo vfio-pci.ko && ls /etc/modprobe.d"""
KERNEL_INSTALL = """#!/bin/sh
[ "$1" = add ] || exit 2
[ ! -e /etc/idle-kernel-install ] || exit 0
entry=/boot/loader/entries/0123456789abcdef-$2.conf
{
        echo "title Debian"
        echo "options $(cat /etc/kernel/cmdline)"
        echo "linux /0123456789abcdef/$2/linux"
} >$entry.new
mv $entry.new $entry
"""
LISTER = "#!/bin/sh\ncat $1\n"

INTEL = "vendor_id\t: GenuineIntel\nflags\t\t: vmx\n"
AMD = "vendor_id\t: AuthenticAMD\nflags\t\t: svm\n"

GRUB = """# If you change this file, run 'update-grub' afterwards.
GRUB_DEFAULT=0
GRUB_TIMEOUT=5
GRUB_DISTRIBUTOR=`( . /etc/os-release; echo ${NAME:-Debian} ) 2>/dev/null || echo Debian`
GRUB_CMDLINE_LINUX_DEFAULT="quiet splash" # as it came
GRUB_CMDLINE_LINUX=""
"""
BLS = """title Fedora Linux (%s)
version %s
linux /vmlinuz-%s
options root=UUID=0 ro rhgb quiet
"""


class Machine:
    def __init__(self, folder, busybox):
        self.root = pathlib.Path(folder)
        for name in ("bin", "usr/bin", "usr/sbin", "etc/default", "etc/modprobe.d", "boot", "var/lib", "tmp"):
            (self.root / name).mkdir(parents=True)
        shutil.copy(busybox, self.root / "bin/busybox")
        for name in LINKS:
            (self.root / "bin" / name).symlink_to("busybox")
        self.write("etc/os-release", "NAME=Test\n")
        self.write("dev/null", "")
        self.write("etc/untouched", "as it is\n", 0o640)
        for kernel in KERNELS:
            self.write(f"lib/modules/{kernel}/modules.dep", "kernel/drivers/vfio/pci/vfio-pci.ko.xz: a b\n")
            self.write(f"lib/modules/{kernel}/modules.builtin", "kernel/fs/ext4.ko\n")
            self.write(f"boot/vmlinuz-{kernel}", "kernel")

    def write(self, path, text, mode=0o644):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, newline="")
        path.chmod(mode)

    def program(self, name, text):
        self.write(f"usr/sbin/{name}", text, 0o755)

    def read(self, path):
        return (self.root / path).read_text()

    def rewrite(self, path, old, new):
        self.write(path, self.read(path).replace(old, new), (self.root / path).stat().st_mode & 0o7777)

    def run(self, *argv):
        """One of its own programs, as its administrator would."""
        import subprocess
        subprocess.run(["chroot", self.root, *argv], check=True)

    def cpu(self, text=INTEL):
        self.write("proc/cpuinfo", text)

    def age(self):
        """So that a file which was written again is seen."""
        for path in self.root.rglob("*"):
            if path.is_file() and not path.is_symlink():
                os.utime(path, ns=(10**18, 10**18 + 123456789))

    def picture(self, times=True):
        """All but our backups. What generators write anew has the same content, and its time is its own."""
        seen = {}
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if name.startswith(("bin/", "dev/", "var/lib/vfiopt")):
                continue
            info = path.lstat()
            entry = [stat.filemode(info.st_mode), info.st_uid, info.st_gid]
            if path.is_symlink():
                entry.append(os.readlink(path))
            elif path.is_file():
                entry.append(path.read_bytes())
                if times and not name.startswith("boot/"):
                    entry.append(info.st_mtime_ns)
                for key in sorted(os.listxattr(path)):
                    entry.append((key, os.getxattr(path, key)))
            seen[name] = entry
        return seen


def initramfs_tools(machine):
    machine.program("mkinitramfs", "#!/bin/sh\n")
    machine.program("update-initramfs", UPDATE_INITRAMFS)
    machine.program("lsinitramfs", LISTER)
    machine.write("etc/initramfs-tools/modules", "# none\n")
    machine.write("etc/initramfs-tools/update-initramfs.conf", "update_initramfs=yes\nbackup_initramfs=no\n")
    (machine.root / "etc/initramfs-tools/hooks").mkdir()
    for kernel in KERNELS:
        machine.write(f"boot/initrd.img-{kernel}", "")
    machine.run("update-initramfs", "-u", "-k", "all")


def dracut(machine, start="initrd.img-", end=""):
    machine.program("dracut", DRACUT)
    machine.program("lsinitrd", LISTER)
    (machine.root / "etc/dracut.conf.d").mkdir()
    for kernel in KERNELS:
        image = f"boot/{start}{kernel}{end}"
        machine.write(image, "")
        machine.run("dracut", "--force", f"/{image}", kernel)


def mkinitcpio(machine):
    machine.program("mkinitcpio", MKINITCPIO)
    machine.program("lsinitcpio", LISTER)
    machine.write("etc/mkinitcpio.conf", "MODULES=(nvidia nvidia_modeset)\nHOOKS=(base udev modconf)\n")
    machine.write("etc/mkinitcpio.d/linux.preset", "PRESETS=('default')\n"
                  'default_image="/boot/initramfs-linux.img"\n')
    machine.write("boot/initramfs-linux.img", "")
    machine.run("mkinitcpio", "-P")


def grub(machine, drop_ins=True, text=GRUB):
    machine.write("etc/default/grub", text)
    machine.program("grub-mkconfig", MKCONFIG % (DROP_INS if drop_ins else ""))
    machine.write("boot/grub/grub.cfg", "")
    if drop_ins:
        machine.program("update-grub", "#!/bin/sh\nexec grub-mkconfig -o /boot/grub/grub.cfg\n")
    machine.run("grub-mkconfig", "-o", "/boot/grub/grub.cfg")


def debian(machine):
    machine.cpu()
    initramfs_tools(machine)
    grub(machine)


def ubuntu_dracut(machine):
    machine.cpu(AMD)
    dracut(machine)
    grub(machine)
    machine.write("etc/default/grub.d/50-cloudimg-settings.cfg", 'GRUB_CMDLINE_LINUX_DEFAULT="console=ttyS0"\n')
    machine.write("etc/default/grub.d/zzz-local.cfg", "GRUB_TIMEOUT=1\n")
    machine.run("update-grub")


def arch(machine):
    machine.cpu(AMD)
    mkinitcpio(machine)
    grub(machine, drop_ins=False, text="GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT='loglevel=3 quiet'\nGRUB_CMDLINE_LINUX=")


def fedora(machine):
    machine.cpu()
    dracut(machine, "initramfs-", ".img")
    machine.write("boot/grub2/grub.cfg", "insmod blscfg\nblscfg\n")
    machine.write("etc/default/grub", 'GRUB_DISTRIBUTOR="$(sed \'s, release .*$,,g\' /etc/system-release)"\n'
                                      'GRUB_CMDLINE_LINUX="rhgb quiet"\nGRUB_ENABLE_BLSCFG=true\n')
    machine.write("etc/kernel/cmdline", "root=UUID=0 ro rhgb quiet\n")
    for kernel in KERNELS:
        machine.write(f"boot/loader/entries/0123-{kernel}.conf", BLS % ((kernel,) * 3))
    machine.write("boot/loader/entries/0123-0-rescue.conf", BLS % (("rescue",) * 3))


def debian_sdboot(machine):
    machine.cpu()
    initramfs_tools(machine)
    machine.program("kernel-install", KERNEL_INSTALL)
    machine.write("boot/loader/loader.conf", "timeout 3\n")
    machine.write("etc/kernel/cmdline", "root=/dev/sda1 ro quiet")
    (machine.root / "boot/loader/entries").mkdir()
    for kernel in KERNELS:
        machine.run("kernel-install", "add", kernel, f"/boot/vmlinuz-{kernel}")


MACHINES = {f.__name__: f for f in (debian, ubuntu_dracut, arch, fedora, debian_sdboot)}
