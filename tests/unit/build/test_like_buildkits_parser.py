"""The same answers as BuildKit's own parser (PyPI's `dockerfile`) over a corpus of Dockerfiles and mutations of it."""

from __future__ import annotations

import re
from json import JSONDecoder
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labcontainers.build.dockerfile.argument_forms import split_spaces
from labcontainers.build.dockerfile.instructions import Command, From, Instruction, Pairs, Text, Transfer, Words, read_instruction
from labcontainers.build.dockerfile.parser import Dockerfile, Node, parse
from labcontainers.build.dockerfile.source import Faults
from labcontainers.errors import DockerfileError, LabError

CORPUS = {
    "python": (
        "# syntax=docker/dockerfile:1\nARG V=3.11\nFROM --platform=$BUILDPLATFORM python:${V}-slim AS build\nWORKDIR /app\n"
        "COPY --chown=1000:1000 --link requirements.txt ./\nRUN --mount=type=cache,target=/root/.cache \\\n"
        "    pip install -r requirements.txt && \\\n    # a comment\n    echo done\n\nFROM python:${V}-slim\n"
        'COPY --from=build /app /app\nENV A=1 B="two words" C=three\\ words\nEXPOSE 80 443/udp\nCMD ["python", "-m", "app"]\n'
    ),
    "heredocs": (
        "FROM a\nRUN <<EOF\nset -e\necho $x\nEOF\nRUN <<-'A' cat 3<<B <<\"C\"\n\t$a\n\tA\nb\nB\nC\n"
        "COPY <<one <<-two /dest/\n1\none\n\t2\n\ttwo\nADD --chmod=644 <<E /x\nE\nRUN python3 <<P\nprint(1)\nP\n"
    ),
    "escape": "# escape=`\nFROM a\nRUN dir c:\\ `\n  && x\nCOPY a `\n\n  b\\\nENV a=b` c\nRUN a ``\n",
    "forms": (
        'FROM a\nRUN ["a", "b c", "\\u0041"]\nRUN ["a", b]\nRUN [ "x" ]  \nCMD a "b" \'c\'\nENTRYPOINT ["/e"]\nSHELL ["/bin/bash", "-c"]\n'
        'COPY ["a b", "c/"]\nADD [ "x", "y" ]\nVOLUME ["/a", "/b"]\nVOLUME /c /d\nHEALTHCHECK --interval=5s --retries=3 CMD a || b\n'
        'HEALTHCHECK NONE\nHEALTHCHECK CMD ["a", "b"]\n'
    ),
    "pairs": (
        "FROM a\nENV a b  c\nENV a=b c='d e' f=\"g h\" i=j\\ k\nLABEL x.y=\"z\" \\\n  w='v'\nLABEL old style value\nARG one\n"
        'ARG two=2 three\nENV e=\nENV "q r"=s\nENV a="b\\"c" d\nENV a=b\\\\ c=d\n'
    ),
    "odd": (
        "\ufefffrom a as b\r\n\r\n  run x \\\r\n   y\r\n# c\r\nUser a\r\nmaintainer me <a@b>\r\nstopsignal SIGTERM\r\nonbuild RUN a b\r\n"
        "ONBUILD COPY <<E /x\r\nE\r\n"
    ),
    "continued": "FROM a\nRUN a \\\n\n\n  # c\n  b \\  \n\tc\\\n d\nRUN \\\n x\n\\\n\\\nRUN y \\ z\nRUN e\\\\\nRUN f\\\\\\\n g\nCMD \\\n",
    "shebang": "#!/usr/bin/env docker build\n# escape=`\nFROM a\nRUN b `\n c\n",
}  # fmt: skip


def oracle(text: str) -> list[Any] | None:
    """What BuildKit's parser makes of it, None when it refuses."""
    module = pytest.importorskip("dockerfile", reason="needs the package dockerfile, BuildKit's parser, which has wheels for x86_64 only")
    try:
        return list(module.parse_string(text))
    except module.GoParseError:
        return None


def nodes(text: str) -> Dockerfile | None:
    faults = Faults()
    dockerfile = parse(text, "Dockerfile", faults)
    try:
        faults.raise_any()
    except DockerfileError:
        return None
    return dockerfile


