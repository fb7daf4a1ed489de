# SPDX-License-Identifier: LGPL-2.1-or-later
"""The runner's half of the command channel; the other half is agent/protocol.h.

A thread takes in frames and gives them to the jobs they belong to; whoever waits
for a job waits on its condition. So any number of jobs run at a time, and one
that hangs in the guest hangs nobody here.
"""

import socket
import struct
import threading
import time

HELLO, RUN, INPUT, SIGNAL, STARTED, OUT, ERR, TOOK, EXIT = range(1, 10)
HEADER = struct.Struct("<III")
EXIT_FRAME = struct.Struct("<iIQQ")
WINDOW = 256 << 10
CHUNK = 32 << 10


class ChannelError(Exception):
    """The guest does not answer any more."""


class MachineGone(ChannelError):
    """The machine has been reset, or has ended, and nobody knows what has become of a program."""


class Job:
    """A program in the guest."""

    def __init__(self, channel, number, changed):
        self._channel = channel
        self._number = number
        self._changed = changed
        self._under_way = 0
        self.pid = None
        self.out = bytearray()
        self.err = bytearray()
        self.code = None  # exit code, or negative signal number
        self.start = self.end = None  # guest's monotonic clock, seconds

    @property
    def ended(self):
        return self.code is not None

    @property
    def running(self):
        return not self.ended and self._channel.broken is None

    def wait_until(self, condition, timeout):
        """True once condition() holds, False when the time is up or all is over."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not condition():
                if self.ended:
                    return False
                self._channel.check()
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
            return True

    def wait(self, timeout):
        """True once it has ended."""
        return self.wait_until(lambda: self.ended, timeout)

    def write(self, data, timeout=60):
        """Give it input, as fast as it takes it."""
        for start in range(0, len(data), CHUNK):
            chunk = data[start : start + CHUNK]
            if not self.wait_until(lambda: self._under_way + len(chunk) <= WINDOW, timeout):
                raise ChannelError("the program in the guest does not take its input")
            with self._changed:
                self._under_way += len(chunk)
            self._channel.send(INPUT, self._number, chunk)

    def close_input(self):
        self._channel.send(INPUT, self._number)

    def signal(self, number):
        """To it and all its children that are in its process group."""
        self._channel.send(SIGNAL, self._number, struct.pack("<I", number))

    def on_frame(self, kind, payload):
        """Called by the channel, which holds the condition."""
        if kind == STARTED:
            (self.pid,) = struct.unpack("<I", payload)
        elif kind == OUT:
            self.out += payload
        elif kind == ERR:
            self.err += payload
        elif kind == TOOK:
            self._under_way -= struct.unpack("<I", payload)[0]
        elif kind == EXIT:
            self.code, _, start, end = EXIT_FRAME.unpack(payload)
            self.start, self.end = start / 1e6, end / 1e6


class Channel:
    """One connection to one boot of the guest: who connects anew makes a new one."""

    def __init__(self, sock):
        self._socket = sock
        self._sending = threading.Lock()
        self._changed = threading.Condition()
        self._jobs = {}
        self._next = 1
        self._greeted = set()
        self._reason = "the machine has gone"
        self.broken = None  # why nothing can come any more
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self, reason="the machine has gone"):
        """Take in what has come, and hang up: jobs that have not ended are lost."""
        if self._socket.fileno() < 0:
            return
        self._reason = reason
        self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._socket.close()

    def check(self):
        if self.broken:
            raise MachineGone(self.broken)

    def send(self, kind, number, payload=b""):
        self.check()
        try:
            with self._sending:
                self._socket.sendall(HEADER.pack(len(payload), number, kind) + payload)
        except OSError as error:
            raise MachineGone(self._reason) from error

    def hello(self, timeout):
        """Wait until the agent answers, which may not have started yet."""
        with self._changed:
            number, self._next = self._next, self._next + 1
        self.send(HELLO, number)
        deadline = time.monotonic() + timeout
        with self._changed:
            while number not in self._greeted:
                self.check()
                left = deadline - time.monotonic()
                if left <= 0:
                    raise ChannelError(f"the agent in the guest has not answered for {timeout:.0f} s")
                self._changed.wait(left)

    def run(self, argv):
        """Start a program; returns its Job at once."""
        with self._changed:
            number, self._next = self._next, self._next + 1
            job = self._jobs[number] = Job(self, number, self._changed)
        self.send(RUN, number, b"".join(word.encode() + b"\0" for word in argv))
        return job

    def _receive(self, size):
        data = bytearray()
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise ConnectionError
            data += piece
        return bytes(data)

    def _read(self):
        try:
            while True:
                size, number, kind = HEADER.unpack(self._receive(HEADER.size))
                payload = self._receive(size)
                with self._changed:
                    if kind == HELLO:
                        self._greeted.add(number)
                    elif number in self._jobs:
                        self._jobs[number].on_frame(kind, payload)
                        if kind == EXIT:
                            del self._jobs[number]
                    self._changed.notify_all()
        except OSError:
            with self._changed:
                self.broken = self._reason
                self._changed.notify_all()
