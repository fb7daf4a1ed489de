# SPDX-License-Identifier: LGPL-2.1-or-later
"""Built things, kept outside the checkout and named by what they are made of.

An entry is a directory NAME-HASH. It is built under another name and renamed
when it is whole, so what has the right name is complete: a build that was cut
off is never taken for one. Who uses an entry holds a shared lock on it, who
removes old entries of the same name skips those that are locked, hence several
checkouts can share one cache.
"""

import fcntl
import hashlib
import os
import shutil
import sys
import time
from pathlib import Path


class BuildError(Exception):
    """A build has failed; the text says which, and ends in its output."""


class Unavailable(Exception):
    """Something cannot be had here, for a reason that is no fault of ours."""


def default_root():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "vfiopt-vm"


def _hash_path(digest, path):
    """Names, modes and contents; not times, which a checkout does not keep."""
    if path.is_symlink():
        digest.update(b"link\0" + os.readlink(path).encode())
    elif path.is_dir():
        for child in sorted(path.iterdir()):
            if child.name == "__pycache__":
                continue
            digest.update(child.name.encode() + b"\0")
            _hash_path(digest, child)
        digest.update(b"end\0")
    else:
        digest.update(b"x" if os.access(path, os.X_OK) else b"-")
        digest.update(hashlib.sha256(path.read_bytes()).digest())


def hash_of(*parts):
    """Hash of strings and of files and directories (given as Path)."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            _hash_path(digest, part)
        else:
            digest.update(str(part).encode() + b"\0")
    return digest.hexdigest()[:16]


class Cache:
    def __init__(self, root=None):
        self.root = Path(root or default_root())
        for directory in ("locks", "logs"):
            (self.root / directory).mkdir(parents=True, exist_ok=True)
        self._held = {}

    def lock(self, name, mode=fcntl.LOCK_EX):
        """Take a lock; it is given back when the returned file is closed."""
        file = open(self.root / "locks" / name, "a")
        fcntl.flock(file, mode)
        return file

    def log(self, name):
        return self.root / "logs" / f"{name}.log"

    def get(self, name, parts, build):
        """The entry NAME made of PARTS; build(directory, log) makes it if missing."""
        entry = self.root / f"{name}-{hash_of(*parts)}"
        if entry in self._held:
            return entry

        # Shared before looking: from then on nobody removes it.
        self._held[entry] = self.lock(f"{entry.name}.use", fcntl.LOCK_SH)
        try:
            if not entry.exists():
                with self.lock(f"{name}.build"):
                    if not entry.exists():
                        self._build(name, entry, build)
                        self._prune(name, entry)
        except BaseException:
            self._held.pop(entry).close()
            raise
        return entry

    def _build(self, name, entry, build):
        new = self.root / f".new-{name}"
        if new.exists():  # of a build that was cut off: we have the lock
            shutil.rmtree(new)
        new.mkdir()

        start = time.monotonic()
        print(f"# building {name} ...", file=sys.stderr, flush=True)
        try:
            with open(self.log(name), "wb") as log:
                build(new, log)
        except Unavailable:
            shutil.rmtree(new)
            raise
        except Exception as error:
            tail = self.log(name).read_text(errors="replace").splitlines()[-40:]
            raise BuildError("\n".join([f"cannot build {name}: {error}", *tail])) from error

        os.sync()
        new.rename(entry)
        print(f"# built {name} in {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)

    def _prune(self, name, keep):
        for old in self.root.glob(f"{name}-" + "[0-9a-f]" * 16):
            if old == keep:
                continue
            with open(self.root / "locks" / f"{old.name}.use", "a") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                # Out of the way first: half an entry must not have its name.
                gone = self.root / f".old-{old.name}"
                old.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)
