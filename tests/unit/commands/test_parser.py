"""Words of a command taken apart as Docker's command line does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainers.commands.parser import Argument, Flag, Parser
from labcontainers.commands.table import COMMANDS
from labcontainers.errors import InvalidArgument, LabError, Unsupported

FLAGS = (
    Flag(("-a", "--all"), "", "switch"),
    Flag(("-q", "--quiet"), "", "switch"),
    Flag(("-n", "--tail"), "", default="all"),
    Flag(("-e", "--env"), "", "list"),
    Flag(("-t", "--timeout", "--time"), ""),
)
LATER = {"-z": "nothing zips", "--zip": "nothing zips"}
PROGRAM = (Argument("image", ""), Argument("command", "", "rest"))
NAMES = (Argument("names", "", "*"),)

READ = [
    ("", {}),
    ("-a", {"all": True}),
    ("-aq", {"all": True, "quiet": True}),
    ("--all=false", {"all": False}),
    ("-a=true -q=0", {"all": True, "quiet": False}),
    ("-n 5", {"tail": "5"}),
    ("-n5", {"tail": "5"}),
    ("-n=5", {"tail": "5"}),
    ("-qn5", {"quiet": True, "tail": "5"}),
    ("--tail 5", {"tail": "5"}),
    ("--tail=5", {"tail": "5"}),
    ("--tail=", {"tail": ""}),
    ("--tail=a=b", {"tail": "a=b"}),
    ("--tail -1", {"tail": "-1"}),
    ("--tail --all", {"tail": "--all"}),
    ("-e A=1 --env B=2 -eC=3 --env=D=4", {"env": ["A=1", "B=2", "C=3", "D=4"]}),
    ("--time 3", {"timeout": "3"}),
    ("x -a y", {"all": True, "names": ["x", "y"]}),
    ("x -- -a", {"names": ["x", "-a"]}),
    ("-- --all", {"names": ["--all"]}),
    ("-", {"names": ["-"]}),
]
PROGRAM_READ = [
    ("image", ["image"]),
    ("-a image -a", ["image", "-a"]),
    ("-n 5 image ls -n --unknown -- x", ["image", "ls", "-n", "--unknown", "--", "x"]),
    ("-- image -a", ["image", "-a"]),
    ("-a -- -image", ["-image"]),
    ("image --help", ["image", "--help"]),
]
REFUSED = [
    ("--al", InvalidArgument, "unknown flag: --al", "did you mean --all?"),
    ("--tails=5", InvalidArgument, "unknown flag: --tails", "did you mean --tail?"),
    ("-x", InvalidArgument, "unknown flag: -x", "see: help try"),
    ("-ax", InvalidArgument, "unknown flag: -x in -ax", "see: help try"),
    ("-all", InvalidArgument, "unknown flag: -l in -all", "did you mean --all?"),
    ("--ALL", InvalidArgument, "unknown flag: --ALL", "see: help try"),
    ("-n", InvalidArgument, "flag needs a value: -n", "see: help try"),
    ("-an", InvalidArgument, "flag needs a value: -an", "see: help try"),
    ("--all=perhaps", InvalidArgument, "not true or false: --all=perhaps", "write --all, or --all=false"),
    ("-z", Unsupported, "-z is not supported yet: nothing zips", "leave it out"),
    ("-az", Unsupported, "-z in -az is not supported yet: nothing zips", "leave it out"),
    ("--zip=5", Unsupported, "--zip is not supported yet: nothing zips", "leave it out"),
]


def attempt(function: Callable[..., Any], *arguments: object) -> Any:
    """What the function returns, or the error of ours that it raises."""
    try:
        return function(*arguments)
    except LabError as error:
        return error


def parser(arguments: tuple[Argument, ...] = NAMES) -> Parser:
    return Parser("try", FLAGS, arguments, LATER)


@pytest.mark.parametrize(("words", "wanted"), READ, ids=[words for words, _ in READ])
def test_words_are_read(words: str, wanted: dict[str, Any]) -> None:
    defaults = {"help": False, "all": False, "quiet": False, "tail": "all", "env": [], "timeout": None, "names": []}
    assert parser().parse(words.split()) == {**defaults, **wanted}


@pytest.mark.parametrize(("words", "wanted"), PROGRAM_READ, ids=[words for words, _ in PROGRAM_READ])
def test_what_follows_the_image_belongs_to_the_program(words: str, wanted: list[str]) -> None:
    values = parser(PROGRAM).parse(words.split())
    assert [values["image"], *values["command"]] == wanted
    assert not values["help"]


@pytest.mark.parametrize(("words", "kind", "message", "hint"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_bad_flag_is_named_with_a_next_action(words: str, kind: type[LabError], message: str, hint: str) -> None:
    with pytest.raises(kind) as caught:
        parser().parse(words.split())
    assert (caught.value.message, caught.value.hint) == (f"try: {message}", hint)


@pytest.mark.parametrize("words", ["--help", "-a --help", "--help --tail 5"])
def test_help_needs_no_arguments(words: str) -> None:
    assert parser(PROGRAM).parse(words.split())["help"]


@pytest.mark.parametrize(
    ("arguments", "words", "message"),
    [
        (PROGRAM, "-a", "try: IMAGE is missing"),
        ((Argument("names", "", "+"),), "", "try: NAMES is missing"),
        ((Argument("one", ""), Argument("two", "")), "x", "try: TWO is missing"),
        ((Argument("one", ""),), "x y", "try: one word too many: 'y'"),
        ((), "x", "try: one word too many: 'x'"),
    ],
)
def test_missing_and_superfluous_words_are_named(arguments: tuple[Argument, ...], words: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parser(arguments).parse(words.split())
    assert caught.value.message == message


@pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))
def test_no_command_has_a_flag_twice_or_one_that_it_says_to_lack(command: Any) -> None:
    from labcontainers.commands.later import FLAGS as LACKING

    names = [name for flag in command.flags for name in flag.names]
    assert len(names) == len(set(names))
    assert not set(names) & set(LACKING.get(command.name, {}))


WORDS = st.lists(
    st.sampled_from(["-a", "--all", "-n", "-n5", "--tail=", "--", "-", "", "--help", "image", "-e", "A=1", "--x", "é", "-\0", "---", "-="])
    | st.text(max_size=6)
)


@given(st.sampled_from(list(COMMANDS.values())), WORDS)
def test_any_words_are_understood_or_refused_with_a_reason(command: Any, words: list[str]) -> None:
    found = attempt(command.parse, words)
    if isinstance(found, LabError):
        assert found.message.startswith(f"{command.name}: ")
        assert found.hint
        assert found.exit_code == 125
    else:
        assert {flag.destination for flag in command.flags} <= set(found)


@given(st.lists(st.text()))
def test_a_programs_own_words_arrive_unchanged(words: list[str]) -> None:
    values = COMMANDS["run"].parse(["-d", "--name=x", "lab/base", *words])
    assert values["command"] == words
