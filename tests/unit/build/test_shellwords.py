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


WORDS = [
    ("$s", ["one", "two"]),
    ('"$s"', ["one two"]),
    ("a$s b", ["aone", "two", "b"]),
    ("$u", []),
    ('""', []),
    ('"" "a"', ["a"]),
    ("a\\ b", ["a b"]),
]


@pytest.mark.parametrize(("text", "words"), WORDS)
def test_unquoted_values_split_into_words(text: str, words: list[str]) -> None:
    assert expand_words(text, VALUES.get) == words


def test_quotes_of_a_here_document_are_kept() -> None:
    assert expand("a=\"$x\" 'b'", VALUES.get, quotes=False) == "a=\"foo.tar.gz\" 'b'"


BUILDKIT_VALUES = {"x": "foo.tar.gz", "e": "", "p": "/a/b/c", "s": "one two", "b": "a\\*b"}

# What `ENV D=…` became in an image that BuildKit of Docker 28.5 built with these values.
BUILDKITS = [
    ("${u:-'a b'}", "a b"), ("${p//[/]/-}", "/a/b/c"), ("${x/./$}", "foo$tar.gz"), ("${p//b/\\/}", "/a/\\//c"), ("$$", ""),
    ("${1}", ""), ("${x/f?o/a\\}b}", "a\\}b.tar.gz"), ('${x%"gz"}', "foo.tar."), ("${b/\\*/x}", "a\\xb"), ("${b/\\\\/x}", "ax*b"),
    ("${x/o/$1}", "fo.tar.gz"), ("${x/o/\\$1y}", "f\\$1yo.tar.gz"), ("${x/o/a\\ b}", "fa\\ bo.tar.gz"), ("${*:-a}", "a"),
    ("${x%%}", "foo.tar.gz"), ("${x////z}", "/zf/zo/zo/z./zt/za/zr/z./zg/zz/z"), ("${b#a\\*}", "a\\*b"), ('${b#"a*"}', "\\*b"),
    ('${x/"foo"/"b"}', "b.tar.gz"), ("${x/'f*'/b}", "b"), ("é$éa", "é"), ("${x//*/z}", "z"), ("${e//*/z}", "z"), ("${e/*/z}", "z"),
    ("${x//o*/z}", "fz"), ("${x/?/}", "oo.tar.gz"), ("${x//?/\\?}", "\\?" * 10), ("${u:-a\\}b}", "a}b"), ("${u:-a\\b}", "ab"),
    ('"${u:-a\\b}"', "ab"), ("${x:+\\$a}", "$a"), ("${@:-1}", "1"), ("a\\", "a"), ("${x///z}", "zfzozoz.ztzazrz.zgzzz"),
    ("${e///z}", "z"), ("${e//a/z}", ""), ('${x#"\\f"}', "foo.tar.gz"), ('${x/"\\."/-}', "foo.tar.gz"), ("${x%%o*r}", "foo.tar.gz"),
    ("${x%o*r.*}", "fo"), ("${x##*o*}", ""), ("${x#*o}", "o.tar.gz"), ("${x##*o}", ".tar.gz"), ("${x/#foo/a}", "foo.tar.gz"),
    ("\"${u:-'a'}\"", "a"), ("'a'\"b\"c", "abc"), ("$x-y", "foo.tar.gz-y"), ("$_", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), BUILDKITS)
def test_a_word_expands_as_buildkit_expands_it(text: str, expected: str) -> None:
    assert expand(text, BUILDKIT_VALUES.get) == expected


ESCAPES = [("${x#\\f}", "invalid escape '\\\\f'"), ("${x/o}", "missing '/'"), ("${x%a\\", "missing '}'"), ("${{x}", "bad substitution")]


@pytest.mark.parametrize(("text", "message"), ESCAPES)
def test_what_buildkit_refuses_in_a_pattern_is_refused(text: str, message: str) -> None:
    with pytest.raises(ExpansionFault, match=message):
        expand(text, BUILDKIT_VALUES.get)


def test_a_dollar_in_what_is_put_in_is_a_dollar_on_purpose() -> None:
    # BuildKit takes `$1` there for a reference of Go's regular expressions
    assert expand("${x//o/'$1'}", BUILDKIT_VALUES.get) == "f$1$1.tar.gz"


BOMBS = [
    ("${u:-" * 200 + "}" * 200, "nested more than"),
    ("$long" * 20, "too long"),
    ("${long//a/$long}", "too long"),
]


@pytest.mark.parametrize(("text", "message"), BOMBS)
def test_a_word_that_expands_without_end_is_refused(text: str, message: str) -> None:
    with pytest.raises(ExpansionFault, match=message):
        expand(text, {"long": "a" * 1_000_000}.get)


def test_a_pattern_of_many_stars_takes_linear_time() -> None:
    assert expand("${long%%" + "*a" * 40 + "b}", {"long": "a" * 100_000}.get) == "a" * 100_000
