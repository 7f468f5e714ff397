"""The examples in the help of commands are command lines that are understood."""

from __future__ import annotations

import shlex

import pytest

from labcontainers.commands.examples import EXAMPLES
from labcontainers.commands.table import COMMANDS, understand


@pytest.mark.parametrize(("name", "line"), [(name, line) for name, lines in EXAMPLES.items() for line in lines])
def test_an_example_is_of_its_command(name: str, line: str) -> None:
    assert understand(shlex.split(line)).command is COMMANDS[name]
    assert f"labcontainers {line}" in COMMANDS[name].help_text()
