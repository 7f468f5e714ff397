"""Local tar archives of ADD, unpacked below a directory of the image: names and links of the archive never lead out of it.

It must not know images or steps; it runs in a worker.

Source: pax(1) and GNU tar formats; Dockerfile reference, "ADD", local tar archives.
"""

from __future__ import annotations

import os
import posixpath
import stat
import tarfile
from dataclasses import replace
from typing import IO

from labcontainers.build.destination import Destination
from labcontainers.errors import InvalidArgument, Unsupported

_MAGIC = {b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zst"}
_CHUNK = 1 << 20


def compression(head: bytes) -> str:
    """`gz`, `bz2`, `xz`, `zst`, or "" by the first bytes of a file."""
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "")


def is_archive(fd: int) -> bool:
    """Whether an open regular file is a tar archive, compressed or not; those packed by zstd come inflated (build.inflating)."""
    head = os.pread(fd, 512, 0)
    kind = compression(head)
    if kind == "zst":
        return False
    if not kind:
        return begins_archive(head)
    try:
        with _open(fd) as archive:
            archive.next()
        return True
    except (tarfile.TarError, EOFError, OSError):
        return False


def begins_archive(head: bytes) -> bool:
    """Whether the first 512 bytes of a file are a header of a tar archive."""
    return len(head) == 512 and (head[257:262] == b"ustar" or _has_old_header(head))


def _has_old_header(head: bytes) -> bool:
    """Whether the checksum of a header without magic (Unix V7) is right, for a name that is not empty."""
    try:
        stored = int(head[148:156].split(b"\0")[0].strip() or b"x", 8)
    except ValueError:
        return False
    return head[0] != 0 and stored == sum(head[:148]) + 8 * 32 + sum(head[156:])


def _open(fd: int) -> tarfile.TarFile:
    file: IO[bytes] = open(fd, "rb", closefd=False)  # noqa: SIM115  # the archive reads it as long as it lives
    file.seek(0)
    return tarfile.open(fileobj=file, mode="r:*", errorlevel=1)


def unpack(fd: int, destination: Destination, folder_fd: int, *, keep_owners: bool) -> None:
    """Write what is in the archive below `folder_fd`, with its times and modes, and its owners where they are to be kept and exist.

    Raises InvalidArgument for an archive that is damaged or leads out.
    """
    ownership = destination.ownership
    owner = None if keep_owners else ownership.owner
    inside = Destination(folder_fd, replace(ownership, owner=owner, chmod="", strict=not keep_owners))
    try:
        with _open(fd) as archive:
            for member in archive:
                inside.ownership = replace(inside.ownership, mtime_ns=int(member.mtime) * 10**9)
                _put(archive, member, inside)
    except (tarfile.TarError, EOFError) as error:
        raise InvalidArgument(f"the archive is damaged: {error}") from error
    destination.files += inside.files
    destination.disowned += inside.disowned
    destination.size_bytes += inside.size_bytes


def _put(archive: tarfile.TarFile, member: tarfile.TarInfo, inside: Destination) -> None:
    path = _safe(member.name)
    if not path:
        return
    ids = (member.uid, member.gid)
    folder, name = posixpath.split(path)
    if member.isdir():
        _put_directory(member, inside, path)
        return
    with inside.directory(folder) as parent:
        if member.isreg():
            inside.put_file(parent, name, member.mode, *ids, lambda fd: _fill(archive, member, fd))
        elif member.issym():
            inside.put_symlink(parent, name, member.linkname, *ids)
        elif member.islnk():
            _link(member, inside, parent, name)
        elif member.isfifo() or member.isdev():
            kind = stat.S_IFIFO if member.isfifo() else stat.S_IFCHR if member.ischr() else stat.S_IFBLK
            inside.put_special(parent, name, kind | member.mode, os.makedev(member.devmajor, member.devminor), *ids)
        else:
            raise Unsupported(f"the archive has an entry of an unknown type: {member.name}")


def _put_directory(member: tarfile.TarInfo, inside: Destination, path: str) -> None:
    mode = stat.S_IFDIR | stat.S_IMODE(member.mode)
    with inside.directory(path) as fd:
        inside.give(fd, member.uid, member.gid)
        os.fchmod(fd, inside.ownership.mode(mode))


def _safe(name: str) -> str:
    if ".." in name.split("/"):
        raise InvalidArgument(f"the archive has a name that leads out of it: {name}")
    return posixpath.normpath("/" + name).lstrip("/")


def _fill(archive: tarfile.TarFile, member: tarfile.TarInfo, fd: int) -> int:
    file = archive.extractfile(member)
    assert file is not None
    with file:
        while data := file.read(_CHUNK):
            left = memoryview(data)
            while left:
                left = left[os.write(fd, left) :]
    return member.size


def _link(member: tarfile.TarInfo, inside: Destination, parent: int, name: str) -> None:
    source = inside.find(_safe(member.linkname), os.O_PATH | os.O_NOFOLLOW)
    if source is None:
        raise InvalidArgument(f"the archive links {member.name} to {member.linkname}, which it does not hold before")
    try:
        inside.make_way(parent, name)
        os.link(f"/proc/self/fd/{source}", name, dst_dir_fd=parent, follow_symlinks=True)
    finally:
        os.close(source)
    inside.files += 1
