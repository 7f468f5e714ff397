"""Descriptors that a container gets from who runs this command: those of --preserve-fds, and sockets of a service manager.

It must not know containers, and imports nothing, since each container starts with it.
"""

from __future__ import annotations

import os

_MOST = 1024


def preserved(count: int) -> list[int]:
    """Which of the `count` from 3 on, and of the sockets after them, this command was given: none that it opened itself.

    Raises InvalidArgument.
    """
    if not 0 <= count <= _MOST:
        from labcontainers.errors import InvalidArgument

        raise InvalidArgument(f"--preserve-fds: {count} is not between 0 and {_MOST}")
    return [fd for fd in range(3, 3 + count + handed()) if _given(fd)]


def handed() -> int:
    """How many sockets a service manager has handed over (sd_listen_fds(3))."""
    text = os.environ.get("LISTEN_FDS", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0


def _given(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)  # what this interpreter opens is not
    except OSError:
        return False
