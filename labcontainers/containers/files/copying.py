"""`cp` both ways, archives in and out, and `export`: the engine's side, which streams between the caller and a worker.

It must not touch a container's files itself. What is mounted in a container is seen as from inside while it runs; else its folders of
the host are mounted for the worker, and what it has in tmpfs is gone. The kernel's own files (/proc, /sys, /dev) are never copied.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader, FileIO
from pathlib import Path
from typing import IO, Any

from labcontainers.containers.files.destination import Source, Target, arrange, local_target
from labcontainers.containers.files.packing import Packer, asserts_directory, entry_name, find
from labcontainers.containers.files.unpacking import Rules, Unpacker
from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.pause import refuse_restarting
from labcontainers.containers.planning import mount_plan
from labcontainers.containers.register import Record
from labcontainers.containers.state import settle
from labcontainers.containers.trees import trees_of
from labcontainers.errors import Conflict, Denied, Failed, InvalidArgument, KernelFailed, LabError, NotFound, Unsupported
from labcontainers.store.space import FULL, no_space

CHUNK_BYTES = 1 << 20
_MODULE = "labcontainers.containers.files.archive"
_NO_OWNER, _ROOT = None, (0, 0)

Write = Callable[[bytes | memoryview], object]
Archive = bytes | bytearray | memoryview | IO[bytes] | Iterable[bytes]


class ArchiveStream(Iterator[bytes]):
    """The bytes that a worker makes, piece by piece, with memory for one of them; closing it early ends the worker.

    An error of the worker is raised where its bytes end.
    """

    def __init__(self, lifecycle: Lifecycle, function: str, chunk_bytes: int = CHUNK_BYTES, **arguments: object) -> None:
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        self._file = BufferedReader(FileIO(read_fd), CHUNK_BYTES)
        self._chunk_bytes = chunk_bytes
        self.size_bytes = 0
        try:
            with contextlib.suppress(OSError):
                fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, CHUNK_BYTES)
            self._errand = lifecycle.launcher.begin(f"{_MODULE}:{function}", (write_fd,), **arguments)
        except BaseException:
            self._file.close()
            raise
        finally:
            os.close(write_fd)

    def first_line(self) -> dict[str, Any]:
        """The line of JSON that stands before the archive; raises what kept the worker from writing it."""
        line = self._file.readline()
        if not line.endswith(b"\n"):
            self.finish()
            raise Failed("a worker ended without an answer")
        found: dict[str, Any] = json.loads(line)
        return found

    def __next__(self) -> bytes:
        data = self.read1(self._chunk_bytes)
        if not data:
            raise StopIteration
        return data

    def read1(self, size: int) -> bytes:
        """What is there of the next `size` bytes, at least one; b"" at the end."""
        if self._file.closed:
            return b""
        data = self._file.read1(size)
        self.size_bytes += len(data)
        if not data:
            self.finish()
        return data

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, fewer only at the end; all that is left by default."""
        if self._file.closed:
            return b""
        data = self._file.read(size)
        self.size_bytes += len(data)
        return data

    def finish(self) -> None:
        """Wait for the worker's end; raises its error."""
        self._file.close()
        self._errand.result()

    def close(self) -> None:
        """Want no more of it. Idempotent."""
        self._file.close()
        self._errand.close()

    def __del__(self) -> None:
        if hasattr(self, "_errand"):
            self.close()


