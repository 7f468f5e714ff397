"""What a worker does with the files of a container: tell what is at a path, write it into a pipe as a tar, make files of a tar.

It must not know records or the engine. It runs where files of container ids may be touched; nothing in the container's root is opened
but below the root's descriptor (containers.files.root_view).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from datetime import UTC, datetime
from typing import IO, Any

from labcontainers.containers.files.packing import Named, Packer, asserts_directory, entry_name, find
from labcontainers.containers.files.root_view import kernels_devices, open_root, resolve
from labcontainers.containers.files.unpacking import Rules, Unpacker
from labcontainers.errors import Conflict, NotFound
from labcontainers.kernel.scoped_paths import open_in

_CHUNK = 1 << 20
# Go's os.FileMode, which Docker's API gives: the type in high bits of its own, the rest as in chmod(1).
_GO_TYPES = {stat.S_IFDIR: 1 << 31, stat.S_IFLNK: 1 << 27, stat.S_IFIFO: 1 << 25, stat.S_IFSOCK: 1 << 24, stat.S_IFBLK: 1 << 26}
_GO_CHARACTER_DEVICE = 1 << 26 | 1 << 21
_GO_BITS = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}


def go_mode(mode: int) -> int:
    """`st_mode` as Go's os.FileMode. Source: pkg.go.dev/io/fs, FileMode."""
    kind = stat.S_IFMT(mode)
    high = _GO_CHARACTER_DEVICE if kind == stat.S_IFCHR else _GO_TYPES.get(kind, 0)
    return high | sum(bit for own, bit in _GO_BITS.items() if mode & own) | mode & 0o777


def _stat_document(root_fd: int, path: str, found: Named) -> dict[str, Any]:
    """Docker's ContainerPathStat; a link's target is told with all links on its way followed, as in Docker."""
    status = found.status
    link = resolve(root_fd, path) if stat.S_ISLNK(status.st_mode) else ""
    whole, nanoseconds = divmod(status.st_mtime_ns, 10**9)
    fraction = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
    return {
        "name": entry_name(path) if path.strip("/") else "/",
        "size": status.st_size,
        "mode": go_mode(status.st_mode),
        "mtime": datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z",
        "linkTarget": link,
    }


def _missing(path: str, container: str) -> str:
    return f"could not find the file {path} in container {container}"


def pack(out: int, view: dict[str, Any], container: str, path: str, follow_link: bool) -> int:
    """Write what is at `path` into the pipe `out`: one line of JSON (Docker's stat of it), then the tar; the tar's size in bytes.

    With `follow_link` a symbolic link is what it points to, under the link's own name. Raises NotFound, Conflict and OSError.
    """
    path = "/" + path.lstrip("/")
    with open_root(view) as root_fd, open(out, "wb", buffering=0) as pipe:
        name = entry_name(path)
        if follow_link and not asserts_directory(path):
            path = resolve(root_fd, path)
        hidden = kernels_devices(root_fd) if "pid" in view else frozenset()
        with find(lambda part, flags: open_in(root_fd, part, flags), path, _missing(path, container)) as found:
            # Devices that are bound one by one lie on another file system than the directory that they are in.
            of_kernel = {found.status.st_dev, *(() if found.is_directory else (os.fstat(found.parent).st_dev,))} & hidden
            if of_kernel:
                raise NotFound(f"{path} belongs to the kernel, whose files are not copied", "read it from inside, by exec")
            _write_all(pipe, (json.dumps(_stat_document(root_fd, path, found)) + "\n").encode("utf-8"))
            return Packer(lambda data: _write_all(pipe, data), hidden).pack(found, name)


def export(out: int, view: dict[str, Any]) -> int:
    """Write the whole tree into the pipe `out` as a tar; its size in bytes."""
    with open_root(view) as root_fd, open(out, "wb", buffering=0) as pipe:
        top = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root_fd)
        try:
            return Packer(lambda data: _write_all(pipe, data)).pack(Named(top, ".", os.fstat(top)), "")
        finally:
            os.close(top)


def look(view: dict[str, Any], path: str) -> dict[str, Any]:
    """What is at `path` once all links are followed: `path` (absolute), `exists`, `is_directory` and `is_device`."""
    with open_root(view) as root_fd:
        real = resolve(root_fd, path)
        found = {"path": real, "exists": False, "is_directory": False, "is_device": False}
        try:
            fd = open_in(root_fd, real, os.O_PATH | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                return found
            raise
        mode = os.fstat(fd).st_mode
        os.close(fd)
        is_device = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
        return {**found, "exists": True, "is_directory": stat.S_ISDIR(mode), "is_device": is_device}


def unpack(
    source: int,
    view: dict[str, Any],
    container: str,
    path: str,
    owner: list[int] | None,
    rename: list[str] | None,
) -> int:
    """Make the files of the tar in the pipe `source` below the directory `path`; how many. `owner` and `rename` are those of Rules.

    Raises NotFound, InvalidArgument, OSError, and Conflict for a directory that is not to be written, in Docker's words.
    """
    with open_root(view) as root_fd, open(source, "rb", buffering=_CHUNK) as pipe:
        _check_directory(root_fd, path, container)
        rules = Rules(
            owner=(owner[0], owner[1]) if owner is not None else None,
            rename=(rename[0], rename[1]) if rename is not None else None,
        )
        count = Unpacker(root_fd, path, rules, links=True).unpack(pipe)
        _drain(pipe)
        return count


def _check_directory(root_fd: int, path: str, container: str) -> None:
    try:
        fd = open_in(root_fd, path, os.O_PATH)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
            raise NotFound(_missing(path, container), "make the directory first") from None
        raise
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            raise Conflict(f"extraction point is not a directory: {path}", "name a directory of the container")
        if os.fstatvfs(fd).f_flag & os.ST_RDONLY:
            if os.fstat(fd).st_dev == os.fstat(root_fd).st_dev:
                raise Conflict("container rootfs is marked read-only", "copy into a volume or a tmpfs of it")
            raise Conflict(f"mounted volume is marked read-only: {path}", "copy into another folder")
    finally:
        os.close(fd)


def _drain(pipe: IO[bytes]) -> None:
    """Read what follows the end of an archive, so that whoever writes it need not hear of a broken pipe."""
    with contextlib.suppress(OSError):
        while pipe.read(_CHUNK):
            pass


def _write_all(pipe: IO[bytes], data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[pipe.write(view) or 0 :]
