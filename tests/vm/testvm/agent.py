# SPDX-License-Identifier: LGPL-2.1-or-later
"""What scenarios of the agent wait for and count."""

import json

DRIVERS = "/sys/bus/pci/drivers"


# Whoever is denied something by polkit is answered after all who have asked before; and vfiopt-ask answers
# one after the other, too. So the answer to what the agent has asked for has waked it by then.
CALM = r"""
    manager="org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager"

    quiet() {
            why="udev is busy"
            udevadm settle --timeout=30 && [ ! -e /run/udev/queue ] || return
            why="there are jobs"
            units=$(systemctl show -p Id,ActiveState,Job,MainPID 'vfiopt*') || return
            ! grep -qE '^(Job=[1-9]|ActiveState=(activating|deactivating|reloading))' <<<"$units"
    }

    slept() {
            why="the agent is at work"
            now=none
            pid=$(systemctl show -P MainPID vfioptd)
            [ "$pid" -gt 0 ] || return 0
            now=$(grep -E '^(Pid|State|voluntary)' /proc/$pid/task/*/status)
            [[ $now != *State:?[RD]* ]]
    }

    answered() {
            [ "$now" != none ] || return 0
            why="the manager does not answer"
            denied=$(setpriv --reuid nobody --regid nogroup --clear-groups \
                    busctl --allow-interactive-authorization=no \
                    call $manager StartUnit ss sysinit.target fail 2>&1)
            [[ $denied =~ denied|authentication ]] || return
            why="nobody answers the agent"
            ! systemctl -q is-active vfiopt-ask.service || ask x >/dev/null
    }

    before=
    for ((i = 0; i < 400; ++i)); do
            now=
            if quiet && slept && [ "$now" = "$before" ] && answered && slept &&
               [ "$now" = "$before" ]; then
                    exit
            fi
            before=$now
            sleep 0.1
    done
    echo "$why: $units $denied $now" >&2
    exit 1"""


def rest(vm):
    """Wait until udev, the manager and the agent have nothing more to do.

    That is so when the agent has slept from one look to the next, and nothing that was under way
    at the first one has waked it. Events of devices have reached it when udev is through with
    them. A request of its own is no job before it is answered; hence the questions.
    """
    r = vm.sh(CALM, ok=None, timeout=180, quiet=True)
    vm.check(r.code == 0, f"there is no rest: {r.err}")


def until(vm, condition, what, timeout=30):
    """Ask a shell condition again and again until it holds; True if it did not at once."""
    r = vm.sh(f"i=0; until {condition}; do i=$((i+1)); test $i -lt {timeout * 10} || exit 9; "
              "sleep 0.1; done; echo; echo $i", ok=None, timeout=timeout * 4, quiet=True)
    vm.check(r.code == 0, f"{what}: not within {timeout} s\n{r.err}")
    return r.out.split()[-1] != "0"


def on(vm, card, driver):
    """Wait until all functions of a card are on a driver, and nobody works on it."""
    links = " && ".join(f"[ /sys/bus/pci/devices/{a}/driver -ef {DRIVERS}/{driver} ]"
                        for a in card.addresses)
    until(vm, f"{{ {links}; }}", f"all of {card.address} on {driver}")
    rest(vm)


def remember(vm, *cards, mode="passthrough"):
    """A state file, as a switch leaves it. A card may come with a mode: (card, "host")."""
    pairs = [card if isinstance(card, tuple) else (card, mode) for card in cards]
    entries = [{"address": c.address, "id": c.id, "subsystem": c.subsystem, "location": c.location, "mode": m}
               for c, m in pairs]
    vm.write("/etc/vfiopt/state", json.dumps({"version": 2, "gpus": entries}) + "\n")


def state_mode(vm, card):
    """Where the state file wants a card; where nothing is said, it stays with the host."""
    text = vm.sh("cat /etc/vfiopt/state 2>/dev/null || true", quiet=True).out or '{"gpus": []}'
    modes = [g["mode"] for g in json.loads(text)["gpus"] if g["address"] == card.address]
    return modes[0] if modes else "host"


def jobs(vm, since):
    """How many jobs the agent has asked for."""
    return len(vm.journal(match=["VFIOPT_RESULT=asked"], since=since))
