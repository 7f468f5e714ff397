"""What a build context of many files costs before a build begins: its first scan, and the next one when nothing has changed.

It must not measure building.
"""

from __future__ import annotations

import os
import shutil
import statistics
import time
from pathlib import Path

from benchmarks import report
from labcontainers.build.context import HashCache, open_context

FOLDERS, FILES = 200, 100
_IGNORED = "**/*.pyc\n**/__pycache__\n.git\nnode_modules\n*.log\n!keep.log\n**/.venv\ndist/**\n**/file7.py\n"


def scans(folder: Path, rounds: int) -> str:
    """Medians of both scans of a folder of 20,000 small files with a .dockerignore of nine lines, as a line of Markdown."""
    context = _context(folder / "many")
    first, again = [], []
    for number in range(rounds):
        hashes = folder / f"hashes-{number}.json"
        first.append(_scan(context, hashes))
        again.append(_scan(context, hashes))
    shutil.rmtree(context)
    return (
        f"- Scan of a context of {FOLDERS * FILES} files with a .dockerignore: {report.milliseconds(statistics.median(first))}, "
        f"the next one {report.milliseconds(statistics.median(again))}."
    )


def _scan(context: Path, hashes: Path) -> float:
    started = time.perf_counter()
    cache = HashCache(hashes)
    open_context(context, None, cache).select(".")
    cache.save()
    return time.perf_counter() - started


def _context(place: Path) -> Path:
    # files that were just written are hashed again each time
    moment = time.time() - 100
    for number in range(FOLDERS):
        folder = place / f"package{number % 20}" / f"module{number}"
        folder.mkdir(parents=True)
        for file in range(FILES):
            path = folder / f"file{file}.py"
            path.write_text(f"x = {number * file}\n" * 10)
            os.utime(path, (moment, moment))
    (place / ".dockerignore").write_text(_IGNORED)
    return place
