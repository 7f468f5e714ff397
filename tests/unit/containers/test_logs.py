"""Lines of a log file: exact to the byte, from the beginning or from the end, and followed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labcontainers.containers.log_records import ForwardReader, records_from_end
from labcontainers.containers.logs import LogLine, LogQuery, LogReader, Logs, start_of
from labcontainers.runtime.stdio import LOG_HEADER, LOG_TRAILER

Piece = tuple[int, int, bytes]

PIECES: list[Piece] = [
    (100, 1, b"one\ntwo\n"),
    (200, 2, b"err"),
    (300, 1, b"three"),
    (400, 2, b"or\n"),
    (500, 1, b"\nfour \xff\x00\r\n"),
    (600, 2, b"last"),
]


def record(piece: Piece) -> bytes:
    time_s, stream, data = piece
    return LOG_HEADER.pack(stream, len(data), time_s * 10**9) + data + LOG_TRAILER.pack(len(data))


def write(path: Path, pieces: Sequence[Piece]) -> Path:
    path.write_bytes(b"".join(map(record, pieces)))
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write(tmp_path / "log", PIECES)


def read(path: Path, **query: object) -> list[tuple[int, bytes]]:
    return [(line.stream, line.data) for line in Logs(path, LogQuery(**query))]


def test_lines_are_exact_and_in_the_order_of_their_ends(log: Path) -> None:
    assert read(log) == [(1, b"one\n"), (1, b"two\n"), (2, b"error\n"), (1, b"three\n"), (1, b"four \xff\x00\r\n"), (2, b"last")]
    assert Logs(log, LogQuery()).data == b"one\ntwo\nerror\nthree\nfour \xff\x00\r\nlast"
    assert Logs(log, LogQuery()).text == "one\ntwo\nerror\nthree\nfour \ufffd\x00\r\nlast"


def test_a_line_has_the_time_of_its_end_and_an_unfinished_one_that_of_its_last_piece(log: Path) -> None:
    assert [line.time_ns // 10**9 for line in Logs(log, LogQuery())] == [100, 100, 400, 500, 500, 600]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"stderr": False}, [b"one\n", b"two\n", b"three\n", b"four \xff\x00\r\n"]),
        ({"stdout": False}, [b"error\n", b"last"]),
        ({"stdout": False, "stderr": False}, []),
        ({"tail": 0}, []),
        ({"tail": 1}, [b"last"]),
        ({"tail": 2}, [b"four \xff\x00\r\n", b"last"]),
        ({"tail": 3, "stderr": False}, [b"two\n", b"three\n", b"four \xff\x00\r\n"]),
        ({"tail": 100}, [b"one\n", b"two\n", b"error\n", b"three\n", b"four \xff\x00\r\n", b"last"]),
        ({"since": 400.0}, [b"error\n", b"three\n", b"four \xff\x00\r\n", b"last"]),
        ({"until": 400.0}, [b"one\n", b"two\n", b"error\n"]),
        ({"since": 400.0, "until": 500.0}, [b"error\n", b"three\n", b"four \xff\x00\r\n"]),
        ({"since": 400.0, "tail": 2}, [b"four \xff\x00\r\n", b"last"]),
        ({"until": 400.0, "tail": 1}, [b"error\n"]),
        ({"since": 1000.0}, []),
    ],
    ids=str,
)
def test_a_query_chooses_lines(log: Path, query: dict[str, object], wanted: list[bytes]) -> None:
    assert [data for _, data in read(log, **query)] == wanted


def test_times_are_printed_before_the_exact_bytes(log: Path) -> None:
    logs = Logs(log, LogQuery(tail=2), timestamps=True)
    stamp = b"1970-01-01T00:08:20.000000000Z "
    assert [logs.render_bytes(line) for line in logs] == [stamp + b"four \xff\x00\r\n", b"1970-01-01T00:10:00.000000000Z last"]


def test_a_log_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    assert read(tmp_path / "log") == []


def test_html_is_escaped_and_bounded(tmp_path: Path) -> None:
    pieces = [(1, 1, b"<script>alert(1)</script>\n"), *[(2, 2, b"line %d\n" % index) for index in range(1000)]]
    logs = Logs(write(tmp_path / "log", pieces), LogQuery())
    assert "<script>" not in logs._repr_html_()
    assert "&lt;script&gt;" in Logs(tmp_path / "log", LogQuery(stderr=False))._repr_html_()
    assert logs._repr_html_().count("\n") == repr(logs).count("\n") + 1 == 200


# --- from the end


def test_records_from_the_end_are_those_from_the_beginning_reversed(log: Path) -> None:
    with log.open("rb") as file:
        forward = list(ForwardReader(file.fileno()).read())
        size = os.fstat(file.fileno()).st_size
        for block_bytes in (1, 16, 40, 1 << 20):
            assert list(records_from_end(file.fileno(), size, block_bytes)) == forward[::-1]


@pytest.mark.parametrize("cut", [1, 4, 5, 20])
def test_a_torn_record_at_the_end_hides_no_line_before_it(tmp_path: Path, cut: int) -> None:
    whole = b"".join(map(record, PIECES))
    (tmp_path / "log").write_bytes(whole[:-cut])
    assert [data for _, data in read(tmp_path / "log", tail=2)] == [b"three\n", b"four \xff\x00\r\n"]


def test_the_tail_of_a_large_log_is_read_from_its_end(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        for index in range(20_000):
            file.write(record((index, 1, b"line %d\n" % index)))
        size = file.tell()
    with (tmp_path / "log").open("rb") as file:
        assert start_of(file.fileno(), LogQuery(tail=5)) > size * 0.9
        assert start_of(file.fileno(), LogQuery(since=19_990.0)) > size * 0.9
    assert [data for _, data in read(tmp_path / "log", tail=2)] == [b"line 19998\n", b"line 19999\n"]


@dataclass(frozen=True)
class Case:
    pieces: list[Piece]
    query: LogQuery


@st.composite
def cases(draw: Callable[[st.SearchStrategy[object]], object]) -> Case:
    texts = st.sampled_from([b"a", b"b\n", b"\n", b"c\nd", b"e\nf\n", b"\n\n", b"\x01\0\0\0", b"g"])
    drawn = draw(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([1, 2]), texts), max_size=12))
    now, pieces = 1, []
    for later, stream, data in drawn:
        now += later
        pieces.append((now, stream, data))
    moments = st.none() | st.integers(0, 24).map(float)
    query = st.builds(LogQuery, st.booleans(), st.booleans(), st.none() | st.integers(0, 6), moments, moments)
    return Case(pieces, draw(query))


def plainly(case: Case) -> list[LogLine]:
    """What the query wants, by reading everything."""
    lines: list[LogLine] = []
    partial: dict[int, tuple[int, bytes]] = {}
    for time_s, stream, data in case.pieces:
        *ended, last = (partial.pop(stream, (0, b""))[1] + data).split(b"\n")
        lines += [LogLine(time_s * 10**9, stream, part + b"\n") for part in ended]
        if last:
            partial[stream] = (time_s, last)
    unfinished = [
        LogLine(at * 10**9, stream, data) for stream, (at, data) in sorted(partial.items(), key=lambda each: (each[1][0], each[0]))
    ]
    wanted, rest = (list(filter(case.query.wants, each)) for each in (lines, unfinished))
    if case.query.tail is None:
        return wanted + rest
    last = sorted([*wanted[max(len(wanted) - case.query.tail, 0) :], *rest], key=lambda line: line.time_ns)
    return last[max(len(last) - case.query.tail, 0) :]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400, deadline=None)
@given(cases())
def test_reading_from_the_end_gives_what_reading_everything_gives(tmp_path: Path, case: Case) -> None:
    assert list(Logs(write(tmp_path / "log", case.pieces), case.query)) == plainly(case)


def test_lines_are_printed_many_at_once_but_each_stream_apart(log: Path) -> None:
    assert list(Logs(log, LogQuery()).pieces()) == [
        (1, b"one\ntwo\n"),
        (2, b"error\n"),
        (1, b"three\nfour \xff\x00\r\n"),
        (2, b"last"),
    ]
    many = write(log, [(1, 1, b"%d\n" % index) for index in range(30_000)])
    pieces = [data for _, data in Logs(many, LogQuery()).pieces()]
    assert len(pieces) == 3
    assert b"".join(pieces) == b"".join(b"%d\n" % index for index in range(30_000))


# --- following


class Growing:
    """A log that grows each time when it is asked whether the container runs; runs as long as there is more to write."""

    def __init__(self, path: Path, steps: Sequence[Sequence[Piece]]) -> None:
        self._path = path
        self._steps = list(steps)

    def __call__(self) -> bool:
        if not self._steps:
            return False
        with self._path.open("ab") as file:
            file.writelines(map(record, self._steps.pop(0)))
        return True


def follow(log: Path, steps: Sequence[Sequence[Piece]], **query: object) -> Iterator[bytes]:
    return (line.data for line in Logs(log, LogQuery(**query), running=Growing(log, steps)))


def test_following_gives_each_line_once_and_ends_with_the_container(log: Path) -> None:
    steps = [[(700, 2, b" words\nmore")], [], [(800, 1, b"five\n"), (900, 2, b" and ")], [(950, 2, b"end")]]
    assert list(follow(log, steps)) == [
        *(b"one\n", b"two\n", b"error\n", b"three\n", b"four \xff\x00\r\n"),
        *(b"last words\n", b"five\n", b"more and end"),
    ]


def test_following_the_tail_gives_an_unfinished_line_whole_once_it_ends(log: Path) -> None:
    assert list(follow(log, [[(700, 2, b" words\n")]], tail=0)) == [b"last words\n"]
    assert list(follow(log, [[(800, 1, b"five\n")]], tail=1, stderr=False)) == [b"four \xff\x00\r\n", b"five\n"]


def test_following_the_tail_shows_the_first_line_of_a_stream_that_was_silent(tmp_path: Path) -> None:
    path = write(tmp_path / "log", [(1, 1, b"a\n"), (2, 1, b"b\n"), (3, 1, b"c\n")])
    assert list(follow(path, [[(4, 2, b"err\n")]], tail=1)) == [b"c\n", b"err\n"]


def test_nothing_is_kept_back_while_a_follower_waits(tmp_path: Path) -> None:
    path = write(tmp_path / "log", [(1, 1, b"a\nb\n")])
    growing = Growing(path, [[], [(2, 1, b"c\n"), (2, 1, b"d\n")]])
    assert list(Logs(path, LogQuery(), running=growing).pieces()) == [(1, b"a\nb\n"), (1, b"c\nd\n")]


def test_a_reader_goes_on_where_it_was_even_in_the_middle_of_a_record(log: Path) -> None:
    whole = log.read_bytes()
    log.write_bytes(whole[:50])
    with LogReader(log) as reader:
        first = [line.data for line in reader.read()]
        log.write_bytes(whole)
        second = [line.data for line in reader.read()]
        assert first + second == [b"one\n", b"two\n", b"error\n", b"three\n", b"four \xff\x00\r\n"]
        assert [line.data for line in reader.rest()] == [b"last"]


def test_a_line_of_many_pieces_is_joined_once(tmp_path: Path) -> None:
    pieces = [(1, 1, b"x" * 1000)] * 5000 + [(2, 1, b"\n")]
    assert [len(data) for _, data in read(write(tmp_path / "log", pieces))] == [5_000_001]
