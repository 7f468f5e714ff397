"""A magic's line as words, with the notebook's variables filled in where they exist and nowhere else."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainers.errors import InvalidArgument
from labcontainers.magics.words import split_words

NAMES = {
    "image": "lab/base",
    "n": 5,
    "web": SimpleNamespace(name="web-1", ports=[SimpleNamespace(host_port=8080)]),
    "table": {"key": "value", "two words": 2},
    "spaced": "a b",
    "quoted": 'it\'s "so"',
    "braces": "{n} $n",
}

SPLIT = [
    ("", []),
    ("  ", []),
    ("run lab/base ls", ["run", "lab/base", "ls"]),
    ("a  b\tc\n", ["a", "b", "c"]),
    ("'a b' \"c d\" e\\ f", ["a b", "c d", "e f"]),
    ("a'b c'd", ["ab cd"]),
    ("'' \"\"", ["", ""]),
    (r'"a \" b" "c \n d"', ['a " b', r"c \n d"]),
    (r"'a\n'", [r"a\n"]),
    # filled in
    ("run {image} x", ["run", "lab/base", "x"]),
    ("run $image x", ["run", "lab/base", "x"]),
    ("${image}", ["lab/base"]),
    ("-e N={n}:{n}", ["-e", "N=5:5"]),
    ("{web.name}", ["web-1"]),
    ("{web.ports[0].host_port}", ["8080"]),
    ("{table['key']}", ["value"]),
    ("{table['two words']}", ["2"]),
    ('x{table["key"]}y', ["xvaluey"]),
    ('"{web.name} up"', ["web-1 up"]),
    ("$web.name", [f"{NAMES['web']}.name"]),
    # one word stays one word, and is not filled in again
    ("{spaced}", ["a b"]),
    ("{quoted}", ['it\'s "so"']),
    ("{braces}", ["{n} $n"]),
    # left alone
    ("{nosuch} $nosuch ${nosuch}", ["{nosuch}", "$nosuch", "${nosuch}"]),
    ("$HOME ${HOME:-x} $1 $$ $?", ["$HOME", "${HOME:-x}", "$1", "$$", "$?"]),
    ("{} {{n}} {{.State.Status}} {{json .}}", ["{}", "{{n}}", "{{.State.Status}}", "{{json", ".}}"]),
    ('\'{"a": 1, "n": {n}}\'', ['{"a": 1, "n": {n}}']),
    ("'$image {image}'", ["$image {image}"]),
    (r"\$image \{image}", ["$image", "{image}"]),
    (r'"\$image"', ["$image"]),
    ("{1,2} {n,m} {n+1}", ["{1,2}", "{n,m}", "{n+1}"]),
    ("{image} {nosuch} $n", ["lab/base", "{nosuch}", "5"]),
]


def attempt(function: Callable[..., Any], *arguments: object) -> Any:
    """What the function returns, or the error of ours that it raises."""
    try:
        return function(*arguments)
    except InvalidArgument as error:
        return error


@pytest.mark.parametrize(("line", "wanted"), SPLIT, ids=[line for line, _ in SPLIT])
def test_line_is_split_and_filled_in(line: str, wanted: list[str]) -> None:
    assert split_words(line, NAMES) == wanted


@pytest.mark.parametrize("line", ["'a", 'x "a', "a'b", '"a\\"'])
def test_a_quote_without_end_is_refused(line: str) -> None:
    with pytest.raises(InvalidArgument, match="a quote has no end"):
        split_words(line, {})


@pytest.mark.parametrize(
    ("line", "words"),
    [("{web.nosuch}", "AttributeError"), ("{table['nosuch']}", "KeyError"), ("{n[0]}", "TypeError"), ("{web.ports[5]}", "IndexError")],
)
def test_a_variable_that_has_not_what_is_asked_of_it_is_named(line: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words) as caught:
        split_words(line, NAMES)
    assert line in caught.value.message


def test_an_index_calls_nothing() -> None:
    called: list[int] = []
    with pytest.raises(InvalidArgument):
        split_words("{table[print(1)]}", {**NAMES, "table": {None: 1}})
    assert not called


@given(st.lists(st.text()))
def test_words_quoted_for_a_shell_arrive_as_they_are_whatever_variables_there_are(words: list[str]) -> None:
    assert split_words(shlex.join(words), {"a": 1, "x": 2, "n": 3}) == words


@given(st.text())
def test_any_line_is_split_or_refused(line: str) -> None:
    found = attempt(split_words, line, NAMES)
    assert found.hint if isinstance(found, InvalidArgument) else all(isinstance(word, str) for word in found)