@contextlib.contextmanager
def view_of(lifecycle: Lifecycle, record: Record, *, writable: bool = False, alone: bool = False) -> Iterator[dict[str, Any]]:
    """Where a worker finds the container's root (files.root_view); while it may write there, a container that stands still stays so.

    Raises NotFound when the container is gone, Conflict for writing into one that waits for its next start.
    """
    with contextlib.ExitStack() as held:
        lifecycle.state(record)
        if writable and not settle(record.directory, record.row.name).running:
            held.enter_context(lifecycle.store.locks.hold(lifecycle.store.container_lock(record.row.id)))
        lifecycle.state(record)
        state = settle(record.directory, record.row.name)
        if writable:
            refuse_restarting(record, state)
        if state.pid:
            held.close()
            started = json.loads((record.directory / "state.json").read_bytes())
            yield {"pid": state.pid, "pid_start": started["pid_start"], "alone": alone}
            return
        trees = trees_of(lifecycle.store.snapshots, record)
        wanted = [] if alone else mount_plan.folders_of_host(record.directory, record.options, record.mounts)
        yield {
            "trees": [trees.upper, *trees.lower],
            "work": trees.work,
            "mount": str(record.directory / "root"),
            "userxattr": lifecycle.launcher.rootless,
            "mounts": [[mount.source, mount.target, mount.read_only, mount.subpath] for mount in wanted],
            "writable": writable,
            "read_only": record.options.read_only,
        }


# --- archives


def get_archive(
    lifecycle: Lifecycle, record: Record, path: str, *, follow_link: bool = False, chunk_bytes: int = CHUNK_BYTES
) -> tuple[ArchiveStream, dict[str, Any]]:
    """A tar of the file or directory `path`, as an iterator of bytes, and Docker's stat of it. Raises NotFound."""
    _check_path(path)
    with view_of(lifecycle, record) as view:
        arguments = {"view": view, "container": record.row.name, "path": path, "follow_link": follow_link}
        stream = ArchiveStream(lifecycle, "pack", chunk_bytes, **arguments)
        try:
            found = stream.first_line()
        except BaseException:
            stream.close()
            raise
    lifecycle.tell(record, "archive-path")
    return stream, found


def put_archive(
    lifecycle: Lifecycle,
    record: Record,
    path: str,
    data: Archive,
    *,
    owner: tuple[int, int] | None = _NO_OWNER,
    rename: tuple[str, str] | None = None,
) -> bool:
    """Unpack a tar (also by gzip, bzip2 or xz), given whole, as a file or piece by piece, into the directory `path`; True.

    Everything gets the owner that the archive says, or `owner`. Raises NotFound (no such directory), InvalidArgument (a damaged
    archive), Conflict (not a directory, what may not be replaced, or is read-only).
    """

    def feed(write: Write) -> None:
        for piece in _pieces(data):
            write(piece)

    _put(lifecycle, record, path, feed, owner, rename)
    return True


def _put(
    lifecycle: Lifecycle,
    record: Record,
    path: str,
    feed: Callable[[Write], None],
    owner: tuple[int, int] | None,
    rename: tuple[str, str] | None,
) -> None:
    _check_path(path)
    with view_of(lifecycle, record, writable=True) as view:
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        with open(write_fd, "wb", buffering=0) as pipe:
            try:
                arguments = {"view": view, "container": record.row.name, "path": path, "owner": owner, "rename": rename}
                errand = lifecycle.launcher.begin(f"{_MODULE}:unpack", (read_fd,), **arguments)
            finally:
                os.close(read_fd)
            try:
                # A worker that reads no more has failed, and tells why.
                with contextlib.suppress(BrokenPipeError):
                    feed(lambda data: _write_all(pipe, data))
            except BaseException:
                pipe.close()
                with contextlib.suppress(LabError):
                    errand.result()
                raise
        try:
            errand.result()
        except KernelFailed as error:
            if error.errno in FULL:
                raise no_space(f"{path} of container {record.row.name}") from error
            raise
    lifecycle.tell(record, "extract-to-dir")


def export(lifecycle: Lifecycle, record: Record, chunk_bytes: int = CHUNK_BYTES) -> ArchiveStream:
    """A tar of the container's whole tree without what is mounted in it, as an iterator of bytes. Raises NotFound, Unsupported."""
    if record.options.rootfs_parts:
        problem = f"export: container {record.row.name} has the folders of {record.options.rootfs} mounted, and no mount is exported"
        raise Unsupported(problem, "copy what you need by `cp`, or run the engine as root")
    with view_of(lifecycle, record, alone=True) as view:
        stream = ArchiveStream(lifecycle, "export", chunk_bytes, view=view)
    lifecycle.tell(record, "export")
    return stream


