# SPDX-License-Identifier: LGPL-2.1-or-later
"""vfioptctl asks PID 1 for a job and follows it, until it is over or the user has seen enough."""

import json

from testvm import Gpu, scenario
from testvm.product import BUSY, ERROR, RULES, clean, on_vfio, state, strikes

GPU = Gpu("rp1")
UNIT = f"vfiopt@passthrough:{GPU.address}.service"
INTERRUPTED = 130
SIGINT = 2


def hold_lock(vm):
    """Be a switch under way: who comes later waits for its turn."""
    holder = vm.spawn(
        "mkdir -p /run/vfiopt/lock && "
        f"exec flock /run/vfiopt/lock/{GPU.address} sh -c 'echo locked; read -r end'"
    )
    holder.wait_for("locked")
    return holder


@scenario(gpus=[GPU])
def two_follow_one_job(vm):
    """^C ends the following and not the job, which another one sees through."""
    before = state(vm, GPU)
    watcher = strikes(vm, f"hold-unbind {GPU.address} nvidia")
    first = vm.spawn("exec vfioptctl switch passthrough 01:00")
    watcher.wait_for(f"hold-unbind {GPU.address}")
    second = vm.spawn("exec vfioptctl switch --json passthrough 01:00")

    vm.match(rf"{GPU.address} is being switched \(pid \d+\)", vm.sh("vfioptctl").out, "status")
    vm.check(json.loads(vm.sh("vfioptctl --json").out)["gpus"][0]["job"]["pid"] > 0, "status as JSON")

    first.signal(SIGINT)
    first.wait(30, ok=INTERRUPTED)
    vm.match(rf"(?m)^{UNIT} is still running; .*journalctl -f", first.err, "what the one who leaves is told")

    vm.write(RULES, f"release {GPU.address}")
    watcher.kill()
    second.wait(60, ok=0)
    vm.match(rf"{GPU.address}: moved from host to passthrough in", second.err, "what the other one is told")
    outcome, = json.loads(second.out)["gpus"]
    vm.equal({k: outcome[k] for k in ("address", "from", "to", "result", "holders")},
             {"address": GPU.address, "from": "host", "to": "passthrough", "result": "done", "holders": None},
             "outcome")
    vm.check(outcome["duration_usec"] > 0, "duration")
    on_vfio(vm, GPU)
    vm.sh("vfioptctl switch host")
    clean(vm, GPU, before=before)


@scenario(gpus=[GPU])
def job_that_waits_for_the_gpu(vm):
    """^C takes a job back that waits for another switch of the GPU; all who follow it are told."""
    before = state(vm, GPU)
    holder = hold_lock(vm)
    first = vm.spawn("exec vfioptctl switch passthrough 01:00 2>&1")
    first.wait_for("waiting for another switch of this GPU")
    # Also who comes so late that it is no news any more.
    vm.sh("until journalctl -q -o cat VFIOPT_PHASE=wait --until=-6s | grep -q .; do sleep 0.5; done")
    second = vm.spawn("exec vfioptctl switch passthrough 01:00 2>&1")
    second.wait_for("waiting for another switch of this GPU")

    first.signal(SIGINT)
    first.wait(30, ok=INTERRUPTED)
    vm.match(f"(?m)^{UNIT} was waiting for another switch, and is cancelled$", first.out, "what is told")
    second.wait(30, ok=ERROR)
    vm.match(rf"{UNIT} was not carried out \(canceled\)", second.out, "what the other one is told")
    vm.equal(vm.sh(f"systemctl show -P ActiveState '{UNIT}'").out.strip(), "inactive", "the unit")
    vm.equal(vm.sh("pgrep vfioptctl || true").out, "", "processes of ours")

    # The other switch goes on undisturbed, and nothing comes after it.
    holder.close_input()
    holder.wait(30)
    vm.equal(state(vm, GPU), before, "functions")
    vm.sh("vfioptctl switch passthrough 01:00")
    on_vfio(vm, GPU)
    vm.sh("vfioptctl switch host")
    clean(vm, GPU, before=before)


