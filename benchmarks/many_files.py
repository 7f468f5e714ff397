"""A layer of a million files: what is done with it, each in a process of its own, and the most memory that one of these had.

It must not know how a layer is applied, created or listed: that is tests.fakes.many_files'.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks import report
from tests.fakes.many_files import VERBS, ManyFiles, cost

FILES, PER_DIRECTORY = 1_000_000, 1000


def many_files(folder: Path) -> str:
    """Seconds of CPU for each verb, and the peak of memory, as a line of Markdown."""
    folder.mkdir()
    layer = ManyFiles(folder, FILES, PER_DIRECTORY)
    costs = {name: cost(getattr(layer, name)) for name in VERBS}
    told = ", ".join(f"{name} {seconds:.1f} s" for name, (seconds, _) in costs.items())
    peak_bytes = max(size_bytes for _, size_bytes in costs.values())
    return f"- A layer of {FILES:,} files, CPU seconds: {told}; at most {report.megabytes(peak_bytes)} of memory in any."
