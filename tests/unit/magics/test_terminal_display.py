"""A terminal where no widget can be shown: the magic refuses, and the value says in words where to go."""

from __future__ import annotations

from typing import Any

import pytest

from labcontainers.commands.table import understand
from labcontainers.containers.attaching.terminal import Terminal
from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.magics.magics import ContainerMagics
from tests.unit.magics.conftest import Notebook


def terminal(*command: str) -> Terminal:
    nothing: Any = None
    return Terminal("0" * 64, "web", command, 24, 0, nothing, nothing, {})


def test_magic_says_what_to_do_without_widgets(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCONTAINERS_WIDGETS", "0")
    with pytest.raises(Unsupported, match="a terminal needs a page that shows widgets") as caught:
        ContainerMagics(shell).container("terminal web")
    assert "%container exec" in caught.value.hint


def test_value_is_shown_in_words_without_widgets(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCONTAINERS_WIDGETS", "0")
    notebook.names["opened"] = terminal("python3", "-i")
    text = notebook.run("opened").stdout.partition(": ")[2].lstrip()
    assert text.startswith("terminal of container web: python3 -i\n")
    assert "`labcontainers exec -it web python3 -i`" in text
    assert "`labcontainers attach web`" in repr(terminal())


def test_flags_of_the_command_are_understood() -> None:
    words = ["terminal", "-u", "1000", "-w", "/tmp", "-e", "A=b", "--rows", "30", "--cols=100", "web", "top", "-d", "1"]
    arguments = understand(words).arguments
    assert (arguments["user"], arguments["workdir"], arguments["env"]) == ("1000", "/tmp", ["A=b"])
    assert (arguments["rows"], arguments["cols"]) == ("30", "100")
    assert (arguments["container"], arguments["command"]) == ("web", ["top", "-d", "1"])
    assert understand(["terminal", "--attach", "web"]).arguments["attach"] is True
    assert understand(["container", "terminal", "web"]).command.name == "terminal"


def test_number_of_lines_must_be_one() -> None:
    from labcontainers.commands.terminals import _number

    assert _number("30", "--rows") == 30
    with pytest.raises(InvalidArgument, match="--rows: '3x' is no number"):
        _number("3x", "--rows")
