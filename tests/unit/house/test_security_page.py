"""docs/security.md is what the attacks and the defaults say, and each test that it names is there."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from labcontainers.kernel import levels
from scripts import security_page
from tests.data.attacks import ATTACKS, Attack

TESTS = Path(__file__).resolve().parents[2]
ROWS = [attack for attacks in ATTACKS.values() for attack in attacks]


@cache
def names_in(file: str) -> frozenset[str]:
    """The tests of a file, those of classes as CLASS::TEST."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return frozenset(found)


def test_the_page_is_what_its_rows_say() -> None:
    assert security_page.PAGE.read_text(encoding="utf-8") == security_page.page(), "`make docs` writes docs/security.md anew"


@pytest.mark.parametrize("attack", ROWS, ids=lambda attack: attack.name)
def test_each_attack_is_tried_by_tests_that_are_there(attack: Attack) -> None:
    assert attack.tests
    for test in attack.tests:
        file, _, name = test.partition("::")
        assert name.rpartition("::")[2].startswith("test_")
        assert name in names_in(file), test


def test_no_attack_is_told_twice_and_each_row_fits_a_table() -> None:
    names = [attack.name for attack in ROWS]
    assert len(names) == len(set(names))
    assert not [text for attack in ROWS for text in (attack.name, attack.what, attack.holds) if "|" in text or "\n" in text]


def test_a_level_is_told_with_what_it_lacks() -> None:
    told = levels.told("single", masked_proc=True, limited=False)
    assert told == "single id, shared /proc, no control groups"
    assert levels.meaning(told).count(";") >= 2
    assert levels.told("host") == "root"
