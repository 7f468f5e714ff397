"""What the extension adds to a shell, and that it takes exactly this away again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import Any

from labcontainers import session
from labcontainers.magics import extension
from tests.fakes.engine import FakeEngine
from tests.unit.magics.conftest import Notebook

HEAVY = ("pyroute2", "ipywidgets", "anywidget", "tornado", "jupyter_client", "zmq", "ssl", "http.client", "email", "hypothesis")


def traces(shell: Any) -> dict[str, object]:
    """Everything of a shell that an extension may change, as values that can be compared."""
    formatters = shell.display_formatter
    return {
        "magics": {kind: dict(magics) for kind, magics in shell.magics_manager.magics.items()},
        "registry": dict(shell.magics_manager.registry),
        "configurables": list(shell.configurables),
        "transformers": list(shell.input_transformers_cleanup),
        "matchers": list(shell.Completer.custom_matchers),
        "display": dict(formatters.ipython_display_formatter.deferred_printers),
        "display by type": dict(formatters.ipython_display_formatter.type_printers),
        "mimebundle": dict(formatters.mimebundle_formatter.deferred_printers),
        "errors": (shell.custom_exceptions, shell.CustomTB),
        "names": set(shell.user_ns),
        "threads": {thread.name for thread in threading.enumerate() if thread.name.startswith("lab-")},
        "hooks": {name: str(hook) for name, hook in shell.hooks.items()},
        "events": {name: list(callbacks) for name, callbacks in shell.events.callbacks.items()},
    }


def test_loading_and_unloading_twice_leaves_nothing_behind(shell: Any, engine: FakeEngine) -> None:
    # IPython registers its own magics when they are first used.
    shell.run_line_magic("unload_ext", "nosuch")
    before = traces(shell)
    for _ in range(2):
        session.use_engine(engine)
        shell.run_line_magic("load_ext", "labcontainers")
        assert "container" in shell.magics_manager.magics["line"]
        assert traces(shell) != before
        shell.run_line_magic("unload_ext", "labcontainers")
        assert traces(shell) == before
        assert session.existing_engine() is None
    assert engine.closed


def test_loading_what_is_loaded_changes_nothing(shell: Any, engine: FakeEngine) -> None:
    before = traces(shell)
    extension.load(shell)
    loaded = traces(shell)
    extension.load(shell)
    assert {**traces(shell), "threads": None} == {**loaded, "threads": None}
    extension.unload(shell)
    extension.unload(shell)
    assert traces(shell) == before


def test_reloading_works_on(notebook: Notebook, engine: FakeEngine) -> None:
    notebook.shell.run_line_magic("load_ext", "labcontainers")
    session.use_engine(engine)
    notebook.run("result = %container run lab/base true")
    assert notebook.names["result"] is engine.answer


class TestWithTheErrorsOfAnotherExtension:
    """Another extension shows ZeroDivisionError in its own way, from before ours or from after it."""

    @staticmethod
    def show(shell: Any, kind: Any, error: Any, trace: Any, tb_offset: Any = None) -> list[str]:
        print("THEIRS")
        return ["theirs"]

    def test_it_is_still_asked_while_ours_is_loaded_and_afterwards(self, shell: Any, engine: FakeEngine) -> None:
        shell.set_custom_exc((ZeroDivisionError,), self.show)
        notebook = Notebook(shell)
        extension.load(shell)
        assert "THEIRS" in notebook.run("1 / 0").stdout
        assert "run: IMAGE is missing" in notebook.run("%container run").stdout
        assert "NameError" in notebook.run("nosuch").stdout
        extension.unload(shell)
        assert "THEIRS" in notebook.run("1 / 0").stdout
        assert shell.custom_exceptions == (ZeroDivisionError,)

    def test_what_it_put_in_place_later_survives_our_unloading(self, shell: Any, engine: FakeEngine) -> None:
        extension.load(shell)
        shell.set_custom_exc((ZeroDivisionError,), self.show)
        extension.unload(shell)
        assert "THEIRS" in Notebook(shell).run("1 / 0").stdout


LOAD = """
import json, sys, threading
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = set(sys.modules)
import labcontainers.magics.extension
at_once = set(sys.modules) - before
shell.run_line_magic("load_ext", "labcontainers")
for thread in threading.enumerate():
    if thread.name.startswith("lab-"):
        thread.join(30)
print(json.dumps([sorted(at_once), sorted(set(sys.modules) - before)]))
shell.run_line_magic("unload_ext", "labcontainers")
"""


def test_loading_imports_little_and_nothing_heavy_even_in_the_background(tmp_path: Any) -> None:
    """How long that takes depends on the machine; what is imported does not."""
    environment = {
        **os.environ,
        "LABCONTAINERS_ROOT": str(tmp_path / "s"),
        "LABCONTAINERS_RUN": str(tmp_path / "r"),
        "IPYTHONDIR": str(tmp_path),
    }
    done = subprocess.run([sys.executable, "-c", LOAD], env=environment, capture_output=True, text=True, check=True)
    at_once, later = json.loads(done.stdout.splitlines()[-1])
    assert not [name for name in later if name.split(".")[0] in HEAVY or name in HEAVY]
    assert not [name for name in at_once if name.startswith(("labcontainers.engine", "labcontainers.store", "labcontainers.commands"))]
    assert len([name for name in at_once if name.startswith("labcontainers")]) <= 20
    assert len(at_once) <= 40
