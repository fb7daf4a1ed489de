#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""When the boot's unit is skipped: where nothing is to be done, and where the machine has come up.

boot-due.py PROGRAM
"""

import pathlib
import socket
import subprocess
import sys
import tempfile

import tree

DUE, NOT_DUE = 0, 1


def is_due(program, root):
    return subprocess.run([program, root], timeout=60).returncode


def main(program):
    program = pathlib.Path(program).resolve()
    with tempfile.TemporaryDirectory() as folder:
        nothing, wished = pathlib.Path(folder, "nothing"), pathlib.Path(folder, "wished")
        tree.empty(tree.Tree(nothing))
        # One GPU belongs elsewhere, and both are remembered.
        tree.two(tree.Tree(wished))
        found = {"no GPU": is_due(program, nothing), "a wish": is_due(program, wished)}

        bus = wished / "run/dbus"
        bus.mkdir()
        found["no bus yet"] = is_due(program, wished)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(bus / "system_bus_socket"))
            found["a bus that nobody listens on"] = is_due(program, wished)
            # No room for more than the first one.
            listener.listen(0)
            found["a bus"] = is_due(program, wished)
            found["a busy bus"] = is_due(program, wished)
        found["a bus that has ended"] = is_due(program, wished)

    expected = {"no GPU": NOT_DUE, "a wish": DUE, "no bus yet": DUE, "a bus that nobody listens on": DUE,
                "a bus": NOT_DUE, "a busy bus": NOT_DUE, "a bus that has ended": DUE}
    print(found)
    return 0 if found == expected else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
