#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# program.sh TOOLS PROGRAM [ARGUMENT…]: run a program of the tools tree on this
# machine, as it is: no chroot, hence all paths mean what they say. The tree's
# own loader and libraries are used, so that the age of this machine's C library
# does not matter.

set -eu

tools=$1
program=$2
shift 2

for directory in usr/bin usr/sbin; do
        path=$tools/$directory/$program
        if [ -x "$path" ]; then
                exec "$tools/usr/lib64/ld-linux-x86-64.so.2" \
                        --library-path "$tools/usr/lib/x86_64-linux-gnu:$tools/usr/lib" \
                        --argv0 "$program" "$path" "$@"
        fi
done
echo "program.sh: the tools tree has no $program" >&2
exit 127
