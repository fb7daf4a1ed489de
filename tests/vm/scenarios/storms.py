# SPDX-License-Identifier: LGPL-2.1-or-later
"""The agent, when much happens at once and whoever has a part in it is killed."""

from testvm import Gpu, scenario
from testvm.agent import DRIVERS, jobs, on, remember, rest, state_mode, until
from testvm.product import VFIO, on_vfio, unfinished

GPU = Gpu("rp1")
SECOND = Gpu("rp2")
HOME = ["nvidia", "snd_hda_intel", "xhci_hcd", None]

AGENT = "kill -KILL $(systemctl show -P MainPID vfioptd)"
# The main processes of all jobs that run; never their children, which must not get a signal.
JOB = ("for i in $(seq 20); do pids=$(systemctl show -P MainPID 'vfiopt@*' | grep -vx '0\\?'); "
       '[ -z "$pids" ] || break; done; sleep {delay}; kill -KILL $pids')


def settled(vm, card, timeout=40):
    """Wait until a card is where the state file wants it, and nobody works on it; returns where."""
    until(vm, "systemctl -q is-active vfioptd", "the agent runs")
    rest(vm)
    # Whoever was killed before he wrote anything leaves the file of a lock that nobody holds, and
    # what he was about to rename. The next one takes both. What he was at is finished by a job,
    # which polkit may not have let begin yet. What is so at once is so at rest.
    if until(vm, "! find /run/vfiopt -type f | grep -vE '/(lock|gpu|pins)/|/modprobe.conf$|[.]tmp$' && "
                 "! grep -l '\"move\"' /run/vfiopt/gpu/*.json 2>/dev/null",
             "nothing left in /run/vfiopt", timeout):
        rest(vm)
    mode = state_mode(vm, card)
    where = [VFIO] * 4 if mode == "passthrough" else HOME
    test = " && ".join(
        f"[ {d}/driver -ef {DRIVERS}/{driver} ]" if driver else f"[ ! -e {d}/driver ]"
        for d, driver in zip((f"/sys/bus/pci/devices/{a}" for a in card.addresses), where))
    if until(vm, f"{{ {test}; }}", f"{card.address} in {mode}", timeout):
        # What the last event was may have had a job for it.
        rest(vm)
    vm.equal(vm.drivers(card), where, f"drivers in {mode}")
    if mode == "passthrough":
        on_vfio(vm, card)
    else:
        vm.equal(vm.overrides(card), [None] * 4, "overrides")
    return mode


def remove_and_rescan(card):
    return (f"for a in {' '.join(card.addresses)}; do echo 1 >/sys/bus/pci/devices/$a/remove; done; "
            "echo 1 >/sys/bus/pci/rescan")


@scenario(gpus=[GPU])
def agent_is_killed(vm):
    """Killed, it is there again, and does what was to be done meanwhile."""
    vm.sh("systemctl start vfiopt@passthrough")
    until(vm, "systemctl -q is-active vfioptd", "the agent runs")
    vm.sh(f"pid=$(systemctl show -P MainPID vfioptd); kill -STOP $pid; "
          f"echo {GPU.addresses[2]} >{DRIVERS}/vfio-pci/unbind; kill -KILL $pid")
    on(vm, GPU, VFIO)
    vm.sh("systemctl is-active vfioptd")


