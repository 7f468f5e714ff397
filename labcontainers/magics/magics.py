"""The magics themselves; it must not know how a command works, nor any widget's inside."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from IPython.core.magic import Magics, cell_magic, line_cell_magic, magics_class, no_var_expand

from labcontainers.errors import ContainerExit
from labcontainers.magics.output import CellOutput
from labcontainers.magics.words import split_words


@magics_class
class ContainerMagics(Magics):  # type: ignore[misc]
    """`%container`, `%%container` and `%%dockerfile`."""

    @no_var_expand  # type: ignore[untyped-decorator,unused-ignore]
    @line_cell_magic  # type: ignore[untyped-decorator,unused-ignore]
    def container(self, line: str, cell: str | None = None) -> Any:
        """Containers, in Docker's words: `%container COMMAND [OPTIONS] …`

            %container run --rm lab/base echo hello
            server = %container run -d --name web -p 8080:80 lab/base httpd -f
            %container exec {server.name} ps
            %container logs --tail 5 web

        Commands: run create exec start stop restart kill rm wait ps inspect explain prune logs stats events
        images rmi tag build version info doctor network help

        `%container help` tells what each does, `%container help run` or `%container run --help` lists its flags.

        In a cell magic the cell's text is fed to the program as it is:

            %%container run lab/base              a script for the shell
            %%container run lab/python python -   a script for any other program
            %%container exec web sh

        `{name}`, `{name.attribute}`, `{name[index]}` and `$name` are filled in on the line where the notebook has that variable; all
        else stays as it is, and so does what stands in single quotes. `--out NAME`, before the image, keeps the result in a variable.
        A program that ends with a non-zero exit code raises ContainerExit, unless `--no-raise` is given.
        """
        return self._execute(split_words(line, self.shell.user_ns), cell)

    @no_var_expand  # type: ignore[untyped-decorator,unused-ignore]
    @cell_magic  # type: ignore[untyped-decorator,unused-ignore]
    def dockerfile(self, line: str, cell: str) -> Any:
        """Build the cell's text as a Dockerfile: `%%dockerfile -t NAME [OPTIONS]`

            %%dockerfile -t hello
            FROM lab/base
            RUN echo hello > /greeting
            CMD ["cat", "/greeting"]

        Files are copied from the notebook's folder, or from `--context FOLDER`. The text is taken as it is.
        `--build-arg NAME=VALUE`, `--target STAGE`, `--no-cache` and others: `%container help build`. `--out NAME` keeps the Build.
        """
        return self._execute(["build", *split_words(line, self.shell.user_ns)], cell)

    def _execute(self, words: list[str], cell: str | None) -> Any:
        from labcontainers import session
        from labcontainers.commands.table import execute, understand
        from labcontainers.magics.variable import OUT, variable_name

        said = understand(words, (OUT,))
        variable = variable_name(said.arguments)
        output = CellOutput()
        builds = said.command.name == "build" and not (said.arguments["help"] or said.arguments["quiet"])
        progress = _Progress(said.arguments["tag"]) if builds else None
        try:
            value = execute(
                session.current_engine,
                said,
                on_output=output,
                on_event=progress.on_event if progress is not None else lambda event: None,
                folder=Path(os.getcwd()),
                body=cell,
            )
        except BaseException as error:
            if progress is not None:
                progress.finish(error)
            if isinstance(error, ContainerExit):
                error.output_shown = output.whole
            raise
        finally:
            output.finish()
        if progress is not None:
            progress.finish(value)
        for warning in getattr(value, "warnings", ()) if said.command.name == "run" else ():
            print(f"warning: {warning}", file=sys.stderr)
        if variable is not None:
            self.shell.user_ns[variable] = value
        return value


class _Progress:
    """A build's progress: the widget where one can be shown, else plain lines."""

    def __init__(self, tags: Sequence[str]) -> None:
        from labcontainers import widgets
        from labcontainers.magics.display import shows_widgets

        self._widget: Any = None
        if shows_widgets():
            from IPython.display import display

            self._widget = widgets.build_progress(tags)
            display(self._widget)
            self.on_event = self._widget.on_event
            return
        from labcontainers.build.progress import TextProgress

        self.on_event = TextProgress(sys.stdout.write)

    def finish(self, outcome: object) -> None:
        """Tell the widget how it ended."""
        if self._widget is not None:
            self._widget.finish(outcome)
