"""Modes of files, as chmod(1) and COPY --chmod write them."""

from __future__ import annotations

import stat

import pytest

from labcontainers.build.modes import changed_mode
from labcontainers.errors import InvalidArgument

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
