"""Layers of packages: several at once unpacked by workers, and put above each other in their order.

It must not know where packages come from, nor what an image is. What is known of a layer is kept by the digests of its packages, so that
a layer which the store has is neither fetched nor unpacked again; the loss of that costs time only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from labcontainers.errors import InvalidArgument, LabError, NotFound
from labcontainers.images.debs.fetching import Fetcher
from labcontainers.images.debs.lock import LockedPackage
from labcontainers.images.debs.package import DebFile, read_deb, stored_pieces
from labcontainers.images.layer_flow import Unpacking
from labcontainers.kernel.scoped_paths import open_in
from labcontainers.oci.digest import chain_id
from labcontainers.runtime.process import Errand, LauncherProcess
from labcontainers.store.layout import Store
from labcontainers.store.snapshots import Layer

# A change of what is in a layer of the same package needs another number.
_FORM = "2"
_FETCHES = 8
_UNPACKS = 5
# Overlay's options must fit in a page before Linux 6.8 (kernel.mounts), with some room for layers that are built on these, and the same
# packages shall be the same layers everywhere.
SEPARATE = 20


@dataclass(frozen=True, slots=True)
class Record:
    """What dpkg is told of a package: its control file, and [path, MD5] of its configuration files."""

    name: str
    control: str
    conffiles: list[list[str]]


@dataclass(frozen=True, slots=True)
class PackageLayer:
    """A layer of one or several packages; `newest_ns` is the time of the newest file in it."""

    layer: Layer
    records: list[Record]
    newest_ns: int


@dataclass(frozen=True, slots=True)
class _Known:
    """What is remembered of a layer."""

    diff_id: str
    size_bytes: int
    newest_ns: int
    records: list[Record]


@dataclass(frozen=True, slots=True)
class _Unpacked:
    scratch: Path
    records: list[Record]
    newest_ns: int
    diff_id: str
    size_bytes: int


def group(packages: Sequence[LockedPackage]) -> list[list[LockedPackage]]:
    """The packages of each layer: the first SEPARATE ones of the variant by themselves, its others together; then those that were wished
    besides in the same way, so that images of one variant share all of its layers.
    """
    groups = []
    for base in (True, False):
        part = [package for package in packages if package.base is base]
        groups += [[package] for package in part[:SEPARATE]]
        groups += [part[SEPARATE:]] if part[SEPARATE:] else []
    return groups


class PackageLayers:
    """Makes layers of packages in a store."""

    def __init__(self, store: Store, launcher: LauncherProcess, fetcher: Fetcher) -> None:
        self._store = store
        self._launcher = launcher
        self._fetcher = fetcher

    def make(self, groups: Sequence[Sequence[LockedPackage]], below: Sequence[str], tell: Callable[[str], None]) -> list[PackageLayer]:
        """A layer for each group above the layers `below`, from the bottom up; blocks.

        Raises DigestMismatch, NotFound, Unavailable, InvalidArgument; then what was made belongs to no image, and is found again.
        """
        single_id = self._launcher.start() == "single"
        keys = [_key(packages, single_id) for packages in groups]
        known = [self._recall(key) for key in keys]
        missing = self._missing(known, below)
        fetching = ThreadPoolExecutor(_FETCHES, thread_name_prefix="lab-fetch")
        # one more than processors, since each of them waits now and then for a worker or for a package
        unpacking = ThreadPoolExecutor(min(_UNPACKS, len(os.sched_getaffinity(0)) + 1), thread_name_prefix="lab-unpack")
        coming: dict[int, Future[_Unpacked]] = {}
        try:
            # the packages of one layer come one after the other, so that the largest layer takes longest and must not begin last
            largest_first = sorted(missing, key=lambda number: -sum(package.size for package in groups[number]))
            files = {package.sha256: fetching.submit(self._fetch, package) for package in _in_turn([groups[n] for n in largest_first])}
            for number in largest_first:
                coming[number] = unpacking.submit(self._unpack, groups[number], files, single_id, tell)
            return list(self._settle(keys, known, coming, [*below]))
        except BaseException:
            for pool in (fetching, unpacking):
                pool.shutdown(wait=True, cancel_futures=True)
            for future in coming.values():
                self._drop(future)
            raise
        finally:
            for pool in (fetching, unpacking):
                pool.shutdown(wait=True, cancel_futures=True)

    def _missing(self, known: Sequence[_Known | None], below: Sequence[str]) -> list[int]:
        """The numbers of the layers that the store has not; where one is not known, those above it cannot be looked for."""
        diff_ids = list(below)
        for number, one in enumerate(known):
            if one is None or not self._store.snapshots.has(chain_id([*diff_ids, one.diff_id])):
                return list(range(number, len(known)))
            diff_ids.append(one.diff_id)
        return []

    def _settle(
        self, keys: Sequence[str], known: Sequence[_Known | None], coming: dict[int, Future[_Unpacked]], below: list[str]
    ) -> Iterator[PackageLayer]:
        for number, key in enumerate(keys):
            remembered = known[number]
            if number not in coming:
                assert remembered is not None
                chain = chain_id([*below, remembered.diff_id])
                layer = Layer(remembered.diff_id, chain, remembered.size_bytes)
                yield PackageLayer(layer, remembered.records, remembered.newest_ns)
                below.append(layer.diff_id)
                continue
            unpacked = coming[number].result()
            if below:
                self._store.snapshots.stand_on(unpacked.scratch, below)
            layer = self._store.snapshots.adopt(unpacked.scratch, below, unpacked.diff_id, unpacked.size_bytes, unpacked=False)
            self._remember(key, _Known(layer.diff_id, layer.size_bytes, unpacked.newest_ns, unpacked.records))
            yield PackageLayer(layer, unpacked.records, unpacked.newest_ns)
            below.append(layer.diff_id)

    def _fetch(self, package: LockedPackage) -> Path:
        return self._fetcher.fetch(package.uri, package.sha256, package.size)

    def _unpack(
        self, packages: Sequence[LockedPackage], files: dict[str, Future[Path]], single_id: bool, tell: Callable[[str], None]
    ) -> _Unpacked:
        scratch = self._store.snapshots.new_tree()
        try:
            records, newest_ns = [], 0
            answer: dict[str, Any] = {}
            for number, package in enumerate(packages, 1):
                deb = read_deb(files[package.sha256].result())
                _check(deb, package)
                answer = self._unpack_one(deb, scratch, single_id, last=number == len(packages))
                records.append(Record(package.name, deb.control.decode("utf-8", "replace"), answer["conffiles"]))
                newest_ns = max(newest_ns, answer["newest_ns"])
                tell(f"unpacked {package.title}")
        except BaseException:
            self._store.snapshots.discard(scratch)
            raise
        return _Unpacked(scratch, records, newest_ns, answer["diff_id"], answer["size_bytes"])

    def _unpack_one(self, deb: DebFile, scratch: Path, single_id: bool, *, last: bool) -> dict[str, Any]:
        control_fd = os.memfd_create("control", os.MFD_CLOEXEC)
        try:
            os.write(control_fd, deb.control_tar)
            os.lseek(control_fd, 0, os.SEEK_SET)

            def begin(fd: int) -> Errand:
                return self._launcher.begin(
                    "labcontainers.images.debs.unpacking:unpack_package",
                    (fd, control_fd),
                    target=str(scratch / "fs"),
                    package=_records_name(deb.fields),
                    status=deb.control.decode("utf-8", "replace"),
                    userxattr=self._launcher.rootless,
                    single_id=single_id,
                    last=last,
                )

            room = os.statvfs(self._store.paths.root)
            flow = Unpacking(begin, room.f_bavail * room.f_frsize)
        finally:
            os.close(control_fd)
        try:
            for piece in stored_pieces(deb.path, deb.data):
                buffer = flow.buffer()
                buffer[: len(piece)] = piece
                flow.put(memoryview(buffer)[: len(piece)])
            return flow.finish()
        except BaseException as error:
            reason = flow.abandon()
            if isinstance(error, BrokenPipeError) and reason is not None:
                raise reason from None
            raise

    def _drop(self, future: Future[_Unpacked]) -> None:
        """A tree that will not be needed, unless it is in its place or gone already."""
        if future.cancelled() or future.exception() is not None:
            return
        scratch = future.result().scratch
        if scratch.exists():
            with contextlib.suppress(LabError):
                self._store.snapshots.discard(scratch)

    # --- what is remembered

    def _recall(self, key: str) -> _Known | None:
        path = self._fetcher.path(f"layer-{key}")
        try:
            value = json.loads(path.read_bytes())
            records = [Record(**record) for record in value.pop("records")]
            os.utime(path)
            return _Known(**value, records=records)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _remember(self, key: str, known: _Known) -> None:
        with self._fetcher.writing(f"layer-{key}") as file:
            file.write(json.dumps(asdict(known)).encode())


def _in_turn(groups: Sequence[Sequence[LockedPackage]]) -> Iterator[LockedPackage]:
    """All packages: one of the first group and one of the others in turn, so that neither waits long for its first ones."""
    others = (package for packages in groups[1:] for package in packages)
    for pair in zip_longest(groups[0] if groups else (), others):
        yield from (package for package in pair if package is not None)


def _key(packages: Sequence[LockedPackage], single_id: bool) -> str:
    words = [_FORM, "single" if single_id else "", *(package.sha256 for package in packages)]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def _check(deb: DebFile, package: LockedPackage) -> None:
    found = (deb.fields.get("Package"), deb.fields.get("Version"), deb.fields.get("Architecture"))
    if found != (package.name, package.version, package.architecture):
        raise InvalidArgument(f"the file of {package.title} is of another package: {' '.join(map(str, found))}", "use another mirror")


def _records_name(fields: dict[str, str]) -> str:
    """By which name dpkg keeps a package's records (dpkg, lib/dpkg/dbdir: packages that may be there for several architectures)."""
    if fields.get("Multi-Arch") == "same":
        return f"{fields['Package']}:{fields['Architecture']}"
    return fields["Package"]


def read_file(store: Store, diff_ids: Sequence[str], path: str) -> bytes:
    """The content of a small file of the layers, of the topmost one that has it; raises NotFound."""
    for count in range(len(diff_ids), 0, -1):
        with contextlib.suppress(OSError):
            # no link that a package brought leads to a file of the host
            root = os.open(store.snapshots.tree(chain_id(diff_ids[:count])), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fd = open_in(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            finally:
                os.close(root)
            with open(fd, "rb") as file:
                if stat.S_ISREG(os.fstat(fd).st_mode):
                    return file.read()
    raise NotFound(f"bootstrap: no package has /{path}", "name the package that has it")
