# SPDX-License-Identifier: LGPL-2.1-or-later
"""The agent as an attacker: its channel gives it one job for one GPU, and nothing else."""

from testvm import Gpu, scenario
from testvm.agent import jobs, on, remember, rest
from testvm.product import VFIO, results

GPU = Gpu("rp1")
AUTO = f"vfiopt@auto:{GPU.address}.service"
ASK = "vfiopt-ask.service"
# As in os/systemd.h.
STARTED, REFUSED = "0 ", "2 "

WRONG = (
    "x", "'  '", "auto", "host", AUTO, "0000:01:00.1", "01:00.0", f"'{GPU.address} '", f"$'{GPU.address}\\n'",
    f"{GPU.address.upper()}x", "10de:2204", "/dev/nvidia0", "../../etc/passwd", "'$(touch /run/owned)'", "$'\\xff\\xfe\\x01'",
    # A bridge, a display of another maker's, and slots with nothing in them.
    "0000:00:00.0", "0000:00:02.0", "0000:09:00.0", "ffffffff:ff:1f.0",
)


def units(vm):
    return set(vm.sh("systemctl list-units --all --plain --no-legend | cut -d' ' -f1").out.split())


def starts(vm, unit):
    """Starts of a unit that the manager has told of."""
    return len(vm.journal(match=[f"UNIT={unit}", "MESSAGE_ID=7d4958e842da4a758f6c1cdc7b36dcc5"]))


@scenario(gpus=[GPU], timeout=240)
def channel_gives_a_job_and_nothing_else(vm):
    """Whatever is sent: nothing starts, nothing fails, no unit is left; nobody else can send; and a GPU gets its job."""
    rest(vm)
    before = units(vm)
    vm.equal(vm.sh("stat -c '%U %a %F' /run/vfiopt-ask").out.strip(), "vfiopt 600 socket", "the channel")
    for user in ("alice", "bob", "nobody"):
        vm.match("connect: Permission denied", vm.sh(f"ask {GPU.address}", user=user, ok=1).err, f"{user} asks")
    vm.equal(vm.sh(f"systemctl is-active {ASK}", ok=None).out.strip(), "inactive", "who answers, before anybody asks")

    for text in WRONG:
        vm.match(f"^{REFUSED}", vm.sh(f"ask {text}", user="vfiopt").out, text)
    process = vm.sh(f"systemctl show -P MainPID {ASK}").out.strip()
    for options, answer in (
        ("--bytes=100000 x", REFUSED), (f"--bytes=5000 {GPU.address}", REFUSED), ("--twice x", ""),
        ("--gone x --times=200", ""), ("--gone 0000:09:00.0 --times=100", ""), ("--times=500 x", REFUSED),
        ("--times=100 0000:09:00.0", REFUSED), ("--bytes=60000 --times=50 $'\\xff'", REFUSED),
    ):
        vm.match(f"^{answer}", vm.sh(f"ask {options}", user="vfiopt", ok=(0, 1)).out, options)
    silent = vm.spawn("exec ask --silent=10 x", user="vfiopt")
    silent.wait_for("held")
    silent.stop()

    rest(vm)
    vm.equal(vm.sh(f"systemctl show -P MainPID {ASK}").out.strip(), process, "who answers, and has answered all")
    vm.equal(vm.sh("systemctl is-active vfiopt-ask.socket vfioptd").out.split(), ["active"] * 2, "socket and agent")
    vm.equal({unit for unit in units(vm) - before if "vfiopt" in unit}, set(), "units of ours")
    vm.equal(vm.sh("systemctl list-units --failed --plain --no-legend").out, "", "failed units")
    vm.equal((starts(vm, AUTO), vm.exists("/run/owned")), (0, False), "jobs")
    for line in vm.sh(f"grep ^Cap /proc/{process}/status").out.splitlines():
        vm.match(r"Cap\w+:\s*0{16}$", line, "capabilities of who answers")

    # And an ordinary one, in the way of the agent.
    vm.match(f"^{STARTED}", vm.sh(f"ask {GPU.address}", user="vfiopt").out, "an ordinary request")
    rest(vm)
    vm.equal(starts(vm, AUTO), 1, "jobs")
    cursor = vm.journal_cursor()
    remember(vm, GPU)
    on(vm, GPU, VFIO)
    vm.equal((jobs(vm, cursor), sum(r == "done" for _, r in results(vm, cursor))), (1, 1), "the agent's own")


@scenario(gpus=[GPU])
def channel_has_a_limit_of_jobs(vm):
    """Jobs without end are refused, and the manager has no job and no failed unit from it."""
    vm.match(f"^{REFUSED}too many jobs", vm.sh(f"ask --times=60 {GPU.address}", user="vfiopt").out, "the last answer")
    rest(vm)
    vm.check(starts(vm, AUTO) <= 30, "more jobs than there may be")
    vm.equal(vm.sh("systemctl list-jobs --no-legend").out, "", "jobs")
    vm.equal(vm.sh("systemctl list-units --failed --plain --no-legend").out, "", "failed units")
    vm.sh("systemctl start vfiopt@passthrough && systemctl start vfiopt@host")


@scenario(gpus=[GPU])
def channel_is_there_again(vm):
    """Killed, stopped or broken: whoever answers is there again with the agent, at the latest."""
    vm.match(f"^{REFUSED}", vm.sh("ask x", user="vfiopt").out, "the answer")
    vm.sh(f"systemctl kill -s KILL {ASK}")
    vm.match(f"^{REFUSED}", vm.sh("ask x", user="vfiopt").out, "the answer of the next one")
    vm.sh("systemctl stop vfiopt-ask.socket")
    vm.equal(vm.sh(f"systemctl is-active vfiopt-ask.socket {ASK} vfioptd", ok=3).out.split(), ["inactive"] * 3, "units")
    vm.sh("ask x", user="vfiopt", ok=1)
    vm.sh("systemctl start vfioptd")
    remember(vm, GPU)
    on(vm, GPU, VFIO)
