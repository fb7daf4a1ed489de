#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every "KERNEL.md N.N" in the tree is the number of a fact in agent/os/KERNEL.md.

Numbers follow the name, separated by commas or "and"; a comment may break the line between them.
"""

import pathlib
import re
import sys

PAGE = "agent/os/KERNEL.md"
FOLDERS = ("agent", "include", "rules.d", "tests", "units")
NUMBER = r"\d+\.\d+\b"
FACT = re.compile(rf"^\*\*({NUMBER}) \S", re.M)
# The marks that comments of C, Python, mdoc and units put at the start of a line.
BREAK = re.compile(r'\n[ \t]*(?:\*|//|#|\.\\")?[ \t]*')
CITATION = re.compile(rf"\bkernel\.md((?:(?:,| and)? {NUMBER})*)", re.I)


def check_citations(name, text, facts):
    for match in CITATION.finditer(BREAK.sub(" ", text)):
        numbers = re.findall(NUMBER, match.group(1))
        if not match.group(0).startswith("KERNEL.md"):
            yield f"{name}: {match.group(0)}: the page is called KERNEL.md"
        if not numbers and not name.endswith(".md"):
            yield f"{name}: cites KERNEL.md without a number"
        for number in numbers:
            if number not in facts:
                yield f"{name}: KERNEL.md has no {number}"


def main(root):
    facts = FACT.findall(pathlib.Path(root, PAGE).read_text())
    problems, n = [], 0
    problems += [f"{PAGE}: {fact} is there twice" for fact in set(facts) if facts.count(fact) > 1]
    for folder in FOLDERS:
        for path in sorted(pathlib.Path(root, folder).rglob("*")):
            name = path.relative_to(root).as_posix()
            if not path.is_file() or name in (PAGE, "tests/lint/citations.py"):
                continue
            try:
                text = path.read_text()
            except UnicodeDecodeError:
                continue
            n += len(CITATION.findall(text))
            problems += check_citations(name, text, facts)

    print("\n".join(problems) or f"{n} citations of {len(facts)} facts")
    return 1 if problems or not n else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
