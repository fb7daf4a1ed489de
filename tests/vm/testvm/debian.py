# SPDX-License-Identifier: LGPL-2.1-or-later
"""NVIDIA's driver as Debian packages it, where its names are not the upstream ones.

The files of the modules are nvidia-current*.ko, so that several releases can be there
at a time; what they are in the kernel is as ever. So modprobe finds them by commands,
which a softdep or an option for the upstream name may silently switch off, and by
aliases of its configuration, which name nvidia alone. nvidia-drm is loaded at each
boot, by its name, whether there is a GPU for it or not.

Read from nvidia-kernel-support 550.163.01-2 of trixie; the lines are our own.
"""

# What has to be loaded before each of them.
NEEDS = {"modeset": "nvidia", "drm": "nvidia-modeset", "uvm": "nvidia"}
ALIASES = ["pci:v000010DEd*sv*sd*bc03sc00i00*", "pci:v000010DEd*sv*sd*bc03sc02i00*", "char-major-195*"]

RENAME = """#!/bin/sh
# Give the modules of NVIDIA's driver the names of Debian's files.
set -eu
cd "/usr/lib/modules/$(uname -r)/updates"
for old in nvidia.ko nvidia-modeset.ko nvidia-drm.ko nvidia-uvm.ko; do
        mv "$old" "nvidia-current${old#nvidia}"
done
depmod
"""

UNIT = """[Unit]
DefaultDependencies=no
After=systemd-remount-fs.service
Before=vfiopt-boot.service systemd-modules-load.service systemd-udevd.service systemd-udev-trigger.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/bin/debian-names
"""


def _modprobe():
    lines = ["install nvidia modprobe -i nvidia-current $CMDLINE_OPTS"]
    lines += [f"install nvidia-{name} modprobe {first}; modprobe -i nvidia-current-{name} $CMDLINE_OPTS"
              for name, first in NEEDS.items()]
    # By what they are in the kernel, and all that depends on them first.
    lines += ["remove nvidia modprobe -r -i nvidia-drm nvidia-modeset nvidia-uvm nvidia",
              "remove nvidia-modeset modprobe -r -i nvidia-drm nvidia-modeset"]
    lines += [f"alias {alias} nvidia" for alias in ALIASES]
    return "\n".join(lines) + "\n"


# In place, but without effect until debian-names has run.
MODPROBE = {"/usr/local/bin/debian-names": (RENAME, 0o755), "/usr/local/share/debian.conf": _modprobe()}

# For a cold boot: all of it, before anybody looks for a module.
BOOT = {
    **MODPROBE,
    "/etc/modprobe.d/nvidia.conf": _modprobe(),
    "/etc/modules-load.d/nvidia.conf": "nvidia-drm\n",
    "/etc/systemd/system/debian-names.service": UNIT,
    "/etc/systemd/system/sysinit.target.d/names.conf": "[Unit]\nWants=debian-names.service\n",
}


def become_debian(vm):
    """Of a running machine whose scenario has MODPROBE among its files."""
    vm.sh("debian-names; cp /usr/local/share/debian.conf /etc/modprobe.d/nvidia.conf")
    vm.match("nvidia-current.ko", vm.sh("modprobe --show-depends -i nvidia-current").out, "Debian's names")
