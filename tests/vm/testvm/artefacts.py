# SPDX-License-Identifier: LGPL-2.1-or-later
"""What has to be built before a machine can run, each thing once.

Every artefact names what it is made of; the cache does the rest. An artefact
made of another one is keyed by the other's entry, so a change travels down.

An object of this class has looked at the sources once: what it has answered it
answers again, so that all scenarios of one run test the same thing, whoever
edits the checkout meanwhile.
"""

import os
import shutil
import subprocess
from functools import cached_property
from pathlib import Path

from . import layer
from .cache import BuildError, Unavailable, hash_of

VM = Path(__file__).resolve().parent.parent
CHECKOUT = VM.parent.parent
IMAGE = VM / "image"
CFLAGS = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-D_GNU_SOURCE", "-static"]

# Room for the largest driver and some hundred megabytes; a scenario may fill it.
DISK_SIZE = 1 << 30
# How layers are written is part of what they are made of.
LAYER = VM / "testvm" / "layer.py"
# A build script says with this that what it needs cannot be reached.
EXIT_UNAVAILABLE = 77


def _run(log, *command, **options):
    command = [str(word) for word in command]
    log.write(("+ " + " ".join(command) + "\n").encode())
    log.flush()
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, **options
    )
    if result.returncode != 0:
        raise subprocess.CalledProcessError(result.returncode, command[0])


def _compile(sources, name):
    def build(out, log):
        _run(log, "gcc", *CFLAGS, "-o", out / name, *sorted(sources.glob("*.c")))

    return build


