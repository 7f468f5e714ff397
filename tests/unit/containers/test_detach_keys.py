"""The keys to detach: how they are written, and how they are found in what is typed, however it comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainers.containers.attaching.detach_keys import DetachFilter, parse_detach_keys
from labcontainers.errors import InvalidArgument

READ = [
    ("", b"\x10\x11"),
    ("ctrl-p,ctrl-q", b"\x10\x11"),
    ("ctrl-@,ctrl-a,ctrl-z", b"\x00\x01\x1a"),
    ("ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", b"\x1b\x1c\x1d\x1e\x1f"),
    ("DEL", b"\x7f"),
    ("a,B, ", b"aB "),
    ("q", b"q"),
]
REFUSED = [
    ("ctrl-foo", "'ctrl-foo'"),
    ("ctrl-A", "'ctrl-A'"),
    ("ctrl-", "'ctrl-'"),
    ("ctrl-pp", "'ctrl-pp'"),
    ("a,,b", "''"),
    (",", "''"),
    ("ü", "'ü'"),
    ("ab", "'ab'"),
    ("del", "'del'"),
    ("a,ctrl-1", "'ctrl-1'"),
]
TYPED = [
    # keys, pieces, what goes on, whether it detaches
    (b"\x10\x11", [b"ls\n", b"\x10", b"\x11", b"more"], b"ls\n", True),
    (b"\x10\x11", [b"\x10", b"x"], b"\x10x", False),
    (b"\x10\x11", [b"\x10\x10\x11"], b"\x10", True),
    (b"\x10\x11", [b"\x10", b"\x10", b"\x11"], b"\x10", True),
    (b"aab", [b"aa", b"aab"], b"aa", True),
    (b"aab", [b"aaab"], b"a", True),
    (b"q", [b"", b"quit"], b"", True),
]


@pytest.mark.parametrize(("text", "keys"), READ)
def test_keys_are_written_as_docker_writes_them(text: str, keys: bytes) -> None:
    assert parse_detach_keys(text) == keys


@pytest.mark.parametrize(("text", "named"), REFUSED)
def test_what_is_no_key_is_named(text: str, named: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_detach_keys(text)
    assert caught.value.message == f"invalid detach keys ({text}) provided: unknown character {named}"


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        keys = parse_detach_keys(text)
    except InvalidArgument:
        return
    assert len(keys) == (text or "ctrl-p,ctrl-q").count(",") + 1


@pytest.mark.parametrize(("keys", "pieces", "passed", "detached"), TYPED)
def test_keys_detach_and_all_before_them_goes_on(keys: bytes, pieces: list[bytes], passed: bytes, detached: bool) -> None:
    keyboard = DetachFilter(keys)
    assert b"".join(map(keyboard.feed, pieces)) == passed
    assert keyboard.detached is detached


LETTERS = st.binary(max_size=12).map(lambda data: bytes(byte % 3 for byte in data))


@given(st.lists(LETTERS, max_size=12), LETTERS.filter(bool))
def test_keys_are_found_wherever_pieces_are_cut(pieces: list[bytes], keys: bytes) -> None:
    whole = b"".join(pieces)
    at = whole.find(keys)
    keyboard = DetachFilter(keys)
    passed = b"".join(map(keyboard.feed, pieces))
    if at >= 0:
        assert keyboard.detached
        assert passed == whole[:at]
    else:
        assert not keyboard.detached
        held = whole[len(passed) :]
        # Nothing is lost: what is held back is a beginning of the keys, and is let go once it turns out not to be them.
        assert whole.startswith(passed)
        assert keys.startswith(held)
        assert passed + keyboard.feed(b"\x07") == whole + b"\x07"
