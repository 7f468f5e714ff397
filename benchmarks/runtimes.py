"""The OCI runtime command beside crun and runc, on the same bundle, and how much of its time is the start of its interpreters.

It must not know how the bundle is made.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path

from benchmarks import report
from benchmarks.peers import Crun

Interleaved = Callable[[Mapping[str, Callable[[], float]], int], dict[str, list[float]]]
OURS = "labcontainers-oci"


def compare_runtimes(crun: Crun, folder: Path, rounds: int, interleaved: Interleaved) -> list[str]:
    """`run` of a bundle whose program is `true`, as Markdown."""
    commands = {OURS: [sys.executable, "-m", "labcontainers.bundles", "--root", str(folder / "oci")], crun.name: crun.options}
    if shutil.which("runc") and os.geteuid() == 0:
        commands["runc"] = ["runc", "--root", str(folder / "runc")]
    numbers = count()

    def running(options: list[str]) -> Callable[[], float]:
        return lambda: crun.timed(*options, "run", "--bundle", crun.bundles["true"], f"oci-{os.getpid()}-{next(numbers)}")

    verbs = {name: running(options) for name, options in commands.items()}
    # as root this command starts an interpreter twice: as it was called, and sealed
    verbs["python"] = lambda: crun.timed(sys.executable, "-c", "pass")
    verbs["sealed"] = lambda: crun.timed(sys.executable, "-I", "-S", "-c", "pass")
    medians = {name: statistics.median(values) for name, values in interleaved(verbs, rounds).items()}
    ours = medians[OURS]
    starts = medians["python"] + (medians["sealed"] if os.geteuid() == 0 else 0)
    others = [
        f"{name} {report.milliseconds(medians[name])} ({ours / medians[name]:.1f} × that, {(ours - starts) / medians[name]:.1f} × without)"
        for name in commands
        if name != OURS and name in medians
    ]
    own = f"{OURS} {report.milliseconds(ours)}, of which {report.milliseconds(starts)} are starts of Python"
    return [f"- OCI runtimes, `run` of a bundle with `true`: {own}; {'; '.join(others)}."]
