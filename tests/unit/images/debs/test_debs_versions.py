"""Versions are compared as dpkg compares them."""

from __future__ import annotations

import itertools
import shutil
import subprocess

import pytest

from labcontainers.errors import InvalidArgument
from labcontainers.images.debs.versions import compare, satisfies

# each is older than the next one
ASCENDING = (
    "0~~", "0~~a", "0~", "0", "0+b1", "0.0", "1~rc1", "1", "1-0ubuntu1", "1-1~bpo1", "1-1", "1-1+b1", "1-1.1", "1-10", "1a", "1a-1", "1b",
    "1+", "1.2", "1.2.3", "1.10", "2-1-1", "2.0.7pre1-4", "2.0.7r-1", "9", "10", "1:0", "1:1.2-3", "2:0",
)  # fmt: skip
EQUAL = (("1.0", "1.00"), ("0:1", "1"), ("1-0", "1"), ("1.01", "1.1"), ("a", "a0"))
SATISFIED = (
    ("1.0-1", "", "", True),
    ("1.0-1", ">=", "1.0", True),
    ("1.0~rc1", ">=", "1.0", False),
    ("1.0", "<<", "1.0", False),
    ("1.0", ">>", "0.9", True),
    ("1.0", "=", "1.0-0", True),
    ("1.0", "<", "1.0", True),
    ("1.0", ">", "1.0", True),
)
NONE = ("", "x:1", "1_2", "1-", "ä", "1-1:2")


@pytest.mark.parametrize(("left", "right"), list(itertools.pairwise(ASCENDING)))
def test_of_two_versions_the_older_one_comes_first(left: str, right: str) -> None:
    assert compare(left, right) < 0 < compare(right, left)


@pytest.mark.parametrize(("left", "right"), EQUAL)
def test_versions_may_be_equal_though_they_are_written_differently(left: str, right: str) -> None:
    assert compare(left, right) == 0


@pytest.mark.parametrize("dpkg", [path for path in [shutil.which("dpkg")] if path])
def test_this_hosts_dpkg_thinks_the_same(dpkg: str) -> None:
    for left, right in itertools.combinations(ASCENDING, 2):
        code = subprocess.run([dpkg, "--compare-versions", left, "lt", right], capture_output=True, timeout=60).returncode
        assert (code == 0) is (compare(left, right) < 0), (left, right)


@pytest.mark.parametrize(("version", "operator", "wanted", "expected"), SATISFIED)
def test_a_relation_is_satisfied_by_its_operator(version: str, operator: str, wanted: str, expected: bool) -> None:
    assert satisfies(version, operator, wanted) is expected


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="not a version"):
        compare(text, "1")
