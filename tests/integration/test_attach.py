"""Attachments: input that is kept open, back-pressure both ways, several at once, and what becomes of one whose holder dies."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labcontainers import Container, Engine
from labcontainers.containers.attaching.attach import Attached
from labcontainers.errors import Conflict, InvalidArgument

pytestmark = pytest.mark.alike("ordinary users")

HOUSE = Path(__file__).resolve().parents[2]
DEADLINE_S = 90
LARGE_BYTES = 50_000_000


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def read_until(attached: Attached, wanted: bytes) -> bytes:
    """All output until `wanted` has come."""
    got = b""
    while wanted not in got:
        piece = attached.read(DEADLINE_S)
        assert piece is not None, f"it ended before {wanted!r}: {got!r}"
        got += piece[1]
    return got


def detached(engine: Engine, *command: str, **options: object) -> Container:
    return engine.containers.run("lab/base", list(command), network="none", detach=True, **{"stdin_open": True, **options})


def memory_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def shim_pid(container: Container, engine: Engine) -> int:
    import json

    return int(json.loads((engine.paths.containers / container.id / "state.json").read_bytes())["shim_pid"])


# --- input


def test_input_of_a_detached_container_stays_open_from_one_attachment_to_the_next(engine: Engine) -> None:
    container = detached(engine, "cat")
    for text in (b"first\n", b"second\n"):
        with container.attach() as attachment:
            assert (attachment.tty, attachment.stdin) == (False, True)
            attachment.write(text)
            assert read_until(attachment, text) == text
    assert container.status == "running"
    assert container.logs().data == b"first\nsecond\n"


def test_end_of_input_ends_the_attachment_to_a_detached_container_and_not_its_input(engine: Engine) -> None:
    container = detached(engine, "cat")
    with container.attach() as attachment:
        attachment.write(b"x\n")
        read_until(attachment, b"x\n")
        attachment.close_stdin()
        assert attachment.read(DEADLINE_S) is None
        assert attachment.detached
        assert attachment.exit_code is None
        with pytest.raises(Conflict):
            attachment.write(b"more")
    with container.attach() as attachment:
        attachment.write(b"still\n")
        read_until(attachment, b"still\n")


def test_end_of_input_reaches_a_container_that_was_started_for_one_attachment(engine: Engine) -> None:
    container = engine.containers.create("lab/base", ["sh", "-c", "cat; echo end; exit 4"], network="none", stdin_open=True)
    with container.start_open() as attachment:
        attachment.write(b"text\n")
        attachment.close_stdin()
        assert b"".join(data for _, data in attachment) == b"text\nend\n"
        assert attachment.exit_code == 4


def test_input_of_a_holder_who_just_goes_arrives_to_the_last_byte(engine: Engine) -> None:
    container = engine.containers.create("lab/base", ["sha256sum"], network="none", stdin_open=True)
    data = os.urandom(200_000)
    with container.start_open() as attachment:
        attachment.write(data)
    assert container.wait(DEADLINE_S) == 0
    assert container.logs().text.split()[0] == hashlib.sha256(data).hexdigest()


def test_50_megabytes_of_input_arrive_without_loss(engine: Engine) -> None:
    data = os.urandom(LARGE_BYTES)
    container = engine.containers.create("lab/base", ["sha256sum"], network="none", stdin_open=True)
    with container.start_open() as attachment:
        attachment.write(data)
        attachment.close_stdin()
        assert b"".join(piece for _, piece in attachment).split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_50_megabytes_of_input_arrive_through_a_terminal(engine: Engine) -> None:
    data = os.urandom(LARGE_BYTES)
    script = f"stty raw -echo; echo ready; head -c {len(data)} | sha256sum"
    container = detached(engine, "sh", "-c", script, tty=True)
    with container.attach(logs=True) as attachment:
        read_until(attachment, b"ready")
        attachment.write(data)
        assert hashlib.sha256(data).hexdigest().encode() in b"".join(piece for _, piece in attachment)


def test_two_threads_may_read_and_write_at_once(engine: Engine) -> None:
    data = os.urandom(8_000_000)
    container = engine.containers.create("lab/base", ["cat"], network="none", stdin_open=True)
    with container.start_open() as attachment:

        def write() -> None:
            attachment.write(data)
            attachment.close_stdin()

        writer = threading.Thread(target=write)
        writer.start()
        got = b"".join(piece for _, piece in attachment)
        writer.join()
        assert got == data
        assert attachment.exit_code == 0


def test_one_thread_that_writes_first_and_reads_later_meets_no_deadlock(engine: Engine) -> None:
    data = os.urandom(4_000_000)
    container = engine.containers.create("lab/base", ["cat"], network="none", stdin_open=True)
    with container.start_open() as attachment:
        attachment.write(data)
        attachment.close_stdin()
        assert b"".join(piece for _, piece in attachment) == data


def test_writer_waits_while_the_container_does_not_read_and_the_shim_keeps_little(engine: Engine) -> None:
    container = detached(engine, "sh", "-c", "while [ ! -e /go ]; do sleep 0.1; done; sha256sum")
    pid = shim_pid(container, engine)
    before = memory_bytes(pid)
    data = os.urandom(20_000_000)
    with container.attach() as attachment:
        writer = threading.Thread(target=attachment.write, args=(data,))
        writer.start()
        time.sleep(1)
        assert writer.is_alive(), "nobody has read, and all was taken"
        assert memory_bytes(pid) - before < 4_000_000
        # What is not input goes through all the same.
        assert container.exec(["true"]).ok
        assert container.exec(["touch", "/go"]).ok
        writer.join(DEADLINE_S)
        assert not writer.is_alive()
    container.stop(0)


def test_write_that_waits_ends_when_the_container_does_and_the_next_one_is_refused(engine: Engine) -> None:
    container = detached(engine, "sleep", "1000")

    def write(attachment: Attached) -> None:
        # what comes between its end and the shim's goes to nobody, as with any pipe
        with contextlib.suppress(Conflict):
            attachment.write(bytes(10_000_000))

    with container.attach() as attachment:
        writer = threading.Thread(target=write, args=(attachment,))
        writer.start()
        time.sleep(0.5)
        assert writer.is_alive()
        container.kill()
        writer.join(DEADLINE_S)
        assert not writer.is_alive()
        assert attachment.wait() == 137
        with pytest.raises(Conflict, match="takes no more input"):
            attachment.write(b"x")


def test_container_without_open_input_takes_none(engine: Engine) -> None:
    container = detached(engine, "sleep", "60", stdin_open=False)
    with container.attach() as attachment:
        assert not attachment.stdin
        with pytest.raises(Conflict, match="no open standard input"):
            attachment.write(b"x")


# --- output


def test_slow_reader_holds_the_container_up_and_loses_nothing(engine: Engine) -> None:
    script = "head -c 30000000 /dev/zero | tr '\\0' x; touch /written; sleep 1000"
    container = detached(engine, "sh", "-c", "read go; " + script)
    pid = shim_pid(container, engine)
    before = memory_bytes(pid)
    with container.attach() as attachment:
        attachment.write(b"go\n")
        time.sleep(1.5)
        assert not container.exec(["test", "-e", "/written"]).ok, "it was not held up"
        assert memory_bytes(pid) - before < 8_000_000
        size = 0
        while size < 30_000_000:
            piece = attachment.read(DEADLINE_S)
            assert piece is not None
            assert piece[1].strip(b"x") == b""
            size += len(piece[1])
        assert size == 30_000_000
    assert len(container.logs().data) == 30_000_000


def test_slow_reader_who_goes_lets_the_container_go_on(engine: Engine) -> None:
    container = detached(engine, "sh", "-c", "read go; head -c 30000000 /dev/zero; touch /written; sleep 1000")
    with container.attach() as attachment:
        attachment.write(b"go\n")
        time.sleep(1)
    eventually(lambda: container.exec(["test", "-e", "/written"]).ok, "it is held up by somebody who has gone")


def test_attachment_with_logs_has_every_byte_once(engine: Engine) -> None:
    script = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; read end"
    container = detached(engine, "sh", "-c", script)
    with container.attach(logs=True) as attachment:
        got = read_until(attachment, b"line 2999\n")
        attachment.write(b"\n")
        assert list(attachment) == []
    assert got == b"".join(b"line %d\n" % number for number in range(3000))


def test_attachment_has_the_streams_that_it_asked_for(engine: Engine) -> None:
    container = detached(engine, "sh", "-c", "read go; echo out; echo err >&2")
    with container.attach(stdout=False) as errors, container.attach() as both:
        both.write(b"\n")
        assert list(errors) == [(2, b"err\n")]
        assert sorted(both) == [(1, b"out\n"), (2, b"err\n")]


def test_attach_without_stream_gives_all_at_the_end(engine: Engine) -> None:
    container = detached(engine, "sh", "-c", "echo one; sleep 0.5; echo two")
    assert container.attach(stream=False, logs=True) == b"one\ntwo\n"


def test_two_attachments_both_see_everything_and_both_may_type(engine: Engine) -> None:
    container = detached(engine, "cat")
    with container.attach() as first, container.attach() as second:
        first.write(b"from first\n")
        for attachment in (first, second):
            assert read_until(attachment, b"from first\n") == b"from first\n"
        second.write(b"from second\n")
        for attachment in (first, second):
            assert read_until(attachment, b"from second\n") == b"from second\n"
        container.kill()
        assert first.wait() == second.wait() == 137


def test_run_may_be_attached_to_some_streams(engine: Engine) -> None:
    options = {"network": "none", "remove": True}
    result = engine.containers.run("lab/base", ["sh", "-c", "echo out; echo err >&2"], attach=["stderr"], **options)
    assert (result.stdout, result.stderr) == ("", "err\n")


@pytest.mark.parametrize(("state", "said"), [("stopped", "cannot attach to a stopped"), ("created", "cannot attach to a stopped")])
def test_what_does_not_run_is_not_attached_to(engine: Engine, state: str, said: str) -> None:
    container = engine.containers.create("lab/base", ["true"], network="none")
    if state == "stopped":
        container.start()
        container.wait(DEADLINE_S)
    with pytest.raises(Conflict, match=said):
        container.attach()
    with pytest.raises(InvalidArgument, match="invalid detach keys"):
        container.attach(detach_keys="nonsense")


# --- execs


def test_exec_may_be_held_by_pipes(engine: Engine) -> None:
    container = detached(engine, "sleep", "1000", stdin_open=False)
    with container.exec_open(["sh", "-c", "cat; echo err >&2; exit 6"]) as held:
        held.write(b"text\n")
        assert held.read(DEADLINE_S) == (1, b"text\n")
        with pytest.raises(TimeoutError):
            held.read(0.1)
        held.close_stdin()
        assert list(held) == [(2, b"err\n")]
        assert held.exit_code == 6


def test_50_megabytes_go_through_an_exec_both_ways(engine: Engine) -> None:
    container = detached(engine, "sleep", "1000", stdin_open=False)
    data = os.urandom(LARGE_BYTES)
    with container.exec_open(["cat"]) as held:

        def write() -> None:
            held.write(data)
            held.close_stdin()

        writer = threading.Thread(target=write)
        writer.start()
        digest = hashlib.sha256()
        for _, piece in held:
            digest.update(piece)
        writer.join()
        assert held.exit_code == 0
    assert digest.digest() == hashlib.sha256(data).digest()


def test_exec_in_a_terminal_is_left_by_its_keys_and_goes_on(engine: Engine) -> None:
    container = detached(engine, "sleep", "1000", stdin_open=False)
    held = container.exec_open(["sh"], tty=True, size=(12, 34), detach_keys="ctrl-x")
    held.write(b"stty size; (sleep 1; touch /went-on)\n")
    assert b"12 34" in read_until(held, b"12 34")
    held.write(b"\x18")
    assert held.detached
    assert held.read() is None
    eventually(lambda: container.exec(["test", "-e", "/went-on"]).ok, "the command that was left does not go on")


def test_exec_that_is_held_ends_with_the_container(engine: Engine) -> None:
    container = detached(engine, "sleep", "1000", stdin_open=False)
    with container.exec_open(["sleep", "1000"], tty=True) as held:
        container.kill()
        assert held.wait() == 137


# --- holders that die

HOLDER = """
import sys, time
from labcontainers import Engine
container = Engine(root=sys.argv[1], run_root=sys.argv[2]).containers.get(sys.argv[3])
attachment = container.attach()
attachment.write(b"typed\\n")
print(attachment.read(60), flush=True)
time.sleep(1000)
"""


def hold(engine: Engine, container: Container) -> subprocess.Popen[str]:
    """Another kernel that is attached to the container."""
    python_path = os.pathsep.join([str(HOUSE), *filter(None, [os.environ.get("PYTHONPATH")])])
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(engine.paths.root), str(engine.paths.run), container.name],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": python_path},
    )
    assert holder.stdout is not None
    assert "typed" in holder.stdout.readline()
    return holder


@pytest.mark.parametrize("tty", [False, True])
def test_kernel_that_is_killed_while_it_is_attached_leaves_the_container(engine: Engine, tty: bool) -> None:
    container = detached(engine, "cat", tty=tty)
    holder = hold(engine, container)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with container.attach() as attachment:
        attachment.write(b"after\n")
        read_until(attachment, b"after")
    assert container.status == "running"


def test_launcher_that_is_killed_leaves_attachments_alone(engine: Engine) -> None:
    container = detached(engine, "cat")
    with container.attach() as attachment:
        process = engine._launcher._process
        assert process is not None
        process.kill()
        process.wait()
        attachment.write(b"goes on\n")
        assert read_until(attachment, b"goes on\n") == b"goes on\n"


def test_shim_that_is_killed_ends_its_attachments(engine: Engine) -> None:
    container = detached(engine, "cat")
    with container.attach() as attachment:
        os.kill(shim_pid(container, engine), signal.SIGKILL)
        assert attachment.wait() is None
        with pytest.raises(Conflict):
            attachment.write(b"x")
    eventually(lambda: container.status == "exited", "nobody noticed")