@scenario(gpus=[GPU], timeout=400, rounds=(10, 200))
def agent_and_jobs_are_killed(vm):
    """Plugs, unplugs and switches, and agent or job is killed at any moment: the wish holds."""
    dice = vm.dice()
    start = vm.journal_cursor()
    # What was asked for last; unknown when whoever was asked did not say that it was done.
    plugged, hits, wish = True, {"agent": 0, "job": 0}, None
    for n in range(vm.rounds):
        delay = f"{dice.random() * 0.7:.3f}"
        who = "agent" if dice.random() < 0.4 else "job"
        action = dice.choice(("unplug", "job", "job", "direct", "rescan")) if plugged else "plug"
        mode = dice.choice(("passthrough", "host"))
        vm.log(f"--- action {n + 1}: {action} {mode}")
        killer = vm.spawn(f"sleep {delay}; {AGENT}" if who == "agent" else JOB.format(delay=delay))
        if action == "plug":
            vm.plug(GPU)
            plugged = True
        elif action == "unplug":
            vm.unplug(GPU)
            plugged = False
        elif action == "rescan":
            vm.sh(remove_and_rescan(GPU), ok=None)
        else:
            command = "systemctl start vfiopt@" if action == "job" else "vfioptctl switch --direct "
            wish = mode if vm.sh(f"{command}{mode}", ok=None).code == 0 else None
        hits[who] += killer.wait(60).code == 0
        if wish:
            vm.equal(state_mode(vm, GPU), wish, "what is remembered of what was done")
        if plugged and n % 4 == 3:
            vm.equal(settled(vm, GPU), wish or state_mode(vm, GPU), "the wish")
    if not plugged:
        vm.plug(GPU)
    vm.equal(settled(vm, GPU), wish or state_mode(vm, GPU), "the wish")
    # There is a job to be killed now and then only.
    vm.check(hits["agent"] and (hits["job"] or vm.rounds < 100), f"killed: {hits}")
    vm.sh("systemctl start vfiopt@passthrough; systemctl start vfiopt@host")
    settled(vm, GPU)
    vm.equal(unfinished(vm), [], "files in /run/vfiopt")
    asked = jobs(vm, start)
    vm.report(f"{vm.rounds} actions, {hits['agent']} agents and {hits['job']} jobs killed, "
              f"{asked} jobs of the agent")
    vm.check(asked <= 2 * vm.rounds, f"{asked} jobs for {vm.rounds} actions")


# What may happen to those whom the agent listens to.
UPHEAVALS = (
    "systemctl restart systemd-udevd",
    "systemctl daemon-reexec",
    "systemctl daemon-reload",
    # With events in its hand: they are lost, and the file that says so stays.
    "udevadm trigger -s tty; kill -KILL $(systemctl show -P MainPID systemd-udevd)",
)


@scenario(gpus=[GPU, SECOND], timeout=400, rounds=(4, 120))
def udev_and_manager_start_again(vm):
    """udev and the manager start anew during plugs and switches: no wish is lost."""
    dice = vm.dice()

    def while_plugged(upheaval):
        vm.unplug(GPU)
        trouble = vm.spawn(f"sleep {dice.random():.3f}; {upheaval}")
        vm.plug(GPU, wait=False)
        until(vm, " && ".join(f"[ -e /sys/bus/pci/devices/{a} ]" for a in GPU.addresses), "plugged")
        trouble.wait(60, ok=0)

    def while_switched(upheaval):
        for mode in ("host", "passthrough"):
            switch = vm.spawn(f"systemctl start vfiopt@{mode}:{GPU.address}")
            vm.sh(f"sleep {dice.random():.3f}; {upheaval}")
            # Who waits for the manager may lose it, and the job goes on; or he lost it
            # before he was heard. Then he has to say it again.
            told = switch.wait(60).code == 0
            where = settled(vm, GPU)
            if where != mode and not told:
                vm.report(f"{mode} was not heard: {upheaval}")
                vm.sh(f"systemctl start vfiopt@{mode}:{GPU.address}")
                where = settled(vm, GPU)
            vm.equal(where, mode, "the wish")

    def before_a_theft(upheaval):
        # udev hears of nothing here, so nobody tells that its queue is empty.
        vm.sh(upheaval)
        remember(vm, GPU, SECOND)
        vm.sh(f"echo {GPU.addresses[2]} >{DRIVERS}/vfio-pci/unbind")

    vm.sh("systemctl start vfiopt@passthrough")
    # Four upheavals and three moments: each pair comes once in twelve rounds.
    for n in range(vm.rounds):
        upheaval, moment = UPHEAVALS[n % 4], (while_plugged, while_switched, before_a_theft)[n % 3]
        vm.log(f"--- {moment.__name__}: {upheaval}")
        moment(upheaval)
        on(vm, GPU, VFIO)
        settled(vm, GPU)


