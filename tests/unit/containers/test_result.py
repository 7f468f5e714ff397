"""What a run or an exec left, and how it looks."""

from __future__ import annotations

import pytest

from labcontainers.containers.result import Collector, ExecResult, RunResult, signal_text
from labcontainers.errors import ContainerExit


def result(exit_code: int, stdout: bytes = b"", stderr: bytes = b"", **more: object) -> RunResult:
    return RunResult("c" * 64, "<web>", ("sh",), exit_code, stdout, stderr, 0.0042, **more)


@pytest.mark.parametrize(
    ("exit_code", "oom_killed", "reason"),
    [(0, False, ""), (1, False, ""), (137, False, "killed by SIGKILL"), (137, True, "killed for lack of memory"), (255, False, "")],
)
def test_reason_tells_what_the_exit_code_means(exit_code: int, oom_killed: bool, reason: str) -> None:
    assert result(exit_code, oom_killed=oom_killed).reason == reason


def test_streams_are_exact_bytes_and_readable_text() -> None:
    done = result(0, b"caf\xc3\xa9 \xff", b"e")
    assert (done.stdout_bytes, done.stdout, done.stderr) == (b"caf\xc3\xa9 \xff", "café \ufffd", "e")


def test_check_raises_with_the_tail_of_what_was_said_unless_all_went_well() -> None:
    result(0).check()
    with pytest.raises(ContainerExit, match="container <web> ended with exit code 3") as caught:
        result(3, b"out", b"x" * 5000 + b"last words").check()
    assert caught.value.output.endswith("last words")
    assert len(caught.value.output) == 4000
    with pytest.raises(ContainerExit) as caught:
        result(3, b"only out").check()
    assert caught.value.output == "only out"


def test_text_and_html_tell_the_end_and_html_is_escaped() -> None:
    assert repr(result(3)) == "<RunResult <web>: exit code 3 after 4.2 ms>"
    assert repr(ExecResult("c", "web", ("ls",), 0, b"", b"", 1.5)) == "<ExecResult web: exit code 0 after 1.5 s>"
    assert "&lt;web&gt; · exit code 137 · killed by SIGKILL" in result(137)._repr_html_().replace("</span>", "")
    assert "<web>" not in result(0)._repr_html_()


@pytest.mark.parametrize(("exit_code", "text"), [(143, "killed by SIGTERM"), (128, ""), (200, ""), (2, "")])
def test_a_code_above_128_is_told_as_a_signal_if_it_is_one(exit_code: int, text: str) -> None:
    assert signal_text(exit_code) == text


def test_pieces_are_kept_apart_and_passed_on() -> None:
    seen: list[tuple[int, bytes]] = []
    keeping, passing = Collector(), Collector(lambda stream, data: seen.append((stream, data)), keep=False)
    for each in (keeping, passing):
        for stream, data in ((1, b"a"), (2, b"b"), (1, b"c")):
            each(stream, data)
    assert (keeping.stdout, keeping.stderr) == (b"ac", b"b")
    assert (passing.stdout, passing.stderr) == (b"", b"")
    assert seen == [(1, b"a"), (2, b"b"), (1, b"c")]