# --- cp


def copy_from(lifecycle: Lifecycle, record: Record, src: str, dest: str | Path, *, archive: bool = False, follow_link: bool = False) -> int:
    """Copy the file or directory `src` of the container to `dest` of the host, by the rules of `docker cp`; the bytes of the tar.

    What is made belongs to the caller and has no setuid bits, file capabilities or devices; with `archive` all is as in the container,
    as far as the caller may make it so. Raises NotFound, Conflict, Denied.
    """
    with _named_errors(os.fspath(dest)):
        target = local_target(os.fspath(dest))
        stream, found = get_archive(lifecycle, record, src, follow_link=follow_link)
        with contextlib.closing(stream):
            place = arrange(Source(entry_name("/" + src), bool(found["mode"] >> 31)), target)
            rules = Rules(keep_owner=archive, trusted=archive, rename=place.rename)
            root_fd = os.open(place.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                Unpacker(root_fd, "", rules, links=False).unpack(stream)
            except InvalidArgument:
                # Of an archive that ends too early, what kept the worker from going on tells more.
                stream.finish()
                raise
            finally:
                os.close(root_fd)
            while stream.read1(CHUNK_BYTES):
                pass
            return stream.size_bytes


def copy_to(lifecycle: Lifecycle, record: Record, src: str | Path, dest: str, *, archive: bool = False, follow_link: bool = False) -> int:
    """Copy the file or directory `src` of the host to `dest` in the container, by the rules of `docker cp`; the bytes of the tar.

    What is made belongs to root, or with `archive` to the numbers that own it here. Raises NotFound, Conflict, Denied.
    """
    text = os.fspath(src)
    name = entry_name(os.path.abspath(text) + "/." * (text.rpartition("/")[2] == "."))
    if follow_link and not asserts_directory(text):
        text = os.path.realpath(text)
    with _named_errors(text), find(_open_local, text, f"lstat {text}: no such file or directory") as found:
        with view_of(lifecycle, record) as view:
            seen = lifecycle.launcher.call(f"{_MODULE}:look", view=view, path=dest)
        if seen["is_device"]:
            raise Conflict(f"destination {dest!r} must be a directory or a regular file", "choose another destination")
        target = Target(seen["path"], seen["exists"], seen["is_directory"], asserts_directory(dest))
        place = arrange(Source(name, found.is_directory), target)
        sizes: list[int] = []

        def feed(write: Write) -> None:
            sizes.append(Packer(write).pack(found, name))

        _put(lifecycle, record, place.directory, feed, None if archive else _ROOT, place.rename)
        return sum(sizes)


# --- pieces


def _open_local(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC)


def _check_path(path: str) -> None:
    if not path or "\0" in path:
        raise InvalidArgument(f"not a path of a container: {path!r}", "write one such as /etc/hosts")


def _pieces(data: Archive) -> Iterator[bytes | memoryview]:
    if isinstance(data, bytes | bytearray | memoryview):
        yield memoryview(data)
    elif hasattr(data, "read"):
        while piece := data.read(CHUNK_BYTES):
            yield piece
    else:
        yield from data


def _write_all(pipe: IO[bytes], data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[pipe.write(view) or 0 :]


@contextlib.contextmanager
def _named_errors(path: str) -> Iterator[None]:
    """Errors of the host's own files at `path` or below, in this project's words."""
    try:
        yield
    except PermissionError as error:
        raise Denied(f"{error.filename or 'a file'}: permission denied", "this user may not read or write it") from error
    except FileNotFoundError as error:
        raise NotFound(f"no such file or directory: {error.filename}", "it may have just gone") from error
    except OSError as error:
        about = str(error.filename or path)
        raise (no_space(about) if error.errno in FULL else KernelFailed("cp", error.errno or 0, about)) from error
