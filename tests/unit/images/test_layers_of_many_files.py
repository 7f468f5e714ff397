"""A layer of ten times as many files takes ten times as long, whatever is done with it, and hardly more memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.many_files import VERBS

# files, how many of them are in one directory, and by how much memory may grow from a tenth of them: of a directory the names are held
CASES = {"many directories": (100_000, 1000, 8_000_000), "one directory": (40_000, 40_000, 200 * 40_000)}
# a hundred where the number of files counts twice
_MOST_TIMES = 25


def costs(folder: Path, files: int, per_directory: int) -> dict[str, tuple[float, int]]:
    words = [sys.executable, "-m", "tests.fakes.many_files", str(folder), str(files), str(per_directory)]
    told = subprocess.run(words, check=True, stdout=subprocess.PIPE, timeout=900, cwd=Path(__file__).parents[3])
    return {name: (seconds, size_bytes) for name, (seconds, size_bytes) in json.loads(told.stdout).items()}


@pytest.mark.parametrize("case", CASES)
def test_time_is_linear_and_memory_constant_in_the_number_of_files(tmp_path: Path, case: str) -> None:
    files, per_directory, most_bytes = CASES[case]
    few, many = (costs(tmp_path, count, min(per_directory, count)) for count in (files // 10, files))
    longer = {name: many[name][0] / few[name][0] for name in VERBS}
    larger = {name: many[name][1] - few[name][1] for name in VERBS}
    assert {name: times for name, times in longer.items() if times > _MOST_TIMES} == {}
    assert {name: growth for name, growth in larger.items() if growth > most_bytes} == {}
