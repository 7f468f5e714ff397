"""Whom a container's process runs as: Docker's USER text, read against the container's own passwd and group files.

It must not import anything but what the launcher holds: it runs inside the container's root, where name services would load
libraries of the image. Files are read by descriptor, bounded, and only if they are ordinary files.
"""

from __future__ import annotations

import os
import stat

_LIMIT = 1 << 20
_LARGEST_ID = 2**31 - 1

Account = tuple[int, int, list[int], str]


class UnknownAccount(Exception):
    """The USER text names nobody; the message is for the user."""


def _lines(path: str) -> list[list[str]]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return []
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return []
        data = os.read(fd, _LIMIT)
    finally:
        os.close(fd)
    return [line.split(":") for line in data.decode("utf-8", "replace").splitlines() if line and line[0] != "#"]


def _number(text: str) -> int | None:
    """The id that `text` writes in plain decimal digits, or None; never a sign, a blank or another base (CVE-2026-30892)."""
    if not (text.isascii() and text.isdigit()):
        return None
    value = int(text) if len(text) < 12 else _LARGEST_ID + 1
    if value > _LARGEST_ID:
        raise UnknownAccount(f"user or group id out of range: {text}")
    return value


def resolve(text: str) -> Account:
    """(uid, gid, supplementary gids, home) of `USER[:GROUP]`, each a name or a number; "" is root. Raises UnknownAccount.

    Source: docs.docker.com "USER"; a number without a passwd line gets group 0 and home "/".
    """
    user, separator, group = text.partition(":")
    if not user and text:
        raise UnknownAccount(f"no user in {text!r}")
    user = user or "0"
    uid = _number(user)
    found = next((row for row in _lines("/etc/passwd") if len(row) >= 6 and (row[0] == user or (uid is not None and row[2] == user))), None)
    if found is not None:
        uid, gid, home, name = _number(found[2]), _number(found[3]), found[5] or "/", found[0]
    else:
        gid, home, name = 0, "/root" if uid == 0 else "/", ""
    if uid is None or gid is None:
        raise UnknownAccount(f"unable to find user {user}: no matching entries in the image's /etc/passwd")
    groups: list[int] = []
    table = _lines("/etc/group") if separator or name else []
    if separator:
        gid = _number(group)
        if gid is None:
            row = next((row for row in table if len(row) >= 3 and row[0] == group), None)
            gid = _number(row[2]) if row else None
        if gid is None:
            raise UnknownAccount(f"unable to find group {group}: no matching entries in the image's /etc/group")
    elif name:
        members = [_number(row[2]) for row in table if len(row) >= 4 and name in row[3].split(",")]
        groups = [member for member in members if member is not None]
    return uid, gid, sorted({gid, *groups}), home
