#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Static analysis of agent/: gcc's analyzer, clang-tidy and cppcheck, against the list of answers.

Fails on findings that tests/lint/answered has no answer to, and on answers to nothing. Needs a build
directory that is set up with gcc, for its compile_commands.json; nothing in it has to be built.

    analyse.py BUILD
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
ANSWERED = ROOT / "tests/lint/answered"

# Another version finds other things.
VERSIONS = {"gcc": "12.", "clang-tidy": "14.", "cppcheck": "2.10"}

CHECKS = ("bugprone-*", "cert-*", "clang-analyzer-*")
NO_CHECKS = {
    "bugprone-easily-swappable-parameters": "a matter of taste, and of every function with two strings",
    "bugprone-implicit-widening-of-multiplication-result": "all products of constants, a few MiB at most",
    "bugprone-reserved-identifier": "first and last value of an enum have an underscore in front",
    "bugprone-suspicious-string-compare": "strcmp() is compared by !, or not at all",
    "cert-dcl37-c": "bugprone-reserved-identifier under another name",
    "cert-dcl51-cpp": "bugprone-reserved-identifier under another name",
    "cert-err33-c": "wants the result of each snprintf(); what of ours must be looked at is declared so",
    "clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling": "wants Annex K, which glibc lacks",
}

FUNCTION = re.compile(r"^(?=[A-Za-z_]).*?\b(\w+)\(")
PLACE = re.compile(r"^(\S+?):(\d+):\d+: warning: (.*) \[([^\[\]]+)\]$")
NO_PLACE = re.compile(r"^cc1: warning: (.*) \[([^\[\]]+)\]$")

Finding = collections.namedtuple("Finding", "checker file function text")


def function_at(path, number):
    """The name of the function that a line is in, or -."""
    lines = path.read_text().split("\n")
    for i in range(min(number, len(lines)) - 1, -1, -1):
        if lines[i] == "}" and i < number - 1:
            return "-"
        match = FUNCTION.match(lines[i])
        if match and not lines[i].startswith(("typedef", "#")) and not lines[i].endswith(";"):
            return match.group(1)
    return "-"


def make_finding(checker, unit, place, number, text):
    path = pathlib.Path(place) if place else unit
    path = path if path.is_absolute() else ROOT / path
    # Where an inlined helper is to blame, its caller is: what is known of that is its file.
    function = function_at(path, number) if place and path.suffix == ".c" else "-"
    name = (path if path.suffix == ".c" else unit).relative_to(ROOT).as_posix()
    return Finding(checker, name, function, re.sub(r" \[CWE-\d+\]", "", text))


