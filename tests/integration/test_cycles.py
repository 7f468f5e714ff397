"""Many containers one after the other leave nothing: what is lost a little each time shows here, and not in a test of one."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

from labcontainers import Engine
from tests import leaks
from tests.waiting import DEADLINE_S

CYCLES = 120
# What the allocator keeps for itself goes up and down by so much; a leak of one record of a container in each cycle is more.
SLACK_BYTES = 2 << 20
# The group that waits for the next container, and the process in it, may be there or not yet; a leak in one of ten cycles is as many.
SLACK = CYCLES // 10


def traces() -> dict[str, int]:
    gc.collect()
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "groups": len(leaks.cgroups([])),
        "threads": threading.active_count(),
        "processes": len(leaks.descendants()),
    }


def private_bytes() -> int:
    gc.collect()
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def wait_for_nothing_more_than(before: dict[str, int]) -> None:
    def look() -> list[str]:
        return [f"{name}: {before[name]}, then {count}" for name, count in traces().items() if count >= before[name] + SLACK]

    assert leaks.wait_for_nothing(look, DEADLINE_S) == []


def test_cycles_of_run_and_remove_leave_no_descriptor_mount_group_thread_process_or_memory(engine: Engine) -> None:
    def cycle() -> None:
        assert engine.containers.run("lab/base", ["echo", "hi"], network="none", remove=True).stdout == "hi\n"

    for _ in range(40):
        cycle()
    before, bytes_before = traces(), private_bytes()
    for _ in range(CYCLES):
        cycle()
    grown = private_bytes() - bytes_before
    wait_for_nothing_more_than(before)
    assert grown < SLACK_BYTES
    assert engine.containers.list(all=True) == []
    assert list(engine.paths.containers.iterdir()) == []
