"""The last bytes of a terminal: bounded, cut between sequences, with the modes that were set before."""

from __future__ import annotations

from labcontainers.widgets.scrollback import Scrollback


def test_all_is_kept_as_long_as_it_is_little() -> None:
    scrollback = Scrollback()
    scrollback.add(b"one\r\n")
    scrollback.add(b"tw\xc3")
    scrollback.add(b"\xa4")
    assert scrollback.everything() == b"one\r\ntw\xc3\xa4"
    assert scrollback.total == 9
    assert scrollback.last_lines(1) == ["twä"]


def test_it_is_bounded_and_begins_with_a_line() -> None:
    scrollback = Scrollback(kept=1000)
    for number in range(10_000):
        scrollback.add(b"line %d\r\n" % number)
    kept = scrollback.everything()
    assert len(kept) <= 1250
    assert kept.startswith(b"line ")
    assert kept.endswith(b"line 9999\r\n")
    assert scrollback.total == sum(len(b"line %d\r\n" % number) for number in range(10_000))


def test_modes_outlive_what_set_them() -> None:
    scrollback = Scrollback(kept=1000)
    scrollback.add(b"\x1b[?1049h\x1b[?2004;1h\x1b[?25l" + b"x\n" * 1000 + b"\x1b[?25h" + b"y\n" * 1000)
    kept = scrollback.everything()
    assert kept.startswith(b"\x1b[?1049h\x1b[?2004h\x1b[?1h\x1b[?25h")
    scrollback.clear()
    assert scrollback.everything() == b""
    assert scrollback.total > 4000


def test_sequence_is_not_torn() -> None:
    scrollback = Scrollback(kept=100)
    scrollback.add(b"\x1b[38;2;10;20;30mred" * 40)
    assert scrollback.everything().startswith(b"\x1b[38;2;10;20;30mred")
