"""Runs the first lesson headless on the embedded base image and prints what it showed, with the time of each.

It must not leave anything on the machine: the lesson gets a store of its own, removed afterwards.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path

from nbclient.exceptions import CellExecutionError

HOUSE = Path(__file__).resolve().parent.parent
LESSON = HOUSE / "notebooks" / "01-first-container.ipynb"

sys.path.insert(0, str(HOUSE))

from scripts.lesson import Reported, run_lesson, store_of_its_own  # noqa: E402  # found only now


def main() -> int:
    """Run, report, and say how to go on; 1 when a cell of the lesson failed."""
    user = "root" if os.geteuid() == 0 else f"an ordinary user (uid {os.geteuid()})"
    print(f"labcontainers demo: {LESSON.relative_to(HOUSE)}")
    machine = f"Linux {platform.release()} {platform.machine()}, Python {platform.python_version()}"
    print(f"  on {machine}, as {user}, offline, without a daemon\n")
    started = time.monotonic()
    try:
        with store_of_its_own() as environment:
            report = run_lesson(LESSON, environment)
    except CellExecutionError as error:
        print(error, file=sys.stderr)
        print("\nThe lesson stopped at the cell above. `.venv/bin/labcontainers doctor` tells what this machine allows.", file=sys.stderr)
        return 1
    for line in rows(report):
        print(line)
    print(f"\n  the whole lesson, with starting its kernel: {time.monotonic() - started:.1f} s")
    print("\nOpen it yourself: make lab")
    return 0


def rows(report: list[Reported]) -> list[str]:
    """One line per reported cell: what it showed, its time, its own last line."""
    wide = max((len(row.name) for row in report), default=0)
    return [f"  ✓ {row.name:<{wide}}  {seconds(row.duration_s):>8}  {row.text}".rstrip() for row in report]


def seconds(duration_s: float) -> str:
    return f"{duration_s * 1000:.0f} ms" if duration_s < 1 else f"{duration_s:.2f} s"


if __name__ == "__main__":
    sys.exit(main())
