"""One layer on its way: stored bytes are kept and hashed in one thread, inflated and hashed in another, and unpacked by a worker.

It must not know registries, archives or images. Memory is bounded by a few buffers, whatever the layer's size.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from labcontainers.errors import DigestMismatch, LabError, NoSpace, Unavailable
from labcontainers.images.layer_source import LayerSource, Reader, Stop
from labcontainers.kernel.interrupts import begin_thread
from labcontainers.runtime.process import Errand, LauncherProcess
from labcontainers.store.blobs import Blobs
from labcontainers.store.downloads import Downloads
from labcontainers.store.layout import Store
from labcontainers.store.space import FULL

_BUFFER = 1 << 20
_BUFFERS = 4
# What arrives in smaller pieces is gathered, so that every piece is worth its way through two threads.
_WORTHWHILE = 1 << 16
# How often who waits for another process looks whether it is over.
_LOOK_S = 0.2
OnBytes = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Arrived:
    """A layer's stored bytes as they are in the store now; `unpacked` is the worker's answer, or None when no tree was wanted."""

    digest: str
    size_bytes: int
    compression: str
    unpacked: dict[str, Any] | None


class Unpacking:
    """The thread that inflates, and the pipe to the worker that unpacks."""

    def __init__(self, begin: Callable[[int], Errand], most_bytes: int) -> None:
        """`begin(fd)` starts a worker on a copy of the pipe's reading end, and gives its errand."""
        self._most_bytes = most_bytes
        self._full: queue.Queue[memoryview | None] = queue.Queue(_BUFFERS)
        self._free: queue.Queue[bytearray] = queue.Queue()
        for _ in range(_BUFFERS):
            self._free.put(bytearray(_BUFFER))
        self._hash = hashlib.sha256()
        self._error: BaseException | None = None
        self._abandoned = self._ended = self._over = False
        self.size_bytes = 0
        self.compression = ""
        ours, self._pipe = os.pipe()
        try:
            self._errand = begin(ours)
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(ours)
        self._thread = threading.Thread(target=self._run, name="lab-inflate", daemon=True)
        begin_thread(self._thread)

    def buffer(self) -> bytearray:
        """An empty buffer; blocks until there is one."""
        return self._free.get()

    def put(self, filled: memoryview) -> None:
        """Pass a filled part of a buffer on; raises what went wrong behind."""
        if self._error is not None:
            raise self._error
        self._full.put(filled)

    def finish(self, diff_id: str = "") -> dict[str, Any]:
        """All bytes were put: the worker's answer, with the size of what was put where it tells none.

        Raises the worker's errors, and DigestMismatch when the tar is not `diff_id`, if one is given.
        """
        answer = self._end()
        found = "sha256:" + self._hash.hexdigest()
        if diff_id and found != diff_id:
            raise DigestMismatch(
                f"a layer's tar has digest {found}, not {diff_id}", "the image is not what its config says: ask who made it"
            )
        return {"size_bytes": self.size_bytes, **answer}

    def abandon(self) -> BaseException | None:
        """End thread and worker, whatever they have come to; what was wrong with them, if anything was. Idempotent."""
        if self._ended:
            return None
        self._abandoned = True
        try:
            self._end()
        except BaseException as error:
            return error
        return None

    def _end(self) -> dict[str, Any]:
        self._ended = True
        self._full.put(None)
        self._thread.join()
        try:
            answer: dict[str, Any] = self._errand.result()
        except LabError:
            if isinstance(self._error, LabError):
                # the worker only saw a tar that ends too early
                raise self._error from None
            raise
        if self._error is not None:
            raise self._error
        return answer

    def _run(self) -> None:
        try:
            self._inflate()
        except BaseException as error:
            self._error = error
        finally:
            os.close(self._pipe)
            # nobody who waits for a buffer shall wait for ever
            while (filled := self._next()) is not None:
                self._release(filled)

    def _next(self) -> memoryview | None:
        """The next piece, or None, also ever after the last one."""
        filled = None if self._over else self._full.get()
        self._over = filled is None
        return filled

    def _inflate(self) -> None:
        from labcontainers.store.compression import Decompressor, kind_of

        decompressor: Decompressor | None = None
        while (filled := self._next()) is not None:
            if decompressor is None:
                self.compression = kind_of(bytes(filled[:16]))
                decompressor = Decompressor(self.compression, most_bytes=self._most_bytes)
            for piece in decompressor.feed(filled):
                self._pass_on(piece)
            self._release(filled)
            if self._abandoned:
                return
        if decompressor is not None:
            for piece in decompressor.finish():
                self._pass_on(piece)

    def _release(self, filled: memoryview) -> None:
        buffer = filled.obj
        filled.release()
        assert isinstance(buffer, bytearray)
        self._free.put(buffer)

    def _pass_on(self, piece: bytes | memoryview) -> None:
        self._hash.update(piece)
        self.size_bytes += len(piece)
        left = memoryview(piece)
        while left:
            left = left[os.write(self._pipe, left) :]


