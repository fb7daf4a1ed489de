# SPDX-License-Identifier: LGPL-2.1-or-later
"""What scenarios of the product ask again and again."""

VFIO = "vfio-pci"

# Exit codes, as in include/vfiopt/exit.h.
DONE, ERROR, USAGE, BUSY, PRECONDITION, FAILED, STUCK = range(7)

RULES = "/sys/module/pcifault/parameters/rules"


def state(vm, *cards):
    """What a switch changes, and has to put back: drivers, overrides, power settings."""
    facts = vm.facts([a for card in cards for a in card.addresses])
    return {
        address: {key: f[key] for key in ("driver", "override", "control", "d3cold")}
        for address, f in facts.items()
    }


def on_vfio(vm, card):
    """Every function is on vfio-pci, and fenced for it."""
    facts = vm.facts(card.addresses)
    vm.equal({a: f["driver"] for a, f in facts.items()}, dict.fromkeys(facts, VFIO), "drivers")
    vm.equal({a: f["override"] for a, f in facts.items()}, dict.fromkeys(facts, VFIO), "overrides")


def usable_by_a_guest(vm, card):
    """A program gets the device from its group, and reads the right ids through it."""
    out = vm.sh(f"vfio-open {card.address}").out
    vm.match(r"viable", out, "the group")
    vm.match(rf"device {card.address} {card.id}", out, "the device")


# Files of locks stay, and say nothing: one that is held, or not empty, is another matter.
IDLE_LOCKS = "find /run/vfiopt/lock -type f -empty -exec flock -n {} true ';' -print 2>/dev/null"


def leftovers(vm):
    """Files in our directory in /run. Directories stay, and so do locks that nobody holds."""
    return vm.sh(f"{{ {IDLE_LOCKS}; find /run/vfiopt -type f; }} 2>/dev/null | sort | uniq -u", quiet=True).out.split()


def unfinished(vm):
    """Those of them that are there only while a switch is not over."""
    return vm.sh("cd /run/vfiopt 2>/dev/null || exit 0; "
                 f"{{ {IDLE_LOCKS}; find $PWD -type f; }} | sort | uniq -u | grep -vE '/(gpu|pins)/|/modprobe.conf'; "
                 "grep -l '\"move\"' $PWD/gpu/*.json 2>/dev/null; true", quiet=True).out.split()


def clean(vm, *cards, before):
    """Everything is as it was, and nothing of us is left."""
    vm.equal(state(vm, *cards), before, "functions")
    vm.equal(leftovers(vm), [], "files in /run/vfiopt")
    out = vm.sh("pgrep -a vfioptctl || true", quiet=True).out
    vm.equal(out, "", "processes of ours")


def refused(vm, command, code, *patterns, cards, limit=1.5):
    """A command is refused: exit code, words, within a second of a machine's own, nothing written."""
    limit *= vm.machines
    before = state(vm, *cards)
    files = leftovers(vm)
    result = vm.sh(command, ok=code)
    for pattern in patterns:
        vm.match(pattern, result.err, f"what `{command}` says")
    vm.check(result.seconds < limit, f"{command}: took {result.seconds:.2f} s to refuse, not {limit:.2f}")
    vm.equal(state(vm, *cards), before, "functions after a refusal")
    vm.equal(leftovers(vm), files, "files in /run/vfiopt after a refusal")
    return result


def records(vm, since=None, unit=None):
    """Our own records of the journal."""
    match = []
    if not since and not unit:
        # Only them, for to print all the records of a boot as JSON takes the guest seconds.
        gpus = vm.sh("journalctl --sync; journalctl -q -F VFIOPT_GPU; true", quiet=True).out.split()
        if not gpus:
            return []
        match = [f"VFIOPT_GPU={gpu}" for gpu in gpus]
    return [r for r in vm.journal(unit=unit, since=since, match=match) if "VFIOPT_GPU" in r]


def results(vm, since=None):
    """(phase, result) of each record that is no mere step."""
    return [
        (r["VFIOPT_PHASE"], r["VFIOPT_RESULT"])
        for r in records(vm, since)
        if r["VFIOPT_PHASE"] not in ("unbind", "bind", "probe") or r["VFIOPT_RESULT"] != "done"
    ]


# What goes wrong on demand; see modules/fault.


def fault(vm, rule):
    vm.sh("modprobe pcifault")
    vm.write(RULES, rule)


def strikes(vm, rule):
    """Have a rule ready, and return a process that says so when it strikes."""
    watcher = vm.spawn("exec dmesg --follow --notime")
    fault(vm, rule)
    return watcher


def intruder(vm, card, then="true"):
    """A holder that appears between the last check and the unbind, and what else happens then; returns it and the switch."""
    vm.sh("nvidia-nodes")
    watcher = strikes(vm, f"hold-unbind {card.address} nvidia")
    switch = vm.spawn(f"exec vfioptctl switch passthrough:{card.address}")
    watcher.wait_for(f"hold-unbind {card.address}")
    holder = vm.spawn("exec hold /dev/nvidia0")
    holder.wait_for("held")
    vm.sh(then)
    vm.write(RULES, f"release {card.address}")
    watcher.kill()
    return holder, switch
