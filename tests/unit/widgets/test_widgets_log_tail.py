"""The tail of a log: bursts go out whole, floods are thinned, and every line is sent or counted exactly once."""

from __future__ import annotations

import pytest

from labcontainers.containers.logs import LogLine
from labcontainers.widgets.log_tail import BYTES_PER_BATCH, LINE_BYTES, LINES_KEPT, ROWS_PER_BATCH, LogTail, row_of


def line(text: str | bytes, stream: int = 1) -> LogLine:
    return LogLine(1_500_000_000, stream, text if isinstance(text, bytes) else text.encode())


def numbered(first: int, end: int) -> list[LogLine]:
    return [line(f"{number}\n") for number in range(first, end)]


def drain(tail: LogTail) -> tuple[list[str], int, int]:
    """All that waits: texts, how many were left out, and in how many messages."""
    texts, skipped, messages = [], 0, 0
    while (batch := tail.take()) is not None:
        assert len(batch["rows"]) <= ROWS_PER_BATCH
        texts += [text for _, _, text in batch["rows"]]
        skipped += batch["skipped"]
        messages += 1
    return texts, skipped, messages


BURSTS = [0, 1, ROWS_PER_BATCH, ROWS_PER_BATCH + 1, 1500, LINES_KEPT]

ROWS = [
    (b"plain\n", "plain"),
    (b"no end", "no end"),
    (b"windows\r\n", "windows"),
    (b"", ""),
    (b"\xff\xfe bytes\n", "�� bytes"),
    ("größe\n".encode(), "größe"),
    (b"x" * (LINE_BYTES + 1_000) + b"\n", "x" * LINE_BYTES + " … 1,001 more bytes"),
]


@pytest.mark.parametrize("count", BURSTS)
def test_a_burst_goes_out_whole_and_in_order(count: int) -> None:
    tail = LogTail()
    tail.add(numbered(0, count))
    texts, skipped, messages = drain(tail)
    assert texts == [str(number) for number in range(count)]
    assert skipped == 0
    assert messages == -(-count // ROWS_PER_BATCH)


def test_what_falls_too_far_behind_is_left_out_and_counted() -> None:
    tail = LogTail()
    tail.add(numbered(0, LINES_KEPT + 1))
    texts, skipped, messages = drain(tail)
    assert texts == [str(number) for number in range(LINES_KEPT + 1 - ROWS_PER_BATCH, LINES_KEPT + 1)]
    assert skipped == LINES_KEPT + 1 - ROWS_PER_BATCH
    assert messages == 1


def test_every_line_of_a_flood_is_sent_or_counted() -> None:
    tail = LogTail()
    texts: list[str] = []
    skipped = 0
    for beat in range(60):
        tail.add(numbered(beat * 1000, (beat + 1) * 1000))
        batch = tail.take()
        assert batch is not None
        texts += [text for _, _, text in batch["rows"]]
        skipped += batch["skipped"]
    rest, more, _ = drain(tail)
    assert len(texts) + len(rest) + skipped + more == tail.total == 60_000
    assert [int(text) for text in texts + rest] == sorted({int(text) for text in texts + rest})
    assert (texts + rest)[-1] == "59999"


def test_a_message_is_limited_in_bytes_but_holds_at_least_one_line() -> None:
    tail = LogTail()
    tail.add([line("y" * LINE_BYTES) for _ in range(100)])
    batch = tail.take()
    assert batch is not None
    assert 1 <= len(batch["rows"]) <= BYTES_PER_BATCH // LINE_BYTES
    texts, skipped, _ = drain(tail)
    assert len(batch["rows"]) + len(texts) == 100
    assert skipped == 0


def test_everything_and_what_is_taken_later_are_each_line_once() -> None:
    tail = LogTail()
    tail.add(numbered(0, 700))
    assert tail.everything() == {"skipped": 0, "rows": []}
    tail.take()
    replayed = [text for _, _, text in tail.everything()["rows"]]
    rest, _, _ = drain(tail)
    assert replayed + rest == [str(number) for number in range(700)]


def test_everything_counts_what_is_not_kept_any_more() -> None:
    tail = LogTail(kept=10)
    tail.add(numbered(0, 25))
    drain(tail)
    everything = tail.everything()
    assert everything["skipped"] == 15
    assert [text for _, _, text in everything["rows"]] == [str(number) for number in range(15, 25)]


def test_last_text_takes_nothing_away() -> None:
    tail = LogTail()
    tail.add([line("out\n"), line("err\n", stream=2)])
    assert tail.last_text(1) == [(2, "err")]
    assert tail.last_text(20) == [(1, "out"), (2, "err")]
    assert drain(tail)[0] == ["out", "err"]


@pytest.mark.parametrize(("data", "text"), ROWS)
def test_row_is_what_a_page_can_show(data: bytes, text: str) -> None:
    assert row_of(line(data, stream=2)) == (2, 1.5, text)
