"""Durations and sizes as one Markdown table, with the machine and the day they were measured on.

It must not measure.
"""

from __future__ import annotations

import datetime
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path


def row(work: str, samples: Mapping[str, Sequence[float]], names: Sequence[str]) -> str:
    """A row with the median of each of `names`, and how many times the first one's the others are."""
    medians = {name: statistics.median(values) for name, values in samples.items() if values}
    cells = [milliseconds(medians[name]) if name in medians else "–" for name in names]
    ours = medians.get(names[0])
    ratios = [f"{medians[name] / ours:.2f} ×" if ours and name in medians else "–" for name in names[1:]]
    return "| " + " | ".join([work, *cells, *ratios]) + " |"


def heading(names: Sequence[str]) -> str:
    titles = ["median of", *names, *(f"{name.split()[0]} : ours" for name in names[1:])]
    return "| " + " | ".join(titles) + " |\n|" + "---|" * len(titles)


def milliseconds(duration_s: float) -> str:
    return f"{duration_s * 1000:.1f} ms"


def megabytes(size_bytes: float) -> str:
    return f"{size_bytes / 1e6:.1f} MB"


def machine() -> str:
    """One line on where and when: day, processor, cores, kernel, Python, user."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    user = "root" if os.geteuid() == 0 else "an ordinary user"
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    return f"{today}, {os.cpu_count()} × {model}, Linux {platform.release()}, Python {platform.python_version()}, as {user}"
