"""Cloning into a pid namespace whose first process ends just then."""

from __future__ import annotations

import errno
import os
import subprocess
from typing import Any

import pytest

from labcontainers.kernel import syscalls
from labcontainers.runtime import joining
from labcontainers.runtime.handshake import Channel

JOIN = {"flags": syscalls.CLONE_NEWPID, "shm": False, "owner": "box"}


def clone(monkeypatch: pytest.MonkeyPatch, pidfd: int) -> int:
    """clone3(2) as the kernel answers it in a pid namespace that is being torn down, after it could still be joined."""

    def refuse(*args: Any, **more: Any) -> int:
        raise OSError(errno.ENOMEM, "clone3: Cannot allocate memory")

    monkeypatch.setattr(syscalls, "setns", lambda *args: None)
    monkeypatch.setattr(syscalls, "clone", refuse)
    ours, theirs = Channel.pair()
    try:
        return joining.clone([JOIN], [pidfd], 0, -1, (0, 1, 2, -1), theirs)
    finally:
        ours.close()
        theirs.close()


def test_a_pid_namespace_that_ends_while_it_is_joined_is_told_by_its_owners_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["true"]) as owner:
        pidfd = os.pidfd_open(owner.pid)
    with pytest.raises(joining.OwnerEnded, match="container box has ended meanwhile"):
        clone(monkeypatch, pidfd)
    os.close(pidfd)


def test_memory_that_is_really_short_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    pidfd = os.pidfd_open(os.getpid())
    with pytest.raises(OSError, match=r"cannot join the namespaces.*Cannot allocate memory"):
        clone(monkeypatch, pidfd)
    os.close(pidfd)
