#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The completions given are understood by the shells that are installed.
set -eu

checked=0

check() {
        shell=$1
        file=$2
        if command -v "$shell" >/dev/null; then
                "$shell" -n "$file"
                checked=$((checked + 1))
        fi
}

for file in "$@"; do
        case $file in
        *.bash) check bash "$file" ;;
        *.fish) check fish "$file" ;;
        */_*) check zsh "$file" ;;
        *)
                echo "$file: for which shell?"
                exit 1
                ;;
        esac
done

[ "$checked" -gt 0 ] || exit 77
echo "$checked of $# checked"