class Artefacts:
    def __init__(self, cache):
        self.cache = cache
        self._known = {}

    def once(self, key, make):
        """make(), once for each key; that it is unavailable is remembered, too."""
        if key not in self._known:
            try:
                self._known[key] = make()
            except Unavailable as reason:
                self._known[key] = reason
        if isinstance(self._known[key], Unavailable):
            raise self._known[key]
        return self._known[key]

    # trees of packages

    @cached_property
    def tools(self):
        """Debian tree with QEMU, compiler and kernel."""
        script = IMAGE / "tools.sh"
        return self.cache.get(
            "tools", [script], lambda out, log: _run(log, script, out / "root")
        ) / "root"

    @cached_property
    def _guest(self):
        script = IMAGE / "guest.sh"
        return self.cache.get(
            "guest", [script], lambda out, log: _run(log, script, out / "root")
        ) / "root"

    # programs of our own

    @cached_property
    def gpusrv(self):
        sources = VM / "gpusrv"
        entry = self.cache.get("gpusrv", [sources, *CFLAGS], _compile(sources, "gpusrv"))
        return entry / "gpusrv"

    @cached_property
    def _agent(self):
        sources = VM / "agent"
        return self.cache.get("agent", [sources, *CFLAGS], _compile(sources, "vm-agent"))

    # what the machine boots from

    @cached_property
    def image(self):
        modules = VM / "modules" / "guest-modules.txt"
        parts = [IMAGE / "image.sh", IMAGE / "init", IMAGE / "modules.txt", IMAGE / "files", modules]
        return self.cache.get(
            "image",
            [*parts, self.tools.parent.name, self._guest.parent.name, self._agent.name],
            lambda out, log: _run(
                log, IMAGE / "image.sh", self.tools, self._guest, self._agent, modules, out
            ),
        )

    @cached_property
    def kernel(self):
        return (self.tools / "kernel-version").read_text().strip()

    def make_disk(self, path):
        """An empty disk of a machine that keeps what is written; most of it is a hole."""
        with open(path, "wb") as file:
            file.truncate(DISK_SIZE)
        # Not lazily: the guest's kernel would go on with it in the background.
        options = ["-E", "lazy_itable_init=0,lazy_journal_init=0"]
        subprocess.run(
            [IMAGE / "program.sh", self.tools, "mke2fs", "-q", "-t", "ext4", *options, "-F", path],
            check=True, stdin=subprocess.DEVNULL,
            env={**os.environ, "MKE2FS_CONFIG": str(self.tools / "etc" / "mke2fs.conf")},
        )

    # layers

    @cached_property
    def programs(self):
        """Layer with the programs that scenarios run in the guest."""
        sources = VM / "guest"

        def build(out, log):
            programs = out / "root" / "usr" / "local" / "bin"
            programs.mkdir(parents=True)
            _run(log, sources / "build.sh", "--out", programs)
            layer.write_from_directory(out / "layer", out / "root")

        return self.cache.get("programs", [LAYER, sources], build) / "layer"

    def _modules(self, kind):
        """Directory with the modules of one driver."""
        script = VM / "modules" / "build.sh"

        def build(out, log):
            try:
                _run(log, script, "--tools", self.tools, "--kernel", self.kernel, "--out", out, kind)
            except subprocess.CalledProcessError as error:
                if error.returncode != EXIT_UNAVAILABLE:
                    raise
                log.flush()
                reason = Path(log.name).read_text(errors="replace").strip().splitlines()[-1]
                raise Unavailable(reason) from error

        sources = [script.parent / name for name in (kind, "fault")]
        return self.cache.get(f"modules-{kind}", [script, *sources, self.tools.parent.name], build)

    def driver(self, kind):
        """Layer with the modules of one driver, or Unavailable."""
        return self.once(("driver", kind), lambda: self._build_driver(kind))

    def _build_driver(self, kind):
        modules = self._modules(kind)

        def build(out, log):
            # The indexes are made here once, not in every guest.
            tree = out / "root" / "usr" / "lib" / "modules" / self.kernel
            shutil.copytree(self.image / "modules" / "lib" / "modules" / self.kernel, tree)
            shutil.copytree(modules, tree / "updates")
            (out / "root" / "lib").symlink_to("usr/lib")
            _run(log, IMAGE / "program.sh", self.tools, "depmod", "-b", out / "root", self.kernel)

            keep = [*tree.glob("updates/*.ko"), *tree.glob("modules.*")]
            files = {f"/{path.relative_to(out / 'root')}": path.read_bytes() for path in keep}
            layer.write_from_files(out / "layer", files)
            shutil.rmtree(out / "root")

        parts = [LAYER, modules.name, self.image.name]
        return self.cache.get(f"driver-{kind}", parts, build) / "layer"

    def layers(self, driver, product):
        """What is installed into a machine, lowest first."""
        layers = [self.programs]
        layers += [self.driver(driver)] if driver else []
        layers += [self.product] if product else []
        return layers

    @cached_property
    def product(self):
        """Layer with the product as "meson install" leaves it."""
        if not (CHECKOUT / "meson.build").exists():
            raise BuildError("the checkout has no meson.build: no product can be installed")

        # One build directory per checkout, kept: ninja knows what has changed,
        # but not that it is another compiler.
        name = f"product-build-{hash_of(str(CHECKOUT))}"
        build, out = self.cache.root / name, self.cache.root / f"{name}.out"
        stamp = self.cache.root / f"{name}.tools"
        tools = self.tools.parent.name
        with self.cache.lock(f"{name}.build"):
            if not stamp.exists() or stamp.read_text() != tools:
                shutil.rmtree(build, ignore_errors=True)
                stamp.write_text(tools)
            with open(self.cache.log("product-build"), "wb") as log:
                try:
                    _run(log, IMAGE / "product.sh", self.tools, CHECKOUT, build, out)
                except subprocess.CalledProcessError:
                    log.flush()
                    text = Path(log.name).read_text(errors="replace")
                    raise BuildError("cannot build the product\n" + text[-6000:]) from None
            entry = self.cache.get(
                "product", [LAYER, out],
                lambda new, log: layer.write_from_directory(new / "layer", out),
            )
        return entry / "layer"
