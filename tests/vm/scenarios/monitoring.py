# SPDX-License-Identifier: LGPL-2.1-or-later
"""vfioptctl monitor tells what happens while it happens, and believes only who can know."""

import json

from testvm import Gpu, scenario
from testvm.product import BUSY, DONE, PRECONDITION, RULES, USAGE, records, strikes

GPU = Gpu("rp1")
SECOND = Gpu("rp2")
SIGINT, SIGTERM = 2, 15
KEYS = ["version", "time_usec", "event", "gpu", "functions", "from", "to", "trigger", "phase", "result", "reason",
        "holders", "duration_usec", "loginuid", "uid", "pid", "unit", "message"]
MESSAGE_WARNING = "bc6746df2af14065a315326157e6dd58"


def monitor(vm, arguments="", user=None):
    """Begin to monitor, and come back when nothing is missed any more."""
    process = vm.spawn(f"exec vfioptctl monitor {arguments} 2>&1", user=user)
    process.wait_for("Waiting for events")
    return process


def lines(process):
    return process.out.splitlines()[1:]


def events(process):
    return [json.loads(line) for line in lines(process)]


def write_record(vm, message, user=None):
    """A record that looks like one of ours, written by anybody."""
    fields = (f"MESSAGE_ID={MESSAGE_WARNING}", "PRIORITY=4", f"VFIOPT_GPU={GPU.address}", f"MESSAGE={message}")
    vm.sh("logger --journald", user=user, input="".join(f"{field}\n" for field in fields), quiet=True)


