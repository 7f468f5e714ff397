"""Modes as chmod(1) writes them: `0644`, or `u+rwX,go=rX`.

It must not import anything but errors: the worker that copies loads it too.
"""

from __future__ import annotations

import re
import stat

from labcontainers.errors import InvalidArgument

_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)")
_OPERATION = re.compile(r"([-+=])([ugo]|[rwxXst]*)")
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_HINT = "write an octal mode such as 0755, or a symbolic one such as u+rwX,go=rX"


def check_mode(text: str) -> None:
    """Raise InvalidArgument unless `text` is a mode."""
    changed_mode(text, 0, is_directory=False)


def is_octal(text: str) -> bool:
    """Whether `text` is written as a number, and not as a change of what there is."""
    return re.fullmatch(r"[0-7]{1,5}", text) is not None


def changed_mode(text: str, mode: int, *, is_directory: bool) -> int:
    """The permission bits that `chmod text` makes of `mode`, the umask not regarded; raises InvalidArgument. Source: chmod(1)."""
    if is_octal(text):
        value = int(text, 8)
        if value <= 0o7777:
            return value
        raise InvalidArgument(f"invalid mode: {text}", _HINT)
    mode = stat.S_IMODE(mode)
    for clause in text.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise InvalidArgument(f"invalid mode: {text}", _HINT)
        who = "ugo" if not match[1] or "a" in match[1] else match[1]
        for operation, letters in _OPERATION.findall(match[2]):
            mode = _apply(mode, who, operation, letters, is_directory)
    return mode


def _apply(mode: int, who: str, operation: str, letters: str, is_directory: bool) -> int:
    wanted = 0
    executable = is_directory or bool(mode & 0o111)
    for letter in set(who):
        shift = _SHIFTS[letter]
        bits = (mode >> _SHIFTS[letters]) & 7 if letters in _SHIFTS else 0
        bits |= 4 * ("r" in letters) | 2 * ("w" in letters) | int("x" in letters or ("X" in letters and executable))
        wanted |= bits << shift
        if "s" in letters:
            wanted |= {"u": stat.S_ISUID, "g": stat.S_ISGID, "o": 0}[letter]
        if operation == "=":
            mode &= ~(7 << shift) & ~({"u": stat.S_ISUID, "g": stat.S_ISGID, "o": 0}[letter])
    if "t" in letters:
        wanted |= stat.S_ISVTX
    return mode & ~wanted if operation == "-" else mode | wanted
