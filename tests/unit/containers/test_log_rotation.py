"""A log that is bounded goes on in new files, and who reads or follows it meets every line that is kept, once and in order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labcontainers.containers.log_records import log_files
from labcontainers.containers.logs import LogQuery, LogReader, Logs
from labcontainers.runtime.stdio import LogFile

BYTES = 4096


def write(log: LogFile, *numbers: int) -> None:
    for number in numbers:
        log.write(1, b"line %05d %s\n" % (number, b"x" * 180))


def numbers_of(lines: object) -> list[int]:
    return [int(line.text.split()[1]) for line in lines]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_no_file_is_larger_and_no_more_are_kept(path: Path) -> None:
    log = LogFile(str(path), append=True, max_bytes=BYTES, max_files=3)
    write(log, *range(200))
    assert sorted(os.listdir(path.parent)) == ["log", "log.1", "log.2"]
    assert all(file.stat().st_size <= BYTES for file in path.parent.iterdir())
    os.close(log.fd)


@pytest.mark.parametrize("max_files", [1, 2, 5])
def test_what_is_kept_is_read_in_order_without_a_gap(path: Path, max_files: int) -> None:
    log = LogFile(str(path), append=True, max_bytes=BYTES, max_files=max_files)
    write(log, *range(100))
    found = numbers_of(Logs(path, LogQuery()))
    assert found == list(range(found[0], 100))
    assert len(found) >= (max_files - 1) * (BYTES // 250)
    os.close(log.fd)


def test_the_last_lines_may_lie_in_several_files(path: Path) -> None:
    log = LogFile(str(path), append=True, max_bytes=BYTES, max_files=5)
    write(log, *range(70))
    for tail in (1, 5, 30, 50):
        assert numbers_of(Logs(path, LogQuery(tail=tail))) == list(range(70 - tail, 70))
    os.close(log.fd)


def test_a_line_that_was_begun_in_one_file_ends_in_the_next(path: Path) -> None:
    log = LogFile(str(path), append=True, max_bytes=BYTES, max_files=3)
    log.write(1, b"a" * 4000)
    log.write(1, b"b" * 4000 + b"\n")
    assert sorted(os.listdir(path.parent)) == ["log", "log.1"]
    (line,) = Logs(path, LogQuery())
    assert line.data == b"a" * 4000 + b"b" * 4000 + b"\n"
    os.close(log.fd)


@pytest.mark.parametrize("step", [1, 7, 19, 40])
def test_who_follows_meets_every_line_once(path: Path, step: int) -> None:
    log = LogFile(str(path), append=True, max_bytes=BYTES, max_files=5)
    with LogReader(path) as reader:
        found: list[int] = []
        for first in range(0, 200, step):
            write(log, *range(first, min(first + step, 200)))
            found += numbers_of(reader.read())
        assert found == list(range(200))
    os.close(log.fd)


def test_who_comes_too_late_for_some_goes_on_with_what_is_kept(path: Path) -> None:
    log = LogFile(str(path), append=True, max_bytes=BYTES, max_files=2)
    with LogReader(path) as reader:
        write(log, 0)
        assert numbers_of(reader.read()) == [0]
        write(log, *range(1, 200))
        found = numbers_of(reader.read())
        later = [number for number in found if number > 20]
        assert later == list(range(later[0], 200))
        assert found == sorted(set(found))
    os.close(log.fd)


def test_a_log_goes_on_where_it_was_after_a_restart(path: Path) -> None:
    for first in (0, 10, 20, 30):
        log = LogFile(str(path), append=True, max_bytes=BYTES, max_files=5)
        write(log, *range(first, first + 10))
        os.close(log.fd)
    assert numbers_of(Logs(path, LogQuery())) == list(range(40))


def test_a_log_without_a_bound_is_one_file(path: Path) -> None:
    log = LogFile(str(path), append=True)
    write(log, *range(100))
    files = log_files(path)
    assert len(files) == 1
    os.close(files[0])
    os.close(log.fd)


def test_a_log_that_is_not_there_has_no_files(path: Path) -> None:
    assert log_files(path) == []
    assert list(Logs(path, LogQuery())) == []
