"""Input of attached clients on its way into a container: in order, bounded, and ended as Docker ends it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from labcontainers.runtime.feed import WINDOW_BYTES, Feed
from labcontainers.runtime.handshake import Channel, Message
from labcontainers.runtime.reactor import Reactor
from labcontainers.runtime.stdio import Client


class Desk:
    """A feed with two clients and the container's end of a pipe; `told` is what each client heard."""

    def __init__(self, **kind: bool) -> None:
        self.told: dict[Client, list[Message]] = {}
        self.reactor = Reactor()
        self.feed = Feed(self.reactor, lambda client, message: self.told.setdefault(client, []).append(message), **kind)
        self.channels = [Channel.pair() for _ in range(2)]
        self.first, self.second = (Client(theirs) for _, theirs in self.channels)
        self.container, ours = os.pipe()
        os.set_blocking(self.container, False)
        self.feed.open(ours)
        for client in (self.first, self.second):
            self.feed.admit(client)

    def read(self) -> bytes | None:
        """What the container gets now; None when there is nothing, b"" at the end."""
        try:
            return os.read(self.container, 1 << 20)
        except BlockingIOError:
            return None

    def taken(self, client: Client) -> int:
        return sum(message["taken"] for message in self.told.get(client, []) if "taken" in message)

    def close(self) -> None:
        self.feed.close()
        os.close(self.container)
        for ours, theirs in self.channels:
            ours.close()
            theirs.close()


@pytest.fixture
def pipe_once() -> Iterator[Desk]:
    desk = Desk(tty=False, once=True)
    yield desk
    desk.close()


@pytest.fixture
def pipe() -> Iterator[Desk]:
    desk = Desk(tty=False, once=False)
    yield desk
    desk.close()


def test_input_of_several_clients_comes_in_the_order_in_which_it_was_sent(pipe: Desk) -> None:
    for client, data in ((pipe.first, b"one "), (pipe.second, b"two "), (pipe.first, b"three")):
        pipe.feed.put(client, data)
    assert pipe.read() == b"one two three"
    assert (pipe.taken(pipe.first), pipe.taken(pipe.second)) == (9, 4)


def test_what_the_container_does_not_take_waits_and_is_told_as_taken_later(pipe: Desk) -> None:
    wanted = os.urandom(WINDOW_BYTES)
    pipe.feed.put(pipe.first, wanted)
    early = pipe.taken(pipe.first)
    assert 0 < early < len(wanted)
    assert pipe.reactor.watches(pipe.feed._fd)
    got = b""
    while len(got) < len(wanted):
        got += pipe.read() or b""
        if pipe.reactor.watches(pipe.feed._fd):
            pipe.reactor.turn()
    assert got == wanted
    assert pipe.taken(pipe.first) == len(wanted)
    assert not pipe.reactor.watches(pipe.feed._fd), "a pipe that has room would wake the shim for ever"


def test_client_that_sends_more_than_the_window_is_refused(pipe: Desk) -> None:
    pipe.feed.put(pipe.first, bytes(WINDOW_BYTES))
    with pytest.raises(ValueError, match="more input than was asked for"):
        pipe.feed.put(pipe.first, bytes(WINDOW_BYTES))


def test_client_that_was_not_admitted_is_refused(pipe: Desk) -> None:
    pipe.feed.end(pipe.second)
    with pytest.raises(KeyError):
        pipe.feed.put(pipe.second, b"x")


def test_first_client_to_end_ends_a_container_that_was_run_for_one(pipe_once: Desk) -> None:
    pipe_once.feed.put(pipe_once.first, b"last")
    pipe_once.feed.end(pipe_once.first)
    assert pipe_once.read() == b"last"
    assert pipe_once.read() == b""
    pipe_once.feed.put(pipe_once.second, b"too late")
    assert pipe_once.taken(pipe_once.second) == 8, "what nobody reads must not make its sender wait"


def test_end_comes_after_all_that_was_sent_before_it(pipe_once: Desk) -> None:
    wanted = os.urandom(WINDOW_BYTES)
    pipe_once.feed.put(pipe_once.first, wanted)
    pipe_once.feed.end(pipe_once.first)
    got = b""
    while (data := pipe_once.read()) != b"":
        got += data or b""
        if pipe_once.reactor.watches(pipe_once.feed._fd):
            pipe_once.reactor.turn()
    assert got == wanted


@pytest.mark.parametrize("kind", [{"tty": False, "once": False}, {"tty": True, "once": True}, {"tty": True, "once": False}])
def test_end_of_one_client_leaves_the_input_of_other_containers_open(kind: dict[str, bool]) -> None:
    desk = Desk(**kind)
    try:
        desk.feed.end(desk.first)
        assert desk.read() is None
        assert desk.told[desk.first] == [{"detached": True}]
        desk.feed.put(desk.second, b"still")
        assert desk.read() == b"still"
    finally:
        desk.close()


def test_container_that_has_closed_its_input_makes_nobody_wait(pipe: Desk) -> None:
    container, pipe.container = pipe.container, os.open(os.devnull, os.O_RDONLY)
    os.close(container)
    pipe.feed.put(pipe.first, bytes(WINDOW_BYTES))
    pipe.feed.put(pipe.first, b"more")
    assert pipe.taken(pipe.first) == WINDOW_BYTES + 4
