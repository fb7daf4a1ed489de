# SPDX-License-Identifier: LGPL-2.1-or-later
"""Run cases, each in a process of its own, and report.

A case cannot harm the next one: its machine dies with its process. The limit of
a scenario is an alarm in that process; should even that not help, the process
is killed from outside.
"""

import ctypes
import json
import os
import selectors
import shutil
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field, replace

from .cache import BuildError, Unavailable
from .cases import Skip
from .vm import Vm

START_LIMIT = 180
REPORT_LIMIT = 90


@dataclass
class Outcome:
    verdict: str  # "ok", "not ok", "SKIP"
    seconds: float = 0.0
    reason: str = ""
    details: str = ""
    phases: dict = field(default_factory=dict)
    cpu: float = 0.0  # seconds of processors, of the machine, its cards and what drives them
    notes: list = field(default_factory=list)  # what the scenario has to report


class TimeUp(Exception):
    pass


def _alarm(_signal, _frame):
    raise TimeUp()


def _terminated(_signal, _frame):
    sys.exit("terminated")


def die_with_parent():
    """Have the kernel kill this process when the one that forked it ends."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)


def _explain(vm, directory, error):
    """Everything that helps to understand a failure from the report alone."""
    parts = []
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/scenarios/" in f.filename]
    parts += [f"at {f.filename.rpartition('/')[2]}:{f.lineno}: {f.line}" for f in frames]
    if not frames and not isinstance(error, TimeUp):
        parts += traceback.format_exception(error)
    parts.append("--- transcript")
    try:
        with open(f"{directory}/transcript.log") as file:
            parts.append(file.read())
        parts.append(vm.diagnose())
    except Exception as second:
        parts.append(f"(no further diagnosis: {second})")
    return "\n".join(parts)


def _run_started(vm, case, directory):
    start = time.monotonic()
    try:
        signal.alarm(case.timeout)
        case.function(vm)
        vm.check_kernel()
        outcome = Outcome("ok")
    except Skip as skip:
        outcome = Outcome("SKIP", reason=str(skip))
    except TimeUp as error:
        signal.alarm(REPORT_LIMIT)
        details = _explain(vm, directory, error)
        outcome = Outcome("not ok", reason=f"not over after {case.timeout} s", details=details)
    except Exception as error:
        signal.alarm(REPORT_LIMIT)
        reason = str(error) or type(error).__name__
        outcome = Outcome("not ok", reason=reason, details=_explain(vm, directory, error))
    outcome.seconds = time.monotonic() - start
    return outcome


def run_case(artefacts, case, directory):
    """Run one case in this process; returns its Outcome."""
    signal.signal(signal.SIGALRM, _alarm)
    vm = None
    start = time.monotonic()
    try:
        vm = Vm(artefacts, case, directory)
        vm.prepare()
        start = time.monotonic()
        signal.alarm(START_LIMIT)
        vm.start()
        outcome = _run_started(vm, case, directory)
    except Unavailable as error:
        outcome = Outcome("SKIP", reason=str(error))
    except BuildError as error:
        outcome = Outcome("not ok", reason=str(error))
    except TimeUp as error:
        details = _explain(vm, directory, error)
        outcome = Outcome("not ok", reason=f"not started after {START_LIMIT} s", details=details)
    except Exception as error:
        signal.alarm(REPORT_LIMIT)
        details = _explain(vm, directory, error) if vm else traceback.format_exc()
        outcome = Outcome("not ok", reason=str(error), details=details)
    finally:
        signal.alarm(0)
        if vm:
            vm.stop()
    outcome.phases = {**(vm.phases if vm else {}), "scenario": outcome.seconds}
    outcome.notes = vm.notes if vm else []
    outcome.seconds = time.monotonic() - start
    return outcome


class Child:
    """A case that runs in a process of its own."""

    def __init__(self, artefacts, case):
        self.case = case
        self.directory = tempfile.mkdtemp(prefix="vfiopt-vm-")
        self.deadline = time.monotonic() + START_LIMIT + case.timeout + 2 * REPORT_LIMIT
        self.pipe, theirs = os.pipe()
        self._data = b""
        self.pid = os.fork()
        if self.pid == 0:
            self._run(artefacts, theirs)
        os.close(theirs)

    def _run(self, artefacts, fd):
        try:
            os.setpgid(0, 0)
            die_with_parent()
            outcome = run_case(artefacts, self.case, self.directory)
            with open(fd, "w") as file:
                json.dump(vars(outcome), file)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)

    def read(self):
        """Take in what has come; True at the end."""
        piece = os.read(self.pipe, 1 << 16)
        self._data += piece
        return not piece

    def kill(self):
        os.killpg(self.pid, signal.SIGKILL)

    def finish(self):
        os.close(self.pipe)
        _, _, used = os.wait4(self.pid, 0)
        try:
            outcome = Outcome(**json.loads(self._data))
        except ValueError:
            outcome = Outcome("not ok", reason="the process of the scenario has died")
        outcome.cpu = used.ru_utime + used.ru_stime
        return outcome

    def clean(self):
        shutil.rmtree(self.directory, ignore_errors=True)


def _name(case, width):
    return case.name.ljust(width)


def _shortened(case):
    """A run that does less than it could says so."""
    return f"  {case.rounds} of {case.long_rounds} rounds" if case.rounds < case.long_rounds else ""


def _report(case, outcome, width, verbose, logs):
    line = f"{outcome.verdict:6} {_name(case, width)} {outcome.seconds:6.1f} s{_shortened(case)}"
    if verbose:
        parts = {**outcome.phases, "cpu": outcome.cpu}
        line += "  (" + ", ".join(f"{k} {v:.2f}" for k, v in parts.items()) + ")"
    if outcome.verdict == "SKIP":
        line = f"SKIP   {_name(case, width)} {outcome.reason}"
    print("\n".join([line, *(f"       {note}" for note in outcome.notes)]), flush=True)
    if outcome.verdict == "not ok":
        print(f"  {case.description}")
        text = f"{outcome.reason}\n{outcome.details}".rstrip()
        print("\n".join("  # " + row for row in text.splitlines()))
        print(f"  # files of this run: {logs}", flush=True)


def in_order(cases, jobs):
    """As they stand; but who has to be alone comes when the others are through.

    Where several share the processors, each may take so many times as long.
    """
    together = [replace(case, timeout=case.timeout * jobs, machines=jobs) for case in cases if not case.alone]
    return [*together, *(case for case in cases if case.alone)] if jobs > 1 else list(cases)


def may_start(case, running):
    """Whether a case can begin beside those that run."""
    return not running or not case.alone and not any(child.case.alone for child in running)


def run(artefacts, cases, jobs=1, keep_going=True, verbose=False):
    """Run cases; returns how many failed."""
    signal.signal(signal.SIGTERM, _terminated)
    width = max((len(case.name) for case in cases), default=0)
    counts = {"ok": 0, "not ok": 0, "SKIP": 0}
    waiting = in_order(cases, jobs)
    running = {}
    selector = selectors.DefaultSelector()

    try:
        while waiting or running:
            while waiting and len(running) < jobs and may_start(waiting[0], running.values()):
                child = Child(artefacts, waiting.pop(0))
                running[child.pid] = child
                selector.register(child.pipe, selectors.EVENT_READ, child)

            limit = min(child.deadline for child in running.values()) - time.monotonic()
            ready = [key.data for key, _ in selector.select(max(0, limit))]
            for child in running.values():
                if time.monotonic() > child.deadline:
                    child.kill()

            for child in [c for c in ready if c.read()]:
                selector.unregister(child.pipe)
                del running[child.pid]
                outcome = child.finish()
                counts[outcome.verdict] += 1
                logs = keep_logs(artefacts, child) if outcome.verdict == "not ok" else None
                child.clean()
                _report(child.case, outcome, width, verbose, logs)
                if outcome.verdict == "not ok" and not keep_going:
                    waiting.clear()
    finally:
        for child in running.values():
            child.kill()
            child.clean()

    total = f"{counts['ok']} passed, {counts['not ok']} failed"
    if counts["SKIP"]:
        total += f", {counts['SKIP']} skipped"
    print(total, flush=True)
    return counts["not ok"]


def keep_logs(artefacts, child):
    """Keep the files of a failed run, the last one of each case."""
    kept = artefacts.cache.root / "failed" / child.case.name
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for name in os.listdir(child.directory):
        if name.endswith(".log"):
            shutil.copy(f"{child.directory}/{name}", kept)
    return kept
