"""The small text files of control groups (cgroups(7)): one number, or one `key value` on each line; it must not know what they mean."""

from __future__ import annotations

import os


def read(path: str) -> str | None:
    """The file's text, or None where it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
        return b"".join(parts).decode("utf-8", "replace")
    except OSError:
        return None
    finally:
        os.close(fd)


def write(path: str, text: str) -> None:
    """Write in one call, as the kernel wants it; the file must be there. Raises OSError, with the path."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)


def number(path: str) -> int | None:
    """The file's number; None where there is none ("max") or no file."""
    text = (read(path) or "").strip()
    return int(text) if text.isdigit() else None


def table(path: str) -> dict[str, int]:
    """A flat keyed file; empty where it cannot be read."""
    rows = [line.split() for line in (read(path) or "").splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def words(path: str) -> frozenset[str]:
    """The file's words; empty where it cannot be read."""
    return frozenset((read(path) or "").split())


def pids(directory: str) -> tuple[int, ...]:
    """The processes of a group and of the groups in it, as this process sees them."""
    found: dict[int, None] = {}
    for folder, _, _ in os.walk(directory):
        found.update(dict.fromkeys(int(word) for word in (read(f"{folder}/cgroup.procs") or "").split()))
    found.pop(0, None)
    return tuple(found)


def remove(directory: str) -> bool:
    """Remove a group with the empty groups in it; False while it is busy, True when it is gone."""
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        pass
    else:
        return True
    try:
        for folder, _, _ in os.walk(directory, topdown=False):
            os.rmdir(folder)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return not os.path.isdir(directory)
