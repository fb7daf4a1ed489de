#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The unit is understood by systemd, as a template and as an instance. Its program is
# taken from the build, as it need not be installed yet.
set -eu

unit=$1 program=$2 bindir=$3

if ! command -v systemd-analyze >/dev/null; then
        echo "systemd-analyze is not installed"
        exit 77
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
program=$(realpath "$program")
sed "s|$bindir/vfioptctl|$program|" "$unit" >"$folder/vfiopt@.service"
grep -q "^ExecStart=$program " "$folder/vfiopt@.service"

failed=0
# Not one with a GPU: here a colon means an alias.
for name in vfiopt@.service vfiopt@passthrough.service; do
        out=$(systemd-analyze verify --man=no "$folder/$name" 2>&1) || failed=1
        # Unknown settings are only told of. What is told of other units is not ours.
        if echo "$out" | grep -F "vfiopt"; then
                failed=1
        fi
done
exit "$failed"
