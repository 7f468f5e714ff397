"""`check`: finds an exercise's function, gives it what it looks at, and says what is wrong with that instead of failing."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from labcontainers.containers.container import Container
from labcontainers.errors import NotFound
from labcontainers.teaching import check, checking, names
from labcontainers.teaching.outcome import Outcome, not_here, not_yet, passed


def test_every_lesson_with_a_module_has_its_checks_and_nothing_else_counts_as_one() -> None:
    assert {"06.memory", "06.oom", "06.cpu", "06.pids", "06.updated", "07.separated", "07.shared", "08.hardened"} <= set(names())
    assert not [name for name in names() if name.split(".")[1] in ("passed", "not_yet", "not_here", "format_memory") or "._" in name]


def test_a_name_that_no_lesson_has_is_told_with_those_that_are_there() -> None:
    with pytest.raises(NotFound, match=r"06\.memory"):
        check("06.nothing")


@pytest.mark.parametrize(
    ("name", "subjects", "says"),
    [
        ("06.memory", (None,), "looks at a container, or the name of one, and was given None"),
        ("06.memory", (), "looks at 1 things (container), and was given 0"),
        ("07.first", ("x",), "looks at a process id, a number, and was given 'x'"),
        ("07.first", (True,), "and was given True"),
        ("07.first", (2**22 + 1,), "cannot be read: No such file"),
    ],
)
def test_what_cannot_be_looked_at_is_not_yet_and_says_why(name: str, subjects: tuple[Any, ...], says: str) -> None:
    outcome = check(name, *subjects)
    assert not outcome
    assert (outcome.verdict, outcome.name) == ("not yet", name)
    assert says in outcome.found


def test_a_name_is_the_container_of_the_sessions_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Containers:
        def get(self, name: str) -> Container:
            asked.append(name)
            raise NotFound(f"no such container: {name}", "`ps -a` lists all containers")

    class Engine:
        containers = Containers()

    monkeypatch.setattr(checking, "current_engine", Engine)
    outcome = check("06.memory", "box")
    assert asked == ["box"]
    assert (outcome.verdict, outcome.found) == ("not yet", "No such container: box.")
    assert "`--name box`" in outcome.hint


def test_an_own_process_is_in_its_own_namespaces() -> None:
    outcome = check("07.separated", os.getpid(), "uts net")
    assert not outcome
    assert "own uts and net namespaces" in outcome.found
    assert "CLONE_NEWUTS and CLONE_NEWNET" in outcome.hint


@pytest.mark.parametrize(
    ("outcome", "true", "mark"), [(passed("so"), True, "✓"), (not_yet("so", "try"), False, "○"), (not_here("so", "go on"), False, "–")]
)
def test_an_outcome_is_true_only_when_passed_and_has_both_forms(outcome: Outcome, true: bool, mark: str) -> None:
    assert bool(outcome) is true
    assert repr(outcome).startswith(f"{mark} check: {outcome.verdict}. so")
    page = outcome._repr_html_()
    assert outcome.verdict in page
    assert ("Hint" in page) is bool(outcome.hint)


def test_what_is_shown_is_no_markup() -> None:
    assert "<b>x" not in not_yet("<b>x", "<b>x")._repr_html_()


def test_what_is_between_backticks_is_code_on_a_page_and_stays_in_text() -> None:
    outcome = not_yet("so", "give `-m 64m` to it")
    assert re.search(r"give <code[^>]*>-m 64m</code> to it", outcome._repr_html_())
    assert "`-m 64m`" in repr(outcome)


def test_each_check_tells_what_it_asks_for() -> None:
    for name in names():
        lesson, _, exercise = name.partition(".")
        assert checking._checks(f"lesson_{lesson}")[exercise].__doc__, name


def test_notebooks_name_only_checks_that_are_there() -> None:
    house = Path(__file__).resolve().parents[3]
    used = {name for path in (house / "notebooks").glob("*.ipynb") for name in re.findall(r'check\(\\"([\w.]+)\\"', path.read_text())}
    assert used
    assert used <= set(names())
