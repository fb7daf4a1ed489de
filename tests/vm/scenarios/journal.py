# SPDX-License-Identifier: LGPL-2.1-or-later
"""The journal answers who moved which GPU when, why, how long it took, and what held it."""

import re

from testvm import Gpu, scenario
from testvm.product import BUSY, records

GPU = Gpu("rp1")
FIELDS = [
    "MESSAGE_ID", "VFIOPT_GPU", "VFIOPT_FUNCTION", "VFIOPT_FROM", "VFIOPT_TO", "VFIOPT_TRIGGER",
    "VFIOPT_PHASE", "VFIOPT_RESULT", "VFIOPT_REASON", "VFIOPT_DURATION_USEC", "VFIOPT_HOLDERS",
]


@scenario(gpus=[GPU])
def one_round(vm):
    """Every record of a round has every field; `journalctl -u` finds them all."""
    cursor = vm.journal_cursor()
    vm.sh("systemctl start vfiopt@passthrough; systemctl start vfiopt@host")
    ours = records(vm, since=cursor)
    by_unit = records(vm, since=cursor, unit="vfiopt@*")
    vm.equal(len(by_unit), len(ours), "records that journalctl -u 'vfiopt@*' shows")
    for record in ours:
        missing = [f for f in FIELDS if f not in record]
        vm.equal(missing, [], f"fields missing in {record['MESSAGE']!r}")
        vm.equal(record["VFIOPT_GPU"], GPU.address, "GPU")
        vm.check(record["VFIOPT_DURATION_USEC"].isdigit(), "the duration is a number")
    ends = [(r["VFIOPT_FROM"], r["VFIOPT_TO"], r["VFIOPT_TRIGGER"], r["VFIOPT_RESULT"])
            for r in ours if r["VFIOPT_PHASE"] == "end"]
    vm.equal(ends, [("host", "passthrough", "command", "done"), ("passthrough", "host", "command", "done")],
             "ends of the round")
    vm.equal(len({r["MESSAGE_ID"] for r in ours}) >= 3, True, "several kinds of records")
    # One message per event: the terminal's text is not in the journal a second time.
    messages = [r["MESSAGE"] for r in vm.journal("vfiopt@*", since=cursor)]
    for message in {r["MESSAGE"] for r in ours}:
        vm.equal(messages.count(message), 1, f"how often {message!r} is there")
    # Nor does the program write a line that is no record.
    written = vm.journal(match=["_COMM=vfioptctl"], since=cursor)
    vm.equal([r["MESSAGE"] for r in written if "VFIOPT_GPU" not in r], [], "other lines of the program")
    vm.equal(len(written), len(ours), "records of the program")


@scenario(gpus=[GPU])
def explained(vm):
    """`journalctl -x` explains the records, and a refusal names its holder in a field."""
    vm.sh("journalctl --update-catalog")
    vm.sh("nvidia-nodes")
    process = vm.spawn("exec hold /dev/nvidia0")
    process.wait_for("held")
    cursor = vm.journal_cursor()
    vm.sh("vfioptctl switch passthrough", ok=BUSY)
    refusal = [r for r in records(vm, since=cursor) if r["VFIOPT_RESULT"] == "refused"][0]
    vm.match(str(process.pid), refusal["VFIOPT_HOLDERS"], "the holders")
    vm.match("/dev/nvidia0", refusal["VFIOPT_HOLDERS"], "the holders")
    process.stop()
    vm.sh("vfioptctl switch passthrough")
    text = vm.sh("journalctl -x --no-pager -u 'vfiopt@*'").out
    subjects = "\n".join(re.findall(r"(?m)^░░ Subject: (.*)$", text))
    for subject in ("is about to move", "has moved to passthrough", "in use"):
        vm.match(subject, subjects, "subjects of the explanations")


@scenario(gpus=[GPU])
def who_asked(vm):
    """A switch in a login session has the login's user in its record."""
    vm.sh("echo 1234 > /proc/self/loginuid; exec vfioptctl switch --direct passthrough")
    done = [r for r in records(vm) if r["VFIOPT_PHASE"] == "end"][-1]
    vm.equal(done["VFIOPT_LOGINUID"], "1234", "login user")
