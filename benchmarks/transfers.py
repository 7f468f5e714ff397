"""Images between a registry on loopback, archives and each engine's own store: push, pull with unpacking, save and load, side by side.

It must not know how a registry works: Debian's `docker-registry` is started for the run. The image is a root file system of one layer
that is made of this machine's own files, so that it can be had anywhere; each engine gets it as an archive.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from benchmarks import report
from labcontainers import Engine
from scripts.lesson import remove_tree

# Folders that every Debian has with many small files and some large ones, as a distribution's image has.
_FOLDERS = ("/usr/share/doc", "/usr/share/perl", "/usr/share/zoneinfo", "/usr/lib/python3", "/usr/lib/python3.11", "/usr/bin")
_MOST_BYTES = 170_000_000
_START_S = 20.0


class Mover(Protocol):
    """An engine under measurement; each verb gives the seconds it took, with sync(2) at its end, so that all have written the same."""

    name: str

    def push(self) -> float: ...
    def pull(self) -> float:
        """Fetch and unpack the image, of which the engine has nothing."""
        ...

    def save(self) -> float: ...
    def load(self) -> float: ...
    def close(self) -> None: ...


def timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    os.sync()
    return time.perf_counter() - started


class Ours:
    """labcontainers through its Python interface."""

    name = "labcontainers"

    def __init__(self, engine: Engine, rootfs: Path, registry: str, folder: Path) -> None:
        self.engine = engine
        self.image = f"{registry}/bench/ours:1"
        self.archive = folder / "ours.tar"
        engine.images.import_image(rootfs, self.image)

    def push(self) -> float:
        return timed(lambda: self.engine.images.push(self.image))

    def pull(self) -> float:
        self._forget()
        return timed(lambda: self.engine.images.pull(self.image))

    def save(self) -> float:
        self.archive.unlink(missing_ok=True)
        with self.archive.open("wb") as file, self.engine.images.save(self.image) as archive:
            return timed(lambda: archive.write(file))

    def load(self) -> float:
        self._forget()
        return timed(lambda: self.engine.images.load(self.archive))

    def _forget(self) -> None:
        self.engine.images.remove(self.image, force=True)
        os.sync()

    def close(self) -> None:
        self._forget()


class Command:
    """A peer by its command line."""

    environment: Mapping[str, str] = os.environ

    def call(self, *words: str, quiet: bool = True) -> None:
        subprocess.run(words, env=dict(self.environment), check=True, stdin=subprocess.DEVNULL, capture_output=quiet)

    def timed(self, *commands: tuple[str, ...]) -> float:
        def all_of_them() -> None:
            for words in commands:
                self.call(*words)

        os.sync()
        return timed(all_of_them)


class Docker(Command):
    """The docker command line and the daemon that it reaches."""

    name = "docker"

    def __init__(self, environment: Mapping[str, str], rootfs: Path, registry: str, folder: Path) -> None:
        self.environment = environment
        self.image, self.archive = f"{registry}/bench/docker:1", str(folder / "docker.tar")
        self.call("docker", "import", str(rootfs), self.image)

    def push(self) -> float:
        return self.timed(("docker", "push", "-q", self.image))

    def pull(self) -> float:
        self.call("docker", "rmi", "-f", self.image)
        return self.timed(("docker", "pull", "-q", self.image))

    def save(self) -> float:
        return self.timed(("docker", "save", "-o", self.archive, self.image))

    def load(self) -> float:
        self.call("docker", "rmi", "-f", self.image)
        return self.timed(("docker", "load", "-q", "-i", self.archive))

    def close(self) -> None:
        self.call("docker", "rmi", "-f", self.image)


class Skopeo(Command):
    """skopeo between registry and OCI layout, and umoci to unpack it."""

    name = "skopeo+umoci"

    def __init__(self, rootfs: Path, registry: str, folder: Path) -> None:
        self.folder = folder / "skopeo"
        self.folder.mkdir()
        self.image, self.layout, self.bundle = f"docker://{registry}/bench/skopeo:1", self.folder / "oci", self.folder / "bundle"
        self.archive = self.folder / "archive.tar"
        self.call("umoci", "init", "--layout", str(self.layout))
        self.call("umoci", "new", "--image", f"{self.layout}:1")
        self.call("umoci", "raw", "add-layer", "--image", f"{self.layout}:1", str(rootfs))

    def _copy(self, source: str, target: str) -> tuple[str, ...]:
        return ("skopeo", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", source, target)

    def push(self) -> float:
        return self.timed(self._copy(f"oci:{self.layout}:1", self.image))

    def pull(self) -> float:
        self._forget()
        unpack = ("umoci", "unpack", "--image", f"{self.layout}:1", str(self.bundle))
        return self.timed(self._copy(self.image, f"oci:{self.layout}:1"), unpack)

    def save(self) -> float:
        self.archive.unlink(missing_ok=True)
        return self.timed(self._copy(f"oci:{self.layout}:1", f"oci-archive:{self.archive}:1"))

    def load(self) -> float:
        self._forget()
        unpack = ("umoci", "unpack", "--image", f"{self.layout}:1", str(self.bundle))
        return self.timed(self._copy(f"oci-archive:{self.archive}:1", f"oci:{self.layout}:1"), unpack)

    def _forget(self) -> None:
        shutil.rmtree(self.layout, ignore_errors=True)
        shutil.rmtree(self.bundle, ignore_errors=True)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class Podman(Command):
    """podman with a store of its own."""

    name = "podman"

    def __init__(self, rootfs: Path, registry: str, folder: Path) -> None:
        self.folder = folder / "podman"
        self.image, self.archive = f"{registry}/bench/podman:1", str(folder / "podman.tar")
        # another engine's settings, which need not be there
        self.environment = {name: value for name, value in os.environ.items() if name != "DOCKER_CONFIG"}
        self.program = ("podman", "--root", str(self.folder / "root"), "--runroot", str(self.folder / "run"))
        self.call(*self.program, "import", "-q", str(rootfs), self.image)

    def push(self) -> float:
        return self.timed((*self.program, "push", "-q", "--tls-verify=false", self.image))

    def pull(self) -> float:
        self.call(*self.program, "rmi", "-f", self.image)
        return self.timed((*self.program, "pull", "-q", "--tls-verify=false", self.image))

    def save(self) -> float:
        Path(self.archive).unlink(missing_ok=True)
        return self.timed((*self.program, "save", "-q", "-o", self.archive, self.image))

    def load(self) -> float:
        self.call(*self.program, "rmi", "-f", self.image)
        return self.timed((*self.program, "load", "-q", "-i", self.archive))

    def close(self) -> None:
        self.call(*self.program, "system", "reset", "-f")


def make_rootfs(path: Path) -> int:
    """The archive that is measured, of files of this machine; its size in bytes."""
    size_bytes = 0
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for folder in _FOLDERS:
            for found in sorted(Path(folder).rglob("*")) if Path(folder).is_dir() else ():
                status = found.lstat()
                if size_bytes + status.st_size > _MOST_BYTES:
                    return size_bytes
                archive.add(found, str(found).lstrip("/"), recursive=False)
                size_bytes += status.st_size
    return size_bytes


@contextmanager
def running_registry(folder: Path) -> Iterator[str | None]:
    """HOST:PORT of a registry on loopback that keeps its content in `folder`; None where docker-registry is not installed."""
    program = shutil.which("docker-registry")
    if program is None:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    settings = (
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\nhttp: {{addr: '{address}'}}\n"
    )
    folder.mkdir()
    (folder / "config.yml").write_text(settings)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        end = time.monotonic() + _START_S
        while not _answers(address) and time.monotonic() < end:
            time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait()


def _answers(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


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


def compare_transfers(engine: Engine, docker: Mapping[str, str] | None, folder: Path, rounds: int) -> list[str]:
    """A table of push, pull, save and load; nothing without a registry."""
    place = folder / "transfers"
    place.mkdir()
    try:
        with running_registry(place / "registry") as registry:
            if registry is None:
                return ["- docker-registry is not installed: pull and push are not measured."]
            rootfs = place / "rootfs.tar"
            size_bytes = make_rootfs(rootfs)
            found = movers(engine, docker, rootfs, registry, place)
            names = [mover.name for mover in found]
            content = place / "registry" / "data"
            first = measured(found, "push", 0)
            # what was pushed is forgotten by the registry, but not what a push has made of the layer
            again = measured(found, "push", rounds, before=lambda: shutil.rmtree(content, ignore_errors=True))
            measured(found, "push", 0)
            rows = [first, again, *(measured(found, verb, rounds) for verb in ("pull", "save", "load"))]
            for mover in found:
                mover.close()
    finally:
        remove_tree(place)
    titles = ("the first push, with the making of the layer", "push to an empty registry", "pull and unpack", "save", "load and unpack")
    return [
        f"An image of one layer of {report.megabytes(size_bytes)}, a registry on loopback, each followed by sync(2):",
        "",
        report.heading(names),
        *(report.row(title, samples, names) for title, samples in zip(titles, rows, strict=True)),
    ]


def measured(found: list[Mover], verb: str, rounds: int, *, before: Callable[[], object] = lambda: None) -> dict[str, list[float]]:
    """Durations of a verb after one unmeasured round, one of each engine in turn; of no rounds, that of the first."""
    samples: dict[str, list[float]] = {mover.name: [] for mover in found}
    for number in range(rounds + 1):
        for mover in found:
            before()
            try:
                duration_s = getattr(mover, verb)()
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"{mover.name}: {verb}: {error}: {getattr(error, 'stderr', b'')!r}", file=sys.stderr)
                continue
            if number or not rounds:
                samples[mover.name].append(duration_s)
    return {name: values for name, values in samples.items() if values}
