"""How results and errors look in a notebook: cards for containers, the explorer for an image's layers, two lines for an error.

It must not know commands.
"""

from __future__ import annotations

import sys
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


def display_container(container: Any) -> None:
    """Show a Container: its live card, under a display id by which its last state replaces the first, or text and HTML alone."""
    if shows_widgets():
        from labcontainers.widgets import show_container

        show_container(container)._ipython_display_()
        return
    from IPython.display import publish_display_data

    publish_display_data({"text/plain": repr(container), "text/html": container._repr_html_()})


def display_exploration(exploration: Any) -> None:
    """Show an Exploration of an image: the layer explorer, or text and HTML alone."""
    if shows_widgets():
        from labcontainers.widgets import show_image

        show_image(exploration.image)._ipython_display_()
        return
    from IPython.display import publish_display_data

    publish_display_data({"text/plain": repr(exploration), "text/html": exploration._repr_html_()})


def display_terminal(terminal: Any) -> None:
    """Show a Terminal: one to type at, or where no widget can be shown the way to another."""
    if shows_widgets():
        from labcontainers.widgets import show_terminal

        show_terminal(terminal)._ipython_display_()
        return
    from IPython.display import publish_display_data

    publish_display_data({"text/plain": repr(terminal)})


def check_widgets(what: str, instead: str) -> None:
    """Raises Unsupported where no widget can be shown."""
    if not shows_widgets():
        raise Unsupported(f"{what} needs a page that shows widgets, and there is none", instead)


def display_explanation(explanation: Any) -> None:
    """Show an Explanation as the walk through it; where no widget can be shown, IPython shows it by its own text and HTML."""
    if not shows_widgets() or not len(explanation):
        # so IPython's formatter is told to go on with the other forms
        raise NotImplementedError
    from labcontainers.widgets import show_explanation

    show_explanation(explanation)._ipython_display_()


def display_stepper(stepper: Any) -> None:
    """Show a Stepper: buttons and the glass box as far as it is made; where no widget can be shown, IPython shows its text."""
    if not shows_widgets():
        raise NotImplementedError
    from labcontainers.widgets import show_stepper

    show_stepper(stepper)._ipython_display_()


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
    hint = hint_beside_output(error.hint, output)
    if isinstance(error, ContainerExit):
        lines += [f"  {line}" for line in _of_its_end(error)]
        hint += _where_all_is_told(error)
    lines.append(f"{dim}{hint + '; ' if hint else ''}%tb shows the traceback{plain}")
    return lines


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
    return f"; {'%container autopsy ' + error.name if error.autopsy.there else 'sys.last_value.autopsy'} tells more"


def show_error(shell: Any, kind: Any, error: Any, trace: Any, tb_offset: Any = None) -> list[str]:
    """Show an error of this project without its traceback, which `%tb` still gives."""
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace
    lines = error_lines(error, colours=settings(shell).paints(shell))
    shell._showtraceback(kind, error, lines)
    return lines
