#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Run a test on a bus of its own, which it takes for the system's.
set -eu

if ! command -v dbus-run-session >/dev/null; then
        echo "dbus-run-session is not installed"
        exit 77
fi
# shellcheck disable=SC2016
exec dbus-run-session -- sh -c 'DBUS_SYSTEM_BUS_ADDRESS=$DBUS_SESSION_BUS_ADDRESS exec "$@"' sh "$@"
