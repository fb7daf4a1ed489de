#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The tree is as clang-format would write it. Repair with:
#   git ls-files '*.c' '*.h' | xargs clang-format -i
set -eu

cd "$1"
if ! command -v clang-format >/dev/null; then
        echo "clang-format is not installed"
        exit 77
fi
find agent include tests/lib tests/unit tests/scenario tests/bench tests/fuzz -name '*.[ch]' -print0 |
        xargs -0 clang-format --dry-run --Werror
