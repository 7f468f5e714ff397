"""Ctrl-C while a command line still imports what it needs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# The interpreter runs this before anything else: whoever imports the module named is interrupted just then.
_INTERRUPTS = """
import os, signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {number})
        return None

sys.meta_path.insert(0, Interrupts())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("module", ["labcontainers.session", "labcontainers.engine.engine"])
def test_it_ends_in_one_exit_code_without_a_traceback(tmp_path: Path, module: str, number: signal.Signals) -> None:
    (tmp_path / "sitecustomize.py").write_text(_INTERRUPTS.format(module=module, number=int(number)))
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": paths, "LABCONTAINERS_ROOT": str(tmp_path / "store")}
    words = [sys.executable, "-m", "labcontainers", "ps"]
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, preexec_fn=_defaults)
    assert (ended.returncode, ended.stdout, ended.stderr) == (128 + number, "", "")
    assert not (tmp_path / "store").exists()


def _defaults() -> None:
    """As a terminal starts it: a runner in the background may have left interrupts ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
