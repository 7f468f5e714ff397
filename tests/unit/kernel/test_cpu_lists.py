"""Lists of CPUs and memory nodes, as cpuset(7) writes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labcontainers.kernel.cpu_lists import online_cpus, online_memory_nodes, parse_list


@pytest.mark.parametrize(("text", "wanted"), [("0", {0}), ("0-2,4", {0, 1, 2, 4}), ("7,7", {7}), ("3-3", {3})])
def test_a_list_is_its_numbers(text: str, wanted: set[int]) -> None:
    assert parse_list(text) == wanted


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "1,", "2-1", "1 2", "²", "0-999999"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"list|range"):
        parse_list(text)


def test_this_machine_has_the_cpus_that_it_may_run_on() -> None:
    assert set(os.sched_getaffinity(0)) <= parse_list(online_cpus())
    assert 0 in parse_list(online_memory_nodes())


def test_a_kernel_without_numa_has_one_node(tmp_path: Path) -> None:
    assert online_memory_nodes(tmp_path) == "0"