@scenario(gpus=[GPU])
def udev_never_ends(vm):
    """udev is gone and its queue is not empty, for good: the agent waits, but not for ever."""
    until(vm, "systemctl -q is-active vfioptd", "the agent runs")
    vm.sh("systemctl stop systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udevd; "
          "touch /run/udev/queue", ok=None)
    remember(vm, GPU)
    until(vm, f"[ -e {DRIVERS}/vfio-pci/{GPU.addresses[3]} ]", "the GPU on vfio-pci", 60)
    vm.sh("systemctl start systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udevd; "
          "udevadm trigger --settle -s pci")
    on(vm, GPU, VFIO)


@scenario(gpus=[GPU], timeout=200, rounds=(3, 120))
def direct_switch_is_killed(vm):
    """A switch without a job is killed: the agent finishes or undoes it unasked."""
    vm.sh("systemctl start vfiopt@host")
    cursor, killed = vm.journal_cursor(), 0
    # Each kind of call on each way comes once in six rounds, each time later in the switch.
    for n in range(vm.rounds):
        call, mode = ("renameat", "unlinkat", "sendto")[n % 3], ("passthrough", "host")[n % 2]
        vm.sh(f"systemctl start vfiopt@{'host' if mode == 'passthrough' else 'passthrough'}")
        rest(vm)
        r = vm.sh(f"exec strace -qq -o /dev/null -e trace={call} -e inject={call}:signal=KILL:"
                  f"when={2 + n // 6 * 2} vfioptctl switch --direct {mode}", ok=None)
        killed += r.code != 0
        settled(vm, GPU)
    vm.sh("systemctl start vfiopt@passthrough; systemctl start vfiopt@host")
    vm.equal(unfinished(vm), [], "files in /run/vfiopt")
    vm.check(killed, "none was killed")
    vm.report(f"{killed} killed, {jobs(vm, cursor)} jobs of the agent")


def footprint(vm):
    """Memory of the agent, in KiB."""
    out = vm.sh("cat /proc/$(systemctl show -P MainPID vfioptd)/smaps_rollup", quiet=True).out
    return {k: int(v.split()[0]) for k, v in (line.split(":", 1) for line in out.splitlines()[1:])
            if k in ("Rss", "Pss", "Private_Dirty")}


@scenario(gpus=[GPU, SECOND], timeout=240, rounds=(4, 150))
def agent_does_not_storm(vm):
    """Added and removed again and again: the wish holds, jobs are bounded, and memory is steady."""
    # With the last GPU the agent would go; the second one keeps it.
    vm.sh(f"systemctl start vfiopt@passthrough:{GPU.address}; modprobe nvidia || true")
    # What it needs for the first time, it keeps.
    vm.sh(f"for i in 1 2 3; do {remove_and_rescan(GPU)}; done", timeout=60)
    on(vm, GPU, VFIO)
    pid, before = vm.sh("systemctl show -P MainPID vfioptd").out, footprint(vm)
    cursor = vm.journal_cursor()
    seen = int(vm.read("/sys/kernel/uevent_seqnum"))
    vm.sh(f"for i in $(seq {vm.rounds}); do {remove_and_rescan(GPU)}; done", timeout=60 + 8 * vm.rounds)
    on(vm, GPU, VFIO)
    events = int(vm.read("/sys/kernel/uevent_seqnum")) - seen
    n, after = jobs(vm, cursor), footprint(vm)
    vm.report(f"{vm.rounds} rounds, {events} events, {n} jobs; in KiB {before} before, {after} after")
    vm.check(events >= 8 * vm.rounds, f"only {events} events")
    vm.check(n <= vm.rounds, f"{n} jobs in {vm.rounds} rounds")
    vm.equal(vm.sh("systemctl show -P MainPID vfioptd").out, pid, "the agent")
    vm.check(after["Private_Dirty"] <= before["Private_Dirty"] + 128, f"memory: {before}, {after}")
    cursor = vm.journal_cursor()
    replays = min(4 * vm.rounds, 100)
    vm.sh(f"for i in $(seq {replays}); do udevadm trigger -s pci; done; udevadm settle", timeout=200)
    rest(vm)
    vm.equal(jobs(vm, cursor), 0, "jobs for replayed events")
    on_vfio(vm, GPU)
