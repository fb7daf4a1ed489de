#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where files go, with prefixes and directories of a packager's choice. Nothing is built or installed.

install.py SOURCE
"""

import json
import pathlib
import subprocess
import sys
import tempfile

# What other programs look for, below the prefix.
INTEGRATION = [
    "lib/systemd/catalog/vfiopt.catalog", "lib/systemd/system/systemd-modules-load.service.d/vfiopt.conf",
    "lib/systemd/system/vfiopt-ask.service", "lib/systemd/system/vfiopt-ask.socket",
    "lib/systemd/system/vfiopt-boot.service", "lib/systemd/system/vfiopt-boot.target",
    "lib/systemd/system/vfiopt@.service", "lib/systemd/system/vfioptd.service", "lib/sysusers.d/vfiopt.conf",
    "lib/tmpfiles.d/vfiopt.conf", "lib/udev/rules.d/70-vfiopt.rules",
    "share/bash-completion/completions/vfioptctl", "share/fish/vendor_completions.d/vfioptctl.fish",
    "share/zsh/site-functions/_vfioptctl",
]
POLKIT = "polkit-1/rules.d/vfiopt.rules"


def installed(source, folder, *options):
    """Paths of what is installed, but for directories."""
    build = tempfile.mkdtemp(dir=folder)
    subprocess.run(["meson", "setup", "-Dtests=disabled", *options, build, source], check=True, capture_output=True)
    found = subprocess.run(["meson", "introspect", "--installed", build], check=True, capture_output=True)
    return set(json.loads(found.stdout).values())


def problems(source, folder):
    for prefix, polkit in (("/usr", "/usr/share"), ("/usr/local", "/etc"), ("/opt/vfiopt", "/etc")):
        paths = installed(source, folder, f"--prefix={prefix}")
        expected = {f"{prefix}/{path}" for path in INTEGRATION} | {f"{polkit}/{POLKIT}"}
        yield from (f"{prefix}: {path} is missing" for path in sorted(expected - paths))
        yield from (f"{prefix}: {path} is outside" for path in sorted(paths)
                    if not path.startswith(f"{prefix}/") and path != f"{polkit}/{POLKIT}")

    chosen = {"unitdir": "vfiopt@.service", "udevrulesdir": "70-vfiopt.rules", "sysusersdir": "vfiopt.conf",
              "tmpfilesdir": "vfiopt.conf", "catalogdir": "vfiopt.catalog", "polkitrulesdir": "vfiopt.rules",
              "bashcompletiondir": "vfioptctl", "zshcompletiondir": "_vfioptctl",
              "fishcompletiondir": "vfioptctl.fish"}
    paths = installed(source, folder, *(f"-D{option}=/chosen/{option}" for option in chosen))
    yield from (f"-D{option}= has no effect" for option, name in chosen.items()
                if f"/chosen/{option}/{name}" not in paths)


def main(source):
    with tempfile.TemporaryDirectory() as folder:
        found = list(problems(pathlib.Path(source).resolve(), folder))
    print("\n".join(found) or "all is where it belongs")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
