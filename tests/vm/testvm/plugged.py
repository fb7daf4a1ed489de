# SPDX-License-Identifier: LGPL-2.1-or-later
"""When a card that was plugged in has been dealt with, by the kernel and by udev.

The kernel tells of all functions of a card first, and has its own drivers probe them only
then: udev may be through with them before. But all the while it has the lock that a rescan
takes, too. There is nothing left to be found by that rescan.

snd_hda_intel goes on behind its probe: it asks its codecs, and then sets power/control. That
its control node is there is the last thing of it that can be waited for.
"""

SCRIPT = r"""
    for a; do set -- "$@" /sys/bus/pci/devices/$a; shift; done
    udevadm wait --timeout=60 "$@" || exit
    echo 1 >"$1/rescan"
    udevadm settle
    for d; do
            i=0
            while [ "$d/driver" -ef /sys/bus/pci/drivers/snd_hda_intel ] &&
                  ! compgen -G "$d/sound/card*/controlC*" >/dev/null; do
                    i=$((i + 1))
                    [ $i -lt 400 ] || { echo "$d: there is no sound card" >&2; exit 1; }
                    sleep 0.05
            done
    done
    udevadm settle"""


def script(card):
    """For the guest: ends when a card is there and has been dealt with."""
    return f"set -- {' '.join(card.addresses)}\n{SCRIPT}"