@scenario(gpus=[GPU, SECOND])
def monitor_tells_of_a_switch_under_way(vm):
    """People and programs hear of a job's steps as they are done, of a refusal, and of one GPU if they like."""
    cursor = vm.journal_cursor()
    human = monitor(vm)
    program = monitor(vm, "--json")
    of_second = monitor(vm, "--json 02:00.1")

    watcher = strikes(vm, f"hold-unbind {GPU.address} nvidia")
    switch = vm.spawn(f"exec vfioptctl switch passthrough:{GPU.address}")
    watcher.wait_for(f"hold-unbind {GPU.address}")
    human.wait_for(f" {GPU.address}: moving from host to passthrough\n")
    program.wait_for('"event":"started"')
    vm.check(switch.running, "the switch was over before anybody was told that it had begun")
    vm.write(RULES, f"release {GPU.address}")
    watcher.kill()
    switch.wait(60, ok=DONE)
    program.wait_for('"event":"done"')

    vm.sh("vfioptctl switch host 01:00; nvidia-nodes")
    holder = vm.spawn("exec hold /dev/nvidia0")
    holder.wait_for("held")
    vm.sh("vfioptctl switch --direct passthrough 01:00", ok=BUSY)
    vm.sh("vfioptctl switch --direct passthrough 02:00", ok=DONE)
    holder.stop()
    last = f"{SECOND.address}: moved from host to passthrough"
    for process in (human, program, of_second):
        process.wait_for(last)

    ours = records(vm, since=cursor)
    told = events(program)
    vm.equal([e["message"] for e in told], [r["MESSAGE"] for r in ours], "what programs are told")
    vm.equal([line.split(" ", 2)[2] for line in lines(human)], [r["MESSAGE"] for r in ours], "what people are told")
    vm.equal([e for e in told if e["gpu"] == SECOND.address], events(of_second), "what is told of one GPU")
    for line, event, record in zip(lines(human), told, ours):
        vm.match(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ", line, "time")
        vm.equal(list(event), KEYS, "keys")
        vm.equal(event["time_usec"], int(record["_SOURCE_REALTIME_TIMESTAMP"]), "time")
        vm.equal((event["uid"], event["pid"]), (0, int(record["_PID"])), "who")
    steps = [e for e in told if e["event"] == "step" and e["phase"] == "unbind"]
    vm.check(steps and all(len(e["functions"]) == 1 and e["duration_usec"] > 0 for e in steps), f"{steps}")
    done = [e for e in told if e["event"] == "done"]
    vm.equal([(e["gpu"], e["from"], e["to"], e["trigger"], e["reason"]) for e in done],
             [(GPU.address, "host", "passthrough", "command", None),
              (GPU.address, "passthrough", "host", "command", None),
              (SECOND.address, "host", "passthrough", "command", None)], "switches")
    vm.equal(done[0]["functions"], GPU.addresses, "functions")
    vm.equal(done[0]["unit"], f"vfiopt@passthrough:{GPU.address}.service", "unit of a job")
    refusal, = [e for e in told if e["event"] == "busy"]
    vm.equal((refusal["phase"], refusal["result"]), ("check", "refused"), "refusal")
    vm.match(r"/dev/nvidia0", refusal["reason"], "why")
    vm.equal(refusal["holders"], f"{holder.pid} (hold) /dev/nvidia0", "holders")

    for process, number in ((human, SIGINT), (program, SIGTERM)):
        process.signal(number)
        process.wait(10, ok=DONE)
    # What the manual says of other events.
    udev = vm.spawn("exec udevadm monitor --udev --tag-match=vfiopt")
    udev.wait_for("the event which udev sends out after rule processing")
    awaited = [(action, vm.sh(f"readlink -f /sys/bus/pci/devices/{address}").out.strip().removeprefix("/sys"))
               for action, address in (("unbind", SECOND.address), ("remove", SECOND.addresses[1]))]
    vm.unplug(SECOND)
    for action, path in awaited:
        udev.wait_for(f" {action:<8} {path} (pci)\n")
    vm.check(of_second.running, "the end of a GPU ends those who watch it")


@scenario(gpus=[GPU])
def monitor_tells_what_the_agent_does(vm):
    """The agent's own decisions are told, and the job that it asks for."""
    vm.sh("systemctl start vfiopt@passthrough; systemctl start vfioptd")
    program = monitor(vm, "--json 10de:2204")
    vm.write("/sys/bus/pci/drivers/vfio-pci/unbind", GPU.addresses[1])
    program.wait_for('"event":"asked"')
    program.wait_for('"event":"done"')
    asked = [e for e in events(program) if e["event"] == "asked"][0]
    vm.equal((asked["from"], asked["to"], asked["trigger"], asked["unit"]),
             ("mixed", "passthrough", "agent", "vfioptd.service"), "what the agent says")
    vm.equal(asked["uid"], int(vm.sh("id -u vfiopt").out), "who says so")
    done = [e for e in events(program) if e["event"] == "done"][0]
    vm.equal((done["trigger"], done["unit"], done["uid"]), ("agent", f"vfiopt@auto:{GPU.address}.service", 0),
             "what its job says")


@scenario(gpus=[])
def monitor_believes_root_and_not_bob(vm):
    """Forged records are not told; a journal that is rotated and vacuumed goes on being read."""
    human = monitor(vm)
    program = monitor(vm, "--json")
    terminal = vm.spawn("TERM=linux exec script -qefc 'vfioptctl monitor' /dev/null")
    terminal.wait_for("Waiting for events")
    absent = monitor(vm, "05:00")
    write_record(vm, "forged", user="bob")
    write_record(vm, "forged", user="alice")
    write_record(vm, "first")
    human.wait_for(" first\n")
    vm.sh("journalctl --rotate")
    write_record(vm, "second")
    human.wait_for(" second\n")
    vm.sh("journalctl --rotate; journalctl --vacuum-files=1; journalctl --vacuum-time=1s")
    write_record(vm, "forged", user="bob")
    write_record(vm, "third\x1b[2J")
    for process in (human, program):
        process.wait_for("third")
    vm.equal([e["message"] for e in events(program)], ["first", "second", "third\x1b[2J"], "what programs are told")
    vm.equal([line.split(" ", 2)[2] for line in lines(human)], ["first", "second", "third?[2J"],
             "what people are told")
    terminal.wait_for("third")
    vm.match(r"\x1b\[33m[0-9-]* [0-9:.]* first\x1b\[0m\r\n", terminal.out, "a warning on a terminal")
    vm.equal(lines(absent), [], "what is told of a GPU that is not there")


@scenario(gpus=[])
def monitor_needs_the_journal(vm):
    """Who may not read the journal is told so; who is in its group may."""
    r = vm.sh("vfioptctl monitor", user="bob", ok=PRECONDITION)
    vm.match(r"^vfioptctl: this user may not read the journal; .*systemd-journal.*\n\Z", r.err, "what bob is told")
    vm.equal(r.out, "", "output")
    vm.sh("usermod -aG systemd-journal alice")
    alice = monitor(vm, user="alice")
    write_record(vm, "for alice")
    alice.wait_for("for alice")

    vm.match("is not an NVIDIA GPU", vm.sh("vfioptctl monitor 00:02.0", ok=PRECONDITION).err, "another device")
    vm.match("there is no GPU", vm.sh("vfioptctl monitor 10de:2204", ok=PRECONDITION).err, "an id that is not there")
    vm.match("neither an address", vm.sh("vfioptctl monitor gpu", ok=USAGE).err, "no GPU")


@scenario(gpus=[])
def monitor_ends_with_its_reader(vm):
    """It ends when its reader goes, with or without an event; a reader that stands still does not keep it."""
    vm.equal(vm.sh("vfioptctl monitor 2>/run/err | true; echo ${PIPESTATUS[0]}").out, "0\n", "exit status")
    vm.equal(len(vm.read("/run/err").splitlines()), 1, "lines of standard error")
    first = vm.spawn("{ vfioptctl monitor 2>&3 | head -n1; echo ${PIPESTATUS[0]}; } 3>&1")
    first.wait_for("Waiting")
    write_record(vm, "one")
    vm.match(r" one\n0\n\Z", first.wait(10, ok=0).out, "one line, and the exit status")
    # A shell's child with SIGPIPE ignored is told by an error instead.
    ignoring = vm.spawn("trap '' PIPE; { vfioptctl monitor 2>&3 | head -n1; echo ${PIPESTATUS[0]}; } 3>&1")
    ignoring.wait_for("Waiting")
    write_record(vm, "two")
    vm.match(r" two\n0\n\Z", ignoring.wait(10, ok=0).out, "one line, and the exit status")

    vm.sh("mkfifo /run/full")
    reader = vm.spawn("exec sleep 1000 </run/full")
    full = vm.spawn("exec vfioptctl monitor 2>&1 >/run/full")
    full.wait_for("Waiting")
    for _ in range(3):
        write_record(vm, "x" * 40000)
    vm.sh(f"until grep -q pipe_write /proc/{full.pid}/wchan; do sleep 0.1; done")
    full.signal(SIGTERM)
    full.wait(10, ok=DONE)
    reader.kill()

    full = vm.spawn("exec vfioptctl monitor 2>&1 >/dev/full")
    full.wait_for("Waiting")
    write_record(vm, "three")
    vm.match("monitor failed: No space left on device", full.wait(10, ok=1).out, "a file that is full")


@scenario(gpus=[])
def monitor_goes_with_the_journal_to_disk(vm):
    """A journal that moves to the disk while it is read goes on being read; there, bob has one that is no use to him."""
    vm.sh("mkdir -p /var/log/journal")
    human = monitor(vm)
    write_record(vm, "in memory")
    human.wait_for(" in memory\n")
    vm.write("/etc/systemd/journald.conf.d/zz.conf", "[Journal]\nStorage=persistent\n")
    vm.sh("systemctl restart systemd-journald && journalctl --flush && ls /var/log/journal/*/system.journal")
    write_record(vm, "on disk")
    human.wait_for(" on disk\n")
    write_record(vm, "forged", user="bob")
    vm.sh("journalctl --sync; ls /var/log/journal/*/user-$(id -u bob).journal")
    vm.match("may not read the journal", vm.sh("vfioptctl monitor", user="bob", ok=PRECONDITION).err, "what bob is told")
    write_record(vm, "last")
    human.wait_for(" last\n")
    vm.equal([line.split(" ", 2)[2] for line in lines(human)], ["in memory", "on disk", "last"], "what people are told")
