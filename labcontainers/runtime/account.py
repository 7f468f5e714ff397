"""Whom a container's process runs as: Docker's USER text, read against the container's own passwd and group files.

It must not import anything but what the launcher holds: it runs inside the container's root, where name services would load
libraries of the image. Files are read by descriptor, bounded, and only if they are ordinary files; no magic link of /proc leads
to them.
"""

from __future__ import annotations

import os
import stat

from labcontainers.kernel import syscalls

_LIMIT = 1 << 20
_LARGEST_ID = 2**31 - 1
# NGROUPS_MAX of linux/limits.h
_MOST_GROUPS = 65536

Account = tuple[int, int, list[int], str]


class UnknownAccount(Exception):
    """The USER text names nobody; the message is for the user."""


def _lines(path: str, top: str) -> list[list[str]]:
    """The fields of each line; nothing for what is missing or no ordinary file. Of a huge file, only its beginning is read."""
    try:
        root = os.open(top, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fd = syscalls.openat2(root, path.lstrip("/"), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        finally:
            os.close(root)
    except OSError:
        return []
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return []
        data = os.read(fd, _LIMIT)
    except OSError:
        return []
    finally:
        os.close(fd)
    if len(data) == _LIMIT:
        # What was cut off would be another line than it says.
        data = data[: data.rfind(b"\n") + 1]
    return [line.split(":") for line in data.decode("utf-8", "replace").split("\n") if line and line[0] != "#"]


def _number(text: str) -> int | None:
    """The id that `text` writes in plain decimal digits, or None; never a sign, a blank or another base (CVE-2026-30892)."""
    if not (text.isascii() and text.isdigit()):
        return None
    value = int(text) if len(text) < 12 else _LARGEST_ID + 1
    if value > _LARGEST_ID:
        raise UnknownAccount(f"user or group id out of range: {text}")
    return value


def _same_number(text: str, value: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 12 and int(text) == value


def resolve(text: str, top: str = "/", groups: list[str] | None = None) -> Account:
    """(uid, gid, supplementary gids, home) of `USER[:GROUP]`, each a name or a number; raises UnknownAccount.

    Source: docs.docker.com "USER"; a number without a passwd line gets group 0 and home "/". A number always is that id, even
    where the image has an account whose name is made of the same digits. As for moby/sys/user, no user is root, and no group
    behind a colon those of the user. `top` is the directory that is the container's root; `groups` are names or numbers of groups that
    are added.
    """
    user, _, group = text.partition(":")
    user = user or "0"
    uid = _number(user)
    rows = [row for row in _lines("/etc/passwd", top) if len(row) >= 6]
    found = next((row for row in rows if (row[0] == user if uid is None else _same_number(row[2], uid))), None)
    if found is not None:
        uid, gid, home, name = _number(found[2]), _number(found[3]), found[5] or "/", found[0]
    else:
        gid, home, name = 0, "/root" if uid == 0 else "/", ""
    if uid is None or gid is None:
        raise UnknownAccount(f"unable to find user {user}: no matching entries in the image's /etc/passwd")
    table = _lines("/etc/group", top) if group or name or groups else []
    found_groups = [_group(text, table) for text in groups or []]
    if group:
        gid = _group(group, table)
    elif name:
        members = [_number(row[2]) for row in table if len(row) >= 4 and name in row[3].split(",")][:_MOST_GROUPS]
        found_groups += [member for member in members if member is not None]
    return uid, gid, sorted({gid, *found_groups}), home


def _group(text: str, table: list[list[str]]) -> int:
    gid = _number(text)
    if gid is None:
        row = next((row for row in table if len(row) >= 3 and row[0] == text), None)
        gid = _number(row[2]) if row else None
    if gid is None:
        raise UnknownAccount(f"unable to find group {text}: no matching entries in the image's /etc/group")
    return gid
