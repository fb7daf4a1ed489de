# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hostile company: the agent as an attacker has one job for one GPU, and bob, who may do nothing, keeps no GPU
from being switched but by using it, hides from nobody, and makes nobody see what is not there."""

import json

from testvm import Gpu, scenario
from testvm.agent import jobs, on, remember, rest
from testvm.product import (
    BUSY, STUCK, VFIO, clean, intruder, leftovers, on_vfio, records, refused, results, state,
)

GPU = Gpu("rp1")
SECOND = Gpu("rp2")
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


SWITCH = "vfioptctl switch --direct"
# Within five seconds of a machine's own a switch is over; this one is emulated.
LIMIT = 5
CGROUP = "/sys/fs/cgroup/system.slice/system-vfiopt.slice/vfiopt@passthrough.service"


def company(vm, command, user="bob"):
    process = vm.spawn(f"exec {command}", user=user)
    process.wait_for("held")
    return process


@scenario(gpus=[GPU, SECOND])
def kernel_made_to_wait(vm):
    """The kernel waits for bob's FUSE server when it is asked what his processes have mapped: that is told, in time."""
    vm.sh("modprobe fuse; nvidia-nodes")
    before = state(vm, GPU, SECOND)
    wedge = company(vm, "wedge 3")
    # At once for two GPUs: neither waits for the other.
    switches = [vm.spawn(f"exec {SWITCH} passthrough:{card.address}") for card in (GPU, SECOND)]
    for job in switches:
        result = job.wait(ok=BUSY)
        vm.match(r"wedge \(pid \d+.*, and 2 more", result.err, "what it says")
        vm.check(result.seconds < LIMIT * vm.machines, f"it took {result.seconds:.1f} s")
    vm.sh("vfioptctl status")
    wedge.stop()
    clean(vm, GPU, SECOND, before=before)
    vm.sh(f"{SWITCH} passthrough:{GPU.address}")
    on_vfio(vm, GPU)


@scenario(gpus=[GPU])
def job_stopped_while_it_looks(vm):
    """While the kernel waits for bob, the job of systemd can be stopped, and leaves no lock and no process behind."""
    vm.sh("modprobe fuse; nvidia-nodes")
    before = state(vm, GPU)
    wedge = company(vm, "wedge 24")
    for _ in range(3):
        # Not by pgrep, which waits for bob, too.
        vm.sh(f"systemctl start --no-block vfiopt@passthrough; until grep -q . {CGROUP}/cgroup.procs; do :; done")
        stopped = vm.sh("systemctl stop vfiopt@passthrough")
        vm.check(stopped.seconds < LIMIT * vm.machines, f"stopping took {stopped.seconds:.1f} s")
        vm.match("dead|failed", vm.sh("systemctl show -P SubState vfiopt@passthrough").out, "the job")
        vm.equal((state(vm, GPU), leftovers(vm)), (before, []), "functions, and files in /run/vfiopt")
        vm.sh(f"! grep -s . {CGROUP}/cgroup.procs")
    result = vm.sh(f"{SWITCH} passthrough", ok=BUSY)
    vm.check("waiting" not in result.err, "a lock was left behind")
    wedge.stop()
    vm.sh(f"{SWITCH} passthrough")
    on_vfio(vm, GPU)


@scenario(gpus=[GPU])
def nobody_hides(vm):
    """Passed on by birth, moved about, without memory: a node that is in use all the time is seen, each time."""
    vm.sh("nvidia-nodes")
    sound = vm.sh(f"ls -d /sys/bus/pci/devices/{GPU.addresses[1]}/sound/card*/controlC*").out.strip().rsplit("/", 1)[1]
    for kind in ("chain", "bare", "toggle", "move"):
        hidden = company(vm, f"hostile {kind} /dev/nvidia0")
        for _ in range(3):
            refused(vm, f"{SWITCH} passthrough", BUSY, r"hostile \(pid \d+", cards=[GPU], limit=LIMIT)
        hidden.stop()
    for kind in ("chain", "bare"):
        hidden = company(vm, f"hostile {kind} /dev/snd/{sound}", user="alice")
        for _ in range(3):
            refused(vm, f"{SWITCH} passthrough", BUSY, r"hostile \(pid \d+", cards=[GPU], limit=LIMIT)
        hidden.stop()
    vm.sh("while pgrep -x hostile >/dev/null; do :; done")
    vm.sh(f"{SWITCH} passthrough")
    on_vfio(vm, GPU)


