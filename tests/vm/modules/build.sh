#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Build one set of kernel modules for the guest
#
#   build.sh --tools DIR --kernel VERSION --out DIR standin|nvidia
#
# DIR of --tools is a root directory with gcc, make and linux-headers-VERSION.
# The sources are built in a copy that appears in it at /mnt for this process
# only (a mount namespace of its own), so the tools tree is never written to and
# several builds may share it. What comes out are *.ko without debug symbols.
#
# Nothing is cached here; that is the caller's, by a hash of this directory.
#
# Exit status: 0 built, 77 NVIDIA's source cannot be reached (one line on
# stderr says why), anything else a failure.

set -eu

here=$(dirname "$(realpath "$0")")

die() {
        echo "build.sh: $*" >&2
        exit 1
}

tools='' kernel='' out='' set=''
while [ $# -gt 0 ]; do
        case $1 in
        --tools | --kernel | --out)
                [ $# -ge 2 ] || die "$1 needs a value"
                eval "${1#--}=\$2"
                shift 2
                ;;
        standin | nvidia)
                set=$1
                shift
                ;;
        *) die "unknown argument $1" ;;
        esac
done
if [ -z "$tools" ] || [ -z "$kernel" ] || [ -z "$out" ] || [ -z "$set" ]; then
        die "usage: build.sh --tools DIR --kernel VERSION --out DIR standin|nvidia"
fi
[ -d "$tools/usr/src/linux-headers-$kernel" ] || die "$tools has no headers for $kernel"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Runs a command in the tools tree, with $work at /mnt.
in_tools() {
        # shellcheck disable=SC2016 # expanded by the inner shell
        unshare --mount --propagation private sh -euc '
                mount -t proc proc "$1/proc"
                mount --bind "$2" "$1/mnt"
                shift 2
                exec chroot "$@"
        ' in_tools "$tools" "$work" "$tools" env PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C "$@"
}

# One directory with a Kbuild file; further arguments go to make.
build_kbuild() {
        name=$1
        shift
        [ -d "$work/$name" ] || cp -r "$here/$name" "$work/$name"
        in_tools make -s -j2 -C "/usr/src/linux-headers-$kernel" "M=/mnt/$name" "$@" modules
}

build_standin() {
        build_kbuild standin
}

# The glue is NVIDIA's, unmodified. Debian's kernels have given
# pci_resize_resource() a fourth argument, which shim.h hides from it.
build_nvidia() {
        "$here/nvidia/fetch.sh" "$work/source" || exit $?
        mv "$work/source"/usr/src/nvidia-* "$work/nvidia"
        cp "$here/nvidia/shim.h" "$work/shim.h"
        in_tools make -C /mnt/nvidia -j2 "KERNEL_UNAME=$kernel" \
                "CFLAGS_nvidia/nv-pci.o=-include /mnt/shim.h" modules >"$work/log" 2>&1 || {
                tail -n 40 "$work/log" >&2
                die "NVIDIA's modules do not build"
        }
        cp -r "$here/nvidia/aids" "$work/aids"
        build_kbuild aids NVIDIA=/mnt/nvidia
}

"build_$set"
build_kbuild fault

mkdir -p "$out"
find "$work" -name '*.ko' ! -name nvidia-peermem.ko -exec cp -t "$work" {} +
for module in "$work"/*.ko; do
        in_tools objcopy --strip-debug "/mnt/${module##*/}"
        cp "$module" "$out/"
done
