# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU's monitor: one command at a time, events are kept until asked for."""

import json
import select
import time


class QmpError(Exception):
    """QEMU refused a command, or has gone."""


class Qmp:
    def __init__(self, sock, transcript):
        self._socket = sock
        self._transcript = transcript
        self._buffer = b""
        self._events = []
        self._receive(60)  # the greeting
        self("qmp_capabilities")

    def _receive(self, timeout):
        """The next message, or None when the time is up."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self._buffer:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._socket], [], [], left)[0]:
                return None
            data = self._socket.recv(1 << 16)
            if not data:
                raise QmpError("QEMU has closed its monitor")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def __call__(self, command, timeout=60, **arguments):
        """Run a command; returns what it returns."""
        request = {"execute": command}
        if arguments:
            request["arguments"] = {k.replace("_", "-"): v for k, v in arguments.items()}
        self._transcript(f"qmp: {command} {json.dumps(arguments) if arguments else ''}")
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            message = self._receive(timeout)
            if message is None:
                raise QmpError(f"no answer to {command} within {timeout} s")
            if "event" in message:
                self._events.append(message)
            elif "error" in message:
                raise QmpError(f"{command}: {message['error']['desc']}")
            else:
                return message["return"]

    def event(self, name, timeout=60, **data):
        """Wait for an event whose data has these values; it may have come already."""
        deadline = time.monotonic() + timeout
        while True:
            for event in self._events:
                have = event.get("data", {})
                if event["event"] == name and all(have.get(k) == v for k, v in data.items()):
                    self._events.remove(event)
                    self._transcript(f"qmp: event {name} {json.dumps(have)}")
                    return event
            message = self._receive(max(0.0, deadline - time.monotonic()))
            if message is None:
                raise QmpError(f"no event {name} within {timeout} s")
            if "event" in message:
                self._events.append(message)

    def forget(self, name):
        """Let go of events that came before the answer to the last command."""
        self._events = [event for event in self._events if event["event"] != name]
