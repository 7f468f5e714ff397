"""Text to nodes: joining, comments, directives, here-documents; and the same answers as BuildKit's own parser where that is installed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labcontainers.build.dockerfile.parser import Dockerfile, parse
from labcontainers.build.dockerfile.source import Faults, excerpt, faults_of, told
from labcontainers.errors import DockerfileError


def read(text: str) -> Dockerfile:
    faults = Faults()
    dockerfile = parse(text, "Dockerfile", faults)
    faults.raise_any()
    return dockerfile


JOINED = [
    ("RUN a", [("RUN", "a", 1, 1)]),
    ("RUN a \\\n  b", [("RUN", "a   b", 1, 2)]),
    ("RUN a \\\n# comment\n\n  b", [("RUN", "a   b", 1, 4)]),
    ("RUN a \\  \nb", [("RUN", "a b", 1, 2)]),
    ("RUN a \\\\\nRUN b", [("RUN", "a \\\\", 1, 1), ("RUN", "b", 2, 2)]),
    ("RUN a\\", [("RUN", "a", 1, 1)]),
    ("# c\n\n   run a", [("RUN", "a", 3, 3)]),
    ("\ufeffFROM a\r\nRUN b\r\n", [("FROM", "a", 1, 1), ("RUN", "b", 2, 2)]),
    ("# escape=`\nRUN a `\n b\nRUN c\\", [("RUN", "a  b", 2, 3), ("RUN", "c\\", 4, 4)]),
    ("RUN echo '# no comment' # either", [("RUN", "echo '# no comment' # either", 1, 1)]),
]


@pytest.mark.parametrize(("text", "nodes"), JOINED)
def test_logical_lines_are_joined_as_buildkit_joins_them(text: str, nodes: list[tuple[str, str, int, int]]) -> None:
    found = [(node.keyword, node.arguments, node.first_line, node.last_line) for node in read(text).nodes]
    assert found == nodes


DIRECTIVES = [
    ("# syntax=docker/dockerfile:1\n# escape=`\nFROM a", {"syntax": "docker/dockerfile:1", "escape": "`"}),
    ("#Escape = `\nFROM a", {"escape": "`"}),
    ("# hello\n# escape=`\nFROM a", {}),
    ("\n# escape=`\nFROM a", {}),
    ("# unknown=1\n# escape=`\nFROM a", {}),
    ("FROM a\n# escape=`", {}),
    ("# check=skip=A,B;error=true\nFROM a", {"check": "skip=A,B;error=true"}),
    ("// syntax=x/y\nFROM a", {"syntax": "x/y"}),
    ("#!/usr/bin/build\n# syntax=x/y\nFROM a", {"syntax": "x/y"}),
    ("#!/usr/bin/build\n# escape=`\n# check=skip=all\nFROM a", {"check": "skip=all"}),
    (" # escape=`\n# syntax=x/y\nFROM a", {"escape": "`"}),
    ("#!/bin/sh\n//syntax=x", {"syntax": "x"}),
    ('{"syntax": "x/y", "b": [1]}', {"syntax": "x/y"}),
    ('{"syntax": "x/y"}\n# syntax=z', {}),
]


@pytest.mark.parametrize(("text", "directives"), DIRECTIVES)
def test_parser_directives_count_only_at_the_top(text: str, directives: dict[str, str]) -> None:
    assert parse(text, "Dockerfile", Faults()).directives == directives


FAULTS = [
    ("", 0, 0, "no instructions"),
    ("# only a comment\n", 0, 0, "no instructions"),
    ("# escape=x\nFROM a", 1, 10, "invalid escape directive"),
    ("# escape=`\n# escape=`\nFROM a", 2, 10, "only one escape"),
    ("FROM a\nRUN <<E\nx", 2, 5, "unterminated heredoc"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), FAULTS)
def test_a_fault_names_its_line_and_column(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(DockerfileError, match=message) as caught:
        read(text)
    assert (caught.value.first_line, caught.value.column) == (line, column)


def test_flags_are_taken_off_before_the_arguments() -> None:
    (node,) = read("COPY --from=a --chown='x y' --link -- --dst /b").nodes
    assert [(flag.name, flag.value) for flag in node.flags] == [("from", "a"), ("chown", "x y"), ("link", None)]
    assert node.arguments == "--dst /b"


def test_a_place_of_a_joined_line_is_the_physical_line_and_column() -> None:
    (node,) = read("RUN one \\\n# between\n   two \\\n three").nodes
    place = node.place_at(node.text.index("three"))
    assert (place.first_line, place.column) == (4, 2)


HEREDOCS = [
    ("RUN <<E\na\nE", [("E", True, False, 0, "a\n")]),
    ("RUN <<-E\n\ta\n\tE", [("E", True, True, 0, "\ta\n")]),
    ("RUN <<'E'\n$a\nE", [("E", False, False, 0, "$a\n")]),
    ('RUN <<"E F"\na\nE F', [("E F", False, False, 0, "a\n")]),
    ("RUN 3<<A cat <<B\n1\nA\n2\nB", [("A", True, False, 3, "1\n"), ("B", True, False, 0, "2\n")]),
    ("COPY <<E /x\nE", [("E", True, False, 0, "")]),
    ("RUN echo '<<E' \"<<E\" a<<E <<<E", []),
    ("ENV a=<<E", []),
    ("RUN <<  E\na\nE", [("E", True, False, 0, "a\n")]),
    ("RUN cat 3<<\t'E' <<- F | x\n1\nE\n2\n\tF", [("E", False, False, 3, "1\n"), ("F", True, True, 0, "2\n")]),
    ("RUN << -E\n-E", [("-E", True, False, 0, "")]),
    ("RUN echo $((1 << 2)) << \nRUN x", []),
    ("RUN echo $((1 << 2)) <<E\na\nE\nRUN x", [("E", True, False, 0, "a\n")]),
    ('RUN ["<<E"]', []),
]


@pytest.mark.parametrize(("text", "heredocs"), HEREDOCS)
def test_here_documents_are_read_to_their_delimiter(text: str, heredocs: list[tuple[str, bool, bool, int, str]]) -> None:
    found = [(doc.name, doc.expand, doc.chomp, doc.descriptor, doc.content) for doc in read(text).nodes[0].heredocs]
    assert found == heredocs


def test_many_faults_are_raised_as_one_error_that_lists_them() -> None:
    with pytest.raises(DockerfileError) as caught:
        read("# escape=x\nFROM a\nRUN <<E\n")
    assert caught.value.message.startswith("2 faults: line 1: ")
    assert [fault.first_line for fault in faults_of(caught.value) if isinstance(fault, DockerfileError)] == [1, 3]


def test_a_reader_is_told_each_fault_with_its_line_and_a_caret() -> None:
    with pytest.raises(DockerfileError) as caught:
        read("# escape=x\nFROM a\nRUN <<E\n")
    assert told(caught.value) == (
        "Dockerfile: 2 faults",
        [
            "Dockerfile:1: invalid escape directive: 'x' (the escape character is \\ or `)",
            "1 | # escape=x",
            "  |          ^",
            "Dockerfile:3: unterminated heredoc: E (end it by a line E)",
            "3 | RUN <<E",
            "  |     ^",
        ],
    )


def test_the_excerpt_draws_a_caret_below_the_column() -> None:
    error = DockerfileError("x", first_line=9, last_line=10, column=3, source="\tab\ncd")
    assert excerpt(error) == " 9 | \tab\n   | \t ^\n10 | cd"


LINES = st.sampled_from(
    [
        "RUN a",
        "RUN a \\",
        "  b \\",
        "",
        "   ",
        "# c",
        "\\",
        "RUN x\\\\",
        "RUN <<E",
        "E",
        "\tE",
        "RUN <<-'E' cat",
        "COPY --from=x a b",
        "CMD []",
    ]
)


@settings(max_examples=300)
@given(st.lists(LINES, max_size=8))
def test_buildkits_parser_finds_the_same_instructions(lines: list[str]) -> None:
    oracle = pytest.importorskip("dockerfile", reason="needs the package dockerfile, BuildKit's parser")
    text = "\n".join(["FROM a", *lines])
    refusal = ""
    try:
        parsed = [one for one in oracle.parse_string(text) if one.cmd]
    except oracle.GoParseError as error:
        refusal = str(error)
    if refusal:
        assert "unterminated heredoc" in refusal, text
        with pytest.raises(DockerfileError):
            read(text)
        return
    expected = [(one.cmd.upper(), one.start_line, one.end_line, tuple(doc.content for doc in one.heredocs)) for one in parsed]
    found = [(node.keyword, node.first_line, node.last_line, tuple(doc.content for doc in node.heredocs)) for node in read(text).nodes]
    assert found == expected
