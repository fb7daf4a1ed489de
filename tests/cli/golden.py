#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the program prints and how it ends, against golden.txt.

golden.py PROGRAM            compare
golden.py --update PROGRAM   write golden.txt anew; then read the difference

A case is a title, the copy of a machine that it sees (a function of tree.py; none:
no --root is given), maybe the user, the command, and what comes of it:

    == title
    tree: host
    $ vfioptctl status
    standard output
    2> standard error
    => exit status

Escapes like \\n in the command stand for what they do in Python. What is JSON has to be as
its schema in schemas/ has it.
"""

import difflib
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

import schema
import tree

GOLDEN = pathlib.Path(__file__).with_name("golden.txt")
NOBODY = 65534

# Before what is wrong with JSON. Also in golden.txt it makes a case fail.
WRONG = "!! "

# The name depends on the machine's pci.ids.
NAME = re.compile(r"NVIDIA Corporation [^\"\n]*|Device 10de:[0-9a-f]{4}")


def reachable(program):
    """Whether somebody without privileges can run it: the build may be in root's home."""
    paths = [pathlib.Path(program), *pathlib.Path(program).parents]
    return all(path.stat().st_mode & 0o001 for path in paths)


class Case:
    def __init__(self, text):
        lines = text.rstrip("\n").split("\n")
        head = [i for i, line in enumerate(lines) if line.startswith("$ ")][0]
        settings = dict(line.split(": ", 1) for line in lines[1:head])
        self.title = lines[0]
        self.tree = settings.pop("tree", None)
        self.user = settings.pop("user", None)
        self.command = lines[head][2:]
        self.head = "== " + "\n".join(lines[:head + 1]) + "\n"
        self.expected = "".join(line + "\n" for line in lines[head + 1:])
        assert not settings, f"{self.title}: {settings}"

    def schema(self):
        found = re.search(r"\b(switch|diagnose)\b", self.command)
        verb = found[1] if found else "status"
        return verb + ("-dry-run" if "--dry-run" in self.command else "")

    def run(self, program):
        """Return the transcript, or None if it cannot be had by this user."""
        words = [word.encode().decode("unicode_escape") for word in shlex.split(self.command)]
        assert words[0] == "vfioptctl", self.title
        if self.user and os.geteuid() != 0:
            return None
        if self.user and not reachable(program):
            return None
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            if self.tree:
                getattr(tree, self.tree)(tree.Tree(f"{folder}/root"))
                words.insert(1, f"--root={folder}/root")
            return self.transcript([program, *words[1:]], folder)

    def transcript(self, words, folder):
        done = subprocess.run(words, capture_output=True, text=True, cwd=folder, timeout=60,
                              user=NOBODY if self.user else None,
                              env={"LC_ALL": "C", "PATH": os.environ["PATH"], "TERM": "dumb"})
        out = done.stdout + "".join(f"2> {line}\n" for line in done.stderr.splitlines())
        out += f"=> {done.returncode}\n"
        if done.stdout.startswith("{"):
            out += "".join(f"{WRONG}{problem}\n" for problem in schema.problems(self.schema(), done.stdout))
        return NAME.sub("(name)", out.replace(f"{folder}/root", "(root)"))


def read_cases():
    comment, *texts = re.split(r"^== ", GOLDEN.read_text(), flags=re.M)
    return comment, [Case(text) for text in texts]


def compare(cases, program):
    problems = skipped = 0
    for case in cases:
        found = case.run(program)
        if found is None:
            print(f"{case.title}: skipped, cannot be run as somebody else here")
            skipped += 1
        elif found != case.expected or WRONG in found:
            problems += 1
            print(f"{case.title}: $ {case.command}")
            print("".join(difflib.unified_diff(case.expected.splitlines(True), found.splitlines(True),
                                               "expected", "found")))
    print(f"{len(cases)} cases, {problems} differ, {skipped} skipped")
    return 1 if problems or not cases else 0


def update(comment, cases, program):
    text = comment
    for case in cases:
        found = case.run(program)
        text += case.head + (case.expected if found is None else found) + "\n"
    GOLDEN.write_text(text.rstrip("\n") + "\n")
    return 0


def main(arguments):
    comment, cases = read_cases()
    program = os.path.abspath(arguments[-1])
    if arguments[0] == "--update":
        return update(comment, cases, program)
    return compare(cases, program)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
