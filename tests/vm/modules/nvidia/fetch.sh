#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Fetch NVIDIA's open kernel modules as Debian packages them
#
#   fetch.sh DIR
#
# Unpacks the package into DIR. It is in the component contrib, which few
# machines have enabled, so apt gets a configuration of its own: the mirror that
# this machine uses already, another suite and component, state and cache in a
# directory that is thrown away. Proxies and the like stay the machine's.
#
# Exit status: 0, or 77 with one line on stderr if the package cannot be had.

set -eu

suite=trixie # the guest's
package=nvidia-open-kernel-dkms
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

skip() {
        echo "fetch.sh: $*" >&2
        exit 77
}

[ $# -eq 1 ] || {
        echo "usage: fetch.sh DIR" >&2
        exit 1
}
dir=$1

# The archive proper, not its security or backports suites, which have other
# paths: the one whose suite is named as the machine's release.
# shellcheck disable=SC1091 # it is where it is on every Debian
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
# shellcheck disable=SC2016 # apt's variable, not the shell's
mirror=$(apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' 'Component: main' "Codename: $release" 2>/dev/null | head -n 1)
[ -n "$mirror" ] || skip "apt knows no mirror of $release"

apt=$(mktemp -d)
trap 'rm -rf "$apt"' EXIT
mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$apt/deb"

options="arch=amd64"
[ ! -e "$keyring" ] || options="$options signed-by=$keyring"
echo "deb [$options] $mirror $suite contrib" >"$apt/sources.list"

apt_get() {
        apt-get -q -q \
                -o "Dir::State=$apt/state" -o Dir::State::status=/dev/null \
                -o "Dir::Cache=$apt/cache" \
                -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
                -o Acquire::Languages=none -o Acquire::Retries=2 -o APT::Sandbox::User=root \
                -o APT::Architecture=amd64 -o APT::Architectures=amd64 \
                "$@"
}

# apt's own words: the first that names what failed, else its last.
reason() {
        grep -m 1 '^[EW]: Failed' "$apt/log" || tail -n 1 "$apt/log"
}

# apt calls it success when a list could not be fetched and an old one would do.
apt_get -o APT::Update::Error-Mode=any update >"$apt/log" 2>&1 ||
        skip "the component contrib of $suite cannot be reached: $(reason)"
(cd "$apt/deb" && apt_get download "$package") >"$apt/log" 2>&1 ||
        skip "$package cannot be downloaded: $(reason)"

mkdir -p "$dir"
dpkg-deb -x "$apt/deb/$package"_*.deb "$dir"
