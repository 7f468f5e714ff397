"""The engines that images are moved by, each with the same few verbs; it must not know how often or in which order they are asked."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from labcontainers import Engine
from labcontainers.kernel.inode_flags import spread

Action = Callable[[], object]


class Mover(Protocol):
    """An engine under measurement; each verb gives what it did as something that is yet to be called, after what must be done before."""

    name: str

    def first_push(self) -> Action:
        """Make the stored form of the layer of its own image, and push it."""
        ...

    def push(self) -> Action: ...
    def pull(self, image: str) -> Action:
        """Fetch and unpack an image, of which the engine has nothing."""
        ...

    def save(self) -> Action: ...
    def load(self) -> Action: ...
    def close(self) -> None: ...


class Ours:
    """labcontainers through its Python interface."""

    name = "labcontainers"

    def __init__(self, engine: Engine, rootfs: Path, registry: str, folder: Path) -> None:
        self.engine = engine
        self.image = f"{registry}/bench/ours:1"
        self.archive = folder / "ours.tar"
        engine.images.import_image(rootfs, self.image)

    def push(self) -> Action:
        return lambda: self.engine.images.push(self.image)

    first_push = push

    def pull(self, image: str) -> Action:
        self._forget(image)
        return lambda: self.engine.images.pull(image)

    def save(self) -> Action:
        self.archive.unlink(missing_ok=True)

        def write() -> None:
            with self.archive.open("wb") as file, self.engine.images.save(self.image) as archive:
                archive.write(file)

        return write

    def load(self) -> Action:
        self._forget(self.image)
        return lambda: self.engine.images.load(self.archive)

    def _forget(self, image: str) -> None:
        if self.engine.images.find(image) is not None:
            self.engine.images.remove(image, force=True)

    def close(self) -> None:
        for image in self.engine.images.list():
            self.engine.images.remove(image.id, force=True)


class Command:
    """A peer by its command line."""

    environment: Mapping[str, str] = os.environ

    def call(self, *words: str) -> None:
        subprocess.run(words, env=dict(self.environment), check=True, stdin=subprocess.DEVNULL, capture_output=True)

    def action(self, *commands: tuple[str, ...]) -> Action:
        def all_of_them() -> None:
            for words in commands:
                self.call(*words)

        return all_of_them


class Docker(Command):
    """The docker command line and the daemon that it reaches."""

    name = "docker"

    def __init__(self, environment: Mapping[str, str], rootfs: Path, registry: str, folder: Path) -> None:
        self.environment = environment
        self.image, self.archive = f"{registry}/bench/docker:1", str(folder / "docker.tar")
        self.call("docker", "import", str(rootfs), self.image)

    def push(self) -> Action:
        return self.action(("docker", "push", "-q", self.image))

    first_push = push

    def pull(self, image: str) -> Action:
        self._forget(image)
        return self.action(("docker", "pull", "-q", image))

    def save(self) -> Action:
        return self.action(("docker", "save", "-o", self.archive, self.image))

    def load(self) -> Action:
        self._forget(self.image)
        return self.action(("docker", "load", "-q", "-i", self.archive))

    def _forget(self, image: str) -> None:
        subprocess.run(["docker", "rmi", "-f", image], env=dict(self.environment), check=False, capture_output=True)

    def close(self) -> None:
        self._forget(self.image)


class Skopeo(Command):
    """skopeo between registry and OCI layout, and umoci to unpack it."""

    name = "skopeo+umoci"

    def __init__(self, rootfs: Path, registry: str, folder: Path) -> None:
        self.folder = folder / "skopeo"
        self.folder.mkdir()
        spread(self.folder)
        self.rootfs, self.image = rootfs, f"docker://{registry}/bench/skopeo:1"
        self.layout, self.archive = self.folder / "oci", self.folder / "archive.tar"
        self.call("umoci", "init", "--layout", str(self.layout))
        self.call("umoci", "new", "--image", f"{self.layout}:1")

    def _copy(self, source: str, target: str) -> tuple[str, ...]:
        return ("skopeo", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", source, target)

    def first_push(self) -> Action:
        make = ("umoci", "raw", "add-layer", "--image", f"{self.layout}:1", str(self.rootfs))
        return self.action(make, self._copy(f"oci:{self.layout}:1", self.image))

    def push(self) -> Action:
        return self.action(self._copy(f"oci:{self.layout}:1", self.image))

    def pull(self, image: str) -> Action:
        return self._unpacked(f"docker://{image}")

    def save(self) -> Action:
        self.archive.unlink(missing_ok=True)
        return self.action(self._copy(f"oci:{self.layout}:1", f"oci-archive:{self.archive}:1"))

    def load(self) -> Action:
        return self._unpacked(f"oci-archive:{self.archive}:1")

    def _unpacked(self, source: str) -> Action:
        self._forget()
        place = self.folder / f"new-{secrets.token_hex(8)}"
        place.mkdir()
        unpack = ("umoci", "unpack", "--image", f"{place}/oci:1", f"{place}/bundle")
        return self.action(self._copy(source, f"oci:{place}/oci:1"), unpack)

    def _forget(self) -> None:
        for place in self.folder.glob("new-*"):
            shutil.rmtree(place)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class Podman(Command):
    """podman with a store of its own, and a new one for each pull and load."""

    name = "podman"

    def __init__(self, rootfs: Path, registry: str, folder: Path) -> None:
        self.folder = folder / "podman"
        self.folder.mkdir()
        spread(self.folder)
        self.image, self.archive = f"{registry}/bench/podman:1", str(folder / "podman.tar")
        # another engine's settings, which need not be there
        self.environment = {name: value for name, value in os.environ.items() if name != "DOCKER_CONFIG"}
        # which must have short names
        self.run = Path(tempfile.mkdtemp(prefix="lab-", dir="/tmp"))
        self.program = self._at("own")
        self.stores = [self.program]
        self.call(*self.program, "import", "-q", str(rootfs), self.image)

    def _at(self, name: str) -> tuple[str, ...]:
        return ("podman", "--root", str(self.folder / name), "--runroot", str(self.run / name))

    def _elsewhere(self) -> tuple[str, ...]:
        """The command with a store that is empty, and not where the last one was."""
        if len(self.stores) > 1:
            self.call(*self.stores[-1], "rmi", "-a", "-f")
        self.stores.append(self._at(secrets.token_hex(8)))
        # that what a store needs once is there
        self.call(*self.stores[-1], "images", "-q")
        return self.stores[-1]

    def push(self) -> Action:
        return self.action((*self.program, "push", "-q", "--tls-verify=false", self.image))

    first_push = push

    def pull(self, image: str) -> Action:
        return self.action((*self._elsewhere(), "pull", "-q", "--tls-verify=false", image))

    def save(self) -> Action:
        Path(self.archive).unlink(missing_ok=True)
        return self.action((*self.program, "save", "-q", "-o", self.archive, self.image))

    def load(self) -> Action:
        return self.action((*self._elsewhere(), "load", "-q", "-i", self.archive))

    def close(self) -> None:
        for store in self.stores:
            self.call(*store, "system", "reset", "-f")
        shutil.rmtree(self.run, ignore_errors=True)


def movers(engine: Engine, docker: Mapping[str, str] | None, rootfs: Path, registry: str, folder: Path) -> list[Mover]:
    """Those that are installed and work here."""
    made: list[Mover] = [Ours(engine, rootfs, registry, folder)]
    candidates: list[tuple[bool, Callable[[], Mover]]] = [
        (docker is not None, lambda: Docker(docker or {}, rootfs, registry, folder)),
        (shutil.which("skopeo") is not None and shutil.which("umoci") is not None, lambda: Skopeo(rootfs, registry, folder)),
        (shutil.which("podman") is not None, lambda: Podman(rootfs, registry, folder)),
    ]
    for there, make in candidates:
        if there:
            try:
                made.append(make())
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"{error}: {getattr(error, 'stderr', b'')!r}", file=sys.stderr)
    return made
