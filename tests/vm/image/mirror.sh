#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# mirror.sh: print the address of the Debian archive that this machine uses.
#
# The tree names no mirror. Whatever apt is configured with (a country mirror,
# a proxy, a copy on the local network) is by definition reachable and trusted
# by the owner of the machine, so every image is built from that.

set -eu

debian_archive() {
        apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
                sed -n 's|^Debian \(.*/debian/\)$|\1|p' | head -n 1
}

mirror=$(debian_archive)
if [ -z "$mirror" ]; then
        # No lists on a fresh machine: indextargets knows only what was fetched.
        apt-get -q update >&2
        mirror=$(debian_archive)
fi

if [ -z "$mirror" ]; then
        echo "mirror.sh: apt knows no Debian archive (deb … /debian/)" >&2
        exit 1
fi
echo "$mirror"
