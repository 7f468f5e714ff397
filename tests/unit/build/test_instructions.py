"""Nodes to typed instructions, and what is said about those that are not well formed."""

from __future__ import annotations

import pytest

from labcontainers.build.dockerfile.instructions import (
    Command,
    From,
    Healthcheck,
    Instruction,
    Onbuild,
    Pairs,
    Transfer,
    Words,
    read_dockerfile,
)
from labcontainers.build.dockerfile.source import faults_of
from labcontainers.errors import DockerfileError


def read_one(line: str) -> Instruction:
    return read_dockerfile("FROM a\n" + line)[1][-1]


def test_from_takes_a_name_for_its_stage() -> None:
    found = read_one("FROM --platform=linux/amd64 lab/base:1 as Build")
    assert isinstance(found, From)
    assert (found.image.text, found.stage_name) == ("lab/base:1", "build")


COMMANDS = [
    ("RUN echo $x", ("echo $x",), True),
    ('RUN ["a", "b c"]', ("a", "b c"), False),
    ('RUN ["a"', ('["a"',), True),
    ("RUN ['a']", ("['a']",), True),
    ('CMD ["a"] rest', ('["a"] rest',), True),
    ("ENTRYPOINT []rest", ("[]rest",), True),
    ("CMD", ("",), True),
    ("CMD []", (), False),
    ('SHELL ["/bin/bash", "-c"]', ("/bin/bash", "-c"), False),
    ('ENTRYPOINT [ "\\u0041\\"" ]', ('A"',), False),
]


@pytest.mark.parametrize(("line", "words", "is_shell_form"), COMMANDS)
def test_a_command_has_a_shell_form_and_an_exec_form(line: str, words: tuple[str, ...], is_shell_form: bool) -> None:
    found = read_one(line)
    assert isinstance(found, Command)
    assert tuple(word.text for word in found.words) == words
    assert found.is_shell_form is is_shell_form


PAIRS = [
    ("ENV a=b", [("a", "b")]),
    ("ENV a b c ", [("a", "b c")]),
    ("ENV a=b\\ c d='e f' g=\"h=i\"", [("a", "b\\ c"), ("d", "'e f'"), ("g", '"h=i"')]),
    ("ENV a=", [("a", "")]),
    ("LABEL a.b=c \\\n d=e", [("a.b", "c"), ("d", "e")]),
    ("ARG a", [("a", None)]),
    ("ARG a=1 b c='2 3'", [("a", "1"), ("b", None), ("c", "'2 3'")]),
]


@pytest.mark.parametrize(("line", "pairs"), PAIRS)
def test_pairs_keep_their_quotes_until_they_are_expanded(line: str, pairs: list[tuple[str, str | None]]) -> None:
    found = read_one(line)
    assert isinstance(found, Pairs)
    assert [(pair.key.text, pair.value.text if pair.value else None) for pair in found.pairs] == pairs


def test_a_copy_has_sources_and_a_destination() -> None:
    found = read_one('COPY --from=0 --exclude=*.md --exclude=x ["a b", "c", "/d/"]')
    assert isinstance(found, Transfer)
    assert [word.text for word in found.sources] == ["a b", "c"]
    assert found.destination.text == "/d/"
    assert [word.text for word in found.flags["exclude"]] == ["*.md", "x"]


def test_a_copy_takes_here_documents_as_files() -> None:
    found = read_one("COPY <<A x <<-B /d/\n1\nA\n\t2\n\tB")
    assert isinstance(found, Transfer)
    assert [word.text for word in found.sources] == ["x"]
    assert [(file.name, file.text) for file in found.files] == [("A", "1\n"), ("B", "2\n")]


def test_instructions_of_later_versions_are_parsed_too() -> None:
    assert isinstance(read_one("HEALTHCHECK --interval=5s --retries=2 CMD curl x"), Healthcheck)
    assert isinstance(read_one("HEALTHCHECK NONE"), Healthcheck)
    trigger = read_one("ONBUILD COPY --from=x a b")
    assert isinstance(trigger, Onbuild)
    assert isinstance(trigger.trigger, Transfer)
    assert isinstance(read_one("VOLUME /a /b"), Words)


FAULTS = [
    ("FORM x", 1, "unknown instruction: FORM", "did you mean FROM?"),
    ("COPPY a b", 1, "unknown instruction: COPPY", "did you mean COPY?"),
    ("FROM a b", 8, "either one or three", "AS name"),
    ("FROM a AS 1x", 11, "invalid name for build stage", "begins with a letter"),
    ("COPY --frmo=x a b", 6, "unknown flag: --frmo", "did you mean --from?"),
    ("COPY --from=x --from=y a b", 15, "duplicate flag", ""),
    ("COPY --from a b", 6, "missing a value", ""),
    ("COPY --link=maybe a b", 6, "expecting boolean", ""),
    ("ENV --x=y a=b", 5, "unknown flag: --x", "ENV has no flags"),
    ("COPY a", 6, "at least two arguments", "destination"),
    ("COPY a b c", 10, "must be a directory", "write c/"),
    ("COPY a <<E\nE", 8, "heredoc as a destination", ""),
    ("ENV a", 5, "must have two arguments", "a=value"),
    ("ENV a=b c", 9, "can't find = in 'c'", "quote"),
    ("ENV =b", 5, "names can not be blank", ""),
    ('RUN ["a", 1]', 5, "comprised of strings", "double quotes"),
    ("RUN []", 5, "at least one argument", ""),
    ("SHELL bash", 7, "JSON form", ""),
    ("RUN", 1, "RUN requires arguments", ""),
    ("USER a b", 8, "exactly one argument", ""),
    ("HEALTHCHECK CURL x", 13, "unknown type 'CURL'", "CMD or NONE"),
    ("HEALTHCHECK --interval=soon CMD x", 1, "not a duration", ""),
    ("ONBUILD ONBUILD RUN x", 9, "chaining ONBUILD", ""),
    ("ONBUILD FROM x", 9, "not allowed as an ONBUILD trigger", ""),
    ("EXPOSE", 1, "at least one argument", ""),
    ('VOLUME [""]', 8, "at least one argument", ""),
]


@pytest.mark.parametrize(("line", "column", "message", "hint"), FAULTS)
def test_a_malformed_instruction_is_refused_with_place_and_hint(line: str, column: int, message: str, hint: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        read_one(line)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert (caught.value.first_line, caught.value.column) == (2, column)
    assert caught.value.source == line.split("\n")[0]


def test_all_faults_of_a_file_are_raised_at_once() -> None:
    with pytest.raises(DockerfileError) as caught:
        read_dockerfile("FRM a\nRUN a\nCOPY x\nENV a=b \\\n  c")
    faults = faults_of(caught.value)
    assert [(fault.first_line, fault.column) for fault in faults if isinstance(fault, DockerfileError)] == [(1, 1), (3, 6), (5, 3)]
    assert "line 3: COPY requires" in caught.value.message
