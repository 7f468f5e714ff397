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
    text = _at_once(path).strip()
    return int(text) if text.isdigit() else None


def table(path: str) -> dict[str, int]:
    """A flat keyed file; empty where it cannot be read."""
    rows = [line.split() for line in (read(path) or "").splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def value(path: str, key: str) -> int | None:
    """One number of a flat keyed file; None where the file or the key is not there. Cheaper than `table`."""
    return values(path, key)[0]


def values(path: str, *keys: str) -> list[int | None]:
    """As `value`, of several keys of one file."""
    text = b"\n" + _at_once(path)
    return [_number_after(text, b"\n%b " % key.encode()) for key in keys]


def _number_after(text: bytes, mark: bytes) -> int | None:
    at = text.find(mark)
    if at < 0:
        return None
    at += len(mark)
    end = text.find(b"\n", at)
    word = text[at : end if end >= 0 else None]
    return int(word) if word.isdigit() else None


def _at_once(path: str) -> bytes:
    """What one read gives, which is all of a file that holds one number or one table: the kernel makes it in one piece (seq_file)."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, 65536)
    except OSError:
        return b""
    finally:
        os.close(fd)


def words(path: str) -> frozenset[str]:
    """The file's words; empty where it cannot be read."""
    return frozenset((read(path) or "").split())


def _folders(directory: str) -> list[str]:
    """A group and the groups in it; a folder with two links has no other in it (inode(7))."""
    try:
        if os.stat(directory).st_nlink == 2:
            return [directory]
    except OSError:
        pass
    return [folder for folder, _, _ in os.walk(directory)]


def pids(directory: str) -> tuple[int, ...]:
    """The processes of a group and of the groups in it, as this process sees them."""
    found: dict[int, None] = {}
    for folder in _folders(directory):
        found.update(dict.fromkeys(int(word) for word in (read(f"{folder}/cgroup.procs") or "").split()))
    found.pop(0, None)
    return tuple(found)


def make(directory: str, spare: str = "") -> None:
    """Make a group, with its parent where others have taken that away; `spare` beside it is renamed instead, if it is there."""
    if spare:
        try:
            os.rename(f"{os.path.dirname(directory)}/{spare}", directory)
            return
        except FileNotFoundError:
            pass
    for _ in range(3):
        try:
            os.mkdir(directory)
            return
        except FileNotFoundError:
            pass
        try:
            os.mkdir(os.path.dirname(directory))
        except FileExistsError:
            pass
    os.mkdir(directory)


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