MESSAGES = (
    f"NVRM: Xid (PCI:{GPU.slot}): 79, GPU has fallen off the bus.", f"NVRM: GPU {GPU.address}: GPU has fallen off the bus.",
    f"{GPU.address}: GPU has fallen off the bus.",
    f"NVRM: Attempting to remove device {GPU.address} with non-zero usage count!",
)


@scenario(gpus=[GPU])
def nobody_is_forged(vm):
    """Files at the node's path elsewhere, dead threads, shared files, crashes named like a kernel's message: none holds it."""
    vm.sh("nvidia-nodes")
    before = state(vm, GPU)
    elsewhere = "mount -t tmpfs none /dev && truncate -s 4096 /dev/nvidia0 && exec"
    path = "/bin:/usr/bin:/usr/local/bin:/usr/local/sbin"
    for command in (
        f"unshare -rm env PATH={path} sh -c '{elsewhere} hold /dev/nvidia0'",
        f"unshare -rm env PATH={path} sh -c '{elsewhere} hold --map /dev/nvidia0'",
        "hold --path /dev/nvidia0", "hostile undead", "hostile share",
    ):
        company(vm, command)
    # They take all the time that they get, so they are not for the switch to compete with.
    for command in (
        f"unshare -rm env PATH={path} sh -c '{elsewhere} hostile move /dev/nvidia0'", "hostile locks",
    ):
        process = company(vm, command)
        vm.sh(f"{SWITCH} --dry-run passthrough")
        process.stop()
    for message in MESSAGES:
        vm.sh(f"d=$(mktemp -d); set -- '{message}'; cp $(command -v hostile) \"$d/$1\"; \"$d/$1\" crash", user="bob",
              ok=139)
    vm.match(r"GPU has fallen off the bus.*segfault|segfault.*GPU has fallen off the bus", vm.sh("dmesg").out,
             "the kernel's log")
    result = vm.sh(f"{SWITCH} passthrough")
    on_vfio(vm, GPU)
    vm.check(result.seconds < LIMIT * vm.machines, f"it took {result.seconds:.1f} s")
    vm.sh(f"{SWITCH} host")
    clean(vm, GPU, before=before)


@scenario(gpus=[GPU], timeout=240)
def stuck_and_no_room_to_say_so(vm):
    """The unbind hangs, /run is full, and bob's locks come and go: it is told, is exit 6, and is seen by each look."""
    before = state(vm, GPU)
    locks = company(vm, "hostile locks")
    holder, switch = intruder(
        vm, GPU, then="mount -o remount,size=$(df --output=used -B1 /run | tail -n1) /run; ! echo x >/run/full")
    result = switch.wait(60, ok=STUCK)
    vm.match(r"(?i)reboot", result.err, "the advice")
    for _ in range(20):
        gpus = json.loads(vm.sh("vfioptctl status --json", quiet=True).out)["gpus"]
        vm.check(all(g["job"]["writer"] for g in gpus), "not seen")
    vm.check(any(r["VFIOPT_RESULT"] == "stuck" for r in records(vm)), "no record of it")
    # The next one waits for what still writes, and finishes when that has ended.
    home = vm.spawn(f"exec {SWITCH} host")
    vm.sh("until test -e /run/vfiopt/lock; do :; done; mount -o remount,size=64m /run")
    holder.stop()
    home.wait(60, ok=0)
    locks.stop()
    rest(vm)
    clean(vm, GPU, before=before)


@scenario(gpus=[GPU])
def journal_that_is_not_read(vm):
    """journald stands still, and bob has filled its socket: the switch goes on, and says that records are lost."""
    pid = vm.sh("systemctl show -P MainPID systemd-journald").out.strip()
    vm.sh(f"kill -STOP {pid}")
    flood = company(vm, "hostile flood /run/systemd/journal/socket")
    result = vm.sh(f"{SWITCH} passthrough")
    vm.check(result.seconds < LIMIT * vm.machines, f"it took {result.seconds:.1f} s")
    vm.match("records are lost", result.err, "what it says")
    vm.sh(f"kill -CONT {pid}")
    flood.stop()
    on_vfio(vm, GPU)
    cursor = vm.journal_cursor()
    vm.sh(f"{SWITCH} host")
    vm.check(results(vm, cursor), "no record is written again")
