"""`%%in NAME`: the cell runs inside a session of a running container, in which folder, variables and functions stay.

It must not know how a session works.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from labcontainers.commands.command import Command
from labcontainers.commands.parser import Argument, Flag
from labcontainers.errors import ContainerExit, InvalidArgument, NotFound
from labcontainers.magics.output import CellOutput
from labcontainers.magics.settings import settings
from labcontainers.magics.variable import OUT, variable_name
from labcontainers.magics.words import words_and_ends

IN = Command(
    "in",
    "Run the cell in a session of a running container, where folder, variables and functions stay from cell to cell",
    lambda call: None,
    (
        Flag(
            ("--lang",),
            "sh, bash, python or node (default: that of the session's first cell, else sh)",
            metavar="NAME",
            completes="language",
        ),
        Flag(("--session",), "another session beside the usual one", metavar="ID", default=""),
        Flag(("--push",), "set these variables of the notebook in the session before: a,b", "list", metavar="NAMES"),
        Flag(("--pull",), "set these variables of the session in the notebook afterwards: a,b", "list", metavar="NAMES"),
        OUT,
        Flag(("--timeout",), "stop the cell after so many seconds; 0 for no limit", metavar="SECONDS"),
        Flag(("--no-raise",), "raise no error when the cell fails", "switch"),
        Flag(("-u", "--user"), "run a new session as this user", metavar="USER"),
        Flag(("-w", "--workdir"), "begin a new session in this folder", metavar="PATH"),
        Flag(("--close",), "end the container's sessions, or that of --session and --lang", "switch"),
    ),
    (Argument("name", "the container", completes="container"), Argument("command", "one line, in a line's magic", count="rest")),
)


def run_in(shell: Any, line: str, cell: str | None) -> Any:
    """What `%in` and `%%in` do: the result of a line's, and of a cell that failed with --no-raise; else None."""
    from labcontainers import session

    words = words_and_ends(line, shell.user_ns)
    arguments = IN.parse([word for word, _ in words])
    if arguments["help"]:
        print(IN.help_text("%%").replace("%% in", "%%in"))
        return None
    wanted = settings(shell)
    no_raise = arguments["no_raise"] or not wanted.raise_on_exit
    variable = variable_name(arguments)
    pulled = _names(arguments["pull"])
    pushed = _values(_names(arguments["push"]), shell.user_ns)
    timeout_s = (wanted.timeout_s if arguments["timeout"] is None else _seconds(arguments["timeout"])) or None
    text = _text(line, words, arguments, cell)
    container = session.current_engine().containers.get(arguments["name"])
    if arguments["close"]:
        _close(container, arguments)
        return None
    chosen = _session(container, arguments)
    if pushed:
        chosen.push(pushed)
    result, whole = _run(chosen, text, timeout_s, wanted.output_limit)
    if variable is not None:
        shell.user_ns[variable] = result
    if pulled and chosen.alive and (result.ok or no_raise):
        values = chosen.pull(*pulled)
        shell.user_ns.update(values)
        result = replace(result, values=values)
        if variable is not None:
            shell.user_ns[variable] = result
    if not no_raise:
        try:
            result.check()
        except ContainerExit as error:
            error.output_shown = whole
            raise
    return result if cell is None or not result.ok else None


def _text(line: str, words: Sequence[tuple[str, int]], arguments: Mapping[str, Any], cell: str | None) -> str:
    """The cell, or what stands behind the name on a line, as it was written; raises InvalidArgument."""
    rest = arguments["command"]
    said = line[words[len(words) - len(rest) - 1][1] :].strip() if rest else ""
    if arguments["close"]:
        if said or (cell or "").strip():
            raise InvalidArgument("--close ends a session, and runs nothing", "leave out what is to be run, or --close")
        return ""
    if cell is not None and said:
        hint = "flags stand before the name" if said.startswith("-") else "what is to be run stands below, or in a line after %in"
        raise InvalidArgument(f"in: one word too many: {rest[0]!r}", hint)
    if cell is None and not said:
        raise InvalidArgument("in: nothing to run", f"write %in {arguments['name']} COMMAND, or %%in and the text below")
    return said if cell is None else cell


def _session(container: Any, arguments: Mapping[str, Any]) -> Any:
    sessions = container.sessions
    key = arguments["session"]
    language = arguments["lang"] or sessions.language_of(container.id, key)
    former = sessions.find(container.id, language, key)
    if former is not None and not former.alive and not former.told_end:
        _tell(f"the {language} session in {container.name} has ended meanwhile, with exit code {former.exit_code}; a new one begins")
    return container.session(language, key, user=arguments["user"], working_dir=arguments["workdir"])


def _run(chosen: Any, text: str, timeout_s: float | None, limit_bytes: int) -> tuple[Any, bool]:
    """The result, and whether all of the output was shown, of which at most `limit_bytes` are."""
    output = CellOutput(limit_bytes, elsewhere="--out NAME keeps all of it")
    if chosen.lost_bytes > chosen.told_lost_bytes:
        _tell(f"… {chosen.lost_bytes - chosen.told_lost_bytes:,} bytes that came between the cells were thrown away")
        chosen.told_lost_bytes = chosen.lost_bytes
    try:
        result = chosen.run(text, timeout_s=timeout_s, on_output=output)
    finally:
        output.finish()
        if not chosen.alive:
            chosen.told_end = True
            how = f"has ended with exit code {chosen.exit_code}; the next cell begins a new one"
            _tell(f"the {chosen.language} session in {chosen.name} {how}")
    return result, output.whole


def _close(container: Any, arguments: Mapping[str, Any]) -> None:
    if not container.sessions.close(container.id, arguments["session"] or None, arguments["lang"]):
        raise NotFound(f"no such session in container {container.name}", "%%in begins one")


def _names(given: Sequence[str]) -> list[str]:
    return [name.strip() for part in given for name in part.split(",") if name.strip()]


def _values(names: Sequence[str], known: Mapping[str, Any]) -> dict[str, Any]:
    for name in names:
        if name not in known:
            raise InvalidArgument(f"--push: the notebook has no variable {name}", "set it first")
    return {name: known[name] for name in names}


def _seconds(text: str) -> float:
    try:
        return float(text.removesuffix("s"))
    except ValueError:
        raise InvalidArgument(f"--timeout: not a number of seconds: {text!r}", "write --timeout 10") from None


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
