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


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_no_wider_than_a_page_and_tells_of_every_flag(name: str) -> None:
    command = COMMANDS[name]
    lines = command.help_text().split("Examples:")[0].split("\n")
    options = lines[lines.index("Options:") :] if command.flags else []
    assert all(len(line) <= 110 for line in options)
    assert all(
        any(line.split("  ")[1].startswith(", ".join(flag.names)) for line in options if line.startswith("  -")) for flag in command.flags
    )
