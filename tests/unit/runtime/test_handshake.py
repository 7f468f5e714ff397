"""Messages and descriptors between the processes of one container, and the small files that they leave."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers.runtime.handshake import Channel, boot_id, memory_file, read_all, start_time, write_file

MESSAGES = [
    {},
    {"signal": 9},
    {"text": "ü ☃ \ud800", "nested": {"list": [1, None, True, "x"]}},
    {"long": "x" * 3_989},
    {"longer": "x" * 4_000},
    {"very long": ["é" * 1000] * 1000},
]


@pytest.fixture
def pair() -> Iterator[tuple[Channel, Channel]]:
    first, second = Channel.pair()
    yield first, second
    first.close()
    second.close()


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: f"{len(json.dumps(message))} bytes")
def test_message_arrives_as_it_was_sent_however_long(pair: tuple[Channel, Channel], message: dict[str, object]) -> None:
    before = open_descriptors()
    pair[0].send(message)
    assert pair[1].receive() == (message, [])
    pair[1].send(message)
    assert pair[0].receive() == (message, [])
    assert open_descriptors() == before


@pytest.mark.parametrize("message", [MESSAGES[1], MESSAGES[-1]], ids=["short", "long"])
def test_descriptors_travel_in_order_and_are_closed_on_exec(pair: tuple[Channel, Channel], message: dict[str, object]) -> None:
    files = [memory_file(text) for text in (b"one", b"two")]
    pair[0].send(message, tuple(files))
    received, fds = pair[1].receive()
    assert received == message
    assert [read_all(fd) for fd in fds] == [b"one", b"two"]
    assert all(fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC for fd in fds)
    for fd in (*files, *fds):
        os.close(fd)


@pytest.mark.parametrize("data", [b"", b"x", b"J{}", b"\0" * 65536], ids=["nothing", "one byte", "like a message", "a whole chunk"])
@pytest.mark.parametrize("stream", [1, 2])
def test_output_arrives_exactly_and_apart(pair: tuple[Channel, Channel], stream: int, data: bytes) -> None:
    pair[1].send_stream(stream, data)
    assert pair[0].receive() == ((stream, data), [])


def test_closed_end_is_seen_as_the_end_and_sending_to_it_fails(pair: tuple[Channel, Channel]) -> None:
    pair[0].close()
    assert pair[1].receive() == (None, [])
    with pytest.raises(OSError, match="Broken pipe"):
        pair[1].send({"late": True})


def test_slow_reader_blocks_nobody_when_asked(pair: tuple[Channel, Channel]) -> None:
    pair[1].sock.setblocking(False)

    def fill() -> None:
        while True:
            pair[1].send_stream(1, b"x" * 65536)

    with pytest.raises(BlockingIOError):
        fill()
    assert pair[0].receive()[0] == (1, b"x" * 65536)


def test_file_is_replaced_at_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text("old")
    holder = path.open()
    write_file(str(path), "new ü\udcff", sync=True)
    assert holder.read() == "old"
    holder.close()
    assert path.read_bytes() == b"new \xc3\xbc\xff"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["state.json"]


def test_start_time_tells_one_process_from_the_next() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = start_time(child.pid)
    assert started >= start_time(os.getpid()) > 0
    assert started == start_time(child.pid)
    child.communicate(b"\n")
    assert start_time(child.pid) == 0


def test_boot_id_is_the_kernels() -> None:
    assert boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
