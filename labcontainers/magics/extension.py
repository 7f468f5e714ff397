"""What `%load_ext labcontainers` adds to a notebook, and `%unload_ext` takes away.

It must not import anything heavy: the engine's launcher is started in the background.
"""

from __future__ import annotations

import threading
from typing import Any

from labcontainers.errors import LabError
from labcontainers.magics.completion import complete
from labcontainers.magics.display import display_container, show_error
from labcontainers.magics.magics import ContainerMagics

_CONTAINER = ("labcontainers.containers.container", "Container")
_MAGICS = {"line": ("container",), "cell": ("container", "dockerfile")}


def load(shell: Any) -> None:
    """Register magics, completion, the look of containers and of errors; start the launcher in the background."""
    shell.register_magics(ContainerMagics)
    shell.Completer.custom_matchers.append(complete)
    shell.display_formatter.ipython_display_formatter.for_type_by_name(*_CONTAINER, display_container)
    shell.set_custom_exc((*_others(shell), LabError), _handler(shell))
    threading.Thread(target=_warm_up, name="lab-load", daemon=True).start()


def _others(shell: Any) -> tuple[type[BaseException], ...]:
    return tuple(kind for kind in shell.custom_exceptions if kind is not LabError)


def _handler(shell: Any) -> Any:
    """Ours for errors of this project, the former one for what it was registered for."""
    former = shell.CustomTB if shell.custom_exceptions else None

    def handle(self: Any, kind: Any, error: Any, trace: Any, tb_offset: Any = None) -> Any:
        if isinstance(error, LabError) or former is None:
            return show_error(self, kind, error, trace, tb_offset)
        return former(kind, error, trace, tb_offset)

    return handle


def _warm_up() -> None:
    from labcontainers import session

    try:
        session.warm_up()
    except (LabError, OSError):
        # Whoever uses the engine first meets the same error, and is told.
        return


def unload(shell: Any) -> None:
    """Take away all that load() added, and close the engine. Detached containers go on."""
    from labcontainers import session, widgets

    for kind, names in _MAGICS.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    if complete in shell.Completer.custom_matchers:
        shell.Completer.custom_matchers.remove(complete)
    shell.display_formatter.ipython_display_formatter.pop(".".join(_CONTAINER), None)
    shell.set_custom_exc((), None)
    widgets.close_all()
    session.close()