@scenario(gpus=[GPU], files={
    "/etc/systemd/system/blocker.service":
        "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'read -r end </run/blocker'\n",
    "/etc/systemd/system/vfiopt@.service.d/after.conf": "[Unit]\nAfter=blocker.service\n",
})
def job_that_has_not_begun(vm):
    """^C takes a job back that still waits for another one."""
    before = state(vm, GPU)
    vm.sh("mkfifo /run/blocker && systemctl daemon-reload && systemctl start --no-block blocker.service")
    monitor = vm.spawn("exec busctl monitor --match \"type='signal',member='JobNew'\" 2>&1")
    monitor.wait_for("Monitoring")
    process = vm.spawn("exec vfioptctl switch passthrough 01:00")
    monitor.wait_for(UNIT)
    process.signal(SIGINT)
    process.wait(30, ok=INTERRUPTED)
    vm.match(rf"^{UNIT} had not begun, and is cancelled", process.err, "what is told")
    vm.equal(vm.sh("systemctl list-jobs --no-legend | grep vfiopt@ || true").out, "", "jobs")
    monitor.stop()
    vm.sh("echo end >/run/blocker")
    clean(vm, GPU, before=before)


@scenario(gpus=[GPU])
def what_a_job_says(vm):
    """Steps only if asked for; a refusal as with --direct; exit status and JSON alike."""
    quiet = vm.sh("vfioptctl switch passthrough").err.splitlines()
    vm.equal(len(quiet), 2, "lines of a switch")
    loud = vm.sh("vfioptctl switch --verbose host").err.splitlines()
    vm.check(len(loud) > 5, f"lines of a switch with its steps: {loud}")

    vm.sh("nvidia-nodes")
    holder = vm.spawn("exec hold /dev/nvidia0")
    holder.wait_for("held")
    direct = vm.sh("vfioptctl switch --direct --json passthrough", ok=BUSY)
    job = vm.sh("vfioptctl switch --json passthrough", ok=BUSY)
    vm.equal(job.err, direct.err, "refusal")
    outcomes = [json.loads(result.out)["gpus"][0] for result in (direct, job)]
    for outcome in outcomes:
        outcome.pop("duration_usec")
    vm.equal(outcomes[1], outcomes[0], "outcome")
    vm.equal(outcomes[0]["result"], "busy", "result")
    vm.match(rf"^{holder.pid} \(hold\) /dev/nvidia0$", outcomes[0]["holders"], "holders")
    holder.stop()


@scenario(gpus=[GPU])
def what_others_write_is_no_part_of_a_job(vm):
    """Whoever puts the job's own fields into his records is not heard, and does not end the following."""
    holder = hold_lock(vm)
    process = vm.spawn("exec vfioptctl switch passthrough 01:00 2>&1")
    process.wait_for("waiting for another switch of this GPU")
    invocation = vm.sh(f"systemctl show -P InvocationID '{UNIT}'").out.strip()
    job = vm.sh("systemctl list-jobs --no-legend 'vfiopt@*' | awk '{print $1}'").out.strip()
    tale = ("MESSAGE_ID=84c481927a394b3fb3f30a09b0dc2324", f"VFIOPT_GPU={GPU.address}", "PRIORITY=4")
    for fields in (
        (f"OBJECT_SYSTEMD_INVOCATION_ID={invocation}",),
        (f"OBJECT_SYSTEMD_INVOCATION_ID={invocation}", *tale),
        (f"INVOCATION_ID={invocation}", f"JOB_ID={job}", "JOB_RESULT=done"),
    ):
        vm.sh("logger --journald", user="bob", input="\n".join([*fields, "MESSAGE=forged\n"]))
    holder.close_input()
    result = process.wait(60, ok=0)
    vm.check("forged" not in result.out, "what bob has written was told")
    vm.match(f"{GPU.address}: moved from host to passthrough in", result.out, "how it ended")
