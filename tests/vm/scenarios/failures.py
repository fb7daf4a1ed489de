# SPDX-License-Identifier: LGPL-2.1-or-later
"""Something goes wrong half-way: rolled back, or left safely and said so, and never wedged."""

import json

from testvm import Gpu, scenario
from testvm.agent import DRIVERS, remember, rest, until
from testvm.product import (
    BUSY, FAILED, PRECONDITION, RULES, STUCK, VFIO, clean, fault, intruder, leftovers, on_vfio,
    state, strikes, unfinished, usable_by_a_guest,
)

GPU = Gpu("rp1")
SECOND = Gpu("rp2")

@scenario(gpus=[GPU])
def vfio_refuses_the_third_function(vm):
    """vfio-pci refuses to bind .2: all functions are back on the host, exit code 5."""
    before = state(vm, GPU)
    fault(vm, f"refuse-bind {GPU.addresses[2]} vfio-pci 22")
    result = vm.sh("vfioptctl switch passthrough", ok=FAILED)
    vm.match(rf"bind {GPU.addresses[2]} to vfio-pci", result.err, "what it says")
    clean(vm, GPU, before=before)
    vm.write(RULES, "clear")
    vm.sh("vfioptctl switch passthrough")
    on_vfio(vm, GPU)


@scenario(gpus=[GPU])
def vfio_refuses_every_function_in_turn(vm):
    """Whichever function it is that cannot be bound, everything is as before."""
    before = state(vm, GPU)
    vm.sh("modprobe pcifault")
    for address in GPU.addresses:
        vm.write(RULES, f"refuse-bind {address} vfio-pci 5 1")
        vm.sh("vfioptctl switch passthrough", ok=FAILED)
        clean(vm, GPU, before=before)
        vm.write(RULES, "clear")


@scenario(gpus=[GPU])
def host_driver_refuses_to_come_back(vm):
    """nvidia refuses to bind: exit code 5, the GPU stays safely on vfio-pci, and is told so."""
    before = state(vm, GPU)
    vm.sh("vfioptctl switch passthrough")
    vm.write("/sys/module/nvidia/parameters/fail_probe", "all")
    result = vm.sh("vfioptctl switch host", ok=FAILED)
    vm.match(rf"bind {GPU.address} to nvidia", result.err, "what it says")
    on_vfio(vm, GPU)
    usable_by_a_guest(vm, GPU)
    vm.write("/sys/module/nvidia/parameters/fail_probe", "none")
    vm.sh("vfioptctl switch host")
    clean(vm, GPU, before=before)


@scenario(gpus=[GPU])
def sibling_refuses_to_come_back(vm):
    """snd_hda_intel refuses to bind: the whole card stays on vfio-pci."""
    before = state(vm, GPU)
    vm.sh("vfioptctl switch passthrough")
    fault(vm, f"refuse-bind {GPU.addresses[1]} snd_hda_intel 5")
    vm.sh("vfioptctl switch host", ok=FAILED)
    on_vfio(vm, GPU)
    vm.write(RULES, "clear")
    vm.sh("vfioptctl switch host")
    clean(vm, GPU, before=before)


@scenario(gpus=[GPU], timeout=180)
def falls_off_the_bus_on_the_way(vm):
    """The GPU falls off the bus in the middle: exit code 5, said so, and nothing hangs."""
    watcher = strikes(vm, f"hold-unbind {GPU.addresses[1]} snd_hda_intel")
    switch = vm.spawn("exec vfioptctl switch passthrough")
    watcher.wait_for(f"hold-unbind {GPU.addresses[1]}")
    vm.gpu(GPU).gone()
    vm.write(RULES, f"release {GPU.addresses[1]}")
    result = switch.wait(60, ok=FAILED)
    watcher.kill()
    vm.match(r"(?i)off the bus", result.err, "what it says")
    vm.sh("vfioptctl status")
    # Not even the next call hangs.
    vm.sh("vfioptctl switch passthrough", ok=(PRECONDITION, FAILED))


def writer_of(vm):
    gpus = json.loads(vm.sh("vfioptctl status --json").out)["gpus"]
    vm.equal([g["stuck"] for g in gpus if g["address"] == GPU.address], [True], "stuck")
    return json.loads(vm.sh("cat /run/vfiopt/gpu/0000:01:00.0-*.json").out)["move"]["late"]["pid"]


