#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The graph of includes runs one way.

Each layer of agent/ may include itself and what is listed for it, and each
third-party library has the files that may know it. Headers never include each
other in a circle, and files of one layer never call into each other in one.
Nothing but the roots spells a top-level directory.
"""

import pathlib
import re
import sys

import csource

LAYERS = {
    "base": set(),
    "os": {"base"},
    "model": {"base", "os"},
    "probe": {"base", "os", "model"},
    "record": {"base", "os", "model"},
    "journal": {"base", "os", "model", "record"},
    "policy": {"base", "os", "model", "record", "journal"},
    "switch": {"base", "os", "model", "probe", "record", "journal", "policy"},
    "diagnose": {"base", "os", "model", "probe", "record", "journal", "policy", "switch"},
    "setup": {"base", "os", "model", "record", "journal", "policy"},
    "cli": {"base", "os", "model", "probe", "record", "journal", "policy", "switch", "diagnose", "setup"},
    # What writes to sysfs is in none of these: so the agent cannot.
    "daemon": {"base", "os", "model", "record", "journal", "policy"},
    "boot": {"base", "os", "policy"},
    "ask": {"base", "os", "model"},
}

LIBRARIES = {
    "json-c/": {"base/json.c"},
    "libudev.h": {"os/udev.c", "os/udev-wait.c"},
    "libkmod.h": {"os/module.c"},
    "pci/pci.h": {"os/ids.c"},
    "systemd/sd-journal.h": {"journal/read.c"},
    "systemd/sd-bus.h": {"os/systemd.c"},
    "systemd/sd-login.h": {"os/systemd.c"},
    "systemd/sd-daemon.h": {"ask/main.c", "daemon/agent.c", "daemon/log.c", "daemon/main.c"},
    "systemd/sd-event.h": {"cli/job.c", "cli/monitor.c", "daemon/agent.c", "daemon/gpu-state.c", "daemon/main.c",
                           "daemon/watch.c", "journal/read.c", "os/ask.c", "os/systemd.c"},
    "libsmartcols/": {"cli/table.c"},
}

# Those that may spell /sys, /proc, /dev, /run and /etc; and the one that knows where the journal listens.
ROOTS = {"os/roots.c", "os/tree.c", "cli/main.c", "journal/socket.c"}

# Each of these is one module that is split over several files. Delete the entry when the files are
# merged, and add none.
CIRCLES = []

INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]', re.M)
COMMENT = re.compile(r"/\*.*?\*/", re.S)
LITERAL = re.compile(r'"/(sys|proc|run|etc)\b[^"]*"')


def find_cycle(graph):
    done, stack = set(), []

    def visit(node):
        if node in stack:
            return stack[stack.index(node):] + [node]
        if node in done:
            return None
        stack.append(node)
        for other in graph.get(node, ()):
            if cycle := visit(other):
                return cycle
        done.add(stack.pop())
        return None

    for node in graph:
        if cycle := visit(node):
            return cycle
    return None


def check_includes(name, includes):
    layer = name.split("/")[0]
    for include in includes:
        other = include.split("/")[0]
        if other in LAYERS and other != layer and other not in LAYERS[layer]:
            yield f"agent/{name}: {layer} must not include {include}"
        for library, files in LIBRARIES.items():
            if include.startswith(library) and name not in files:
                yield f"agent/{name}: <{include}> belongs in {', '.join(sorted(files))}"


def check_calls(root):
    circles = csource.find_folder_circles(csource.Calls(csource.read_tree(root)))
    for circle in circles:
        if set(circle) not in CIRCLES:
            yield "files call into each other: " + " <-> ".join(circle)
    for circle in CIRCLES:
        if sorted(circle) not in circles:
            yield f"no such circle any more: take {' <-> '.join(sorted(circle))} out of CIRCLES"


def main(root):
    agent = pathlib.Path(root, "agent")
    problems, headers = [], {}

    for path in sorted(agent.rglob("*.[ch]")):
        name = path.relative_to(agent).as_posix()
        text = path.read_text()
        includes = INCLUDE.findall(text)

        if name.split("/")[0] not in LAYERS:
            problems.append(f"agent/{name}: is in no layer")
            continue
        problems += check_includes(name, includes)
        if name not in ROOTS:
            for match in LITERAL.finditer(COMMENT.sub("", text)):
                problems.append(f"agent/{name}: spells {match.group(0)}; use the roots")
        if path.suffix == ".h":
            headers[name] = [i for i in includes if i.split("/")[0] in LAYERS]

    if not headers:
        problems.append("no headers found: is this the top of the tree?")
    if cycle := find_cycle(headers):
        problems.append("headers include each other: " + " -> ".join(cycle))
    problems += check_calls(root)

    print("\n".join(problems) or f"{len(headers)} headers in {len(LAYERS)} layers, one way")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
