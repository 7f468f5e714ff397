"""What a worker does: make the tree of a package's files, where dpkg would have put them, with dpkg's records of them.

It runs in the launcher's workshop, without site packages. /bin, /sbin and /lib are links to what is in /usr (usrmerge), so what packages
have there goes to /usr. What is written depends on the package alone, so that its tree has one digest on every machine.
Source: Debian wiki, UsrMerge; dpkg, doc/triggers.txt and lib/dpkg/dump.c; distroless' status.d.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from labcontainers.errors import InvalidArgument
from labcontainers.store.tar_reader import Member, TarReader
from labcontainers.store.trees import measure
from labcontainers.store.unpack import path_of, unpack_from

MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32")
_MERGED = frozenset(name.encode() for name in MERGED)
_INFO = b"var/lib/dpkg/info"
_STATUS = b"var/lib/dpkg/status.d"
_LEFT_OUT = frozenset((b"control",))
_PIECE = 1 << 20


def merged(path: bytes) -> bytes:
    """Where a path without needless parts is once /bin and its like are links."""
    first, slash, _ = path.partition(b"/")
    return b"usr/" + path if slash and first in _MERGED else path


class PackageReader(TarReader):
    """Reads a package's files as entries of a layer, and its records after them."""

    def __init__(self, fd: int, control: TarReader, package: str, status: bytes) -> None:
        """`package` is the name of its records, `status` what the file in status.d has."""
        super().__init__(lambda buffer: os.readv(fd, [buffer]))
        self._control = control
        self._package = os.fsencode(package)
        self._status = status
        self._listed: list[bytes] = []
        self._seen: set[bytes] = {b""}
        # the top looks the same in every layer
        self._waiting: list[tuple[Member, bytes]] = [(_directory(b"./"), b"")]
        self._own: bytes | None = None
        self._is_over = False
        self.newest_ns = 0
        self.conffiles: list[bytes] = []

    def next(self) -> Member | None:
        """The next entry; directories that the package does not describe come before what is in them."""
        self._own = None
        if not self._waiting and not self._is_over:
            self._read_on()
        if not self._waiting:
            return None
        member, content = self._waiting.pop(0)
        self._own = content if member.name.startswith((_INFO, _STATUS)) and member.kind == b"0" else None
        return member

    def pieces(self) -> Iterator[tuple[int, memoryview]]:
        """As TarReader.pieces(); records are in memory."""
        if self._own is None:
            yield from super().pieces()
        elif self._own:
            yield 0, memoryview(self._own)

    def _read_on(self) -> None:
        while not self._waiting:
            member = super().next()
            if member is None:
                self._is_over = True
                self._put_records()
                return
            self._take(member)

    def _take(self, member: Member) -> None:
        path = path_of(member.name)
        if not path or path.startswith((_INFO + b"/", _STATUS + b"/")):
            # the top is described by the first layer, and records are ours alone
            self.newest_ns = max(self.newest_ns, member.mtime_ns)
            return
        self._listed.append(path)
        if path in _MERGED and member.kind == b"5":
            path = b"usr/" + path
        link = member.link
        if member.kind == b"1":
            link = merged(path_of(link))
        self.newest_ns = max(self.newest_ns, member.mtime_ns)
        self._put(replace(member, name=merged(path), link=link))

    def _put(self, member: Member, content: bytes = b"") -> None:
        parts = member.name.split(b"/")
        for count in range(1, len(parts)):
            parent = b"/".join(parts[:count])
            if parent not in self._seen:
                self._seen.add(parent)
                self._waiting.append((_directory(parent), b""))
        if member.kind == b"5":
            self._seen.add(member.name)
        self._waiting.append((member, content))

    def _put_records(self) -> None:
        records: dict[bytes, tuple[bytes, int]] = {}
        while (member := self._control.next()) is not None:
            name = path_of(member.name)
            if member.kind != b"0" or not name or b"/" in name or name in _LEFT_OUT:
                continue
            content = b"".join(bytes(piece) for _, piece in self._control.pieces())
            if name == b"conffiles":
                self.conffiles = [line.strip() for line in content.split(b"\n") if line.strip().startswith(b"/")]
            records[_INFO + b"/" + self._package + b"." + name] = (content, 0o755 if member.mode & 0o111 else 0o644)
        listed = [b"/.", *(b"/" + path for path in self._listed)]
        records[_INFO + b"/" + self._package + b".list"] = (b"\n".join(listed) + b"\n", 0o644)
        records[_STATUS + b"/" + self._package.partition(b":")[0]] = (self._status, 0o644)
        for name in sorted(records):
            content, mode = records[name]
            self._put(replace(_directory(name), kind=b"0", mode=mode, size=len(content), mtime_ns=self.newest_ns), content)


def _directory(name: bytes) -> Member:
    return Member(name, b"5", 0o755, 0, 0, 0, 0, b"", (0, 0), {}, None)


def unpack_package(
    fd: int, control_fd: int, *, target: str, package: str, status: str, userxattr: bool, single_id: bool, last: bool
) -> dict[str, Any]:
    """Make the tree of the package whose data.tar is read from `fd` and whose control.tar from `control_fd`, both plain, in `target`.

    Returns {"newest_ns": time of the newest file, "conffiles": [[path, MD5 of what the package has there]…], "skipped": […]}, and with
    `last`, after which the tree is complete, its "diff_id" and "size_bytes" as the canonical tar.
    Raises InvalidArgument for a package that is damaged or hostile, NoSpace, OSError.
    """
    try:
        control = TarReader(lambda buffer: os.readv(control_fd, [buffer]))
        reader = PackageReader(fd, control, package, os.fsencode(status))
        done = unpack_from(reader, target=target, userxattr=userxattr, single_id=single_id)
    finally:
        os.close(fd)
        os.close(control_fd)
    if done["links"]:
        raise InvalidArgument(f"the package {package} has a hard link to a file that it does not have: {done['links'][0][1]}")
    conffiles = []
    for path in reader.conffiles:
        digest = _md5(target, merged(path_of(path)))
        if digest:
            conffiles.append([os.fsdecode(path), digest])
    measured = measure(target) if last else {}
    return {"newest_ns": reader.newest_ns, "conffiles": conffiles, "skipped": done["skipped"], **measured}


def _md5(target: str, path: bytes) -> str:
    """The digest by which dpkg knows an unchanged configuration file; "" for what is no file of the tree."""
    from labcontainers.kernel.scoped_paths import open_in

    root = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = open_in(root, os.fsdecode(path), os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return ""
    finally:
        os.close(root)
    digest = hashlib.md5(usedforsecurity=False)
    with open(fd, "rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
