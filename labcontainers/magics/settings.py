"""What a user may configure: `c.LabContainers.…` in ipython_config.py, and `%config LabContainers.…` in a notebook.

It must not know how a command works; it must not import anything heavy. Source: traitlets.readthedocs.io, "Configuration".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from traitlets import Bool, CaselessStrEnum, Float, Int, TraitError, Unicode, validate
from traitlets.config import Configurable

from labcontainers.errors import LabError

_CHOICES = ("auto", "on", "off")
LARGEST_OUTPUT_BYTES = 1_000_000


def _choice(help: str) -> Any:
    return CaselessStrEnum(_CHOICES, default_value="auto", help=help).tag(config=True)


class LabContainers(Configurable):  # type: ignore[misc,unused-ignore]  # traitlets is untyped in some versions
    """How labcontainers behaves in this notebook."""

    root = Unicode("", help="Folder of the store, instead of LABCONTAINERS_ROOT; set it before the first command uses the engine.").tag(
        config=True
    )
    run_root = Unicode("", help="Folder of run-time state, instead of LABCONTAINERS_RUN; set it before the first command.").tag(config=True)
    fresh_store = _choice(
        "A store for this notebook alone, without former images and containers, removed when the kernel ends: on, off, or auto, which "
        "makes one while nbgrader grades or validates; set it before the first command."
    )
    widgets = _choice(
        "Live widgets: on, off, or auto, which shows none where nobody can click (nbclient, nbconvert, papermill, nbgrader, a terminal). "
        "The variable LABCONTAINERS_WIDGETS says the same where this is auto."
    )
    colours = _choice("Colours in errors: on, off, or auto, which follows IPython's own colours and NO_COLOR.")
    output_limit = Int(LARGEST_OUTPUT_BYTES, min=0, help="Most bytes of a program's output that a cell shows; results keep all.").tag(
        config=True
    )
    raise_on_exit = Bool(True, help="Whether a non-zero exit code stops the notebook; False is --no-raise for every command.").tag(
        config=True
    )
    timeout_s = Float(
        0.0, min=0.0, help="Seconds after which run, exec and start -a are stopped where --timeout is not given; 0: never."
    ).tag(config=True)
    memory = Unicode("", help="Memory limit of new containers where --memory is not given, such as 512m; empty: none.").tag(config=True)
    cpus = Float(0.0, min=0.0, help="CPUs of new containers where --cpus is not given, such as 0.5; 0: all.").tag(config=True)
    pids_limit = Int(0, min=-1, help="Most processes of new containers where --pids-limit is not given; 0: the engine's own limit.").tag(
        config=True
    )
    network = Unicode("", help="Network of new containers where --network is not given: bridge, none or host; empty: bridge.").tag(
        config=True
    )

    @validate("root", "run_root", "fresh_store")
    def _place(self, proposal: Any) -> str:
        name, value = proposal["trait"].name, str(proposal["value"])
        if name != "fresh_store":
            value = os.path.abspath(os.path.expanduser(value)) if value else ""
        if name != "fresh_store" and value and os.path.exists(value) and not os.path.isdir(value):
            raise TraitError(f"{name}: not a folder: {value} (name a folder, which is made where there is none)")
        self._go({name: value})
        return value

    def _go(self, changed: Mapping[str, str]) -> None:
        """Tell the session where the store is to be; raises TraitError."""
        from labcontainers import session

        now = {"root": "", "run_root": "", "fresh_store": "auto", **self._trait_values, **changed}
        fresh = now["fresh_store"] == "on" or (now["fresh_store"] == "auto" and graded())
        _checked(next(iter(changed), "fresh_store"), lambda: session.place(now["root"], now["run_root"], fresh=fresh))

    @validate("memory", "cpus", "pids_limit", "network")
    def _limit(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        if value:
            from labcontainers.containers.options.container import converted

            keyword = {"memory": "mem_limit"}.get(name, name)
            _checked(name, lambda: converted({keyword: value}))
        return value

    def applied(self, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a command with what was configured in place of what was not said."""
        given = dict(arguments)
        if command in ("run", "create"):
            for name in ("memory", "cpus", "pids_limit", "network"):
                # CPU time in periods and a number of CPUs are two words for one limit
                said = given["cpu_period"] is not None or given["cpu_quota"] is not None if name == "cpus" else False
                if given[name] is None and not said and getattr(self, name):
                    given[name] = str(getattr(self, name))
        if command in ("run", "exec", "start", "attach") and not self.raise_on_exit:
            given["no_raise"] = True
        waits = command in ("run", "exec") and not given["detach"]
        if self.timeout_s and (waits or (command == "start" and (given["attach"] or given["interactive"]))):
            given["timeout"] = str(self.timeout_s) if given["timeout"] is None else given["timeout"]
        return given

    def wants_widgets(self, shell: Any) -> bool:
        """Whether live widgets are wanted where `shell` runs, as far as can be told."""
        choice = self.widgets if self.widgets != "auto" else _said_by_environment()
        return choice == "on" or (choice == "auto" and somebody_looks(shell))

    def paints(self, shell: Any) -> bool:
        """Whether errors have colours."""
        if self.colours != "auto":
            return bool(self.colours == "on")
        return not os.environ.get("NO_COLOR") and str(getattr(shell, "colors", "")).lower() != "nocolor"


def _said_by_environment() -> str:
    said = os.environ.get("LABCONTAINERS_WIDGETS", "").lower()
    return {"0": "off", "false": "off", "1": "on", "true": "on"}.get(said, said if said in _CHOICES else "auto")


def somebody_looks(shell: Any) -> bool:
    """Whether the cell that runs was sent by a front end with somebody at it.

    A client that runs notebooks by itself says that nobody can be asked: nbclient, and with it nbconvert, papermill, nbgrader and nbmake,
    clears `allow_stdin` in each execute_request (jupyter-client.readthedocs.io, "Messaging": stdin channel). Voilà does so as well, and
    has readers all the same. Where no request tells, as in a callback, somebody is supposed to look.
    """
    if graded():
        return False
    if os.environ.get("SERVER_SOFTWARE", "").startswith("voila"):
        return True
    parent = getattr(shell, "parent_header", None) if shell is not None else None
    content = parent.get("content") if isinstance(parent, dict) else None
    return not isinstance(content, dict) or content.get("allow_stdin") is not False


def graded() -> bool:
    """Whether nbgrader executes the notebook: to grade it, or for a student who validates it."""
    return bool(os.environ.get("NBGRADER_EXECUTION"))


def _checked(name: str, check: Callable[[], object]) -> None:
    """Raise what `check` raises as traitlets does, in one line that begins with the trait's name."""
    try:
        check()
    except LabError as error:
        raise TraitError(f"{name}: {error}") from None


_OF_SHELLS: WeakKeyDictionary[Any, LabContainers] = WeakKeyDictionary()


def add(shell: Any) -> LabContainers:
    """Make the settings of `shell` from its configuration, and show them to `%config`; raises TraitError."""
    made = LabContainers(parent=shell)
    if graded():
        # an engine that the notebook has used before this stays
        with suppress(TraitError):
            made._go({})
    shell.configurables.append(made)
    _OF_SHELLS[shell] = made
    return made


def take_away(shell: Any) -> None:
    """Undo add()."""
    made = _OF_SHELLS.pop(shell, None)
    if made in shell.configurables:
        shell.configurables.remove(made)


def settings(shell: Any = None) -> LabContainers:
    """Those of `shell`, or of the shell that runs; the defaults where nothing is configured."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython() if shell is None else shell
    found = None if shell is None else _OF_SHELLS.get(shell)
    return LabContainers() if found is None else found
