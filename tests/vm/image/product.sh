#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# product.sh TOOLS CHECKOUT BUILD OUT: build the product as a trixie machine
# would, and install it below OUT.
#
# Runs meson inside the tools tree, the checkout read-only, in a mount namespace
# of its own: whatever happens here, no mount is left behind. BUILD is kept by
# the caller, so that only what has changed is compiled again.

set -eu

if [ "${VFIOPT_VM_PRODUCT:-}" != inside ]; then
        mkdir -p "$3"
        rm -rf "$4"
        mkdir -p "$4"
        VFIOPT_VM_PRODUCT=inside exec unshare --mount --propagation private "$0" "$@"
fi

tools=$1
mount --bind "$2" "$tools/mnt/source"
mount -o remount,bind,ro "$tools/mnt/source"
mount --bind "$3" "$tools/mnt/build"
mount --bind "$4" "$tools/mnt/out"
mount -t proc proc "$tools/proc"

exec chroot "$tools" /bin/sh -euc '
        export LC_ALL=C.UTF-8 HOME=/root
        if [ ! -e /mnt/build/build.ninja ]; then
                # What a cut-off setup leaves is of no use to the next one.
                find /mnt/build -mindepth 1 -delete
                meson setup --prefix=/usr --sysconfdir=/etc --localstatedir=/var \
                        --buildtype=debugoptimized /mnt/source /mnt/build
        fi
        ninja -C /mnt/build
        meson install -C /mnt/build --no-rebuild --destdir /mnt/out'
