"""A real IPython shell, and an engine that only remembers what it was asked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import CapturedIO, capture_output
from traitlets.config import Config

from labcontainers import session
from labcontainers.magics import extension
from tests.fakes.engine import FakeEngine


class Notebook:
    """Runs cells in a shell, and gives what they showed."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.names: dict[str, Any] = shell.user_ns

    def run(self, cell: str) -> CapturedIO:
        """What the cell showed; its outcome is in `last`."""
        with capture_output() as shown:
            self.last = self.shell.run_cell(cell)
        return shown

    @property
    def error(self) -> BaseException | None:
        return self.last.error_in_exec


@pytest.fixture
def shell() -> Iterator[Any]:
    hooks = sys.displayhook, sys.excepthook
    made = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}}))
    yield made
    made.restore_sys_module_state()
    InteractiveShell.clear_instance()
    sys.displayhook, sys.excepthook = hooks


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    fake = FakeEngine()
    session.use_engine(fake)
    yield fake
    session.close()


@pytest.fixture
def notebook(shell: Any, engine: FakeEngine) -> Iterator[Notebook]:
    extension.load(shell)
    yield Notebook(shell)
    extension.unload(shell)
