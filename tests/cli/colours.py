#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Colours are for a terminal that has them, and a user who wants them.

colours.py PROGRAM
"""

import os
import pty
import subprocess
import sys
import tempfile

import tree

COLOUR = b"\x1b["


def printed(program, root, terminal=True, **environment):
    """What status prints, to a terminal or into a pipe."""
    reader, writer = pty.openpty() if terminal else os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as out:
        subprocess.run([program, f"--root={root}"], stdout=writer, check=True, timeout=60, env=environment)
        # It fits into what is buffered, and the end of a terminal is an error.
        text = out.read(65536)
        os.close(writer)
    return text


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        tree.two(tree.Tree(f"{folder}/root"))

        def coloured(**how):
            text = printed(program, f"{folder}/root", **how)
            assert b"0000:01:00.0" in text, text
            return COLOUR in text

        try:
            os.close(pty.openpty()[0])
        except OSError as error:
            print(f"no terminal: {error}")
            return 77
        found = [coloured(TERM="xterm"), coloured(TERM="dumb"), coloured(), coloured(TERM="xterm", NO_COLOR="1"),
                 coloured(TERM="xterm", NO_COLOR=""), coloured(TERM="xterm", terminal=False)]
    print(found)
    return 0 if found == [True, False, False, False, True, False] else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
