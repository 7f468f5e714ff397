"""Whose namespaces a container shares: modes to kinds, owners by identity and not by pid."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from labcontainers.containers.joined import check_owners, etc_owner, open_joined
from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.register import Record
from labcontainers.errors import Conflict
from labcontainers.kernel import syscalls
from labcontainers.runtime.handshake import boot_id, start_time
from labcontainers.runtime.spec import Namespaces

Owner = Callable[..., Record]


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    """Makes records of containers that seem to run: this process stands for their first one, and their lock is held."""
    with ExitStack() as locks:

        def make(name: str = "own", *, status: str = "running", state: dict[str, Any] | None = None, **keywords: Any) -> Record:
            directory = tmp_path / name
            directory.mkdir()
            lock = locks.enter_context(open(directory / "lock", "w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            own = os.getpid()
            values = {"status": status, "pid": own, "pid_start": start_time(own), "boot_id": boot_id(), "started_at": time.time()}
            (directory / "state.json").write_text(json.dumps({**values, **(state or {})}))
            options = ContainerOptions.from_keywords(**keywords)
            return cast("Record", SimpleNamespace(row=SimpleNamespace(name=name, id=name), options=options, directory=directory))

        yield make


def finder(*records: Record) -> Callable[[str], Record]:
    return {record.row.name: record for record in records}.__getitem__


def test_nothing_is_opened_for_a_container_of_its_own(owner: Owner) -> None:
    with ExitStack() as keep:
        joined = open_joined(ContainerOptions(network="none"), finder(), keep)
    assert (joined.namespaces, joined.network, joined.joins, joined.by_joiner) == (Namespaces(), "none", (), False)


def test_one_owner_is_joined_once_for_all_that_it_shares(owner: Owner) -> None:
    own = owner(ipc_mode="shareable")
    options = ContainerOptions.from_keywords(pid_mode="container:own", ipc_mode="container:own", network="container:own")
    with ExitStack() as keep:
        joined = open_joined(options, finder(own), keep)
        assert joined.namespaces == Namespaces("joined", "joined")
        assert joined.network == "joined"
        assert joined.network_owner is own
        (join,), (pidfd,) = joined.joins, joined.pidfds
        flags = syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWNET
        assert join == {"flags": flags, "shm": True, "owner": "own"}
        assert os.readlink(f"/proc/self/fd/{pidfd}").startswith("anon_inode:") or pidfd > 2
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(pidfd)


def test_what_the_owner_has_of_the_host_is_the_hosts(owner: Owner) -> None:
    own = owner(ipc_mode="host", network="host")
    options = ContainerOptions.from_keywords(ipc_mode="container:own", network="container:own")
    with ExitStack() as keep:
        joined = open_joined(options, finder(own), keep)
    assert (joined.namespaces.ipc, joined.network, joined.joins) == ("host", "host", ())


GONE: list[tuple[dict[str, Any], str]] = [
    ({"status": "exited"}, "cannot join the pid namespace of a non running container: container own is exited"),
    ({"state": {"pid_start": 1}}, "container own has just ended"),
    ({"state": {"boot_id": "another"}}, "container own has just ended"),
    ({"state": {"pid": 2**22 + 5}}, "container own has just ended"),
]


@pytest.mark.parametrize(("values", "words"), GONE, ids=str)
def test_another_process_that_has_the_owners_pid_is_not_joined(owner: Owner, values: dict[str, Any], words: str) -> None:
    own = owner(**values)
    before = set(os.listdir("/proc/self/fd"))
    with ExitStack() as keep, pytest.raises(Conflict) as caught:
        open_joined(ContainerOptions(pid_mode="container:own"), finder(own), keep)
    assert words in caught.value.message
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("mode", ["", "private", "none"])
def test_an_ipc_namespace_that_is_not_shareable_is_refused(owner: Owner, mode: str) -> None:
    own = owner(ipc_mode=mode)
    with pytest.raises(Conflict, match="failed to join IPC namespace: container own: non-shareable IPC"):
        check_owners(ContainerOptions(ipc_mode="container:own"), finder(own))


def test_the_files_of_etc_are_those_of_the_first_in_a_chain(owner: Owner) -> None:
    first = owner("first")
    second = owner("second", network="container:first")
    third = owner("third", network="container:second")
    assert etc_owner(third, finder(first, second)) is first
