"""JSON as the launcher reads and writes it is that of the module json, also where it is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainers.kernel.lean import dumps, loads

HOUSE = Path(__file__).resolve().parents[3]
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
WRONG = ["", " ", "{", "[1,", '{"a" 1}', "1 2", "nul", "NaN", "-Infinity", '"\\x"', '"a\nb"', "{'a': 1}", "[1]]", b"\xff"]


@given(PLAIN)
def test_what_is_written_is_read_back_and_is_what_json_writes(value: Any) -> None:
    text = dumps(value)
    assert text == json.dumps(value, separators=(",", ":"))
    assert loads(text) == value == loads(f" \n{json.dumps(value, indent=2)}\t".encode())


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|utf-8"):
        loads(text)


@given(st.text() | st.binary())
def test_any_text_is_a_value_or_a_value_error(text: str | bytes) -> None:
    try:
        expected = json.loads(text)
    except (ValueError, RecursionError):
        expected = ValueError
    try:
        found = loads(text)
    except ValueError:
        found = ValueError
    if expected is not ValueError and found is not ValueError:
        assert found == expected or found != found  # NaN is unlike itself
    assert found is ValueError or expected is not ValueError


def test_what_is_no_json_is_a_value_error_also_where_nothing_can_be_imported() -> None:
    program = f"""
import sys
sys.path.append({str(HOUSE)!r})
from labcontainers.kernel.lean import loads
sys.path.clear(), sys.meta_path.clear()
for text in {[*WRONG, "[" * 100_000]!r}:
    try:
        loads(text)
    except ValueError:
        print("refused")
"""
    answer = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["refused"] * (len(WRONG) + 1)


def test_what_has_no_form_in_json_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="object has no form in JSON"):
        dumps({"a": object()})
