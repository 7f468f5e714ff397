"""What differs between two trees that were to become the same layer: file by file, in the order of their names, and why.

It must not know who made them. It runs where files of container ids may be touched, and while nobody works in the trees.
"""

from __future__ import annotations

import os
import stat
from typing import Any

from labcontainers.store.tar_writer import attributes_of
from labcontainers.store.tree_names import sorted_names
from labcontainers.store.tree_times import settle_times
from labcontainers.store.trees import measure

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = {
    stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symbolic link", stat.S_IFIFO: "fifo", stat.S_IFCHR: "device",
    stat.S_IFBLK: "device", stat.S_IFSOCK: "socket",
}  # fmt: skip
_MOST_TOLD = 50
_READ_BYTES = 1 << 20
_SHOWN_CHARACTERS = 60

Difference = dict[str, str]


def compare_with(tree: str, newest_s: int | None, expected: str) -> dict[str, Any]:
    """Settle the times of a tree and measure it, both as for a layer, and compare it with the tree of the layer `expected`.

    {"diff_id", "differences": at most 50 of {"path", "what", "detail"}, "count": how many there are}; the first is of the first file.
    """
    if newest_s is not None:
        settle_times(tree, newest_s)
    differences = compare(expected, tree)
    return {"diff_id": measure(tree)["diff_id"], "differences": differences[:_MOST_TOLD], "count": len(differences)}


def compare(first: str, second: str) -> list[Difference]:
    """What differs, by path; "what" is one or several of content, mode, owner, time, attributes, kind, links, or "only in one"."""
    found: list[Difference] = []
    links: tuple[dict[int, str], dict[int, str]] = ({}, {})
    way = [("", os.open(first, _DIRECTORY), os.open(second, _DIRECTORY), iter(("",)))]
    way[0] = ("", way[0][1], way[0][2], sorted_names((way[0][1], way[0][2])))
    try:
        while way:
            prefix, one, other, names = way[-1]
            name = next(names, None)
            if name is None:
                way.pop()
                os.close(one)
                os.close(other)
                continue
            path = f"{prefix}/{name}"
            states = _look(one, name), _look(other, name)
            if states[0] is None or states[1] is None:
                place = "second" if states[0] is None else "first"
                found.append({"path": path, "what": "only in one", "detail": f"only the {place} time it was there"})
                continue
            found += _differences(path, name, (one, other), (states[0], states[1]), links)
            if stat.S_ISDIR(states[0].st_mode) and stat.S_ISDIR(states[1].st_mode):
                inner = os.open(name, _DIRECTORY, dir_fd=one), os.open(name, _DIRECTORY, dir_fd=other)
                way.append((path, *inner, sorted_names(inner)))
    finally:
        for _, one, other, _ in way:
            os.close(one)
            os.close(other)
    return found


def _look(fd: int, name: str) -> os.stat_result | None:
    try:
        return os.lstat(name, dir_fd=fd)
    except FileNotFoundError:
        return None


def _differences(
    path: str, name: str, fds: tuple[int, int], states: tuple[os.stat_result, os.stat_result], links: tuple[dict[int, str], dict[int, str]]
) -> list[Difference]:
    one, other = states
    kinds = [_KINDS[stat.S_IFMT(state.st_mode)] for state in states]
    if kinds[0] != kinds[1]:
        return [{"path": path, "what": "kind", "detail": f"a {kinds[0]}, then a {kinds[1]}"}]
    found: list[tuple[str, str]] = []
    if stat.S_ISREG(one.st_mode):
        content = _content(name, fds, states)
        found += [("content", content)] if content else []
        shared = [_first_link(path, state, seen) for state, seen in zip(states, links, strict=True)]
        if shared[0] != shared[1]:
            found.append(("links", f"the same file as {shared[0] or 'no other'}, then as {shared[1] or 'no other'}"))
    elif stat.S_ISLNK(one.st_mode):
        targets = [os.readlink(name, dir_fd=fd) for fd in fds]
        if targets[0] != targets[1]:
            found.append(("content", f"leads to {_shown(targets[0])}, then to {_shown(targets[1])}"))
    elif one.st_rdev != other.st_rdev:
        found.append(("content", f"device {_numbers(one)}, then {_numbers(other)}"))
    if stat.S_IMODE(one.st_mode) != stat.S_IMODE(other.st_mode):
        found.append(("mode", f"{stat.S_IMODE(one.st_mode):o}, then {stat.S_IMODE(other.st_mode):o}"))
    if (one.st_uid, one.st_gid) != (other.st_uid, other.st_gid):
        found.append(("owner", f"{one.st_uid}:{one.st_gid}, then {other.st_uid}:{other.st_gid}"))
    if one.st_mtime_ns != other.st_mtime_ns:
        found.append(("time", f"{one.st_mtime_ns / 1e9:.9f}, then {other.st_mtime_ns / 1e9:.9f}"))
    if not stat.S_ISLNK(one.st_mode):
        found += _attributes(name, path, fds)
    return (
        [{"path": path, "what": ", ".join(what for what, _ in found), "detail": "; ".join(detail for _, detail in found)}] if found else []
    )


def _numbers(state: os.stat_result) -> str:
    return f"{os.major(state.st_rdev)}:{os.minor(state.st_rdev)}"


def _first_link(path: str, state: os.stat_result, seen: dict[int, str]) -> str:
    """The name that the file had before in this tree."""
    if state.st_nlink < 2:
        return ""
    first = seen.setdefault(state.st_ino, path)
    return "" if first == path else first


def _attributes(name: str, path: str, fds: tuple[int, int]) -> list[tuple[str, str]]:
    found = [attributes_of(b"/proc/self/fd/%d/%s" % (fd, os.fsencode(name)), os.fsencode(path)) for fd in fds]
    one, other = found
    changed = sorted(
        key.decode().partition("xattr.")[2] for key in {*one.records, *other.records} if one.records.get(key) != other.records.get(key)
    )
    if one.opaque != other.opaque:
        changed.append("whether it hides what is below it")
    return [("attributes", ", ".join(changed))] if changed else []


def _content(name: str, fds: tuple[int, int], states: tuple[os.stat_result, os.stat_result]) -> str:
    """Where the contents of two files differ, in words; "" where they do not."""
    files = [os.open(name, _FILE, dir_fd=fd) for fd in fds]
    try:
        offset = 0
        while True:
            one, other = (os.pread(file, _READ_BYTES, offset) for file in files)
            if one != other:
                break
            if not one:
                return ""
            offset += len(one)
        if offset == 0 and max(state.st_size for state in states) <= _READ_BYTES:
            return _lines(one, other)
        at = offset + _first_byte(one, other)
        return f"from byte {at} on, of {states[0].st_size} and {states[1].st_size} bytes"
    finally:
        for file in files:
            os.close(file)


def _lines(one: bytes, other: bytes) -> str:
    if b"\0" in one + other:
        return f"from byte {_first_byte(one, other)} on, of {len(one)} and {len(other)} bytes"
    lines = one.split(b"\n"), other.split(b"\n")
    if sorted(lines[0]) == sorted(lines[1]):
        return "the order of its lines"
    number = next((at for at, (a, b) in enumerate(zip(*lines, strict=False)) if a != b), min(map(len, lines)))
    shown = [_shown(side[number].decode("utf-8", "replace")) if number < len(side) else "its end" for side in lines]
    return f"line {number + 1}: {shown[0]}, then {shown[1]}"


def _first_byte(one: bytes, other: bytes) -> int:
    """Where two different texts begin to differ, found by halves."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")
