#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Our rules of udev are understood by all of its versions.

Those from 258 on leave a line out that assigns a property of the kernel's (KERNEL.md 6.1). Where
udevadm knows how to verify rules, it is asked as well.
"""

import pathlib
import re
import shutil
import subprocess
import sys

ASSIGNED = re.compile(r"\bENV\{(\w+)\}\s*[+:]?=(?!=)")
OF_THE_KERNEL = {"ACTION", "DEVNAME", "DEVPATH", "DEVTYPE", "DRIVER", "MAJOR", "MINOR", "MODALIAS", "SEQNUM", "SUBSYSTEM"}


def main(root):
    problems = 0
    for file in sorted(pathlib.Path(root, "rules.d").glob("*.rules")):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            for name in ASSIGNED.findall(line) if not line.startswith("#") else ():
                if name in OF_THE_KERNEL:
                    print(f"{file.name}:{number}: assigns {name}, which is the kernel's")
                    problems += 1
        if shutil.which("udevadm") and not subprocess.run(["udevadm", "verify", "--help"], capture_output=True).returncode:
            problems += bool(subprocess.run(["udevadm", "verify", "--no-summary", file]).returncode)
    return problems > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
