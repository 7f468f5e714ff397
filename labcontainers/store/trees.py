"""What a worker does with a layer's tree: measure it as a canonical tar, write that tar, remove it.

It must not know the store: it gets paths and returns plain values. It runs where files of container ids may be touched.

The canonical tar: entries sorted by path bytes, numeric ids and no names, PAX records only where the old header cannot hold the
value, overlay's whiteouts and opaque directories as the OCI image spec writes them (layer.md, "Whiteouts").
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

from labcontainers.kernel.files import remove_tree

_BLOCK = 512
_RECORD = 20 * _BLOCK
_CHUNK = 1 << 20
_LARGEST_OCTAL_ID = 0o7777777
_LARGEST_OCTAL_SIZE = 0o77777777777
_OVERLAY_PREFIXES = ("trusted.overlay.", "user.overlay.")
_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")


def measure(tree: str) -> dict[str, Any]:
    """The diff_id and the size in bytes of the canonical tar of `tree`."""
    digest = hashlib.sha256()
    size = 0

    def take(data: bytes) -> None:
        nonlocal size
        digest.update(data)
        size += len(data)

    _Writer(tree, take).write()
    return {"diff_id": "sha256:" + digest.hexdigest(), "size_bytes": size}


def write_tar(tree: str, path: str) -> dict[str, Any]:
    """Write the canonical tar of `tree` to the new file `path`; its digest and size as of measure()."""
    digest = hashlib.sha256()
    with open(path, "xb", buffering=_CHUNK) as file:

        def take(data: bytes) -> None:
            digest.update(data)
            file.write(data)

        _Writer(tree, take).write()
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
    return {"diff_id": "sha256:" + digest.hexdigest(), "size_bytes": size}


def remove(path: str) -> None:
    """Delete a tree, whatever the modes in it; absent is fine."""
    try:
        remove_tree(path)
    except FileNotFoundError:
        return


def usage(path: str) -> dict[str, int]:
    """Bytes on disk and number of inodes of a tree, hard links counted once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for _, status in _walk(path):
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * 512
    return {"bytes": total, "inodes": len(seen)}


def move(source: str, target: str) -> None:
    """Rename a tree; here, since moving a directory to another parent needs the rights on the directory itself."""
    os.rename(source, target)


def _walk(tree: str) -> Iterator[tuple[str, os.stat_result]]:
    """(path relative to the tree, status) of everything below it, sorted by the bytes of the path."""
    names = sorted(os.listdir(tree), key=os.fsencode)
    for name in names:
        path = os.path.join(tree, name)
        status = os.lstat(path)
        yield name, status
        if stat.S_ISDIR(status.st_mode):
            for inner, inner_status in _walk(path):
                yield f"{name}/{inner}", inner_status


