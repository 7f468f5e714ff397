"""Why a step was not in the cache: every kind of change by its words, also of long lists, and of records that are none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from labcontainers.build.caching.reasons import COMMAND, ENVIRONMENT, FILES, HERE_DOCUMENTS, TIME, Inputs, Subject, remembered, why

RUN = Subject("RUN", "RUN make", frozenset({"VERSION"}), base=("lab/base", "sha256:1"))
COPY = Subject("COPY", "COPY . /app/", base=("lab/base", "sha256:1"))
RUN_INPUTS: Inputs = {COMMAND: "make", ENVIRONMENT: {"VERSION": "1", "X": "a b"}, "the user": ""}
COPY_INPUTS: Inputs = {FILES: {"app.py": "100644 aa", "lib": "40755 "}, TIME: "0", HERE_DOCUMENTS: {"E": "11"}}


def told(inputs: Inputs, now: Mapping[str, Any], subject: Subject, then: Subject | None = None) -> str:
    before = json.loads(json.dumps(remembered("sha256:p", inputs, then or subject)))
    return why(before, "sha256:p", {**inputs, **now}, subject)


RUNS: tuple[tuple[Mapping[str, Any], str], ...] = (
    ({}, ""),
    ({COMMAND: "make all"}, "RUN: the command changed"),
    ({ENVIRONMENT: {"VERSION": "2", "X": "a b"}}, "ARG VERSION changed"),
    ({ENVIRONMENT: {"VERSION": "1", "X": "c b"}}, "ENV X changed"),
    ({ENVIRONMENT: {"VERSION": "1", "X": "a b", "Y": ""}}, "ENV Y is new"),
    ({ENVIRONMENT: {"X": "a b"}}, "ARG VERSION is gone"),
    ({ENVIRONMENT: {"X": "c"}, "the user": "1"}, "ARG VERSION is gone; ENV X changed; RUN: the user changed"),
    ({"the files of the mount /src": {"a.c": "100644 1"}}, "RUN: a.c of the mount /src is new"),
)


@pytest.mark.parametrize(("now", "words"), RUNS)
def test_what_changed_for_a_command(now: Mapping[str, Any], words: str) -> None:
    assert told(RUN_INPUTS, now, RUN) == words


COPIES: tuple[tuple[Mapping[str, Any], str], ...] = (
    ({FILES: {"app.py": "100644 bb", "lib": "40755 "}}, "COPY: app.py changed"),
    ({FILES: {"app.py": "100755 aa", "lib": "40755 "}}, "COPY: app.py has another mode"),
    ({FILES: {"lib": "40755 "}}, "COPY: app.py is gone"),
    ({FILES: {"app.py": "100644 aa", "lib": "40755 ", **{f"n{n}": "100644 c" for n in range(5)}}},
     "COPY: n0 is new; COPY: n1 is new; COPY: n2 is new and 2 more"),
    ({TIME: "5"}, "SOURCE_DATE_EPOCH changed"),
    ({HERE_DOCUMENTS: {"E": "22"}}, "COPY: the here-document E changed"),
)  # fmt: skip


@pytest.mark.parametrize(("now", "words"), COPIES)
def test_what_changed_for_files(now: Mapping[str, Any], words: str) -> None:
    assert told(COPY_INPUTS, now, COPY) == words


def test_files_of_another_stage_or_image_are_told_by_its_name() -> None:
    subject = replace(COPY, origin="stage build")
    assert told({FILES: "sha256:a"}, {FILES: "sha256:b"}, subject) == "COPY: the files of stage build changed"
    assert told({FILES: {"app": "100755 a"}}, {FILES: {"app": "100644 a"}}, subject) == "COPY: app of stage build has another mode"
    # one of them has too many to name each
    assert told({FILES: "sha256:a"}, {FILES: {"app": "100755 a"}}, subject) == "COPY: the files changed"


def test_a_base_that_moved_is_named_whatever_else_changed() -> None:
    now = replace(RUN, base=("lab/base", "sha256:2"))
    assert told(RUN_INPUTS, {}, now, RUN) == "base moved (lab/base is another image now)"
    assert told(RUN_INPUTS, {COMMAND: "x"}, now, RUN) == "RUN: the command changed; base moved (lab/base is another image now)"
    assert told(RUN_INPUTS, {}, replace(RUN, base=("lab/python", "sha256:3")), RUN) == "FROM changed: lab/python"
    assert told(RUN_INPUTS, {}, replace(RUN, base=("", "")), RUN) == "FROM changed: scratch"


def test_a_changed_parent_is_told_where_nothing_else_changed() -> None:
    before = remembered("sha256:p", RUN_INPUTS, RUN)
    assert why(before, "sha256:q", RUN_INPUTS, replace(RUN, changed_by="step 2 before it changed")) == "step 2 before it changed"
    assert why(before, "sha256:q", RUN_INPUTS, RUN) == "what it builds on changed"


@pytest.mark.parametrize("counts", [(99, 99), (99, 101), (101, 99), (101, 101), (30_000, 30_000)])
def test_of_long_lists_the_files_are_named_too(counts: tuple[int, int]) -> None:
    old, new = ({f"f{n:05}": f"100644 {n:064}" for n in range(count)} for count in counts)
    new["f00007"] = "100644 other"
    words = told({FILES: old}, {FILES: new}, COPY)
    assert words.startswith("COPY: f00007 changed")
    assert words.count("COPY") == 1 + abs(counts[0] - counts[1])
    new["f00007"] = old["f00007"].replace("644", "755")
    assert "COPY: f00007 has another mode" in told({FILES: old}, {FILES: new}, COPY)


def test_of_the_longest_lists_only_that_they_changed_is_known_and_records_stay_small() -> None:
    files = {f"f{n}": f"100644 {n:064}" for n in range(60_000)}
    assert len(json.dumps(remembered("", {FILES: files}, COPY))) < 1000
    assert told({FILES: files}, {FILES: {**files, "f1": "100644 x"}}, COPY) == "COPY: the files changed"
    half = dict(list(files.items())[:30_000])
    assert len(json.dumps(remembered("", {FILES: half}, COPY))) < 30 * len(half)


STRANGE: tuple[dict[str, Any], ...] = (
    {},
    {"inputs": 3, "base": ["", ""], "arguments": [], "parent": ""},
    {"base": []},
    {"inputs": {}, "base": 5},
    {"inputs": {ENVIRONMENT: "zlib:!"}, "base": ["", ""], "arguments": [], "parent": ""},
)


@pytest.mark.parametrize("record", STRANGE)
def test_records_of_another_form_are_told_apart(record: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        why(record, "", RUN_INPUTS, RUN)
