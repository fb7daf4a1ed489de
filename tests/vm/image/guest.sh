#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# guest.sh OUT: the root directory of the guest, Debian trixie as a user has it.
#
# Only packages, no settings: those are in image.sh, so that a changed setting
# does not fetch anything. No kernel: it comes from the tools tree.

set -eu

out=$1
here=$(cd "$(dirname "$0")" && pwd)
mirror=$("$here/mirror.sh")

system=systemd,systemd-sysv,udev,dbus,polkitd,libpam-systemd,login,kmod,acl
pci=pciutils,pci.ids,driverctl,libdrm2
watch=strace,procps,psmisc
product=libsystemd0,libudev1,libpci3,libkmod2,libsmartcols1,libjson-c5
# With a QEMU, for domains that are really started.
libvirt=libvirt-clients,libvirt-daemon,libvirt-daemon-common,libvirt-daemon-driver-qemu,libvirt-daemon-driver-nodedev,qemu-system-x86

mmdebstrap --quiet --variant=minbase --format=directory \
        --aptopt='Apt::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --include="$system,$pci,$watch,$product,$libvirt" \
        trixie "$out" "deb $mirror trixie main"
