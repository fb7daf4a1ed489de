#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Run a test as the first process of a namespace with a journal of its own.
set -eu

journald=/usr/lib/systemd/systemd-journald
if ! [ -x $journald ] || ! unshare --user --map-root-user --mount --pid --fork --mount-proc true 2>/dev/null; then
        echo "there is no journald here, or it cannot be had to oneself"
        exit 77
fi
# shellcheck disable=SC2016
exec unshare --user --map-root-user --mount --pid --fork --mount-proc --kill-child sh -euc '
        mount -t tmpfs tmpfs /run
        if [ -d /var/log/journal ]; then mount -t tmpfs tmpfs /var/log/journal; fi
        mkdir -p /run/systemd/journal /run/log/journal
        "$0" &
        exec "$@"
' $journald "$@"
