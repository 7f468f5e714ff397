"""What `%load_ext labcontainers` adds to a notebook, and `%unload_ext` takes away.

It must not import anything heavy: the engine's launcher is started in the background.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any
from weakref import WeakKeyDictionary

from IPython.core.error import UsageError
from traitlets import TraitError

from labcontainers.errors import Interrupted, LabError
from labcontainers.magics import settings
from labcontainers.magics.completion import complete
from labcontainers.magics.display import SHOWN, displayer, show_error
from labcontainers.magics.helping import asked_for_help
from labcontainers.magics.magics import ContainerMagics

_ERRORS = (LabError, Interrupted)


class Extension:
    """What was added to one shell, so that exactly this can be taken away."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._magics = ContainerMagics(shell)
        self._former = (tuple(shell.custom_exceptions), shell.CustomTB)
        self._handler: Any = None
        self._warming = threading.Thread(target=_warm_up, name="lab-load", daemon=True)

    def add(self) -> None:
        """Register settings, magics, completion, the look of containers and of errors; start the launcher in the background.

        Raises UsageError for a configuration that cannot be.
        """
        shell = self._shell
        try:
            settings.add(shell)
        except TraitError as error:
            raise UsageError(f"LabContainers: {error}") from None
        shell.register_magics(self._magics)
        shell.Completer.custom_matchers.append(complete)
        shell.input_transformers_cleanup.append(asked_for_help)
        for named, opens in SHOWN.items():
            shell.display_formatter.ipython_display_formatter.for_type_by_name(*named, displayer(opens))
        kinds, former = self._former

        def handle(shell: Any, kind: Any, error: Any, trace: Any, tb_offset: Any = None) -> Any:
            if isinstance(error, _ERRORS):
                return show_error(shell, kind, error, trace, tb_offset)
            return former(kind, error, trace, tb_offset)

        shell.set_custom_exc((*kinds, *_ERRORS), handle)
        self._handler = shell.CustomTB
        self._warming.start()

    def take_away(self) -> None:
        """Undo add(); what others have put in place since stays."""
        shell = self._shell
        for kind, magics in self._magics.magics.items():
            for name, function in magics.items():
                registered = shell.magics_manager.magics[kind]
                if registered.get(name) == function:
                    del registered[name]
        if shell.magics_manager.registry.get(ContainerMagics.__name__) is self._magics:
            del shell.magics_manager.registry[ContainerMagics.__name__]
        with contextlib.suppress(ValueError):
            shell.configurables.remove(self._magics)
        settings.take_away(shell)
        with contextlib.suppress(ValueError):
            shell.Completer.custom_matchers.remove(complete)
        with contextlib.suppress(ValueError):
            shell.input_transformers_cleanup.remove(asked_for_help)
        for named in SHOWN:
            shell.display_formatter.ipython_display_formatter.pop(".".join(named), None)
        if shell.CustomTB is self._handler:
            shell.custom_exceptions, shell.CustomTB = self._former
        self._warming.join()


_LOADED: WeakKeyDictionary[Any, Extension] = WeakKeyDictionary()


def load(shell: Any) -> None:
    """Add everything to `shell`, once."""
    if shell not in _LOADED:
        extension = Extension(shell)
        extension.add()
        _LOADED[shell] = extension


def _warm_up() -> None:
    from labcontainers import session

    try:
        session.warm_up()
        # what the first completion and the first command would wait for
        import labcontainers.commands.table  # noqa: F401  # imported for its sake alone
    except (LabError, OSError):
        # Whoever uses the engine first meets the same error, and is told.
        return


def unload(shell: Any) -> None:
    """Take away all that load() added, and close the engine. Detached containers go on."""
    from labcontainers import session, widgets
    from labcontainers.build.drafts import DRAFTS

    extension = _LOADED.pop(shell, None)
    if extension is not None:
        extension.take_away()
    DRAFTS.clear()
    widgets.close_all()
    session.close()
    session.place()
