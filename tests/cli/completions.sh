#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The completions given are understood by the shells that are installed; what bash offers is right.
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

here=$(dirname "$0")
for file in "$@"; do
        case $file in
        *.bash) ! command -v bash >/dev/null || bash "$here/completions.bash" "$file" ;;
        esac
done

[ "$checked" -gt 0 ] || exit 77
echo "$checked of $# checked"
