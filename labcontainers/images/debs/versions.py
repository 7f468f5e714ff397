"""Versions of Debian packages, compared as dpkg does.

Source: Debian Policy 5.6.12, "Version"; dpkg, lib/dpkg/version.c and parsehelp.c.
"""

from __future__ import annotations

import re
from functools import lru_cache

from labcontainers.errors import InvalidArgument

_UPSTREAM = re.compile(r"[0-9A-Za-z.+~:-]+")
_REVISION = re.compile(r"[0-9A-Za-z.+~]+")


@lru_cache(4096)
def parse(version: str) -> tuple[int, str, str]:
    """Epoch, upstream version and revision; raises InvalidArgument for what is none."""
    epoch, colon, rest = version.strip().partition(":")
    if not colon:
        epoch, rest = "0", epoch
    upstream, hyphen, revision = rest.rpartition("-")
    if not hyphen:
        upstream, revision = rest, ""
    if not (epoch.isascii() and epoch.isdigit()) or not _UPSTREAM.fullmatch(upstream) or (hyphen and not _REVISION.fullmatch(revision)):
        raise InvalidArgument(f"not a version of a package: {version!r}", "versions are [EPOCH:]UPSTREAM[-REVISION]")
    return int(epoch), upstream, revision


def compare(left: str, right: str) -> int:
    """Below 0 when `left` is the older one, above 0 when it is the newer one, 0 when they are equal."""
    first, second = parse(left), parse(right)
    if first[0] != second[0]:
        return -1 if first[0] < second[0] else 1
    return _compare_part(first[1], second[1]) or _compare_part(first[2], second[2])


def _order(letter: str) -> int:
    """A tilde comes before the end, the end before letters, letters before all else."""
    if letter == "~":
        return -1
    if not letter or letter.isdigit():
        return 0
    return ord(letter) if letter.isalpha() else ord(letter) + 256


def _compare_part(left: str, right: str) -> int:
    at = other = 0
    while at < len(left) or other < len(right):
        while (at < len(left) and not left[at].isdigit()) or (other < len(right) and not right[other].isdigit()):
            difference = _order(left[at : at + 1]) - _order(right[other : other + 1])
            if difference:
                return difference
            at += 1
            other += 1
        start, begun = at, other
        while at < len(left) and left[at].isdigit():
            at += 1
        while other < len(right) and right[other].isdigit():
            other += 1
        numbers = int(left[start:at] or "0") - int(right[begun:other] or "0")
        if numbers:
            return numbers
    return 0


def satisfies(version: str, operator: str, wanted: str) -> bool:
    """Whether a version is in the relation `operator` (one of << <= = >= >>, or "" for any) to another one."""
    if not operator:
        return True
    difference = compare(version, wanted)
    return {
        "<<": difference < 0,
        "<=": difference <= 0,
        "=": difference == 0,
        ">=": difference >= 0,
        ">>": difference > 0,
        # the old forms mean "or equal" (Policy 7.1)
        "<": difference <= 0,
        ">": difference >= 0,
    }[operator]
