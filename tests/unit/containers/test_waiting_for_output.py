"""Whoever shows what a command writes handles signals meanwhile, also one that did not wake it."""

from __future__ import annotations

import os
from typing import cast

from labcontainers.containers.attaching.attach import Attachment
from labcontainers.containers.attaching.exec_attach import ExecAttachment
from labcontainers.containers.shim_client import ShimClient, read_streams
from labcontainers.runtime.handshake import Channel
from labcontainers.runtime.process import Execution
from tests.lost_signal import lost_signal


def test_of_an_exec() -> None:
    reader, writer = os.pipe()
    pieces: list[tuple[int, bytes]] = []

    def take(stream: int, data: bytes) -> None:
        pieces.append((stream, data))
        os.close(writer)

    try:
        with lost_signal(lambda word: os.write(writer, word.encode())):
            read_streams({reader: 1}, take)
    finally:
        os.close(reader)
    assert pieces == [(1, b"handled")]


def test_of_an_exec_that_is_attached_to() -> None:
    reader, writer = os.pipe()
    none = cast("ShimClient", None)  # it is asked at the end of all output
    attached = ExecAttachment(none, "box", streams={reader: 1}, source=os.open(os.devnull, os.O_RDONLY), tty=False, stdin=False)
    with lost_signal(lambda word: os.write(writer, word.encode())):
        assert attached.read() == (1, b"handled")
    os.close(writer)


def test_of_a_container_that_is_attached_to() -> None:
    engine, shim = Channel.pair()
    attached = Attachment(Execution(engine, "box"), tty=False, stdin=False)
    with lost_signal(lambda word: shim.send_stream(1, word.encode())):
        assert attached.read() == (1, b"handled")
    attached.close()
    shim.close()
