# SPDX-License-Identifier: LGPL-2.1-or-later
"""A shell in the machine of a scenario, on this terminal."""

import fcntl
import os
import select
import struct
import sys
import termios
import tty

from .vm import Vm

LEAVE = b"\x1d"  # ^]


def _copy(console):
    """Between terminal and console, until ^] or the end of either."""
    while True:
        for source in select.select([sys.stdin, console], [], [])[0]:
            if source is console:
                data = console.recv(1 << 14)
                os.write(1, data)
            else:
                data = os.read(0, 1 << 14)
                if LEAVE in data:
                    return
                console.sendall(data)
            if not data:
                return


def run(artefacts, case):
    """Set the machine up as the case does, and hand it over."""
    with Vm.running(artefacts, case) as vm:
        rows, columns = struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))[:2]
        vm.sh(f"stty -F /dev/hvc0 rows {rows} cols {columns}; systemctl start vm-shell")
        print(f"# machine of {case.name}; ^] ends it", flush=True)
        saved = termios.tcgetattr(0)
        try:
            tty.setraw(0)
            _copy(vm.console)
        finally:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)
            print()
