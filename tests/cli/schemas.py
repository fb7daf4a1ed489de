#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the program prints as JSON is what the schemas and the manual say.

schemas.py SAMPLES MAN-PAGE...

golden.py has real outputs of status and of dry runs; those of switch and monitor are the samples.
"""

import json
import pathlib
import re
import subprocess
import sys

import schema

# The examples in vfioptctl(1), each under its own heading.
EXAMPLE = re.compile(r"^\.Ss (.*)\n(?:.*\n)*?\.Bd -literal\n((?:[^.].*\n)+)\.Ed", re.M)


def check_samples(program):
    def run(name):
        return subprocess.run([program, name], capture_output=True, text=True, check=True).stdout

    yield from schema.problems("switch", run("switch"))
    lines = run("monitor").splitlines()
    for line in lines:
        yield from schema.problems("monitor", line)
    if not lines:
        yield "no samples of monitor"


def check_manual(text):
    examples = dict(EXAMPLE.findall(text.partition(".Sh JSON\n")[2].partition(".Sh JOURNAL\n")[0]))
    names = {heading.replace(" --", "-"): example for heading, example in examples.items()}
    if set(names) != set(schema.NAMES):
        yield f"the manual has examples of {sorted(names)}"
    for name, example in names.items():
        yield from (f"manual: {problem}" for problem in schema.problems(name, example))
        if example.count('"version"') != 1:
            yield f"manual: {name}: no version"


def check_strictness():
    """That the schemas can fail at all."""
    text = json.dumps({"version": 1, "gpus": [], "more": None})
    if not schema.problems("status", text) or not schema.problems("switch", '{"gpus":[]}'):
        yield "the schemas let everything pass"


def main(samples, *pages):
    page, = (page for page in pages if pathlib.Path(page).name == "vfioptctl.1")
    problems = [*check_strictness(), *check_samples(samples), *check_manual(pathlib.Path(page).read_text())]
    print("\n".join(problems) or f"{len(schema.NAMES)} schemas")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
