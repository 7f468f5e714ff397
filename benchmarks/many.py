"""What shows only in numbers: many containers at once, much output, many idle containers, many cycles.

It must not know how the engines that it measures are started.
"""

from __future__ import annotations

import gc
import hashlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import kernels, report
from benchmarks.peers import IMAGE, Docker, Peer
from labcontainers import Container, Engine
from labcontainers.containers.usage.sampler import Sampler
from labcontainers.containers.usage.stats import StatsSample

AT_ONCE = 100
LOG_BYTES = 256 << 20
IDLE = 200
CYCLES = 1000
WATCHED_S = 20.0
_LINE = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ012"
# whole lines of 64 bytes, by a file of 1 MB that is written out again and again, since it is not the writer that is measured
_LINE_BYTES = 64
_WRITE = f"yes {_LINE[: _LINE_BYTES - 1]} | head -c {1 << 20} > /lines; for i in $(seq {LOG_BYTES >> 20}); do cat /lines; done"
_TICKS = os.sysconf("SC_CLK_TCK")


def at_once(engine: Engine, docker: Docker | None) -> str:
    """The seconds until AT_ONCE containers run, all asked for at once."""
    started = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        made = list(pool.map(lambda _: engine.containers.run(IMAGE, ["sleep", "3600"], network="none", detach=True), range(AT_ONCE)))
    ours_s = time.perf_counter() - started
    remove_all(made)
    if docker is None:
        return f"- {AT_ONCE} containers started at once: {AT_ONCE / ours_s:.0f} in a second."
    theirs_s = docker.start_many(AT_ONCE)
    ratio = theirs_s / ours_s
    return f"- {AT_ONCE} containers started at once: {AT_ONCE / ours_s:.0f} in a second, docker {AT_ONCE / theirs_s:.1f}: {ratio:.1f} ×."


def remove_all(containers: Sequence[Container]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda container: container.remove(force=True), containers))


def logs(engine: Engine, docker: Docker | None) -> list[str]:
    """Writing LOG_BYTES of lines, and reading them back with the engine's command line; the bytes must be exact."""
    container = engine.containers.create(IMAGE, ["sh", "-c", _WRITE], network="none")
    write_s = timed(lambda: container.start().wait())
    command = [sys.executable, "-m", "labcontainers", "logs", container.id]
    environment = {**os.environ, "LABCONTAINERS_ROOT": str(engine.paths.root), "LABCONTAINERS_RUN": str(engine.paths.run)}
    read_s = timed(lambda: subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True))
    came, written = hashlib.sha256(), hashlib.sha256()
    for _, data in container.logs().pieces():
        came.update(data)
    for _ in range(LOG_BYTES // (_LINE_BYTES << 10)):
        written.update((_LINE[: _LINE_BYTES - 1] + "\n").encode() * 1024)
    container.remove()
    if came.digest() != written.digest():
        raise RuntimeError("other bytes came back from the log than were written")
    lines = [("log writing", write_s), ("log reading", read_s)]
    theirs = docker.logs(_WRITE) if docker is not None else ()
    told = []
    for number, (what, ours_s) in enumerate(lines):
        text = f"- {what}: {LOG_BYTES / ours_s / 1e6:.0f} MB/s"
        beside = f", docker {LOG_BYTES / theirs[number] / 1e6:.1f} MB/s: {theirs[number] / ours_s:.1f} ×" if theirs else ""
        told.append(f"{text}{beside}.")
    return told


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def idle(engine: Engine) -> str:
    """The memory beside IDLE sleeping containers, and the CPU that goes into sampling each of them once a second.

    Both are of all processes: this one (its memory by how much it grew), the launcher with its children, and the shims.
    """
    before_bytes = proportional_bytes(os.getpid())
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: engine.containers.run(IMAGE, ["sleep", "3600"], network="none", detach=True), range(IDLE)))
    try:
        shims = [kernels.parent_of(container.state.pid) for container in made]
        launchers = kernels.children_of(os.getpid())
        others = [*launchers, *(pid for launcher in launchers for pid in kernels.children_of(launcher) if pid not in shims)]
        memory_bytes = sum(proportional_bytes(pid) for pid in (*shims, *others)) + proportional_bytes(os.getpid()) - before_bytes
        before_s = cpu_s([os.getpid(), *others, *shims])
        began = time.monotonic()
        sampler, taken = Sampler(), list[StatsSample | None]()
        for container in made:
            sampler.subscribe(container.id, container.meter().sample, taken.append)
        sampler.start()
        time.sleep(WATCHED_S)
        sampler.stop()
        watched_s = time.monotonic() - began
        share = (cpu_s([os.getpid(), *others, *shims]) - before_s) / watched_s
    finally:
        remove_all(made)
    memory = report.megabytes(memory_bytes)
    return f"- {IDLE} idle containers: {memory} in all, {share * 100:.1f} % of a core with {len(taken) / watched_s:.0f} samples a second."


def proportional_bytes(pid: int) -> int:
    """The process' share of the memory that it maps (Pss)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def cpu_s(pids: Sequence[int]) -> float:
    """Seconds of CPU that the processes have used."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def cycles(engine: Engine, count: int = CYCLES) -> str:
    """What `count` runs that remove themselves leave: descriptors, mounts, control groups, and this process' memory."""

    def run() -> None:
        engine.containers.run(IMAGE, ["true"], network="none", remove=True).check()

    for _ in range(50):
        run()
    before = traces()
    durations = [timed(run) for _ in range(count)]
    after = traces()
    grown = ", ".join(f"{after[name] - before[name]:+d} {name}" for name in ("descriptors", "mounts", "groups"))
    memory = (after["bytes"] - before["bytes"]) / 1e6
    return f"- {count} cycles of run and remove: {grown}, {memory:+.1f} MB; median {report.milliseconds(statistics.median(durations))}."


def traces() -> dict[str, int]:
    """How much there is now of what could leak."""
    gc.collect()
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    private = sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))
    groups = sum(len(folders) for _, folders, _ in os.walk("/sys/fs/cgroup"))
    mounts = len(Path("/proc/self/mountinfo").read_text().splitlines())
    return {"descriptors": len(os.listdir("/proc/self/fd")), "mounts": mounts, "groups": groups, "bytes": private}


def compare_many(engine: Engine, peers: Sequence[Peer]) -> list[str]:
    """All of these, as Markdown."""
    docker = next((peer for peer in peers if isinstance(peer, Docker)), None)
    return [at_once(engine, docker), *logs(engine, docker), idle(engine), cycles(engine)]
