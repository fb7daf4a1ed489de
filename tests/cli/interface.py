#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What --help lists is what the man page and all completions know, and no more but what the man page has.

interface.py PROGRAM FILE... with man pages and completions among the files.
"""

import pathlib
import re
import subprocess
import sys

VERB = re.compile(r"^  ([a-z]+)\b", re.M)
OPTION = re.compile(r"^  --([a-z-]+)", re.M)


def options_of_man(text):
    return set(re.findall(r"Fl (?:h , )?-([a-z-]+)", text))


def options_of_shell(text):
    return set(re.findall(r"--([a-z][a-z-]*)", text))


def options_of_fish(text):
    return set(re.findall(r"^complete.* -l ([a-z-]+)", text, re.M))


READERS = {"vfioptctl.1": options_of_man, "vfioptctl.bash": options_of_shell, "_vfioptctl": options_of_shell,
           "vfioptctl.fish": options_of_fish}


def main(program, *files):
    text = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    verbs = set(VERB.findall(text.partition("Verbs:")[2].partition("Options:")[0]))
    options = set(OPTION.findall(text.partition("Options:")[2]))
    problems = []

    # What is for the units only is in the manual alone.
    documented = set().union(*(options_of_man(pathlib.Path(file).read_text())
                               for file in files if file.endswith("vfioptctl.1")))
    seen = set()
    for path in map(pathlib.Path, files):
        if path.name not in READERS:
            continue
        seen.add(path.name)
        content = path.read_text()
        # Programs that a completion calls have options, too; ours are asked for JSON.
        found = READERS[path.name](content)
        problems += [f"{path.name}: does not know --{option}" for option in sorted(options - found)]
        if path.name != "vfioptctl.1":
            problems += [f"{path.name}: --{option} is in no manual" for option in sorted(found - documented)]
        problems += [f"{path.name}: does not know {verb}" for verb in sorted(verbs)
                     if not re.search(rf"\b{verb}\b", content)]

    problems += [f"{name}: was not given" for name in READERS.keys() - seen]
    if len(verbs) < 3 or len(options) < 5:
        problems.append(f"--help does not look as expected: {verbs}, {options}")
    print("\n".join(problems) or f"{len(verbs)} verbs and {len(options)} options, known to {len(seen)} files")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
