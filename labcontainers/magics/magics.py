"""The magics themselves; it must not know how a command works, nor any widget's inside."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from IPython.core.magic import Magics, cell_magic, line_cell_magic, magics_class, no_var_expand

from labcontainers.errors import InvalidArgument
from labcontainers.magics.output import CellOutput
from labcontainers.magics.words import split_words


@magics_class
class ContainerMagics(Magics):  # type: ignore[misc]
    """`%container`, `%%container` and `%%dockerfile`."""

    @no_var_expand  # type: ignore[untyped-decorator,unused-ignore]
    @line_cell_magic  # type: ignore[untyped-decorator,unused-ignore]
    def container(self, line: str, cell: str | None = None) -> Any:
        """Containers, in Docker's words: `%container run -d --name web lab/base sleep 100`, `%container ps`, `%container help`.

        With `%%container run IMAGE [COMMAND]` or `%%container exec NAME [COMMAND]` the cell's text is fed to the command as a
        script. `--out NAME` keeps the result in a variable. `{name}` and `$name` are filled in where the notebook has that name.
        """
        return self._execute(split_words(line, self.shell.user_ns), cell)

    @no_var_expand  # type: ignore[untyped-decorator,unused-ignore]
    @cell_magic  # type: ignore[untyped-decorator,unused-ignore]
    def dockerfile(self, line: str, cell: str) -> Any:
        """Build the cell's text as a Dockerfile: `%%dockerfile -t NAME [--context FOLDER] [--build-arg NAME=VALUE] [--target STAGE]`.

        Files are copied from the notebook's folder, or from `--context`. The text is taken as it is.
        """
        return self._execute(["build", *split_words(line, self.shell.user_ns)], cell)

    def _execute(self, words: list[str], cell: str | None) -> Any:
        from labcontainers import session
        from labcontainers.commands.table import execute

        words, variable = _take_out(words)
        output = CellOutput()
        progress = _Progress() if words[:1] == ["build"] else None
        try:
            value = execute(
                session.current_engine,
                words,
                on_output=output,
                on_event=progress.on_event if progress is not None else lambda event: None,
                folder=Path(os.getcwd()),
                body=cell,
            )
        except BaseException as error:
            if progress is not None:
                progress.finish(error)
            raise
        finally:
            output.finish()
        if progress is not None:
            progress.finish(value)
        for warning in getattr(value, "warnings", ()) if words[:1] == ["run"] else ():
            print(f"warning: {warning}", file=sys.stderr)
        if variable is not None:
            self.shell.user_ns[variable] = value
        return value


def _take_out(words: list[str]) -> tuple[list[str], str | None]:
    """Take `--out NAME` away, which is the magic's own flag and comes before an image's command."""
    for index, word in enumerate(words):
        if word == "--out" or word.startswith("--out="):
            name = word[6:] if "=" in word else (words[index + 1] if index + 1 < len(words) else "")
            if not name.isidentifier():
                raise InvalidArgument(f"--out needs the name of a variable, not {name!r}", "write --out result")
            return words[:index] + words[index + (1 if "=" in word else 2) :], name
    return words, None


class _Progress:
    """A build's progress: the widget where one can be shown, else plain lines."""

    def __init__(self) -> None:
        from labcontainers import widgets
        from labcontainers.magics.display import shows_widgets

        self._widget: Any = None
        if shows_widgets():
            from IPython.display import display

            self._widget = widgets.build_progress()
            display(self._widget)
            self.on_event = self._widget.on_event
            return
        from labcontainers.build.progress import TextProgress

        self.on_event = TextProgress(sys.stdout.write)

    def finish(self, outcome: object) -> None:
        """Tell the widget how it ended."""
        if self._widget is not None:
            self._widget.finish(outcome)
