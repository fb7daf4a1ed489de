#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Build the guest programs
#
#   build.sh --out DIR
#
# One static program for each *.c here, so that they run in any guest whatever
# C library it has, util.c linked into each.

set -eu

here=$(dirname "$(realpath "$0")")

if [ $# -ne 2 ] || [ "$1" != --out ]; then
        echo "usage: build.sh --out DIR" >&2
        exit 1
fi
out=$2
mkdir -p "$out"

for source in "$here"/*.c; do
        name=$(basename "$source" .c)
        [ "$name" != util ] || continue
        ${CC:-gcc} -std=gnu11 -O2 -Wall -Wextra -Wno-missing-field-initializers -Werror -D_GNU_SOURCE -static \
                -o "$out/$name" "$source" "$here/util.c"
done
