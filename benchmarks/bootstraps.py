"""An image of Debian with Python from the mirror of the host's apt: with nothing in the store, with the index, with all packages.

It must not know how an image is made of packages. It goes to the network, and says so where there is no mirror.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import report
from labcontainers import Engine
from labcontainers.errors import LabError
from scripts.trees import remove_tree

DISTRIBUTION, PACKAGE = "debian:bookworm", "python3"
_PACKAGE_MAGIC = b"!<arch>\n"


def compare_bootstraps(folder: Path, rounds: int) -> str:
    """Medians of the three, each up to a Python that has printed its version, as a line of Markdown."""
    cold, indexed, kept = [], [], []
    debs = folder / "debs"
    try:
        for number in range(rounds):
            cold.append(_bootstrap(folder / f"cold-{number}", None, debs))
            _forget(debs, lambda path: path.open("rb").read(len(_PACKAGE_MAGIC)) == _PACKAGE_MAGIC)
            indexed.append(_bootstrap(folder / f"indexed-{number}", debs, debs))
            kept.append(_bootstrap(folder / f"kept-{number}", debs, debs))
    except LabError as error:
        return f"- `bootstrap {DISTRIBUTION}` was left out: {error.message}."
    finally:
        shutil.rmtree(debs, ignore_errors=True)
    first, second, third = (report.milliseconds(statistics.median(durations_s)) for durations_s in (cold, indexed, kept))
    return (
        f"- `bootstrap {DISTRIBUTION} --packages {PACKAGE}` and a first `python3 --version` in it: {first}; "
        f"with the mirror's index in the store {second}, with the packages as well {third}."
    )


def _bootstrap(place: Path, before: Path | None, after: Path) -> float:
    """Seconds in a new store, which has the files of mirrors `before`; those it has at the end are put to `after`."""
    root = place / "s"
    if before is not None:
        root.mkdir(parents=True)
        shutil.copytree(before, root / "debs")
    try:
        with Engine(root=root, run_root=place / "r") as engine:
            started = time.perf_counter()
            image = engine.images.bootstrap(DISTRIBUTION, packages=PACKAGE)
            engine.containers.run(image, ["python3", "--version"], network="none")
            duration_s = time.perf_counter() - started
        shutil.rmtree(after, ignore_errors=True)
        shutil.copytree(root / "debs", after)
        # what is known of layers belongs to the store that has them
        _forget(after, lambda path: path.name.startswith("layer-"))
        return duration_s
    finally:
        remove_tree(place)


def _forget(debs: Path, wanted: Callable[[Path], bool]) -> None:
    for path in [path for path in debs.iterdir() if wanted(path)]:
        path.unlink()
