"""Checks with their own examples, modes, and the text of progress."""

from __future__ import annotations

import stat

import pytest

from labcontainers.build.dockerfile.instructions import read_dockerfile
from labcontainers.build.dockerfile.lint import RULES, Rule, check
from labcontainers.build.modes import changed_mode
from labcontainers.build.progress import (
    BuildFinished,
    StepCached,
    StepFailedEvent,
    StepFinished,
    StepMissed,
    StepOutput,
    StepStarted,
    TextProgress,
)
from labcontainers.errors import InvalidArgument


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_check_likes_its_good_example_and_finds_its_bad_one(rule: Rule) -> None:
    assert rule.name not in [warning.rule for warning in check(*read_dockerfile(rule.good))]
    assert rule.name in [warning.rule for warning in check(*read_dockerfile(rule.bad))]


@pytest.mark.parametrize(("skip", "found"), [("MaintainerDeprecated", 0), ("all", 0), ("Other", 1)])
def test_the_check_directive_leaves_checks_out(skip: str, found: int) -> None:
    assert len(check(*read_dockerfile(f"# check=skip={skip}\nFROM a\nMAINTAINER me"))) == found


MODES = [
    ("644", 0o777, 0o644), ("0755", 0o600, 0o755), ("4711", 0o644, 0o4711), ("u+x", 0o644, 0o744), ("go-rwx", 0o755, 0o700),
    ("a=r", 0o755, 0o444),
    ("u=rwx,g=rx,o=", 0o644, 0o750), ("+x", 0o644, 0o755), ("a+X", 0o644, 0o644), ("a+X", 0o744, 0o755), ("g=u", 0o640, 0o660),
    ("u+s", 0o755, 0o4755),
    ("+t", 0o755, 0o1755), ("u-x+w", 0o500, 0o600),
]  # fmt: skip


@pytest.mark.parametrize(("text", "before", "after"), MODES)
def test_a_mode_changes_as_by_chmod(text: str, before: int, after: int) -> None:
    assert changed_mode(text, stat.S_IFREG | before, is_directory=False) == after


def test_a_capital_x_always_counts_for_a_directory() -> None:
    assert changed_mode("go=rX", 0o700, is_directory=True) == 0o755


@pytest.mark.parametrize("text", ["", "8", "77777", "u", "x", "u+q", "u+x,", "u+rwz"])
def test_what_is_no_mode_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid mode"):
        changed_mode(text, 0o644, is_directory=False)


def test_progress_is_plain_lines() -> None:
    written: list[str] = []
    now = iter([10.0, 10.5, 11.0])
    show = TextProgress(written.append, lambda: next(now))
    show(StepStarted(3, 9, "stage-1", "RUN make", 7, 2, 4))
    show(StepMissed(3, "the command changed"))
    show(StepOutput(3, 1, b"one\ntw"))
    show(StepOutput(3, 1, b"o"))
    show(StepFinished(3, 1.25, 2048))
    show(StepCached(4))
    show(StepFailedEvent(5, "no"))
    show(BuildFinished("sha256:" + "ab" * 32, ("x:latest",), 2.0))
    assert "".join(written).splitlines() == [
        "#3 [stage-1 2/4] RUN make",
        "#3 run: the command changed",
        "#3 0.50 one",
        "#3 1.00 two",
        "#3 done in 1.25 s, layer 2.05kB",
        "#4 cached",
        "#5 failed: no",
        "built abababababab as x:latest in 2 s",
    ]
