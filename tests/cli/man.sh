#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The man pages given are well-formed, in the eyes of what is installed to judge it.
set -eu

judges=0
failed=0

judge() {
        judges=$((judges + 1))
        out=$("$@" 2>&1) || true
        if [ -n "$out" ]; then
                echo "$out"
                failed=1
        fi
}

for page in "$@"; do
        if command -v groff >/dev/null; then
                judge groff -mdoc -Tutf8 -ww -rCHECKSTYLE=10 -b -z "$page"
        fi
        if command -v mandoc >/dev/null; then
                judge mandoc -Tlint -Wwarning "$page"
        fi
done

if [ "$judges" -eq 0 ]; then
        echo "neither groff nor mandoc is installed"
        exit 77
fi
echo "$judges judgements"
exit "$failed"