def run(command, directory):
    return subprocess.run(command, cwd=directory, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def parse(output, unit, directory, is_gcc):
    """All findings of gcc's or clang's in what they printed."""
    for line in output.split("\n"):
        match = PLACE.match(line)
        if match:
            place, number, text, checker = match.groups()
            place = (pathlib.Path(directory) / place).resolve()
            yield make_finding(checker, unit, str(place), int(number), text)
            continue
        match = NO_PLACE.match(line)
        if match and is_gcc:
            yield make_finding(match.group(2), unit, None, 0, match.group(1))


def arguments(entry):
    """What is behind the compiler, without what is written."""
    words = iter(shlex.split(entry["command"]))
    for word in words:
        if word.endswith("cc"):
            break
    for word in words:
        if word in ("-MQ", "-MF", "-o"):
            next(words)
        elif word not in ("-MD", "-Werror") and not word.startswith(("-O", "-fdiagnostics")):
            yield word


def run_gcc(entry):
    # What is inlined has no name in a finding.
    command = ["gcc", "-fanalyzer", "-O0", *arguments(entry), "-o", "/dev/null"]
    done = run(command, entry["directory"])
    found = list(parse(done.stdout, entry["unit"], entry["directory"], True))
    return found if done.returncode == 0 else None, done.stdout


def run_tidy(entry):
    checks = ",".join(("-*",) + CHECKS + tuple("-" + name for name in NO_CHECKS))
    command = ["clang-tidy", "--quiet", "--checks=" + checks, "--extra-arg=-Wno-unknown-warning-option",
               "-p", entry["directory"], str(entry["unit"])]
    done = run(command, entry["directory"])
    found = list(parse(done.stdout, entry["unit"], entry["directory"], False))
    return found if done.returncode == 0 else None, done.stdout


def run_cppcheck(entries):
    command = ["cppcheck", "--quiet", "--project=compile_commands.json", "--enable=warning,portability,performance",
               "--template={file}\t{line}\t{id}\t{message}"]
    done = run(command, entries[0]["directory"])
    found = []
    for line in done.stdout.split("\n"):
        if line.count("\t") != 3:
            continue
        place, number, checker, text = line.split("\t")
        path = pathlib.Path(place)
        found.append(make_finding("cppcheck-" + checker, path, place, int(number), text))
    return found if done.returncode == 0 else None, done.stdout


def read_answers():
    """Lines "checker | file | function | text", "*" for anything; a comment above says why."""
    answers = []
    for line in ANSWERED.read_text().split("\n"):
        if not line or line.startswith("#"):
            continue
        columns = [column.strip() for column in line.split("|", 3)]
        answers.append((line, [re.compile(".*".join(map(re.escape, column.split("*")))) for column in columns]))
    return answers


def is_answer(patterns, finding):
    return all(pattern.fullmatch(value) for pattern, value in zip(patterns, finding))


def tool_of(checker):
    return "gcc" if checker.startswith("-W") else "cppcheck" if checker.startswith("cppcheck-") else "clang-tidy"


def report(tool, found, answers):
    """Print what came of one tool. Return whether all is answered."""
    mine = [(line, patterns) for line, patterns in answers if tool_of(line.split(" ")[0]) == tool]
    new = sorted(one for one in found if not any(is_answer(patterns, one) for _, patterns in mine))
    stale = [line for line, patterns in mine if not any(is_answer(patterns, one) for one in found)]
    good = not new and not stale
    print(f"{'ok' if good else 'not ok'} - {tool}: {len(found)} findings, "
          f"{len(new)} without an answer, {len(stale)} answers to nothing")
    for finding in new:
        print("    new: " + " | ".join(finding))
    for line in stale:
        print("    answers nothing: " + line)
    return good


def read_entries(build):
    entries = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        entry["unit"] = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
        if (ROOT / "agent") in entry["unit"].parents:
            entries[entry["unit"]] = entry
    # The long ones first, so that no processor waits for the last.
    return sorted(entries.values(), key=lambda entry: -entry["unit"].stat().st_size)


def main(build):
    entries = read_entries(pathlib.Path(build))
    answers, failed = read_answers(), 0
    found, errors = collections.defaultdict(set), []
    tools = [tool for tool, version in VERSIONS.items()
             if re.search(r"\b" + re.escape(version), run([tool, "--version"], "/").stdout)]
    jobs = [(run_cppcheck, "cppcheck", entries)] if "cppcheck" in tools else []
    for tool, function in (("clang-tidy", run_tidy), ("gcc", run_gcc)):
        jobs += [(function, tool, entry) for entry in entries if tool in tools]

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for (_, tool, _), (some, output) in zip(jobs, pool.map(lambda job: job[0](job[2]), jobs)):
            found[tool].update(some or ())
            if some is None:
                errors.append(f"    {tool} fails: {output.strip()[-2000:]}")
    for tool, version in VERSIONS.items():
        if tool not in tools:
            print(f"skip - {tool}: the answers are to version {version}")
        else:
            failed += not report(tool, found[tool], answers)
    if errors:
        print("not ok - tools that fail\n" + "\n".join(errors))
    return 1 if failed or errors or not entries else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
