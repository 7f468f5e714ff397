"""How results and errors look in a notebook: cards for containers, the explorer for an image's layers, two lines for an error.

It must not know commands.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sized
from typing import Any

from labcontainers.containers.exit_codes import explained
from labcontainers.errors import ContainerExit, DockerfileError, Interrupted, LabError, StepFailed, TimedOut, Unsupported
from labcontainers.magics.settings import settings
from labcontainers.widgets.messages import hint_beside_output

_RED, _DIM, _PLAIN = "\x1b[31m", "\x1b[2m", "\x1b[0m"


def shows_widgets() -> bool:
    """Whether live widgets are shown: a Jupyter kernel, the bundles built, and they are wanted (see settings)."""
    from IPython.core.getipython import get_ipython

    from labcontainers import widgets

    return widgets.available() and settings().wants_widgets(get_ipython())


# What has a widget, by module and class: the function of `widgets` that opens it.
SHOWN = {
    ("labcontainers.containers.container", "Container"): "show_container",
    ("labcontainers.containers.explain.explanation", "Explanation"): "show_explanation",
    ("labcontainers.containers.stepping", "Stepper"): "show_stepper",
    ("labcontainers.images.exploration", "Exploration"): "show_exploration",
    ("labcontainers.containers.attaching.terminal", "Terminal"): "show_terminal",
    ("labcontainers.engine.dashboard.dashboard", "Dashboard"): "show_dashboard",
    ("labcontainers.containers.usage.process_tree", "ProcessTree"): "show_processes",
    ("labcontainers.containers.usage.control_group", "ControlGroup"): "show_cgroup",
}


def displayer(opens: str) -> Callable[[Any], None]:
    """What IPython's display formatter calls to show a value by the widget that this function of `widgets` opens.

    Where no widget can be shown, or there is nothing in the value, IPython goes on to the value's own text and HTML: so it takes the
    NotImplementedError of who declines (IPython.core.formatters, catch_format_error).
    """

    def display(value: Any) -> None:
        if not shows_widgets() or (isinstance(value, Sized) and not len(value)):
            raise NotImplementedError
        from labcontainers import widgets

        getattr(widgets, opens)(value)._ipython_display_()

    return display


def check_widgets(what: str, instead: str) -> None:
    """Raises Unsupported where no widget can be shown."""
    if not shows_widgets():
        raise Unsupported(f"{what} needs a page that shows widgets, and there is none", instead)


def error_lines(error: LabError | Interrupted, *, colours: bool = True) -> list[str]:
    """What is shown of an error: the message, what it is about, and the next action."""
    red, dim, plain = (_RED, _DIM, _PLAIN) if colours else ("", "", "")
    kind = f"{red}{type(error).__name__}{plain}"
    if isinstance(error, Interrupted):
        return [f"{kind}: {error}"]
    lines = [f"{kind}: {error.message}"]
    if isinstance(error, DockerfileError):
        from labcontainers.build.dockerfile.source import told

        heading, below = told(error)
        lines = [f"{kind}: {heading}", *(f"  {line}" for line in below)]
    output = error.output if isinstance(error, StepFailed | ContainerExit) and not getattr(error, "output_shown", False) else ""
    lines += [f"  {line}" for line in output.splitlines()[-20:]]
    actions = [hint_beside_output(error.hint, output), "%tb shows the traceback"]
    if isinstance(error, ContainerExit):
        lines += [f"  {line}" for line in _of_its_end(error)]
        actions.insert(1, _where_all_is_told(error))
    lines.append(f"{dim}{_joined(actions)}{plain}")
    return lines


def _joined(actions: list[str]) -> str:
    """On one line, each after the other."""
    return "; ".join(filter(None, actions)).replace("?; ", "? ")


def _of_its_end(error: ContainerExit) -> list[str]:
    """Why a program ended so, where the exit code tells, and the first thing to try; nothing of a plain failure of its own."""
    if isinstance(error, TimedOut):
        return []
    autopsy = error.autopsy
    told = explained(error.exit_code) if autopsy is None else autopsy.explanation
    steps = autopsy.next_steps[:1] if autopsy is not None and told else ()
    return [*filter(None, [told]), *(f"try: {step}" for step in steps)]


def _where_all_is_told(error: ContainerExit) -> str:
    if error.autopsy is None:
        return ""
    return f"{'%container autopsy ' + error.name if error.autopsy.there else 'sys.last_value.autopsy'} tells more"


def show_error(shell: Any, kind: Any, error: Any, trace: Any, tb_offset: Any = None) -> list[str]:
    """Show an error of this project without its traceback, which `%tb` still gives."""
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace
    lines = error_lines(error, colours=settings(shell).paints(shell))
    shell._showtraceback(kind, error, lines)
    return lines
