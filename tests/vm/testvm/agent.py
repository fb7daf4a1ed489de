# SPDX-License-Identifier: LGPL-2.1-or-later
"""What scenarios of the agent wait for and count."""

import json

DRIVERS = "/sys/bus/pci/drivers"


def rest(vm):
    """Wait until udev and the agent have nothing more to do.

    What the agent has asked for is a job of the manager's before it looks at anything else.
    """
    vm.sh("udevadm settle; busctl call --quiet org.freedesktop.systemd1 /org/freedesktop/systemd1 "
          "org.freedesktop.DBus.Peer Ping; while systemctl list-jobs 'vfiopt*' | grep -q vfiopt; do "
          "systemctl list-jobs --after >/dev/null; done", quiet=True)


def until(vm, condition, what, timeout=30):
    """Ask a shell condition again and again until it holds."""
    r = vm.sh(f"i=0; until {condition}; do i=$((i+1)); test $i -lt {timeout * 10} || exit 9; "
              "sleep 0.1; done", ok=None, timeout=timeout * 4, quiet=True)
    vm.check(r.code == 0, f"{what}: not within {timeout} s\n{r.err}")


def on(vm, card, driver):
    """Wait until all functions of a card are on a driver, and nobody works on it."""
    links = " && ".join(f"[ /sys/bus/pci/devices/{a}/driver -ef {DRIVERS}/{driver} ]"
                        for a in card.addresses)
    until(vm, f"{{ {links}; }}", f"all of {card.address} on {driver}")
    rest(vm)


def remember(vm, *cards, mode="passthrough"):
    """A state file, as somebody writes it by hand. A card may come with a mode: (card, "host")."""
    pairs = [card if isinstance(card, tuple) else (card, mode) for card in cards]
    entries = [{"address": c.address, "id": c.id, "subsystem": c.subsystem, "mode": m}
               for c, m in pairs]
    vm.write("/etc/vfiopt/state", json.dumps({"version": 1, "gpus": entries}) + "\n")


def state_mode(vm, card):
    """Where the state file wants a card; where nothing is said, it stays with the host."""
    text = vm.sh("cat /etc/vfiopt/state 2>/dev/null || true", quiet=True).out or '{"gpus": []}'
    modes = [g["mode"] for g in json.loads(text)["gpus"] if g["address"] == card.address]
    return modes[0] if modes else "host"


def jobs(vm, since):
    """How many jobs the agent has asked for."""
    return len(vm.journal(match=["VFIOPT_RESULT=asked"], since=since))
