#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every message id has an entry in the catalog, and every entry has an id.

Entries have a subject and a text, and refer only to fields that every record has.
The journal's own compiler has the last word, where there is one.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ENTRY = re.compile(r"^-- ([0-9a-f]{32})\n(.*?)(?=^-- |\Z)", re.M | re.S)


def check_entry(id, text, fields):
    head, _, body = text.partition("\n\n")
    if not re.search(r"^Subject: \S", head, re.M):
        yield f"{id}: has no subject"
    if not re.search(r"^Documentation: \S", head, re.M):
        yield f"{id}: does not say where to read on"
    if not body.strip():
        yield f"{id}: has no text"
    for field in re.findall(r"@(\w+)@", text):
        if field not in fields:
            yield f"{id}: @{field}@ is not a field of every record"


def check_ids(header, entries):
    ids = dict(re.findall(r'#define (VFIOPT_MESSAGE_\w+)\s+"(\w+)"', header))
    found = [id for id, _ in entries]
    if not ids:
        yield "no message ids found"
    if len(set(ids.values())) != len(ids):
        yield "message ids are not unique"
    for name, id in ids.items():
        if found.count(id) != 1:
            yield f"{name}: {found.count(id)} entries for {id}"
    for id in set(found) - set(ids.values()):
        yield f"{id}: is no message id"


def check_compiles(catalog):
    """journalctl compiles what it finds below a root, and complains on stderr."""
    if not shutil.which("journalctl"):
        return
    with tempfile.TemporaryDirectory() as root:
        folder = pathlib.Path(root, "usr/lib/systemd/catalog")
        folder.mkdir(parents=True)
        pathlib.Path(root, "var/lib/systemd/catalog").mkdir(parents=True)
        shutil.copy(catalog, folder)
        done = subprocess.run(["journalctl", "--update-catalog", f"--root={root}"],
                              capture_output=True, text=True)
        if done.returncode or done.stderr.strip():
            yield f"journalctl --update-catalog: {done.stderr.strip() or done.returncode}"


def main(root):
    header = pathlib.Path(root, "include/vfiopt/journal.h").read_text()
    catalog = pathlib.Path(root, "units/vfiopt.catalog")
    entries = ENTRY.findall(catalog.read_text())
    fields = set(re.findall(r'#define VFIOPT_FIELD_\w+\s+"(\w+)"', header))

    problems = list(check_ids(header, entries))
    for id, text in entries:
        problems += check_entry(id, text, fields)
    problems += check_compiles(catalog)

    print("\n".join(problems) or f"{len(entries)} entries, one for each message id")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
