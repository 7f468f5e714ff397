"""Searching merged logs: by text, expression, container and time, bounded in lines and time; what is no expression is told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from labcontainers.engine.dashboard import log_search
from labcontainers.engine.dashboard.log_search import FoundLines, LogWish, find_lines, search
from labcontainers.errors import InvalidArgument
from labcontainers.runtime.stdio import LOG_HEADER, LOG_TRAILER


def write(path: Path, *lines: tuple[float, int, str]) -> Path:
    """A log of these lines: time in seconds, stream, text."""
    with path.open("ab") as file:
        for time_s, stream, text in lines:
            data = text.encode() + b"\n"
            file.write(LOG_HEADER.pack(stream, len(data), int(time_s * 1e9)) + data + LOG_TRAILER.pack(len(data)))
    return path


def call(function: str, **arguments: Any) -> Any:
    assert function == "labcontainers.engine.dashboard.log_search:find_lines"
    return find_lines(**arguments)


def texts(logs: list[Path], **wish: Any) -> list[str]:
    found, _ = search(call, logs, LogWish(**wish))
    return [text for _, _, _, text, *_ in found]


@pytest.fixture
def logs(tmp_path: Path) -> list[Path]:
    web = write(tmp_path / "web", (10, 1, "GET /a 200"), (30, 2, "WARN slow"), (50, 1, "GET /b 404"))
    db = write(tmp_path / "db", (20, 1, "ready"), (40, 1, "\x1b[32mSELECT\x1b[0m 1"))
    return [web, db]


def test_lines_of_all_logs_are_merged_by_time(logs: list[Path]) -> None:
    found, since = search(call, logs, LogWish())
    assert [(log, text) for log, _, _, text, *_ in found] == [
        (0, "GET /a 200"),
        (1, "ready"),
        (0, "WARN slow"),
        (1, "\x1b[32mSELECT\x1b[0m 1"),
        (0, "GET /b 404"),
    ]
    assert since is None
    assert texts(logs, limit=2) == ["\x1b[32mSELECT\x1b[0m 1", "GET /b 404"]


def test_expressions_and_texts_are_found_in_what_a_reader_sees(logs: list[Path]) -> None:
    assert texts(logs, pattern=r"get /\w 4\d\d") == ["GET /b 404"]
    assert texts(logs, pattern=r"get", match_case=True) == []
    assert texts(logs, pattern="SELECT 1") == ["\x1b[32mSELECT\x1b[0m 1"]
    assert texts(logs, pattern=".", regex=False) == []
    assert texts(logs, pattern="/A", regex=False) == ["GET /a 200"]
    assert len(texts(logs, pattern="x*")) == 5, "what may be nothing is in every line"


def test_lines_are_chosen_by_time_and_stream(logs: list[Path]) -> None:
    assert texts(logs, since=20, until=40) == ["ready", "WARN slow", "\x1b[32mSELECT\x1b[0m 1"]
    assert texts(logs, stdout=False) == ["WARN slow"]
    assert texts(logs, after_ns=int(40e9)) == ["GET /b 404"]
    with pytest.raises(InvalidArgument, match="begins after its end"):
        texts(logs, since=40, until=20)


def test_where_it_was_found_counts_as_a_page_does(tmp_path: Path) -> None:
    log = write(tmp_path / "log", (1, 1, "\U0001f600 ünd \x1b[1mhit\x1b[0m hit"))
    ((_, _, _, _, spans, _),), _ = search(call, [log], LogWish("hit"))
    assert spans == [(7, 10), (11, 14)]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("a(", "missing ), unterminated subpattern at character 2"),
        ("*", "nothing to repeat at character 1"),
        ("[z-a]", "bad character range z-a at character 2"),
        ("(?P<x", "missing >, unterminated name at character 5"),
    ],
)
def test_what_is_no_expression_is_told_with_its_place(logs: list[Path], pattern: str, said: str) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(f"not a regular expression: {pattern!r}: {said}")):
        texts(logs, pattern=pattern)


def test_an_expression_that_takes_too_long_is_stopped_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_search, "TIME_S", 0.5)
    log = write(tmp_path / "log", (1, 1, "a" * 64 + "!"))
    with pytest.raises(InvalidArgument, match="takes too long: '\\(a\\+\\)\\+\\$'"):
        texts([log], pattern="(a+)+$")


def test_a_long_log_is_looked_at_from_its_end_and_how_far_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = write(tmp_path / "log", (0.5, 1, "the needle"), *((float(number), 1, f"line {number}") for number in range(1, 60_000)))
    monkeypatch.setattr(log_search, "TIME_S", 100.0)
    assert texts([log], pattern="needle") == ["the needle"], "in the end all is read"
    found, since = search(call, [log], LogWish("line", limit=100))
    assert (len(found), found[-1][3]) == (100, "line 59999")
    assert since is not None
    assert since > 50_000, "once there were enough it looked no further"
    monkeypatch.setattr(log_search, "TIME_S", 0.0)
    found, since = search(call, [log], LogWish("needle"))
    assert found == []
    assert since is not None


@pytest.mark.parametrize("limit", [0, -1, 20_001])
def test_limits_that_cannot_be_are_refused(logs: list[Path], limit: int) -> None:
    with pytest.raises(InvalidArgument, match="lines cannot be shown"):
        texts(logs, limit=limit)


def test_a_log_that_is_not_there_has_no_lines_and_a_long_line_is_cut(tmp_path: Path) -> None:
    assert texts([tmp_path / "nothing"]) == []
    log = write(tmp_path / "log", (1, 1, "x" * 10_000))
    (text,) = texts([log])
    assert len(text) < 5000
    assert text.endswith(" …")


def test_found_lines_are_a_table() -> None:
    found = FoundLines(["web"], [(0, 2, 1_500_000_000, "\x1b[31mred\x1b[0m", [])], None)
    assert found[0] == ("1970-01-01T00:00:01.500000000Z", "web", "stderr", "red")
    assert "no line is as wanted" in repr(FoundLines([], [], None))


def test_a_line_without_end_says_so_and_comes_again_with_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    write(log, (1, 1, "first"))
    with log.open("ab") as file:
        file.write(LOG_HEADER.pack(1, 6, int(2e9)) + b"name? " + LOG_TRAILER.pack(6))
    found, _ = search(call, [log], LogWish())
    assert [(text, ended) for _, _, _, text, _, ended in found] == [("first", True), ("name? ", False)]
    write(log, (3, 1, "Ada"))
    found, _ = search(call, [log], LogWish(after_ns=int(2e9)))
    assert [(text, ended) for _, _, _, text, _, ended in found] == [("name? Ada", True)]
