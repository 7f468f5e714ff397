"""Variable expansion in Dockerfile words."""

from __future__ import annotations

import pytest

from labcontainers.build.dockerfile.shellwords import ExpansionFault, expand, expand_words

VALUES = {"x": "foo.tar.gz", "e": "", "p": "/a/b/c", "s": "one two"}

EXPANDED = [
    ("$x", "foo.tar.gz"), ("${x}", "foo.tar.gz"), ("a${u}b", "ab"), ("$x_y", ""), ("${x}_y", "foo.tar.gz_y"),
    ("${u:-d}", "d"), ("${u-d}", "d"), ("${e:-d}", "d"), ("${e-d}", ""), ("${x:-d}", "foo.tar.gz"), ("${u:-${v:-$e}z}", "z"),
    ("${x:+w}", "w"), ("${e:+w}", ""), ("${e+w}", "w"), ("${u+w}", ""), ("${x:?no}", "foo.tar.gz"), ("${e?no}", ""),
    ("${x#*.}", "tar.gz"), ("${x##*.}", "gz"), ("${x%.*}", "foo.tar"), ("${x%%.*}", "foo"), ("${x#?oo}", ".tar.gz"),
    ("${x%nothing}", "foo.tar.gz"),
    (r"${x#\*}", "foo.tar.gz"), ("${p/b/B}", "/a/B/c"), (r"${p//\//-}", "-a-b-c"), ("${p/a*c/$e}", "/"),
    ("'$x'", "$x"), ('"$x"', "foo.tar.gz"), ('"a\\"b\\$x\\c"', 'a"b$x\\c'), (r"\$x", "$x"), (r"\${x}", "${x}"), ("'it''s'", "its"),
    ("a\\ b", "a b"),
    ("$", "$"), ("a$", "a$"), ("$/x", "$/x"), ("$1a", "a"), ("$$", ""), ("", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), EXPANDED)
def test_a_word_expands(text: str, expected: str) -> None:
    assert expand(text, VALUES.get) == expected


REFUSED = [
    ("${}", 0, "bad substitution"),
    ("a${x", 1, "missing '}'"),
    ("${x:-a", 0, "missing '}'"),
    ("${u:?not given}", 0, "u: not given"),
    ("${u?}", 0, "u: is not allowed to be unset"),
    ("${e:?}", 0, "e: is not allowed to be empty"),
    ("${x:#a}", 4, "unsupported modifier"),
    ("${x@Q}", 3, "unsupported modifier"),
    ("a'b", 1, "single-quote"),
    ('ab"c', 2, "double-quote"),
]


@pytest.mark.parametrize(("text", "offset", "message"), REFUSED)
def test_a_broken_word_is_refused_with_its_place(text: str, offset: int, message: str) -> None:
    with pytest.raises(ExpansionFault, match=message) as caught:
        expand(text, VALUES.get)
    assert caught.value.offset == offset


def test_the_backtick_can_be_the_escape_character() -> None:
    assert expand("`$x \\$x", VALUES.get, "`") == "$x \\foo.tar.gz"


WORDS = [("$s", ["one", "two"]), ('"$s"', ["one two"]), ("a$s b", ["aone", "two", "b"]), ("$u", []), ('""', [""]), ("a\\ b", ["a b"])]


@pytest.mark.parametrize(("text", "words"), WORDS)
def test_unquoted_values_split_into_words(text: str, words: list[str]) -> None:
    assert expand_words(text, VALUES.get) == words


def test_quotes_of_a_here_document_are_kept() -> None:
    assert expand("a=\"$x\" 'b'", VALUES.get, quotes=False) == "a=\"foo.tar.gz\" 'b'"
