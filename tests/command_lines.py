"""Command lines as a terminal gives them."""

from __future__ import annotations

import pytest

from labcontainers import Engine, session
from labcontainers.__main__ import main


def said(engine: Engine, capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a command line on this engine."""
    capfd.readouterr()
    session.use_engine(Engine(engine.paths.root, engine.paths.run))
    code = main(words)
    out, err = capfd.readouterr()
    return code, out, err
