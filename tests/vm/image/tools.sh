#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# tools.sh OUT: a Debian trixie directory with what builds and runs the machine.
#
# Holds QEMU from trixie-backports (vfio-user-pci needs 10.1 or newer), the
# compiler and libraries that build the product as trixie would, and the kernel
# of the guest *together with* its headers: modules, kernel and headers can
# never be of different versions, because they come out of one directory.
#
# Leaves in OUT, beside the tree: kernel/ (the unpacked kernel package, with its
# module indexes) and kernel-version.

set -eu

out=$1
here=$(cd "$(dirname "$0")" && pwd)
mirror=$("$here/mirror.sh")

# seabios comes from backports as well, else QEMU's dependency is not met.
backports=qemu-system-x86,qemu-system-common,qemu-system-data,seabios
compiler=gcc,make,libc6-dev,linux-headers-amd64,meson,ninja-build,pkg-config
libraries=libsystemd-dev,systemd-dev,libudev-dev,libpci-dev,libkmod-dev,libsmartcols-dev,libjson-c-dev,libdbus-1-dev,libcmocka-dev
helpers=erofs-utils,e2fsprogs,cpio,xz-utils,zstd,kmod,busybox-static,python3-minimal

packages=$(echo "$backports" | sed 's|,|/trixie-backports,|g; s|$|/trixie-backports|')
mmdebstrap --quiet --variant=apt --format=directory \
        --aptopt='Apt::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --include="$packages,$compiler,$libraries,$helpers" \
        --customize-hook='chroot "$1" sh -ec "
                version=\$(basename /usr/src/linux-headers-*-amd64 | sed s/linux-headers-//)
                mkdir /kernel && cd /kernel
                apt-get -q -o APT::Sandbox::User=root download linux-image-\$version
                dpkg-deb -x linux-image-*.deb . && rm linux-image-*.deb
                [ -e lib ] || ln -s usr/lib lib
                mkdir /mnt/source /mnt/build /mnt/out
                depmod -b /kernel \$version
                echo \$version >/kernel-version"' \
        trixie "$out" "deb $mirror trixie main" "deb $mirror trixie-backports main"
