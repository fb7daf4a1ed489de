#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The units are understood by systemd, the template as an instance, too. Their programs are
# taken from the build, as they need not be installed yet.
set -eu

switch=$1 boot=$2 program=$3 bindir=$4 agent=$5 agent_program=$6 libexecdir=$7 polkit=$8
target=$9
shift 9
due=$1 socket=$2 ask=$3 ask_program=$4

if ! command -v systemd-analyze >/dev/null; then
        echo "systemd-analyze is not installed"
        exit 77
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
program=$(realpath "$program")
for unit in "$switch" "$boot"; do
        name=$(basename "$unit")
        sed "s|$bindir/vfioptctl|$program|" "$unit" >"$folder/$name"
        grep -q "^ExecStart=$program " "$folder/$name"
        # Every line of what they share is in both.
        grep -q '^SystemCallFilter=@module$' "$folder/$name"
done

# The look before the sandbox is without it, and the only one that is.
due=$(realpath "$due")
sed -i "s|$libexecdir/vfiopt-boot-due|$due|" "$folder/vfiopt-boot.service"
grep -q "^ExecCondition=+$due$" "$folder/vfiopt-boot.service"
[ "$(cat "$switch" "$boot" | grep -c '^Exec[A-Za-z]*=[-@:]*[+!]')" = 1 ]

# By that it is told whether the machine still starts.
grep -q '^Before=dbus.socket$' "$boot"

# It is quick since it has next to no libraries.
if ldd "$due" | grep -E 'lib(systemd|udev|kmod|pci|smartcols|crypto)\.'; then
        echo "vfiopt-boot-due is linked with libraries that it has no use for"
        exit 1
fi

# A skipped unit would be started again by whatever wants sysinit.target: an active target wants it.
cp "$target" "$folder"
grep -q '^Wants=vfiopt-boot.service$' "$target"
grep -q '^DefaultDependencies=no$' "$target"

# Which word on the kernel's command line is the last one, the program knows.
if grep '^ConditionKernelCommandLine=!' "$boot"; then
        exit 1
fi

agent_program=$(realpath "$agent_program")
sed "s|$libexecdir/vfioptd|$agent_program|" "$agent" >"$folder/vfioptd.service"
grep -q "^ExecStart=$agent_program$" "$folder/vfioptd.service"
grep -q '^CapabilityBoundingSet=$' "$folder/vfioptd.service"

# Whoever fails within a second is given up: so many starts take less than the interval.
value() {
        sed -n "s/^$1=\([0-9]*\)$2\$/\1/p" "$agent"
}
interval=$(value StartLimitIntervalSec min) burst=$(value StartLimitBurst '') pause=$(value RestartSec s)
if ! [ "$((burst * (pause + 1)))" -le "$((interval * 60))" ]; then
        echo "it would be started for ever"
        exit 1
fi

# The agent has its own user's socket, and no right to start a unit.
ask_program=$(realpath "$ask_program")
sed "s|$libexecdir/vfiopt-ask|$ask_program|" "$ask" >"$folder/vfiopt-ask.service"
cp "$socket" "$folder"
grep -q "^ExecStart=$ask_program$" "$folder/vfiopt-ask.service"
grep -q '^CapabilityBoundingSet=$' "$ask"
grep -q '^SocketMode=0600$' "$socket"
# It is started again with the agent, which alone is limited, if its service has failed too often.
grep -q '^Requires=.*vfiopt-ask.socket' "$agent"
grep -q '^StartLimitIntervalSec=0$' "$socket"
grep -q "^SocketUser=$(sed -n 's/^User=//p' "$agent")$" "$socket"
# Each connection as a process of its own would be a unit of its own.
if grep '^Accept=' "$socket" || grep 'systemd1' "$polkit"; then
        exit 1
fi

failed=0
# Not one with a GPU: here a colon means an alias.
for name in vfiopt@.service vfiopt@passthrough.service vfiopt@passthrough_allow-display.service vfiopt-boot.service vfiopt-boot.target vfiopt-ask.socket vfiopt-ask.service vfioptd.service; do
        out=$(systemd-analyze verify --man=no "$folder/$name" 2>&1) || failed=1
        # Unknown settings are only told of. What is told of other units is not ours.
        if echo "$out" | grep -F "vfiopt"; then
                failed=1
        fi
done

# No more is left open than is needed, in tenths.
if systemd-analyze security --help 2>/dev/null | grep -q -- --offline; then
        for limit in vfioptd.service:8 vfiopt-ask.service:8 vfiopt@.service:29 vfiopt-boot.service:36; do
                unit=${limit%:*}
                if ! systemd-analyze security --no-pager --offline=yes --threshold="${limit#*:}" "$folder/$unit" >"$folder/out"; then
                        grep -v '✓' "$folder/out"
                        failed=1
                fi
        done
fi
exit "$failed"