class _Writer:
    """Streams the canonical tar of one tree to a function."""

    def __init__(self, tree: str, take: Callable[[bytes], None]) -> None:
        self._tree = tree
        self._take = take
        self._links: dict[tuple[int, int], str] = {}
        self._written = 0

    def write(self) -> None:
        if _is_opaque(self._tree):
            self._marker(".wh..wh..opq")
        for path, status in _walk(self._tree):
            self._entry(path, status)
        self._emit(b"\0" * (2 * _BLOCK))
        self._emit(b"\0" * (-self._written % _RECORD))

    def _emit(self, data: bytes) -> None:
        self._take(data)
        self._written += len(data)

    def _entry(self, path: str, status: os.stat_result) -> None:
        full = os.path.join(self._tree, path)
        mode = status.st_mode
        if stat.S_ISCHR(mode) and status.st_rdev == 0:
            folder, _, name = path.rpartition("/")
            self._marker(f"{folder}/.wh.{name}" if folder else f".wh.{name}")
            return
        if stat.S_ISSOCK(mode):
            return
        if status.st_nlink > 1 and not stat.S_ISDIR(mode):
            first = self._links.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                self._header(path, status, b"1", link=first)
                return
        if stat.S_ISREG(mode):
            self._header(path, status, b"0", size=status.st_size, extra=_xattrs(full))
            self._content(full, status.st_size)
        elif stat.S_ISDIR(mode):
            self._header(path + "/", status, b"5", extra=_xattrs(full))
            if _is_opaque(full):
                self._marker(path + "/.wh..wh..opq")
        elif stat.S_ISLNK(mode):
            self._header(path, status, b"2", link=os.readlink(full))
        elif stat.S_ISFIFO(mode):
            self._header(path, status, b"6", extra=_xattrs(full))
        else:
            kind = b"3" if stat.S_ISCHR(mode) else b"4"
            self._header(path, status, kind, device=(os.major(status.st_rdev), os.minor(status.st_rdev)), extra=_xattrs(full))

    def _marker(self, path: str) -> None:
        """An empty file whose name says that something of the lower layers is gone."""
        self._raw_header(os.fsencode(path), b"0", 0, 0, 0, 0, 0, b"", (0, 0))

    def _content(self, path: str, size: int) -> None:
        left = size
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            while left:
                data = os.read(fd, min(_CHUNK, left))
                if not data:
                    raise OSError(5, f"the file became shorter while it was read: {path}")
                self._emit(data)
                left -= len(data)
        finally:
            os.close(fd)
        self._emit(b"\0" * (-size % _BLOCK))

    def _header(
        self,
        path: str,
        status: os.stat_result,
        kind: bytes,
        *,
        size: int = 0,
        link: str = "",
        device: tuple[int, int] = (0, 0),
        extra: dict[bytes, bytes] | None = None,
    ) -> None:
        name, target = os.fsencode(path), os.fsencode(link)
        records: dict[bytes, bytes] = dict(extra or {})
        if len(name) > 100 or not name.isascii():
            records[b"path"] = name
        if len(target) > 100 or not target.isascii():
            records[b"linkpath"] = target
        for key, value, largest in (
            (b"uid", status.st_uid, _LARGEST_OCTAL_ID),
            (b"gid", status.st_gid, _LARGEST_OCTAL_ID),
            (b"size", size, _LARGEST_OCTAL_SIZE),
        ):
            if value > largest:
                records[key] = str(value).encode()
        seconds, fraction = divmod(status.st_mtime_ns, 10**9)
        if fraction or seconds < 0 or seconds > _LARGEST_OCTAL_SIZE:
            records[b"mtime"] = _decimal(status.st_mtime_ns)
        if records:
            self._pax(records)
        mtime = min(max(seconds, 0), _LARGEST_OCTAL_SIZE)
        uid, gid = min(status.st_uid, _LARGEST_OCTAL_ID), min(status.st_gid, _LARGEST_OCTAL_ID)
        self._raw_header(
            name, kind, stat.S_IMODE(status.st_mode), uid, gid, min(size, _LARGEST_OCTAL_SIZE), mtime, target, device
        )

    def _pax(self, records: dict[bytes, bytes]) -> None:
        body = b"".join(_pax_record(key, records[key]) for key in sorted(records))
        self._raw_header(b"PaxHeaders/0", b"x", 0o644, 0, 0, len(body), 0, b"", (0, 0))
        self._emit(body + b"\0" * (-len(body) % _BLOCK))

    def _raw_header(
        self, name: bytes, kind: bytes, mode: int, uid: int, gid: int, size: int, mtime: int, link: bytes, device: tuple[int, int]
    ) -> None:
        """One ustar block (POSIX.1-2017 pax, "ustar Interchange Format")."""
        block = b"".join(
            (
                name[:100].ljust(100, b"\0"),
                b"%07o\0" % mode,
                b"%07o\0" % uid,
                b"%07o\0" % gid,
                b"%011o\0" % size,
                b"%011o\0" % mtime,
                b" " * 8,
                kind,
                link[:100].ljust(100, b"\0"),
                b"ustar\x0000",
                b"\0" * 64,
                b"%07o\0" % device[0],
                b"%07o\0" % device[1],
                b"\0" * 155,
                b"\0" * 12,
            )
        )
        self._emit(block[:148] + b"%06o\0 " % sum(block) + block[156:])


def _pax_record(key: bytes, value: bytes) -> bytes:
    """`<length> <key>=<value>\\n`, where the length counts itself."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while len(str(length).encode()) + len(rest) != length:
        length = len(str(length).encode()) + len(rest)
    return str(length).encode() + rest


def _decimal(nanoseconds: int) -> bytes:
    """Seconds with as many decimals as are needed."""
    sign = "-" if nanoseconds < 0 else ""
    seconds, fraction = divmod(abs(nanoseconds), 10**9)
    return f"{sign}{seconds}.{fraction:09d}".rstrip("0").rstrip(".").encode()


def _xattrs(path: str) -> dict[bytes, bytes]:
    """Extended attributes as PAX records, overlay's own left out (the key that GNU tar, star and Docker use)."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return {}
    kept = [name for name in names if not name.startswith(_OVERLAY_PREFIXES)]
    return {b"SCHILY.xattr." + os.fsencode(name): os.getxattr(path, name, follow_symlinks=False) for name in kept}


def _is_opaque(path: str) -> bool:
    for name in _OPAQUE:
        try:
            if os.getxattr(path, name, follow_symlinks=False) == b"y":
                return True
        except OSError:
            continue
    return False
