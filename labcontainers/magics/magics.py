"""The magics themselves; it must not know how a command works, nor any widget's inside."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from IPython.core.magic import Magics, cell_magic, line_cell_magic, magics_class, no_var_expand

from labcontainers.errors import ContainerExit
from labcontainers.magics.output import CellOutput
from labcontainers.magics.settings import settings
from labcontainers.magics.words import split_words


@magics_class
class ContainerMagics(Magics):  # type: ignore[misc]  # IPython has no types
    """`%container`, `%%container`, `%%dockerfile`, `%in` and `%%in`."""

    @no_var_expand  # type: ignore[untyped-decorator,unused-ignore]  # IPython has no types
    @line_cell_magic  # type: ignore[untyped-decorator,unused-ignore]  # IPython has no types
    def container(self, line: str, cell: str | None = None) -> Any:
        """Containers, in Docker's words: `%container COMMAND [OPTIONS] …`

            %container run --rm lab/base echo hello
            server = %container run -d --name web -p 8080:80 lab/base httpd -f
            %container exec {server.name} ps
            %container logs --tail 5 web

        Commands: run create exec attach terminal start stop restart kill pause unpause rm wait rename update ps inspect explain autopsy
        compare namespaces processes cgroup top port logs stats events prune cp diff export commit checkpoint checkpoints rollback
        images image rmi tag history build dockerfile builder buildx bootstrap pull push login logout lock search save load import manifest
        volume network dashboard system version info doctor help

        `%container help` tells what each does; `%container help run`, `%container run --help` and `%container run?` list its flags, with
        examples. The key for completion (Tab) offers commands, flags, their values, and names of images, containers, volumes and networks.

        In a cell magic the cell's text is fed to the program as it is:

            %%container run lab/base              a script for the shell
            %%container run lab/python python -   a script for any other program
            %%container exec web sh

        `{name}`, `{name.attribute}`, `{name[index]}` and `$name` are filled in on the line where the notebook has that variable; all
        else stays as it is, and so does what stands in single quotes. `--out NAME`, before the image, keeps the result in a variable.
        A program that ends with a non-zero exit code raises ContainerExit, unless `--no-raise` is given.
        """
        return self._execute(split_words(line, self.shell.user_ns), cell)

    @no_var_expand  # type: ignore[untyped-decorator,unused-ignore]  # IPython has no types
    @cell_magic  # type: ignore[untyped-decorator,unused-ignore]  # IPython has no types
    def dockerfile(self, line: str, cell: str) -> Any:
        """Build the cell's text as a Dockerfile: `%%dockerfile -t NAME [OPTIONS]`

            %%dockerfile -t hello
            FROM lab/base
            RUN echo hello > /greeting
            CMD ["cat", "/greeting"]

        Files are copied from the notebook's folder, or from `--context FOLDER`. The text is taken as it is.
        `--build-arg NAME=VALUE`, `--target STAGE`, `--no-cache` and others: `%container help build`. `--out NAME` keeps the Build.

        A Dockerfile may be written in several cells, each of which builds what stands so far:

            %%dockerfile --append hello           begins the Dockerfile `hello`, or goes on with it
            RUN echo again >> /greeting

        A cell that runs again replaces what it gave before. `%container dockerfile show hello` shows all of it, and
        `%container dockerfile export hello` writes it to a file.
        """
        return self._execute(["build", *split_words(line, self.shell.user_ns)], cell)

    @no_var_expand  # type: ignore[untyped-decorator,unused-ignore]  # IPython has no types
    @line_cell_magic("in")  # type: ignore[untyped-decorator,unused-ignore]  # IPython has no types
    def run_in(self, line: str, cell: str | None = None) -> Any:
        """Run the cell in a session of a running container: `%%in [OPTIONS] NAME`

            %%in web
            cd /srv; port=8080
            greet() { echo "port $port in $(pwd)"; }

            %%in web                                        the same shell, a cell later
            greet

            %%in --lang python --push rows --pull total tool
            total = sum(rows)
            total / len(rows)

            %in web ls -l                                   one line

        Folder, variables and functions stay until the session ends: by `exit`, when the container stops, by `%in --close web`, or with
        the engine. `--lang` is sh, bash, python or node; `--session ID` makes another one beside it. The cell's standard input is empty.

        `--push a,b` sets variables of the notebook in the session before the cell, `--pull a,b` the session's in the notebook after it:
        as JSON values in python and node, as text in shells, and pandas' and pyarrow's tables in python by Arrow.

        A cell that fails raises ContainerExit, unless `--no-raise` is given; `--out NAME` keeps its result. Interrupting stops the cell,
        and so does `--timeout SECONDS`: what ignores that is killed, and the session goes on.
        """
        from labcontainers.magics.cells_inside import run_in

        return run_in(self.shell, line, cell)

    def _execute(self, words: list[str], cell: str | None) -> Any:
        from labcontainers import session
        from labcontainers.commands.table import execute, find, understand
        from labcontainers.magics.appending import appended
        from labcontainers.magics.variable import own_flags, variable_name

        chosen = settings(self.shell)
        said = understand(words, own_flags(find(words or ["help"])[0].name))
        if said.command.name == "terminal" and not said.arguments["help"]:
            from labcontainers.magics.display import check_widgets

            check_widgets("a terminal", "run commands by `%container exec`, or use `labcontainers terminal` in a terminal of the host")
        said = replace(said, arguments=chosen.applied(said.command.name, said.arguments))
        variable = variable_name(said.arguments)
        part = appended(said.arguments, cell, self.shell)
        if part is not None:
            said, cell = replace(said, arguments=part.arguments(said.arguments)), part.so_far.text
            if not part.so_far.has_stage:
                part.keep()
                return self._keep(variable, part.so_far)
        output = CellOutput(chosen.output_limit)
        progress = _progress_of(said.command.name, said.arguments)
        try:
            value = execute(
                session.current_engine,
                said,
                on_output=output,
                on_event=progress if progress is not None else lambda event: None,
                folder=Path(os.getcwd()),
                body=cell,
                program="%container",
                cancel=getattr(progress, "cancel", None),
            )
        except BaseException as error:
            if part is not None:
                part.tell_place(error)
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
        if part is not None:
            part.keep()
        return self._keep(variable, value)

    def _keep(self, variable: str | None, value: Any) -> Any:
        if variable is not None:
            self.shell.user_ns[variable] = value
        return value


def _progress_of(command: str, arguments: Mapping[str, Any]) -> Any:
    """What shows how the command gets on, called with each event, with `finish(outcome)`; None for who tells nothing meanwhile."""
    if arguments["help"] or arguments.get("quiet"):
        return None
    if command == "build":
        from labcontainers.commands.build_progress import SILENT, mode_of, only_tells

        mode = "quiet" if only_tells(arguments) else mode_of(arguments)
        return None if mode in SILENT else _BuildProgress(arguments["tag"], mode)
    if command in ("pull", "push", "load", "import", "run", "create"):
        from labcontainers.magics.transfers import display_of

        return display_of(command, arguments)
    return None


class _BuildProgress:
    """A build's progress: the widget where one can be shown and nothing else was asked for, else lines."""

    def __init__(self, tags: Sequence[str], mode: str) -> None:
        from labcontainers import widgets
        from labcontainers.magics.display import shows_widgets

        self._widget: Any = None
        self.cancel: Any = None
        if mode in ("auto", "tty") and shows_widgets():
            from IPython.display import display

            self._widget = widgets.build_progress(tags)
            display(self._widget)
            self._take = self._widget.on_event
            self.cancel = self._widget.cancel
            return
        from labcontainers.commands.build_progress import BuildPrinter

        self._take = BuildPrinter("rawjson" if mode == "rawjson" else "plain", sys.stdout.write, screen=False)

    def __call__(self, event: Any) -> None:
        self._take(event)

    def finish(self, outcome: object) -> None:
        """Tell the widget how it ended."""
        if self._widget is not None:
            self._widget.finish(outcome)