def shape(text: str) -> list[tuple[object, ...]] | None:
    """What our parser makes of a text, in the oracle's terms."""
    dockerfile = nodes(text)
    if dockerfile is None:
        return None
    return [
        (
            node.keyword,
            node.first_line,
            node.last_line,
            tuple(f"--{flag.name}" + ("" if flag.value is None else f"={flag.value}") for flag in node.flags),
            tuple((doc.name, doc.descriptor, doc.content) for doc in node.heredocs if node.keyword != "ONBUILD"),
        )
        for node in dockerfile.nodes
    ]


def expected_shape(found: list[Any]) -> list[tuple[object, ...]]:
    return [
        (
            one.cmd.upper(),
            one.start_line,
            one.end_line,
            one.flags,
            tuple((doc.name, doc.file_descriptor, doc.content) for doc in one.heredocs),
        )
        for one in found
    ]


def values(instruction: Instruction) -> tuple[str, ...] | None:
    """The arguments as BuildKit's parser splits them, None for instructions that it splits by rules of its own."""
    match instruction:
        case From() | Words() if not instruction.node.arguments.startswith("["):
            return tuple(word.text for word in split_spaces(instruction.node.arguments))
        case Command(is_shell_form=True):
            return tuple(word.text for word in instruction.words if word.text)
        case Command() | Words():
            return tuple(word.text for word in instruction.words)
        case Transfer() if not instruction.files:
            return (*(word.text for word in instruction.sources), instruction.destination.text)
        case Text():
            return (instruction.word.text,)
        case Pairs() if instruction.node.keyword in ("ENV", "LABEL"):
            return tuple(text for pair in instruction.pairs for text in (pair.key.text, pair.value.text if pair.value else ""))
        case Pairs():
            return tuple(pair.key.text + ("" if pair.value is None else f"={pair.value.text}") for pair in instruction.pairs)
    return None


def has_rest(node: Node) -> bool:
    """Whether something follows an array, which BuildKit takes for a part of a command; the package is older than that."""
    start = node.arguments.find("[")
    try:
        _, end = JSONDecoder().raw_decode(node.arguments, max(start, 0))
    except ValueError:
        return False
    return start >= 0 and bool(node.arguments[end:].strip())


def refuses(text: str) -> bool:
    faults = Faults()
    dockerfile = parse(text, "Dockerfile", faults)
    for node in dockerfile.nodes:
        read_instruction(node, dockerfile.escape, faults)
    try:
        faults.raise_any()
    except LabError:
        return True
    return False


def compare(text: str) -> None:
    """The same nodes, and the same arguments in those that we find well formed; what BuildKit refuses is refused here."""
    if re.search(r"<<-?[ \t]", text) or any(map(has_rest, parse(text, "Dockerfile", Faults()).nodes)):
        return
    found = oracle(text)
    if found is None or not any(one.cmd for one in found):
        assert refuses(text), text
        return
    # a lone escape character is an instruction without a name to BuildKit, and nothing to us
    found = [one for one in found if one.cmd]
    assert shape(text) == expected_shape(found), text
    dockerfile = parse(text, "Dockerfile", Faults())
    for node, one in zip(dockerfile.nodes, found, strict=True):
        instruction = read_instruction(node, dockerfile.escape, Faults())
        got = None if instruction is None else values(instruction)
        assert got is None or got == one.value, text


@pytest.mark.parametrize("name", CORPUS)
def test_the_corpus_is_read_as_buildkit_reads_it(name: str) -> None:
    compare(CORPUS[name])


ALPHABET = " \t\n\\`\"'$<>-#=[],aE{}|:/"
EDITS = st.lists(
    st.tuples(st.integers(0, 10_000), st.sampled_from(["delete", "insert", "replace", "cut"]), st.sampled_from(ALPHABET)), max_size=6
)


def edited(text: str, edits: list[tuple[int, str, str]]) -> str:
    """The text after some edits at places counted modulo its length."""
    for number, kind, char in edits:
        at = number % (len(text) + 1)
        if kind == "cut":
            text = text[at:] + text[:at] if char in " \n" else text[:at] + text[at + number % 7 :]
        else:
            text = text[:at] + ("" if kind == "delete" else char) + text[at + (kind != "insert") :]
    return text


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(CORPUS)), EDITS)
def test_mutations_of_the_corpus_are_read_as_buildkit_reads_them(name: str, edits: list[tuple[int, str, str]]) -> None:
    compare(edited(CORPUS[name], edits))
