#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The names of include/vfiopt/names.h are spelled there, and nowhere else in agent/.

What is installed without being compiled (units, rules) spells them too: it has to agree.
"""

import pathlib
import re
import sys

HEADER = "include/vfiopt/names.h"
DEFINE = re.compile(r'^#define (VFIOPT_\w+)\s+((?:VFIOPT_\w+ )?"[^"]*")', re.M)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
# A name of a local constant, as which even a plain word like "lock" is one of these names.
LOCAL = re.compile(r'^#define \w+\s+"([^"]+)"', re.M)
# Words of their own, which only look like one of the names.
EXEMPT = {
    ("record/config", "vfiopt"),  # a section of vfiopt.conf
    ("probe/open-files", "vfiopt"),     # a memfd
}

# file, and what it says of which name
AGREE = (
    ("rules.d/70-vfiopt.rules", r'TAG\+="(?!systemd)(\w+)"', "VFIOPT_UDEV_TAG"),
    ("rules.d/70-vfiopt.rules", r'SYSTEMD_WANTS\}\+="([^"]+)"', "VFIOPT_UNIT_AGENT"),
    ("rules.d/70-vfiopt.rules", r'IMPORT\{file\}="(.*)/', "VFIOPT_RUN_DIR/VFIOPT_RUN_PINS"),
    ("units/vfiopt.sysusers", r"^u (\S+)", "VFIOPT_USER"),
    ("units/vfioptd.service.in", r"^User=(\S+)", "VFIOPT_USER"),
    ("units/vfiopt.polkit.rules", r'subject\.user != "(\w+)"', "VFIOPT_USER"),
    ("units/vfiopt-ask.socket", r"^SocketUser=(\S+)", "VFIOPT_USER"),
    ("units/vfiopt-ask.socket", r"^ListenSequentialPacket=/run/(\S+)", "VFIOPT_RUN_ASK"),
    ("units/vfioptd.service.in", r"^Requires=dbus.socket (\S+)", "VFIOPT_UNIT_ASK"),
    ("units/modules-load.conf", r"BindReadOnlyPaths=-([^:]+):", "VFIOPT_RUN_DIR/VFIOPT_RUN_MODPROBE"),
    ("units/vfiopt-boot.service.in", r"^ConditionKernelCommandLine=\|(\S+)", "VFIOPT_KERNEL_KEY"),
    ("units/vfiopt-boot.service.in", r"^ConditionDirectoryNotEmpty=\|(/etc\S*)", "VFIOPT_ETC_DIR"),
    ("units/vfiopt-boot.target", r"^Wants=(\S+)", "VFIOPT_UNIT_BOOT"),
    ("units/vfiopt.tmpfiles", r"^d (\S+) ", "VFIOPT_RUN_DIR"),
)
UNITS = {"VFIOPT_UNIT_TEMPLATE": ".service.in", "VFIOPT_UNIT_BOOT": ".in", "VFIOPT_UNIT_AGENT": ".in", "VFIOPT_UNIT_ASK": ""}


def read_names(text):
    names = {}
    for name, value in DEFINE.findall(text):
        words = re.findall(r'"([^"]*)"|(\w+)', value)
        names[name] = "".join(literal or names[other] for literal, other in words)
    return names


def is_distinctive(value):
    """Whether it means the same wherever it is said, as a plain word does not."""
    return "vfiopt" in value


def check_literals(name, text, values):
    text = COMMENT.sub("", text)
    for literal in LITERAL.findall(text):
        # A page of the manual has the name of what it explains.
        words = re.sub(r"\S+\(\d\)", "", literal)
        for value in values:
            exact = literal == value
            inside = re.search(r"[@./]", value) and re.search(rf"(?<![\w-]){re.escape(value)}", words)
            if not is_distinctive(value) or not (exact or inside):
                continue
            if any(name.startswith(file) and value == word for file, word in EXEMPT):
                continue
            yield f'agent/{name}: spells "{literal}"; use {HEADER}'
            break
    for literal in LOCAL.findall(text):
        if literal in values and not is_distinctive(literal):
            yield f'agent/{name}: defines "{literal}"; use {HEADER}'


def check_installed(root, names):
    for file, pattern, wanted in AGREE:
        path = pathlib.Path(root, file)
        value = "/".join(names[name] for name in wanted.split("/"))
        found = re.findall(pattern, path.read_text(), re.M)
        if value not in found:
            yield f"{file}: says {', '.join(found) or 'nothing'} where {wanted} is {value}"
    for name, suffix in UNITS.items():
        if not pathlib.Path(root, "units", names[name] + suffix).exists():
            yield f"units: there is no {names[name]}{suffix}, as {name} has it"


def main(root):
    names = read_names(COMMENT.sub("", pathlib.Path(root, HEADER).read_text()))
    values = sorted(set(names.values()) - {".service"}, key=len, reverse=True)
    problems = []
    for path in sorted(pathlib.Path(root, "agent").rglob("*.[ch]")):
        problems += check_literals(path.relative_to(f"{root}/agent").as_posix(), path.read_text(), values)
    problems += check_installed(root, names)

    print("\n".join(problems) or f"{len(names)} names, spelled once")
    return 1 if problems or not names else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
