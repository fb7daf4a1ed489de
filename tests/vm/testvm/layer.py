# SPDX-License-Identifier: LGPL-2.1-or-later
"""Layers: what a machine has on top of the image.

A layer is a tar archive without its end marker, so that layers are stacked by
writing one behind the other. The stack is a disk of fixed size whose rest reads
as zeros, which is the end marker. A machine that boots unpacks it in its
initramfs, one that was restored does so first thing; the disk that the machine
had when it was saved was another one, which nobody notices, as nobody has read
it yet.
"""

import io
import os
import shutil
import tarfile

DISK_SIZE = 512 << 20
# A fixed time, so that the same content makes the same archive.
MTIME = 1700000000


def _add(tar, name, mode, data=None, link=None):
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = mode, MTIME
    if link is not None:
        info.type, info.linkname = tarfile.SYMTYPE, link
        tar.addfile(info)
    elif data is None:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    else:
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))


def _finish(tar, file):
    end = tar.offset
    tar.close()
    file.truncate(end)  # flushes first, unlike os.truncate()


def write_from_directory(path, directory):
    """A layer of all files below a directory, and of its empty directories.

    Others appear as needed, so that no time stamp of the guest's is touched.
    """
    with open(path, "wb") as file:
        tar = tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT)
        for where, directories, names in sorted(os.walk(directory)):
            if not directories and not names:
                mode = os.stat(where).st_mode & 0o7777
                _add(tar, os.path.relpath(where, directory), mode)
            for name in sorted(names + [d for d in directories if os.path.islink(f"{where}/{d}")]):
                full = os.path.join(where, name)
                inside = os.path.relpath(full, directory)
                if os.path.islink(full):
                    _add(tar, inside, 0o777, link=os.readlink(full))
                    continue
                with open(full, "rb") as source:
                    _add(tar, inside, os.stat(full).st_mode & 0o7777, source.read())
        _finish(tar, file)


def write_from_files(path, files):
    """A layer of files given as {"/path": "text"}; a tuple adds the mode."""
    with open(path, "wb") as file:
        tar = tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT)
        for name, content in sorted(files.items()):
            mode = 0o644
            if isinstance(content, tuple):
                content, mode = content
            data = content if isinstance(content, bytes) else content.encode()
            _add(tar, name.lstrip("/"), mode, data)
        _finish(tar, file)


def write_disk(path, layers):
    """A disk with these layers on it."""
    with open(path, "wb") as disk:
        for layer in layers:
            with open(layer, "rb") as source:
                shutil.copyfileobj(source, disk, 1 << 20)
        if disk.tell() > DISK_SIZE - 1024:
            raise ValueError("the layers do not fit on their disk")
        disk.truncate(DISK_SIZE)
