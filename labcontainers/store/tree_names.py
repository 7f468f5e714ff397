"""The names in directories, in one order everywhere; it must not know what they are names of."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence


def sorted_names(fds: Sequence[int]) -> Iterator[str]:
    """Every name that one of these open directories has, once, in the order of their bytes. Raises OSError.

    Of a directory the names alone are held, as bytes, which are half as large as text: it may have a million.
    """
    # there is no way to ask a descriptor for bytes but through /proc
    found = [os.listdir(b"/proc/self/fd/%d" % fd) for fd in fds]
    names = found[0] if len(found) == 1 else list({name for one in found for name in one})
    names.sort()
    return map(os.fsdecode, names)
