"""A terminal as a stream, in real containers: its size, keys, every byte, its end, and what a hang-up leaves."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labcontainers import Container, Engine
from labcontainers.containers.attaching.pty_stream import BATCH_BYTES, PtyStream
from labcontainers.containers.attaching.terminal import Terminal
from labcontainers.errors import Conflict, InvalidArgument, NotFound, StartFailed
from tests.integration.typist import PROMPT, Typist
from tests.waiting import until

pytestmark = pytest.mark.alike("ordinary users")

HOUSE = Path(__file__).resolve().parents[2]
SIZE = (24, 80)


class Sitter:
    """Shows a terminal to nobody, and keeps all that it is told."""

    def __init__(self, window: int | None = None) -> None:
        self.screen = bytearray()
        self.window = window
        self.acknowledged = 0
        self.most_ahead = 0
        self.input_taken = 0
        self.end: list[tuple[int | None, Exception | None]] = []
        self.over = threading.Event()

    def may_read(self) -> int:
        return 1 << 60 if self.window is None else self.acknowledged + self.window

    def began(self) -> None:
        pass

    def output(self, data: bytes) -> None:
        self.screen += data
        self.most_ahead = max(self.most_ahead, len(self.screen) - self.acknowledged)

    def taken(self, size: int) -> None:
        self.input_taken += size

    def ended(self, exit_code: int | None, error: Exception | None) -> None:
        self.end.append((exit_code, error))
        self.over.set()

    def wait(self) -> tuple[int | None, Exception | None]:
        assert self.over.wait(60), f"it did not end: {bytes(self.screen[-300:])!r}"
        return self.end[0]

    def expect(self, pattern: bytes) -> None:
        until(lambda: re.search(pattern, self.screen) is not None, what=f"{pattern!r} to appear")


Sit = Callable[..., tuple[PtyStream, Sitter]]


@pytest.fixture
def web(engine: Engine) -> Container:
    return engine.containers.run("lab/base", ["sleep", "1000"], name="web", network="none", detach=True, init=True)


@pytest.fixture
def sit() -> Iterator[Sit]:
    streams: list[PtyStream] = []

    def begin(terminal: Terminal, sitter: Sitter | None = None, size: tuple[int, int] = SIZE) -> tuple[PtyStream, Sitter]:
        sitter = sitter or Sitter()
        streams.append(PtyStream(terminal.open, size, sitter))
        streams[-1].start()
        return streams[-1], sitter

    yield begin
    for stream in streams:
        stream.close()


def commands(container: Container) -> list[str]:
    """The command lines of all that runs in it."""
    return [row[-1] for row in container.top()]


def test_shell_answers_and_ends_with_its_exit_code(web: Container, sit: Sit) -> None:
    stream, sitter = sit(web.terminal())
    assert stream.write(b"echo $((6*7)) $TERM; exit 3\n")
    assert sitter.wait() == (3, None)
    assert b"42 xterm" in sitter.screen
    assert sitter.input_taken == len(b"echo $((6*7)) $TERM; exit 3\n")
    assert not stream.write(b"more"), "it takes input after its end"


def test_size_is_the_one_last_given_and_the_program_hears_of_it(web: Container, sit: Sit) -> None:
    stream, sitter = sit(web.terminal(["sh", "-c", "trap 'stty size' WINCH; stty size; while :; do sleep 0.1; done"]), size=(30, 101))
    sitter.expect(rb"30 101\r\n")
    stream.resize(33, 77)
    sitter.expect(rb"33 77\r\n")


def test_ctrl_c_ends_the_program_and_not_the_shell(web: Container, sit: Sit) -> None:
    stream, sitter = sit(web.terminal())
    stream.write(b"sleep 100\n")
    until(lambda: "sleep 100" in commands(web), what="sleep runs")
    stream.write(b"\x03")
    until(lambda: "sleep 100" not in commands(web), what="sleep has ended")
    stream.write(b"echo still $((40+2)) here\n")
    sitter.expect(rb"still 42 here")


def test_five_megabytes_arrive_to_the_last_byte_through_a_window(web: Container, sit: Sit) -> None:
    web.exec(["sh", "-c", "head -c 5000000 /dev/urandom >/tmp/five"]).check()
    wanted = web.exec(["sha256sum", "/tmp/five"]).stdout.split()[0]
    sitter = Sitter(window=1 << 18)
    stream, _ = sit(web.terminal(["sh", "-c", "stty raw -echo; cat /tmp/five"]), sitter)

    def acknowledge() -> bool:
        sitter.acknowledged = len(sitter.screen)
        stream.wake()
        return sitter.over.is_set()

    until(acknowledge, what="all has arrived")
    assert sitter.wait() == (0, None)
    assert (len(sitter.screen), hashlib.sha256(sitter.screen).hexdigest()) == (5_000_000, wanted)
    assert sitter.most_ahead <= (1 << 18) + BATCH_BYTES + (1 << 16)


def test_endless_output_waits_for_whoever_reads(web: Container, sit: Sit) -> None:
    sitter = Sitter(window=1 << 16)
    stream, _ = sit(web.terminal(["yes"]), sitter)
    until(lambda: len(sitter.screen) >= 1 << 16, what="the window is full")
    web.exec(["sleep", "0.3"]).check()
    full = len(sitter.screen)
    assert full <= (1 << 16) + BATCH_BYTES + (1 << 16), "it was read although nobody had taken it"
    sitter.acknowledged = full
    stream.wake()
    until(lambda: len(sitter.screen) > full, what="it goes on")


def test_input_of_a_hundred_kilobytes_arrives_whole_and_in_order(web: Container, sit: Sit) -> None:
    stream, sitter = sit(web.terminal(["sh", "-c", "stty raw -echo; echo ready; head -c 100000 | sha256sum"]))
    sitter.expect(rb"ready")
    data = os.urandom(100_000)
    for at in range(0, len(data), 7000):
        assert stream.write(data[at : at + 7000])
    sitter.expect(hashlib.sha256(data).hexdigest().encode())


def test_hang_up_ends_the_shell_and_what_runs_in_it_and_the_container_goes_on(web: Container, sit: Sit) -> None:
    before = commands(web)
    stream, sitter = sit(web.terminal())
    stream.write(b"sleep 555\n")
    until(lambda: "sleep 555" in commands(web), what="sleep runs")
    stream.close()
    assert sitter.wait() == (None, None)
    until(lambda: commands(web) == before, what="nothing is left of the terminal")
    assert web.status == "running"


def test_killed_kernel_hangs_up_too(web: Container, place: Path) -> None:
    child = """if True:
        import sys, time
        from labcontainers import Engine
        attached = Engine(root=sys.argv[1], run_root=sys.argv[2]).containers.get("web").terminal().open(24, 80)
        attached.write(b"sleep 666\\n")
        time.sleep(600)
    """
    command = [sys.executable, "-c", child, str(place / "s"), str(place / "r")]
    environment = {**os.environ, "PYTHONPATH": str(HOUSE)}
    before = commands(web)
    with subprocess.Popen(command, env=environment) as kernel:
        until(lambda: "sleep 666" in commands(web), what="sleep runs")
        kernel.send_signal(signal.SIGKILL)
    until(lambda: commands(web) == before, what="nothing is left of the terminal")


def test_end_of_the_container_ends_the_terminal(web: Container, sit: Sit) -> None:
    terminal = web.terminal()
    _, sitter = sit(terminal)
    sitter.expect(rb"[#$] ")
    web.kill()
    assert sitter.wait() == (137, None)
    until(lambda: terminal.status() == "exited", what="the container is told to have ended")
    web.remove()
    assert terminal.status() == "removed"
    with pytest.raises(NotFound):
        terminal.open(*SIZE)


def test_own_terminal_of_a_container_is_left_and_goes_on(engine: Engine, sit: Sit) -> None:
    box = engine.containers.run("lab/base", ["sh"], name="box", network="none", tty=True, stdin_open=True, detach=True)
    stream, sitter = sit(box.terminal(attach=True), size=(31, 99))
    stream.write(b"stty size; echo first-$((1+1))\n")
    sitter.expect(rb"31 99\r\n")
    sitter.expect(rb"first-2")
    stream.close()
    assert sitter.wait() == (None, None)
    assert box.status == "running"
    stream, sitter = sit(box.terminal(attach=True))
    sitter.expect(rb"first-2")
    stream.write(b"exit 5\n")
    assert sitter.wait() == (5, None)


def test_what_cannot_be_a_terminal_is_refused(engine: Engine, web: Container, sit: Sit) -> None:
    with pytest.raises(Conflict, match="has no terminal to type at"):
        web.terminal(attach=True)
    with pytest.raises(InvalidArgument):
        web.terminal(["top"], attach=True)
    for rows in (0, 1, 5000, "24", True):
        with pytest.raises(InvalidArgument, match="invalid number of rows"):
            web.terminal(rows=rows)
    _, sitter = sit(web.terminal(["nosuch"]))
    code, error = sitter.wait()
    assert code is None
    assert isinstance(error, StartFailed)
    web.kill()
    until(lambda: web.status == "exited", what="it has ended")
    with pytest.raises(Conflict, match="is not running"):
        web.terminal()


def test_user_directory_and_environment_are_the_execs(web: Container, sit: Sit) -> None:
    _, sitter = sit(web.terminal(["sh", "-c", "echo $HERE $(pwd)"], working_dir="/tmp", environment={"HERE": "it is"}))
    assert sitter.wait() == (0, None)
    assert bytes(sitter.screen) == b"it is /tmp\r\n"


def test_command_line_sits_down_at_once(engine: Engine, web: Container, place: Path) -> None:
    environment = {**os.environ, "LABCONTAINERS_ROOT": str(place / "s"), "LABCONTAINERS_RUN": str(place / "r"), "PYTHONPATH": str(HOUSE)}
    user = Typist(environment, "terminal", "-w", "/tmp", web.name, size=(31, 91))
    try:
        user.expect(PROMPT)
        user.type(b"stty size; pwd; exit 4\n")
        user.expect(b"31 91\r\n/tmp\r\n")
        assert user.end() == 4
        assert user.restored()
    finally:
        user.close()
