"""Images between a registry on loopback, archives and each engine's own store: push, pull with unpacking, save and load, side by side.

It must not know how a registry works: Debian's `docker-registry` is started for the run. The image is made of this machine's own
files, so that it can be had anywhere. Each engine makes one of its own, which it pushes, saves and loads; what is pulled is the same
image for all, of one layer and of ten.

On ext4 without a journal a file costs the more, the more files were deleted beside it in the last minutes. So that nobody pays for the
round before, podman, skopeo and umoci unpack into a new folder each time, which the file system is told to put elsewhere.
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

from benchmarks import report
from benchmarks.layered import make_archive
from benchmarks.movers import Action, Mover, movers
from benchmarks.processor import Meter, metered
from labcontainers import Engine
from scripts.trees import remove_tree

# Folders that every Debian has with many small files and some large ones, as a distribution's image has.
_FOLDERS = ("/usr/share/doc", "/usr/share/perl", "/usr/share/zoneinfo", "/usr/lib/python3", "/usr/lib/python3.11", "/usr/bin")
_MOST_BYTES = 170_000_000
_START_S = 20.0
_LAYERS = (1, 10)


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
def running_registry(folder: Path, meter: Meter | None) -> Iterator[str | None]:
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
    if meter is not None:
        meter.leave_out(process.pid)
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


def offer(engine: Engine, rootfs: Path, registry: str, folder: Path) -> dict[int, str]:
    """Push the images that all pull; their names by the number of their layers."""
    names = {}
    for count in _LAYERS:
        archive = folder / f"layers-{count}.tar"
        make_archive(rootfs, count, archive)
        names[count] = f"{registry}/bench/layers-{count}:1"
        for image in engine.images.load(archive):
            engine.images.tag(image.id, names[count])
            engine.images.push(names[count])
            engine.images.remove(image.id, force=True)
        archive.unlink()
    return names


def compare_transfers(engine: Engine, docker: Mapping[str, str] | None, folder: Path, rounds: int) -> list[str]:
    """A table of push, pull, save and load; nothing without a registry."""
    place = folder / "transfers"
    place.mkdir()
    try:
        with metered() as meter, running_registry(place / "registry", meter) as registry:
            if registry is None:
                return ["- docker-registry is not installed: pull and push are not measured."]
            rootfs = place / "rootfs.tar"
            size_bytes = make_rootfs(rootfs)
            found = movers(engine, docker, rootfs, registry, place)
            names = [mover.name for mover in found]
            rows = _rows(Measuring(found, meter), place / "registry" / "data", lambda: offer(engine, rootfs, registry, place), rounds)
            for mover in found:
                mover.close()
    finally:
        remove_tree(place)
    return [
        f"An image of {report.megabytes(size_bytes)}, a registry on loopback, each followed by sync(2):",
        "",
        report.heading(names),
        *(report.row(title, samples, names) for title, samples in rows),
    ]


Rows = list[tuple[str, dict[str, list[float]]]]


def _rows(measuring: Measuring, content: Path, offered: Callable[[], dict[int, str]], rounds: int) -> Rows:
    """What is measured, by its title: seconds of each engine, then processor seconds."""
    rows: Rows = []

    def add(title: str, verb: str, *words: str, rounds: int = rounds, before: Callable[[], object] = lambda: None) -> None:
        durations, processor = measuring.measured(verb, words, rounds, before)
        rows.append((title, durations))
        if processor:
            rows.append(("its processor time", processor))

    add("the first push, with the making of the layer", "first_push", rounds=0)
    # what was pushed is forgotten by the registry, but not what a push has made of the layer
    add("push to an empty registry", "push", before=lambda: shutil.rmtree(content, ignore_errors=True))
    images = offered()
    for count, image in images.items():
        add(f"pull and unpack, {count} layer{'s' if count > 1 else ''}", "pull", image)
    add("save", "save")
    add("load and unpack", "load")
    return rows


class Measuring:
    """Asks engines for the same, one after the other."""

    def __init__(self, found: list[Mover], meter: Meter | None) -> None:
        self._found = found
        self._meter = meter

    def measured(
        self, verb: str, words: tuple[str, ...], rounds: int, before: Callable[[], object]
    ) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
        """Seconds and processor seconds of a verb after one unmeasured round, one of each engine in turn; of no rounds, of the first.

        Of docker's daemon no processor time is known.
        """
        durations: dict[str, list[float]] = {mover.name: [] for mover in self._found}
        processor: dict[str, list[float]] = {mover.name: [] for mover in self._found if self._meter is not None and mover.name != "docker"}
        for number in range(rounds + 1):
            for mover in self._found:
                before()
                try:
                    duration_s, processor_s = self._once(getattr(mover, verb)(*words))
                except (OSError, subprocess.CalledProcessError) as error:
                    print(f"{mover.name}: {verb}: {error}: {getattr(error, 'stderr', b'')!r}", file=sys.stderr)
                    continue
                if number or not rounds:
                    durations[mover.name].append(duration_s)
                    processor.get(mover.name, []).append(processor_s)
        return {name: values for name, values in durations.items() if values}, {
            name: values for name, values in processor.items() if values
        }

    def _once(self, action: Action) -> tuple[float, float]:
        """With sync(2) at its end, so that all have written the same."""
        os.sync()
        used_s = self._meter.seconds() if self._meter is not None else 0.0
        started = time.perf_counter()
        action()
        os.sync()
        duration_s = time.perf_counter() - started
        return duration_s, (self._meter.seconds() - used_s if self._meter is not None else 0.0)