@scenario(gpus=[GPU, SECOND], driver=("standin", "nvidia"), timeout=240)
def holder_between_check_and_unbind(vm):
    """The unbind waits without end: exit code 6 in time, the rest of the machine goes on, and
    when the holder leaves the next call finishes what was begun."""
    before = state(vm, SECOND)
    holder, switch = intruder(vm, GPU)
    result = switch.wait(60, ok=STUCK)
    vm.check(result.seconds < 30, f"it took {result.seconds:.1f} s to give up")
    vm.match(r"(?i)reboot", result.err, "the advice")

    writer = writer_of(vm)
    status = vm.read(f"/proc/{writer}/status")
    vm.match(r"(?m)^State:\s+S", status, "state of the writer")
    vm.match(r"(?m)^SigPnd:\s+0+$", status, "signals of the writer")
    vm.match(r"(?m)^ShdPnd:\s+0+$", status, "signals of the writer")
    vm.match("stuck", vm.sh("vfioptctl status").out, "the table")

    # The second request refuses at once, in either direction, and touches nothing.
    for mode in ("passthrough", "host"):
        result = vm.sh(f"vfioptctl switch --direct {mode}:0000:01:00.0", ok=STUCK)
        vm.check(result.seconds < vm.machines, f"{mode}: took {result.seconds:.2f} s to refuse")
    # The other GPU still switches.
    vm.sh("systemctl start vfiopt@passthrough:0000:02:00.0")
    on_vfio(vm, SECOND)
    vm.sh("systemctl start vfiopt@host:0000:02:00.0")
    vm.equal(state(vm, SECOND), before, "the other GPU")

    holder.stop()
    vm.sh(f"until ! test -e /proc/{writer}; do :; done", timeout=30)
    # The agent has heard of that, too: its job may run beside each of ours.
    vm.sh("vfioptctl switch passthrough:0000:01:00.0")
    rest(vm)
    on_vfio(vm, GPU)
    usable_by_a_guest(vm, GPU)
    vm.equal(unfinished(vm), [], "files in /run/vfiopt")
    vm.sh("vfioptctl switch host:0000:01:00.0")
    rest(vm)
    vm.equal(leftovers(vm), [], "files in /run/vfiopt")


@scenario(gpus=[GPU], timeout=180)
def late_unbind_then_home(vm):
    """After a stuck unbind came back, the way home works as well."""
    before = state(vm, GPU)
    holder, switch = intruder(vm, GPU)
    switch.wait(60, ok=STUCK)
    writer = writer_of(vm)
    holder.stop()
    vm.sh(f"until ! test -e /proc/{writer}; do :; done", timeout=30)
    vm.sh("vfioptctl switch host")
    # The agent has heard of that, too: its job may still be at it.
    rest(vm)
    clean(vm, GPU, before=before)


@scenario(gpus=[GPU], timeout=180, options={"nvidia": "version=595.45.04"})
def reference_that_is_lost(vm):
    """From 595 on, a kernel client's reference that is dropped too late never counts: stuck for
    good, and everything that does not touch the GPU goes on."""
    vm.sh("nvidia-nodes; modprobe nvidia-modeset")
    watcher = strikes(vm, f"hold-unbind {GPU.address} nvidia")
    switch = vm.spawn("exec vfioptctl switch passthrough")
    watcher.wait_for(f"hold-unbind {GPU.address}")
    holder = vm.spawn(f"exec hold --write={GPU.address} /dev/nvidia-modeset")
    holder.wait_for("held")
    vm.write(RULES, f"release {GPU.address}")
    watcher.kill()
    switch.wait(60, ok=STUCK)
    writer = writer_of(vm)
    holder.stop()
    # Longer than the driver's own period of looking.
    vm.sh(f"! timeout 2 tail --pid={writer} -f /dev/null")
    vm.match(r"(?i)stuck", vm.sh("vfioptctl status").out, "the table")
    vm.sh("vfioptctl switch host", ok=STUCK)