def unpack_to(scratch: Path, store: Store, launcher: LauncherProcess) -> Unpacking:
    """Let a worker fill `scratch/fs` with what will be passed on; more than fits on the file system is refused as it comes."""

    def begin(fd: int) -> Errand:
        single = launcher.start() == "single"
        function = "labcontainers.store.unpack:unpack"
        return launcher.begin(function, (fd,), target=str(scratch / "fs"), userxattr=launcher.rootless, single_id=single)

    room = os.statvfs(store.paths.root)
    return Unpacking(begin, room.f_bavail * room.f_frsize)


def complete(scratch: Path, below: Sequence[str], unpacked: dict[str, Any], store: Store, launcher: LauncherProcess) -> None:
    """Put into the tree what it needs of the layers `below`, from the bottom up, which the worker that unpacked it did not see."""
    if unpacked["links"] or (unpacked["implied"] and below):
        launcher.call(
            "labcontainers.store.unpack:finish",
            target=str(scratch / "fs"),
            lowers=list(store.snapshots.lower_paths(below)),
            implied=unpacked["implied"],
            links=unpacked["links"],
            userxattr=launcher.rootless,
        )


def receive(
    source: LayerSource,
    blobs: Blobs,
    downloads: Downloads,
    unpacking: Unpacking | None,
    on_bytes: OnBytes = lambda count: None,
    stop: Stop | None = None,
) -> Arrived:
    """Bring a layer's stored bytes into the store and, unless it is None, through `unpacking`, which is ended in any case.

    Bytes that are in the store are not asked for again. Raises Stopped when `stop` was set, DigestMismatch, InvalidArgument and what the
    source raises.
    """
    stop = stop or Stop()
    try:
        with _sink(source, blobs, downloads, stop) as sink:
            _pump(source, sink, unpacking, on_bytes, stop)
            if source.digest:
                sink.commit()
            try:
                answer = unpacking.finish(source.diff_id) if unpacking is not None else None
            except LabError:
                if source.digest and not sink.complete:
                    # the bytes are those of the digest, but no layer that anybody could use
                    blobs.remove(source.digest)
                raise
            if not source.digest:
                sink.commit()
    except BaseException as error:
        reason = unpacking.abandon() if unpacking is not None else None
        cause = reason if isinstance(error, BrokenPipeError) and reason is not None else error
        if source.digest and (isinstance(cause, NoSpace) or (isinstance(cause, OSError) and cause.errno in FULL)):
            # nobody can go on with it before there is space, of which it takes a part
            downloads.drop(source.digest)
        if cause is not error:
            raise cause from None
        raise
    return Arrived(sink.digest, sink.size, unpacking.compression if unpacking is not None else "", answer)


