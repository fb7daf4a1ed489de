# SPDX-License-Identifier: LGPL-2.1-or-later
"""A look at C source in the form that format.sh keeps: what is defined where, and who calls it.

No parser of C: a definition starts in the first column and ends with a brace there. Calls are
told by name. A static function is found in its own file only, any other one everywhere. Calls
through pointers are not seen; the place that mentions a function to have it called is.
"""

import collections
import dataclasses
import pathlib
import re

COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'', re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.M)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)
# With a name of its own: defined here, or known here by name only.
TYPE = re.compile(r"^(?:typedef )?(?:struct|enum|union) +\w+\s*\{|^typedef (?:struct|enum|union) \w+ \w+;", re.M)
WORD = re.compile(r"(?<![\w.>])(\w+)\b(\s*\()?")
NAME = re.compile(r"\b([A-Za-z]\w*)\(")


@dataclasses.dataclass(eq=False)
class Definition:
    """A function, or a table that names functions."""
    name: str
    file: str
    start: int
    length: int
    static: bool
    function: bool
    body: str

    @property
    def room(self):
        """The pair of .c and .h."""
        return self.file.rpartition(".")[0]


class File:
    def __init__(self, name, text):
        self.name = name
        self.lines = text.split("\n")[:-1]
        self.includes = INCLUDE.findall(text)
        bare = COMMENT_OR_STRING.sub(lambda m: keep_lines(m.group(0)), text)
        self.comment = count_comments(text)
        self.blank = sum(not line.strip() for line in self.lines)
        self.code = len(self.lines) - self.comment - self.blank
        self.types = len(TYPE.findall(bare))
        self.definitions = list(find_definitions(name, DIRECTIVE.sub(lambda m: keep_lines(m.group(0)), bare)))

    @property
    def functions(self):
        return [definition for definition in self.definitions if definition.function]


def keep_lines(text):
    return ('""' if text.startswith('"') else "") + "\n" * text.count("\n")


def count_comments(text):
    """Lines that have nothing but a comment."""
    mark = COMMENT_OR_STRING.sub(
        lambda m: re.sub(r"[^\n]+", "\0", m.group(0)) if m.group(0).startswith("/") else '""', text)
    return sum(line.strip() != "" and line.replace("\0", "").strip() == "" for line in mark.split("\n"))


def find_definitions(name, text):
    head = start = None
    for number, line in enumerate(text.split("\n"), 1):
        if start is None:
            if head is None and re.match(r"[A-Za-z_]", line):
                head, first = "", number
            if head is not None:
                head += line + " "
                if line.rstrip().endswith("{"):
                    start, body = first, []
                elif line.rstrip().endswith((";", "}")):
                    # A table in one line, or a prototype.
                    if "= {" in head:
                        yield describe(name, head, first, number - first + 1, head.partition("=")[2])
                    head = None
            continue
        if not line.startswith("}"):
            body.append(line)
            continue
        definition = describe(name, head, start, number - start + 1, "\n".join(body))
        if definition:
            yield definition
        # Another table may follow the brace: "}, numbers[] = {".
        head = start = None
        if line.rstrip().endswith("{"):
            head, start, body = "static " + line[1:], number, []


def describe(file, head, start, length, body):
    static = head.startswith("static")
    if "=" in head:
        names = re.findall(r"(\w+)\s*(?:\[[^\]]*\]\s*)*=", head)
        return Definition(names[-1], file, start, length, static, False, body) if names else None
    if re.match(r"(?:typedef|struct|enum|union)\b[^(]*$", head):
        return None
    names = NAME.findall(re.sub(r"\b_\w+_\(", "", head))
    return Definition(names[0], file, start, length, static, True, body) if names else None


def read_tree(root):
    """All files of agent/, by name."""
    agent = pathlib.Path(root, "agent")
    return {name: File(name, path.read_text()) for path in sorted(agent.rglob("*.[ch]"))
            for name in [path.relative_to(agent).as_posix()]}


class Calls:
    """Which definition calls, or mentions, which others, in the order of the text."""

    def __init__(self, files):
        self.definitions = [d for file in files.values() for d in file.definitions]
        local, shared = collections.defaultdict(dict), {}
        for d in self.definitions:
            local[d.file][d.name] = d
            if not d.static or d.file.endswith(".h"):
                shared[d.name] = d
        self.targets = {d: list(self.find_targets(d, local[d.file], shared)) for d in self.definitions}

    @staticmethod
    def find_targets(definition, local, shared):
        for match in WORD.finditer(definition.body):
            name = match.group(1)
            target = local.get(name) or shared.get(name)
            if not target or target is definition:
                continue
            # A plain word may be a variable as well: then only a call counts.
            if match.group(2) or not target.function or "_" in name or name in local:
                yield target

    def rooms(self):
        """For each room, the rooms that it calls into."""
        graph = collections.defaultdict(set)
        for caller, targets in self.targets.items():
            for target in targets:
                if target.function and target.room != caller.room:
                    graph[caller.room].add(target.room)
        return graph


def find_circles(graph):
    """The sets of nodes that can reach each other: Tarjan's algorithm."""
    index, low, stack, circles = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            circle = stack[stack.index(node):]
            del stack[stack.index(node):]
            if len(circle) > 1:
                circles.append(sorted(circle))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return sorted(circles)


def find_folder_circles(calls):
    """Circles of calls among the rooms of one folder."""
    graph = calls.rooms()
    return find_circles({room: {other for other in others if folder(other) == folder(room)}
                         for room, others in graph.items()})


def folder(room):
    return room.partition("/")[0]
