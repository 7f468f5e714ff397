"""What a lock of images says, and what it takes for one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainers.errors import InvalidArgument, NotFound
from labcontainers.images.lock_file import Locked, from_text, named, to_text

ID, ONE, TWO = (f"sha256:{digit * 64}" for digit in "abc")
WEB = Locked("team/web:1", ID, "linux/amd64", (ONE, TWO), TWO)
BASE = Locked("lab/base:latest", TWO, "linux/arm64/v8", ())


def test_a_file_says_the_same_whatever_the_order_and_is_read_as_it_was() -> None:
    text = to_text([WEB, BASE])
    assert text == to_text([BASE, WEB])
    assert text.endswith("}\n")
    assert from_text(text) == {"team/web:1": WEB, "lab/base:latest": BASE}


def test_what_a_registry_had_can_be_pulled_again() -> None:
    assert (WEB.source, BASE.source) == (f"team/web@{TWO}", "")


@pytest.mark.parametrize(("names", "found"), [((), {"team/web:1", "lab/base:latest"}), (("lab/base",), {"lab/base:latest"})])
def test_those_asked_for_are_found_by_any_form_of_their_names(names: tuple[str, ...], found: set[str]) -> None:
    assert {entry.name for entry in named(from_text(to_text([WEB, BASE])), names, "x.lock")} == found


def test_a_name_that_is_not_locked_is_told_with_those_that_are() -> None:
    with pytest.raises(
        NotFound, match=r"x\.lock has no image team/web:2 \(it has lab/base:latest, team/web:1; `lock team/web:2` adds it\)"
    ):
        named(from_text(to_text([WEB, BASE])), ["team/web:2"], "x.lock")


ENTRY = {"id": ID, "platform": "linux/amd64", "layers": [ONE]}


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"version": 2, "images": {}},
        {"version": 1, "images": []},
        {"version": 1, "images": {"a": {}}},
        {"version": 1, "images": {"a": {**ENTRY, "id": "abc"}}},
        {"version": 1, "images": {"a": {**ENTRY, "id": 1}}},
        {"version": 1, "images": {"a": {**ENTRY, "layers": 5}}},
        {"version": 1, "images": {"a": {**ENTRY, "layers": [[]]}}},
        {"version": 1, "images": {"a": {**ENTRY, "platform": None}}},
        {"version": 1, "images": {"a": {**ENTRY, "digest": "sha256:0"}}},
        {"version": 1, "images": {"A b": ENTRY}},
    ],
    ids=json.dumps,
)
def test_what_is_no_lock_is_refused(value: object) -> None:
    with pytest.raises(InvalidArgument):
        from_text(json.dumps(value))


KEYS = st.sampled_from(["version", "images", "id", "layers", "platform", "a"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([ID, "version", "images"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner),
    max_leaves=12,
)


@given(JSON.map(json.dumps) | st.text(max_size=40))
def test_any_text_is_a_lock_or_refused(text: str) -> None:
    try:
        entries = from_text(text)
    except InvalidArgument:
        return
    assert all(isinstance(entry, Locked) for entry in entries.values())