@scenario(gpus=[GPU], timeout=120)
def holder_between_the_checks(vm):
    """A holder that comes after the fence but before the last check: refused, and undone."""
    before = state(vm, GPU)
    vm.sh("nvidia-nodes")
    # The fence of function 0 is written first: everything that follows takes longer than an open.
    fence = f"/sys/bus/pci/devices/{GPU.address}/driver_override"
    racer = vm.spawn(f"exec race-hold {fence} /dev/nvidia0")
    racer.wait_for("watching")
    result = vm.sh("vfioptctl switch passthrough", ok=BUSY)
    vm.match(r"race-hold.*/dev/nvidia0", result.err, "the culprit")
    racer.wait_for("held")
    clean(vm, GPU, before=before)
    racer.stop()
    vm.sh("vfioptctl switch passthrough")
    on_vfio(vm, GPU)


@scenario(gpus=[GPU])
def stopping_the_job_is_too_late(vm):
    """systemctl stop in the middle: the switch comes to its end first."""
    watcher = strikes(vm, f"delay-unbind {GPU.addresses[1]} snd_hda_intel 1500")
    start = vm.spawn("systemctl start vfiopt@passthrough")
    watcher.wait_for(f"delay-unbind {GPU.addresses[1]}")
    vm.sh("systemctl stop vfiopt@passthrough", timeout=60)
    start.wait(60)
    watcher.kill()
    on_vfio(vm, GPU)
    vm.equal(unfinished(vm), [], "files in /run/vfiopt")
    vm.equal(VFIO, vm.driver(GPU.address), "driver")


@scenario(gpus=[GPU])
def holder_that_comes_while_siblings_leave(vm):
    """A holder that comes while the audio function is being unbound: refused, and undone."""
    before = state(vm, GPU)
    vm.sh("nvidia-nodes")
    watcher = strikes(vm, f"hold-unbind {GPU.addresses[1]} snd_hda_intel")
    switch = vm.spawn("exec vfioptctl switch passthrough")
    watcher.wait_for(f"hold-unbind {GPU.addresses[1]}")
    holder = vm.spawn("exec hold /dev/nvidia0")
    holder.wait_for("held")
    vm.write(RULES, f"release {GPU.addresses[1]}")
    result = switch.wait(60, ok=BUSY)
    watcher.kill()
    vm.match(r"hold.*/dev/nvidia0", result.err, "the culprit")
    clean(vm, GPU, before=before)
    holder.stop()


@scenario(gpus=[GPU, SECOND])
def unbind_of_somebody_else_that_hangs(vm):
    """A script's own unbind hangs: known as stuck without a marker, refused, and over when it is."""
    before = state(vm, GPU)
    vm.sh("nvidia-nodes")
    holder = vm.spawn("exec hold /dev/nvidia0")
    holder.wait_for("held")
    script = vm.spawn(f"echo {GPU.address} >/sys/bus/pci/drivers/nvidia/unbind")
    vm.sh(f"while test -e /sys/bus/pci/devices/{GPU.address}/driver; do :; done")

    vm.match("stuck", vm.sh("vfioptctl status").out, "the table")
    during = state(vm, GPU)
    for command in ("vfioptctl switch --direct", "systemctl start vfiopt@passthrough; vfioptctl switch"):
        result = vm.sh(f"{command} passthrough:{GPU.address}", ok=STUCK)
        vm.match(r"stuck.*sysrq-trigger", result.err, "the advice")
    vm.equal(state(vm, GPU), during, "functions after a refusal")
    vm.sh(f"vfioptctl switch passthrough:{SECOND.address}")
    on_vfio(vm, SECOND)

    holder.stop()
    script.wait(30)
    vm.check("stuck" not in vm.sh("vfioptctl status").out, "it is not stuck any more")
    vm.sh(f"echo {GPU.address} >/sys/bus/pci/drivers/nvidia/bind")
    vm.equal(state(vm, GPU), before, "functions")
    vm.sh(f"vfioptctl switch passthrough:{GPU.address}")
    on_vfio(vm, GPU)


