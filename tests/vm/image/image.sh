#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# image.sh TOOLS GUEST AGENT MODULES OUT: what the machine boots from.
#
#     TOOLS     tree made by tools.sh
#     GUEST     tree made by guest.sh
#     AGENT     directory with vm-agent
#     MODULES   list of further kernel modules, one per line
#
# Leaves in OUT: root.erofs, initrd, vmlinux, kernel-version, and modules/, the
# guest's module tree, against which depmod is run for each driver layer.
#
# The image is the same for all machines and has neither the product nor an
# NVIDIA driver nor the scenarios' programs in it: those are layers. Modules are stored unpacked: xz under emulation costs
# more time than reading does.

set -eu

tools=$1
guest=$2
agent=$3
list=$4
out=$5
here=$(cd "$(dirname "$0")" && pwd)
version=$(cat "$tools/kernel-version")
root=$out/root

mkdir -p "$out"
cp "$tools/kernel-version" "$out/"

# --- the kernel -------------------------------------------------------------

# Unpacked, as modules are: to unpack itself takes it five seconds in each boot. It is
# what begins like a frame of zstd and comes out as an ELF file, which QEMU can start.
packed=$tools/kernel/boot/vmlinuz-$version
zstd_magic=$(printf '\050\265\057\375')
LC_ALL=C grep -obUaF "$zstd_magic" "$packed" | cut -d: -f1 | while read -r offset; do
        tail -c "+$((offset + 1))" "$packed" |
                "$here/program.sh" "$tools" zstd -dcq >"$out/vmlinux" 2>/dev/null || :
        [ "$(head -c 4 "$out/vmlinux" | tail -c 3)" != ELF ] || break
done
if [ "$(head -c 4 "$out/vmlinux" | tail -c 3)" != ELF ]; then
        echo "image: there is no kernel in $packed that zstd can unpack" >&2
        exit 1
fi

# --- the root directory -----------------------------------------------------

mkdir "$root"
tar -C "$guest" --exclude=./usr/share/locale --exclude=./usr/share/zoneinfo \
        --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' -cf - . |
        tar -C "$root" -xf -
cp -r "$here/files/." "$root/"
chmod 755 "$root"/usr/local/lib/vm/*
install -m 755 "$agent/vm-agent" "$root/usr/local/bin/"

# --- kernel modules ---------------------------------------------------------

modules=$root/usr/lib/modules/$version
from=$tools/kernel/lib/modules/$version
mkdir -p "$modules"
cp "$from/modules.builtin" "$from/modules.builtin.modinfo" "$from/modules.order" "$modules/"

# Files that a list of modules needs, relative to the module directory, in an
# order in which they can be loaded. What the kernel has built in needs none.
needed() {
        sed 's/#.*//; /^ *$/d' "$@" | while read -r module; do
                "$here/program.sh" "$tools" modprobe -d "$tools/kernel" -S "$version" \
                        --show-depends "$module" 2>/dev/null || :
        done | sed -n 's/^insmod //p' | sed "s|.*/$version/||; s|  *$||" | awk '!seen[$0]++'
}

needed "$here/modules.txt" "$list" | while read -r file; do
        mkdir -p "$modules/$(dirname "$file")"
        case $file in
        *.xz) xz -dc "$from/$file" >"$modules/${file%.xz}" ;;
        *) cp "$from/$file" "$modules/$file" ;;
        esac
done
"$here/program.sh" "$tools" depmod -b "$root" "$version"

mkdir -p "$out/modules/lib/modules"
cp -r "$modules" "$out/modules/lib/modules/"

# --- settings ---------------------------------------------------------------

# With /proc, which goes away with the namespace.
in_root() {
        unshare --mount --propagation private sh -euc '
                mount -t proc proc "$0/proc"
                exec chroot "$0" "$@"' "$root" "$@"
}

echo vm >"$root/etc/hostname"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
: >"$root/etc/fstab"
in_root passwd -q -d root
# One user of the desktop, one who may nothing.
in_root useradd -m -s /bin/bash -G video,audio alice
in_root useradd -m -s /bin/bash bob
in_root systemctl -q set-default multi-user.target
in_root systemctl -q enable vm-agent.service
in_root systemctl -q disable libvirtd.service libvirtd.socket libvirtd-ro.socket \
        libvirtd-admin.socket virtlogd.service virtlogd.socket virtlogd-admin.socket \
        libvirt-guests.service
# Consoles belong to the runner; housekeeping would only add noise.
in_root systemctl -q mask getty@tty1.service serial-getty@ttyS0.service serial-getty@hvc0.service \
        apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
        fstrim.timer logrotate.timer systemd-tmpfiles-clean.timer \
        systemd-pstore.service remote-fs.target machines.target
# Stamps newer than /usr: nothing has to be brought up to date at boot.
touch "$root/etc/.updated" "$root/var/.updated"

# --- the initramfs ----------------------------------------------------------

initrd=$out/initramfs
mkdir -p "$initrd/bin" "$initrd/modules" "$initrd/proc" "$initrd/sys" "$initrd/dev" \
        "$initrd/ro" "$initrd/rw" "$initrd/new"
cp "$tools/usr/bin/busybox" "$initrd/bin/"
install -m 755 "$here/init" "$initrd/init"
printf '%s\n' virtio_pci virtio_blk erofs ext4 overlay >"$out/early.txt"
needed "$out/early.txt" | sed 's/\.xz$//' | while read -r file; do
        cp "$modules/$file" "$initrd/modules/"
        basename "$file"
done >"$initrd/modules/list"
(cd "$initrd" && find . | "$here/program.sh" "$tools" cpio -o -H newc --quiet) >"$out/initrd"

"$here/program.sh" "$tools" mkfs.erofs --quiet "$out/root.erofs" "$root" >/dev/null
rm -rf "$root" "$initrd" "$out/early.txt"
