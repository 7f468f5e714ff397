"""The log's records on disk, and output for clients that are slow or gone."""

from __future__ import annotations

import resource
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers.runtime.handshake import Channel
from labcontainers.runtime.stdio import Client, LogFile

PIECES = [(1, b"out\n"), (2, b"err\n"), (1, b""), (1, bytes(range(256))), (2, b"x" * 65536)]


def records(path: Path) -> list[tuple[int, int, bytes]]:
    data, found = path.read_bytes(), []
    while data:
        stream, zero, length, time_ns = struct.unpack(">B3sIQ", data[:16])
        assert zero == b"\0\0\0"
        found.append((stream, time_ns, data[16 : 16 + length]))
        assert data[16 + length : 20 + length] == struct.pack(">I", length)
        data = data[20 + length :]
    return found


def test_log_holds_stream_time_and_exact_bytes_of_each_piece(tmp_path: Path) -> None:
    before = time.time_ns()
    log = LogFile(str(tmp_path / "log"), append=True)
    for stream, data in PIECES:
        log.write(stream, data)
    found = records(tmp_path / "log")
    assert [(stream, data) for stream, _, data in found] == PIECES
    times = [before, *(time_ns for _, time_ns, _ in found), time.time_ns()]
    assert times == sorted(times)
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_log_of_a_second_start_follows_the_first_or_replaces_it(tmp_path: Path) -> None:
    for text in (b"one", b"two"):
        LogFile(str(tmp_path / "log"), append=True).write(1, text)
    assert [data for _, _, data in records(tmp_path / "log")] == [b"one", b"two"]
    LogFile(str(tmp_path / "log"), append=False).write(1, b"three")
    assert [data for _, _, data in records(tmp_path / "log")] == [b"three"]


def test_full_disk_loses_whole_records_and_counts_them() -> None:
    log = LogFile("/dev/full", append=True)
    log.write(1, b"12345")
    log.write(2, b"678")
    assert log.lost_bytes == 8


def test_record_that_fits_only_in_part_is_taken_back(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"), append=True)
    log.write(1, b"kept")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, limits[1]))
    try:
        log.write(1, b"x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    log.write(1, b"later")
    assert [data for _, _, data in records(tmp_path / "log")] == [b"kept", b"later"]
    assert log.lost_bytes == 100


@pytest.fixture
def ends() -> Iterator[tuple[Client, Channel]]:
    engine, shim = Channel.pair()
    yield Client(shim, streams=(1, 2)), engine
    shim.close()
    engine.close()


def test_slow_client_gets_everything_later_in_order(ends: tuple[Client, Channel]) -> None:
    client, engine = ends
    wanted = [(1 + index % 2, b"%06d" % index * 1000) for index in range(200)]
    for stream, data in wanted:
        client.send_stream(stream, data)
    client.send({"ended": {"exit_code": 0}})
    assert client.pending_bytes > 0
    got: list[object] = []
    while len(got) < len(wanted) + 1:
        got.append(engine.receive()[0])
        client.flush()
    assert got == [*wanted, {"ended": {"exit_code": 0}}]
    assert client.pending_bytes == 0


def test_client_that_is_gone_is_closed_and_keeps_nothing(ends: tuple[Client, Channel]) -> None:
    client, engine = ends
    engine.close()
    client.send_stream(1, b"x")
    client.send({"more": 1})
    assert client.closed
    assert not client.pending


def test_finish_is_the_last_that_a_client_hears(ends: tuple[Client, Channel]) -> None:
    client, engine = ends
    client.send_stream(1, b"tail")
    client.finish({"ended": {}})
    assert [engine.receive()[0] for _ in range(3)] == [(1, b"tail"), {"ended": {}}, None]
