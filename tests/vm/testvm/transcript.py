# SPDX-License-Identifier: LGPL-2.1-or-later
"""What was done to a machine and what it answered, with times."""

import time


class Transcript:
    def __init__(self, path):
        self._file = open(path, "w", buffering=1)
        self._start = time.monotonic()

    def __call__(self, text):
        self._file.write(f"{time.monotonic() - self._start:8.3f} {text}\n")

    def block(self, prefix, data):
        """Output of a program, each line marked with where it came from."""
        for line in data.decode(errors="replace").splitlines():
            self._file.write(f"         {prefix} {line}\n")
