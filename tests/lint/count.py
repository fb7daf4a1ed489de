#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Figures of the house: how much there is in each room of agent/, and how one walks through it.

count.py [ROOT] [--trip FROM TO]     prints, and never fails. csource.py says what it sees.

Rooms are folders here. What the columns count:

    code, com%   lines with code; lines with nothing but comment, in percent of all
    fn           functions, static inline ones included; med, p90, max: their lines
    exported     functions that are not static
    once         exported functions with exactly one call from other files
    types        structs, enums and unions with a name
    per name     lines of code for each function, type and file

The trip from FROM to TO (main of cli, and sysfs_write) walks functions in the order of the text,
each once, as a reader would who follows an address from the command line to the kernel:

    spine        over those that are on some way of calls from one to the other
    all          over all that these call, too
    functions    stations of the walk
    files        different ones among their files
    crossings    calls and returns that lead into another file
    climbs       returns that lead to a higher floor: into a folder that may include this one, or in
                 the same folder to a pair of .c and .h that is further up in the graph of includes
    shortest     the fewest calls that lead there

A function that is mentioned, to be called through a pointer, counts as called where it is
mentioned. So what is called back is on the trip, but the way up to it is not.
"""

import collections
import pathlib
import statistics
import sys

import csource
import layers

COLUMNS = ("room", ".c", ".h", "lines", "code", "com%", "fn", "med", "p90", "max", "exported", "once",
           "types", "med .c", "max .c", "per name")


def count_once(calls):
    """The exported functions with one call from elsewhere."""
    sites = collections.Counter(target for caller, targets in calls.targets.items() for target in targets
                                if target.file != caller.file)
    return {target for target, n in sites.items() if n == 1 and target.function and not target.static}


def count(name, files, once):
    functions = [function for file in files for function in file.functions]
    lengths = sorted(function.length for function in functions) or [0]
    sources = sorted(len(file.lines) for file in files if file.name.endswith(".c")) or [0]
    lines, code = sum(len(file.lines) for file in files), sum(file.code for file in files)
    types = sum(file.types for file in files)
    exported = [function for function in functions if not function.static]
    n_sources = sum(file.name.endswith(".c") for file in files)
    return (name, n_sources, len(files) - n_sources, lines, code,
            f"{100 * sum(file.comment for file in files) / lines:.1f}",
            len(functions), f"{statistics.median(lengths):g}", lengths[int(len(lengths) * 0.9)], lengths[-1],
            len(exported), len(once.intersection(exported)), types,
            f"{statistics.median(sources):g}", sources[-1],
            f"{code / (len(functions) + types + len(files)):.1f}")


def print_table(rows):
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(str(value).rjust(width) if i else str(value).ljust(width)
                        for i, (value, width) in enumerate(zip(row, widths))).rstrip())


class Floors:
    """How high a room is: its folder, and what it includes in there."""

    def __init__(self, files):
        self.below = collections.defaultdict(set)
        for file in files.values():
            room = file.name.rpartition(".")[0]
            for include in file.includes:
                other = include.rpartition(".")[0]
                if csource.folder(other) == csource.folder(room) and other != room:
                    self.below[room].add(other)
        self.known = {}

    def folder(self, name):
        return max((self.folder(other) + 1 for other in layers.LAYERS.get(name, ())), default=0)

    def inside(self, room, seen=()):
        if room not in self.known:
            below = [self.inside(other, (*seen, room)) for other in self.below[room] if other not in seen]
            self.known[room] = max(below, default=-1) + 1
        return self.known[room]

    def of(self, definition):
        return self.folder(csource.folder(definition.room)), self.inside(definition.room)


def find_on_the_way(calls, start, end):
    callers = collections.defaultdict(set)
    for caller, targets in calls.targets.items():
        for target in targets:
            callers[target].add(caller)

    def reach(node, graph):
        found, todo = {node}, [node]
        while todo:
            new = set(graph.get(todo.pop(), ())) - found
            found |= new
            todo += new
        return found

    return reach(start, calls.targets) & reach(end, callers)


def find_shortest(calls, start, end):
    came, todo = {start: None}, collections.deque([start])
    while todo and end not in came:
        node = todo.popleft()
        for target in calls.targets[node]:
            if target not in came:
                came[target] = node
                todo.append(target)
    path = [end]
    while came[path[-1]]:
        path.append(came[path[-1]])
    return path[::-1]


def print_walk(title, calls, floors, start, is_wanted):
    visited, crossings, climbs = set(), 0, 0

    def walk(node):
        nonlocal crossings, climbs
        visited.add(node)
        for target in calls.targets[node]:
            if target in visited or not is_wanted(node, target):
                continue
            crossings += 2 * (target.file != node.file)
            walk(target)
            climbs += floors.of(node) > floors.of(target)

    walk(start)
    print(f"{title}: {len(visited)} functions in {len({node.file for node in visited})} files, "
          f"{crossings} crossings, {climbs} climbs")


def print_trip(calls, floors, start, end):
    spine = find_on_the_way(calls, start, end)
    if not spine:
        print(f"no way from {start.name} to {end.name}")
        return
    print_walk("spine", calls, floors, start, lambda _, target: target in spine)
    # A table leads to what is on the way, and not to the other verbs.
    print_walk("all", calls, floors, start, lambda node, target: node.function or target in spine)
    path = find_shortest(calls, start, end)
    print(f"shortest: {len(path)} functions in {len({node.file for node in path})} files:")
    print("  " + "\n  ".join(f"{node.file}: {node.name}" for node in path))


def find_definition(calls, name, file=None):
    found = [d for d in calls.definitions if d.name == name and (file is None or d.file == file)]
    return found[0] if found else None


def main(arguments):
    start, end = "main", "sysfs_write"
    if "--trip" in arguments:
        i = arguments.index("--trip")
        start, end = arguments[i + 1:i + 3]
        del arguments[i:i + 3]
    root = arguments[0] if arguments else pathlib.Path(__file__).parents[2]

    sys.setrecursionlimit(10000)
    files = csource.read_tree(root)
    calls = csource.Calls(files)
    once = count_once(calls)
    folders = sorted({csource.folder(name) for name in files}, key=lambda name: Floors(files).folder(name))
    print_table([COLUMNS,
                 *(count(name, [file for file in files.values() if csource.folder(file.name) == name], once)
                   for name in folders),
                 count("agent/", list(files.values()), once)])

    print(f"\nfiles: {len(files)}, functions for each .c: "
          f"{len([f for file in files.values() for f in file.functions]) / sum(n.endswith('.c') for n in files):.1f}")

    circles = csource.find_folder_circles(calls)
    print(f"\ncircles of calls inside a folder: {len(circles)}")
    for circle in circles:
        print("  " + " <-> ".join(circle))

    print(f"\ntrip from {start} to {end}:")
    begin, target = find_definition(calls, start, "cli/main.c" if start == "main" else None), \
        find_definition(calls, end)
    if begin and target:
        print_trip(calls, Floors(files), begin, target)
    else:
        print(f"no {start}, or no {end}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
