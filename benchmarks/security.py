"""What the security rules cost: a filter from the cache to the kernel, and a run with them beside one without.

It must not compare engines: the figures are of this one alone.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks import report
from labcontainers import Engine
from labcontainers.kernel import capabilities, seccomp, syscalls

_RUN: Mapping[str, Any] = {"network": "none", "remove": True}
_WITHOUT: Mapping[str, Any] = {"cap_add": ["ALL"], "security_opt": ["seccomp=unconfined", "systempaths=unconfined"]}
_CONFINING = ("mask", "readonly", "keyring", "bounding", "seccomp", "no_new_privs", "identity")
Interleaved = Callable[[Mapping[str, Callable[[], float]], int], dict[str, list[float]]]


def compare_rules(engine: Engine, rounds: int, interleaved: Interleaved) -> list[str]:
    """Lines on the filter, and on the filter, the capabilities and the hidden paths together."""
    runs = interleaved({"with": lambda: _run(engine, {}), "without": lambda: _run(engine, _WITHOUT)}, rounds)
    pairs = zip(runs["with"], runs["without"], strict=True)
    share = statistics.median(1 - without / whole for whole, without in pairs)
    whole, bare = (report.milliseconds(statistics.median(runs[name])) for name in ("with", "without"))
    own_s = statistics.median(_confining(engine) for _ in range(rounds))
    read_s, load_s = (statistics.median(samples) for samples in zip(*(_filter(engine) for _ in range(rounds)), strict=True))
    return [
        f"- The default filter of system calls is read from the cache in {read_s * 1e3:.2f} ms and loaded in {load_s * 1e3:.2f} ms.",
        f"- Run `true` with all security rules {whole}, without filter, capabilities and hidden paths {bare}: "
        f"they are {share:.1%} of a run (the median of pairs, which other work of the machine is in).",
        f"- What only confines in a start takes {own_s * 1e3:.2f} ms: {own_s / statistics.median(runs['with']):.1%} of that run.",
    ]


def _confining(engine: Engine) -> float:
    """Seconds that the confining operations of one start took, as its first process measured them."""
    container = engine.containers.run("lab/base", ["sleep", "100"], network="none", detach=True)
    try:
        return sum(one.duration_us or 0 for one in container.explain() if one.name in _CONFINING) / 1e6
    finally:
        container.remove(force=True)


def _run(engine: Engine, options: Mapping[str, Any]) -> float:
    started = time.perf_counter()
    engine.containers.run("lab/base", ["true"], **_RUN, **options)
    return time.perf_counter() - started


def _filter(engine: Engine) -> tuple[float, float]:
    """Seconds to read the compiled default filter from disk, and to load it in a process that ends with it."""
    started = time.perf_counter()
    program = seccomp.default_filter(capabilities.DEFAULT, engine.paths.root / "seccomp")
    read_s = time.perf_counter() - started
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        started = time.perf_counter()
        syscalls.seccomp_filter(program)
        os.write(writer, f"{time.perf_counter() - started}".encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with os.fdopen(reader) as answer:
        return read_s, float(answer.read())