@scenario(gpus=[GPU], boot="cold", disk=True, timeout=240)
def advice_about_a_stuck_gpu(vm):
    """What a refusal advises can be typed: the machine comes up again, and nothing is lost."""
    vm.sh("nvidia-nodes")
    holder = vm.spawn("exec hold /dev/nvidia0")
    holder.wait_for("held")
    vm.spawn(f"echo {GPU.address} >/sys/bus/pci/drivers/nvidia/unbind")
    vm.sh(f"while test -e /sys/bus/pci/devices/{GPU.address}/driver; do :; done")
    result = vm.sh(f"vfioptctl switch passthrough:{GPU.address}", ok=STUCK)
    advice = vm.match(r"as root: (sync; \S.*\S)", result.err, "the advice").group(1)
    vm.sh("echo saved >/etc/vfiopt/work")
    vm.reboot(advice)
    vm.equal(vm.read("/etc/vfiopt/work"), "saved", "what was written before")
    vm.check("stuck" not in vm.sh("vfioptctl status").out, "it is not stuck any more")


@scenario(gpus=[GPU], alone="a step of 11 s against a limit of 10 s")
def slow_step_is_told(vm):
    """A driver takes eleven seconds: said so meanwhile, and waited for."""
    vm.sh("modprobe pcifault")
    vm.write(RULES, f"delay-unbind {GPU.addresses[1]} snd_hda_intel 11000")
    result = vm.sh("vfioptctl switch passthrough")
    vm.match(rf"unbind {GPU.addresses[1]} .*has not come back after 10 s", result.err, "what it says")
    on_vfio(vm, GPU)


@scenario(gpus=[GPU])
def reader_that_goes_away(vm):
    """Who reads what a switch says may go at any time: it comes to its end all the same."""
    vm.sh("vfioptctl switch --direct --verbose passthrough 2>&1 | head -n 1")
    on_vfio(vm, GPU)
    vm.equal(unfinished(vm), [], "files in /run/vfiopt")
    vm.sh("vfioptctl switch --direct --verbose host 2>&1 | true")
    vm.equal(leftovers(vm), [], "files in /run/vfiopt")


@scenario(gpus=[GPU])
def group_that_belongs_to_a_user(vm):
    """A rule gave the node of the group to a user of virtual machines: it comes home all the same."""
    before = state(vm, GPU)
    vm.sh("systemctl start vfiopt@passthrough")
    node, = vm.vfio_nodes()
    vm.sh(f"chown alice {node} && chmod 0600 {node}")
    vm.sh("systemctl start vfiopt@host")
    clean(vm, GPU, before=before)


@scenario(gpus=[GPU], alone="an end that takes 0.5 s against a limit of 1 s")
def holder_that_is_ending(vm):
    """Killed, and the driver takes its time to close what it had: it shows neither memory nor
    files any more, and is waited for a moment, or said to be in the way."""
    vm.sh("nvidia-nodes")
    for milliseconds, code in ((500, 0), (4000, BUSY)):
        vm.write("/sys/module/nvidia/parameters/stop_ms", str(milliseconds))
        holder = vm.spawn("exec hold /dev/nvidia0")
        holder.wait_for("held")
        result = vm.sh(
            f"kill -KILL {holder.pid}; while grep -q . /proc/{holder.pid}/maps; do :; done\n"
            "exec vfioptctl switch --direct passthrough", ok=code)
        if code == 0:
            vm.sh("vfioptctl switch --direct host")
    vm.match(rf"hold \(pid {holder.pid}\b.*is ending", result.err, "the culprit")
    vm.sh(f"while test -e /proc/{holder.pid}; do :; done")
    vm.sh("vfioptctl switch --direct passthrough")
    on_vfio(vm, GPU)


@scenario(gpus=[GPU])
def no_room_for_temporary_files(vm):
    """/tmp and /var/tmp are full: the job and the agent have none of their own then, and work all the same."""
    vm.sh("for d in /tmp /var/tmp; do mount -t tmpfs -o nr_inodes=1 none $d; done; ! touch /tmp/x /var/tmp/x")
    vm.sh("systemctl start vfiopt@passthrough")
    on_vfio(vm, GPU)
    vm.sh("systemctl restart vfioptd")
    remember(vm, GPU, mode="host")
    until(vm, f"[ -e {DRIVERS}/nvidia/{GPU.address} ]", "the GPU is on nvidia again")
