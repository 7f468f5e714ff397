"""Processor time of this process and all that it starts, by a control group of its own; it must not know what they do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Meter:
    """A control group (version 2, whose `cpu.stat` needs no controller) whose members' time is counted; those that ended, too."""

    def __init__(self, group: Path, parent: Path) -> None:
        self._group = group
        self._parent = parent

    def seconds(self) -> float:
        """What all members have used so far."""
        return int((self._group / "cpu.stat").read_text().split()[1]) / 1e6

    def leave_out(self, pid: int) -> None:
        """Count a process no more."""
        (self._parent / "cgroup.procs").write_text(str(pid))


@contextmanager
def metered() -> Iterator[Meter | None]:
    """Count this process and its descendants; None where this user may make no control group, or there are none of version 2."""
    parent = _own_group()
    if parent is None:
        yield None
        return
    group = parent / f"lab-bench-{os.getpid()}"
    try:
        _move([str(pid) for pid in _family(os.getpid())], group)
    except OSError:
        yield None
    else:
        yield Meter(group, parent)
    finally:
        with suppress(OSError):
            _move((group / "cgroup.procs").read_text().split(), parent)
            group.rmdir()


def _move(pids: list[str], group: Path) -> None:
    group.mkdir(exist_ok=True)
    for pid in pids:
        with suppress(ProcessLookupError):
            (group / "cgroup.procs").write_text(pid)


def _own_group() -> Path | None:
    own = next((line[3:].strip() for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")), None)
    for mount in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")):
        if own is not None and (mount / "cgroup.procs").exists():
            return mount / own.lstrip("/")
    return None


def _family(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _family(int(child))
