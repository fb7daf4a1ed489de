#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""No function beyond 60 lines, no .c beyond 700, no header beyond 120.

Also: every C file starts with its licence, and every module has a comment at its
head, which may stand in its header alone.
"""

import pathlib
import re
import sys

START = re.compile(r"^[A-Za-z_].*[({,]$|^[A-Za-z_].*\)\s*\{$")
LIMITS = {".c": 700, ".h": 120}
FUNCTION = 60


def functions(lines):
    """Yield (name, first line number, number of lines) of each function definition."""
    start = None
    for number, line in enumerate(lines, 1):
        if re.match(r"^[A-Za-z_]", line) and not re.match(
                r"^(struct|enum|union|typedef|static const|extern|#)", line):
            start = number
        if line == "}" and start:
            name = re.search(r"(\w+)\(", lines[start - 1])
            yield name.group(1) if name else lines[start - 1], start, number - start + 1
            start = None


def main(root):
    problems, n = [], 0
    for folder in ("agent", "include", "tests/lib", "tests/bench", "tests/fuzz", "tests/vm"):
        for path in sorted(pathlib.Path(root, folder).rglob("*.[ch]")):
            name = path.relative_to(root).as_posix()
            lines = path.read_text().split("\n")
            n += 1
            if len(lines) - 1 > LIMITS[path.suffix]:
                problems.append(f"{name}: {len(lines) - 1} lines, at most {LIMITS[path.suffix]}")
            if not lines[0].startswith(("/* SPDX-License-Identifier:", "// SPDX-License-Identifier:")):
                problems.append(f"{name}: does not start with its licence")
            has_header = path.suffix == ".c" and path.with_suffix(".h").exists()
            if not has_header and not any(line.startswith("/*") for line in lines[1:6]):
                problems.append(f"{name}: has no comment at its head")
            for function, start, length in functions(lines):
                if length > FUNCTION:
                    problems.append(f"{name}:{start}: {function}() has {length} lines")

    print("\n".join(problems) or f"{n} files within their limits")
    return 1 if problems or not n else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