class _Sink(Protocol):
    """Where stored bytes go."""

    digest: str
    size: int
    complete: bool

    def existing(self) -> Iterator[memoryview]: ...
    def write(self, data: memoryview) -> None: ...
    def commit(self) -> None: ...


def _sink(source: LayerSource, blobs: Blobs, downloads: Downloads, stop: Stop) -> AbstractContextManager[_Sink]:
    if not source.digest:
        return _new_blob(blobs)
    return _known_blob(source.digest, blobs, downloads, stop)


@contextlib.contextmanager
def _known_blob(digest: str, blobs: Blobs, downloads: Downloads, stop: Stop) -> Iterator[_Sink]:
    with contextlib.ExitStack() as held:
        while True:
            # somebody else who fetches it may take long
            with contextlib.suppress(Unavailable):
                held.enter_context(downloads.hold(digest, timeout_s=_LOOK_S))
                break
            stop.check()
        if blobs.has(digest):
            yield _Stored(blobs.path(digest), digest)
        else:
            with downloads.begin(digest) as download:
                yield download


@contextlib.contextmanager
def _new_blob(blobs: Blobs) -> Iterator[_Sink]:
    with blobs.writer() as writer:
        yield _New(writer)


class _Stored:
    """Bytes that are there: nothing is left to be written."""

    complete = True

    def __init__(self, path: Path, digest: str) -> None:
        self._path = path
        self._hash = hashlib.sha256()
        self.digest = digest
        self.size = 0

    def existing(self) -> Iterator[memoryview]:
        buffer = memoryview(bytearray(_BUFFER))
        with open(self._path, "rb", buffering=0) as file:
            while count := file.readinto(buffer):
                self._hash.update(buffer[:count])
                self.size += count
                yield buffer[:count]

    def write(self, data: memoryview) -> None:
        raise AssertionError("what is stored is complete")

    def commit(self) -> None:
        found = "sha256:" + self._hash.hexdigest()
        if found != self.digest:
            raise DigestMismatch(f"blob {self.digest} is damaged", "remove the image and pull or load it again")


class _New:
    """Bytes whose digest is not known before."""

    complete = False
    digest = ""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self.size = 0

    def existing(self) -> Iterator[memoryview]:
        return iter(())

    def write(self, data: memoryview) -> None:
        self._writer.write(data)
        self.size += len(data)

    def commit(self) -> None:
        self.digest, self.size = self._writer.commit()


def _pump(source: LayerSource, sink: _Sink, unpacking: Unpacking | None, on_bytes: OnBytes, stop: Stop) -> None:
    for piece in sink.existing():
        if unpacking is not None:
            buffer = unpacking.buffer()
            buffer[: len(piece)] = piece
            unpacking.put(memoryview(buffer)[: len(piece)])
        on_bytes(sink.size)
    if sink.complete or (source.size >= 0 and sink.size == source.size):
        return
    stop.check()
    with stop.opened(source.open(sink.size)) as reader:
        own = bytearray(_BUFFER)
        _skip(reader, sink.size - reader.offset, memoryview(own))
        while True:
            buffer = own if unpacking is None else unpacking.buffer()
            count = _fill(reader, memoryview(buffer))
            stop.check()
            if not count:
                return
            filled = memoryview(buffer)[:count]
            sink.write(filled)
            if 0 <= source.size < sink.size:
                raise DigestMismatch(f"layer {source.digest} is longer than the {source.size} bytes that were announced", "try again")
            if unpacking is not None:
                unpacking.put(filled)
            on_bytes(sink.size)


def _skip(reader: Reader, count: int, buffer: memoryview) -> None:
    """Read on to where we are, at a source that could not begin there."""
    while count > 0 and (done := reader.readinto(buffer[: min(count, len(buffer))])):
        count -= done


def _fill(reader: Reader, buffer: memoryview) -> int:
    count = reader.readinto(buffer)
    total = count
    while count and total < _WORTHWHILE:
        count = reader.readinto(buffer[total:])
        total += count
    return total
