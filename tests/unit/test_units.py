"""Text with units to numbers and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainers.containers.logs import LogLine
from labcontainers.errors import InvalidArgument
from labcontainers.units import (
    format_age,
    format_bytes,
    format_duration,
    format_memory,
    parse_cpus,
    parse_duration_s,
    parse_memory_bytes,
    parse_moment_s,
)

NOW = 1_800_000_000.0
SIZES = [("0", 0), ("1024", 1024), ("1b", 1), ("1k", 1024), ("512m", 512 << 20), ("1.5G", 3 << 29), ("2KiB", 2048), ("1 kb", 1024), (7, 7)]
DURATIONS = [("1h30m", 5400), ("500ms", 0.5), ("10s", 10), ("3", 3), ("2.5", 2.5), ("1m30s", 90), ("100us", 1e-4), (4, 4)]
MOMENTS = [
    ("10m", NOW - 600),
    ("1h30m", NOW - 5400),
    ("1700000000", 1_700_000_000),
    ("1700000000.5", 1_700_000_000.5),
    ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()),
    ("2026-01-31t12:00:00z", datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()),
    ("2026-01-31T12:00:00.25+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC).timestamp() + 0.25),
    ("2026-01-31T12:00:00", datetime(2026, 1, 31, 12).timestamp()),
    ("2026-01-31", datetime(2026, 1, 31).timestamp()),
    (5.5, 5.5),
]
NO_SIZES = ["", "m", "-1m", "1x", "1mm", "nan", "1e3", "9" * 400, "9" * 400 + "p", "1,5g"]
NO_DURATIONS = ["", "m", "-1s", "1x", "1m 2s", "1h2", "nan", "inf", "9" * 400, "s5"]
NO_MOMENTS = ["", "yesterday", "2026-13-01", "2026-01-31T25:00:00Z", "2026-01-31 12:00", "-5m", "1.2.3", "9" * 400]


def attempt(function: Callable[..., Any], *arguments: object) -> Any:
    """What the function returns, or the error of ours that it raises."""
    try:
        return function(*arguments)
    except InvalidArgument as error:
        return error


@pytest.mark.parametrize(("text", "wanted"), SIZES)
def test_a_size_is_read(text: str | int, wanted: int) -> None:
    assert parse_memory_bytes(text) == wanted


@pytest.mark.parametrize(("text", "wanted"), DURATIONS)
def test_a_duration_is_read(text: str | float, wanted: float) -> None:
    assert parse_duration_s(text) == pytest.approx(wanted)


@pytest.mark.parametrize(("text", "wanted"), MOMENTS)
def test_a_moment_is_read(text: str | float, wanted: float) -> None:
    assert parse_moment_s(text, NOW) == wanted


@pytest.mark.parametrize("text", NO_SIZES)
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_memory_bytes(text)
    assert "512m" in caught.value.hint


@pytest.mark.parametrize("text", NO_DURATIONS)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_duration_s(text)
    assert "1m30s" in caught.value.hint


@pytest.mark.parametrize("text", NO_MOMENTS)
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_moment_s(text, NOW)
    assert "2026-01-31T12:00:00Z" in caught.value.hint


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "x", ""])
def test_what_is_no_number_of_cpus_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="CPUs"):
        parse_cpus(text)


@given(st.text())
def test_any_text_is_a_finite_number_or_refused(text: str) -> None:
    for parse in (parse_memory_bytes, parse_duration_s, parse_cpus, lambda value: parse_moment_s(value, NOW)):
        found = attempt(parse, text)
        assert found.hint if isinstance(found, InvalidArgument) else math.isfinite(found)


@given(st.integers(0, 2**62))
def test_the_time_that_a_line_prints_is_the_time_of_that_line(time_ns: int) -> None:
    line = LogLine(time_ns % (4 * 10**18), 1, b"")
    assert parse_moment_s(line.timestamp(), NOW) == line.time_ns / 10**9


@given(st.integers(0, 10**9), st.sampled_from("bkmg"))
def test_sizes_in_each_unit_are_powers_of_1024(number: int, unit: str) -> None:
    assert parse_memory_bytes(f"{number}{unit}") == number * 1024 ** "bkmg".index(unit)


@given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_parts_of_a_duration_add_up(hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
    wanted = hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    assert parse_duration_s(f"{hours}h{minutes}m{seconds}s{milliseconds}ms") == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (format_bytes(0), "0B"),
        (format_bytes(1536), "1.54kB"),
        (format_bytes(2_370_000), "2.37MB"),
        (format_memory(1536), "1.5KiB"),
        (format_memory(64 << 20), "64MiB"),
        (format_age(0.4), "Less than a second"),
        (format_age(1), "1 second"),
        (format_age(60), "1 minute"),
        (format_age(7200), "2 hours"),
        (format_age(86400 * 15), "2 weeks"),
        (format_duration(0.0000601), "60.1 µs"),
        (format_duration(0.0042), "4.2 ms"),
        (format_duration(0.0009999), "1 ms"),
        (format_duration(0.9999), "1 s"),
        (format_duration(1.35), "1.35 s"),
        (format_duration(125), "2 m 05 s"),
    ],
)
def test_numbers_are_written_for_people(text: str, wanted: str) -> None:
    assert text == wanted


@given(st.floats(0, 1e18))
def test_no_size_or_time_is_written_with_an_exponent(value: float) -> None:
    for text in (format_bytes(value), format_memory(value), format_age(value)):
        assert "e+" not in text, text
