"""The engine's end of the conversation with launcher, workers and shims, spoken to by the test itself."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from labcontainers.errors import Conflict, Failed, KernelFailed, LabError, StartFailed, Unavailable
from labcontainers.runtime import sealed
from labcontainers.runtime.handshake import Channel, memory_file, read_all
from labcontainers.runtime.process import Execution, LauncherProcess, _mapped, start_failure
from labcontainers.runtime.sealed import sealed_copy
from tests.lost_signal import lost_signal

FAILURES = [
    ({"operation": "exec", "about": "", "message": "exec nosuch: executable file not found in $PATH", "exit_code": 127, "refused": True},
     127, "exec nosuch: executable file not found in $PATH"),
    ({"operation": "exec", "about": "", "message": "exec /etc/passwd: permission denied", "exit_code": 126, "refused": True},
     126, "exec /etc/passwd: permission denied"),
    ({"operation": "bind", "about": "/data", "message": "no such file or directory", "errno": 2, "exit_code": 125, "refused": False},
     125, "mount /data: no such file or directory"),
    ({"operation": "overlay", "about": "", "message": "invalid argument", "errno": 22, "exit_code": 125},
     125, "mount the layers: invalid argument"),
]  # fmt: skip
WORKER_ERRORS = [
    ({"type": "Conflict", "message": "it is in use", "hint": "stop it", "errno": None, "path": ""}, Conflict, "it is in use"),
    ({"type": "ValueError", "message": "odd", "hint": "", "errno": None, "path": ""}, Failed, "ValueError: odd"),
    ({"type": "PermissionError", "message": "x", "hint": "", "errno": errno.EACCES, "path": "/p"},
     KernelFailed, "worker /p: permission denied"),
    ({"type": "LabError", "message": "m", "hint": "", "errno": None, "path": ""}, LabError, "m"),
    ({"type": "os", "message": "not an error's name", "hint": "", "errno": None, "path": ""}, Failed, "os: not an error's name"),
]  # fmt: skip


@pytest.fixture
def talk() -> Iterator[tuple[Execution, Channel]]:
    engine, shim = Channel.pair()
    yield Execution(engine, "box"), shim
    engine.close()
    shim.close()


@pytest.mark.parametrize(("failure", "exit_code", "message"), FAILURES)
def test_failed_start_is_one_line_with_dockers_exit_code_and_a_next_action(
    failure: dict[str, object], exit_code: int, message: str
) -> None:
    error = start_failure(failure)
    assert (error.exit_code, error.message) == (exit_code, message)
    assert error.hint
    assert "\n" not in str(error)


@pytest.mark.parametrize(("failure", "kind", "message"), WORKER_ERRORS)
def test_error_of_a_worker_becomes_this_projects(failure: dict[str, object], kind: type[LabError], message: str) -> None:
    error = _mapped(failure)
    assert type(error) is kind
    assert error.message == message


def test_interrupted_worker_interrupts_its_caller() -> None:
    failure = {"type": "KeyboardInterrupt", "message": "", "errno": None, "path": "", "hint": ""}
    assert isinstance(_mapped(failure), KeyboardInterrupt)


def test_output_that_is_faster_than_the_start_is_kept_in_order(talk: tuple[Execution, Channel]) -> None:
    execution, shim = talk
    shim.send_stream(1, b"quick")
    shim.send({"started": 7, "timings_us": [], "made": []})
    shim.send_stream(2, b"later")
    shim.send({"ended": {"exit_code": 3}})
    assert list(execution.wait_started()) == []
    assert execution.started["started"] == 7
    assert [execution.next(), execution.next()] == [(1, b"quick"), (2, b"later")]
    assert execution.wait_ended() == {"exit_code": 3}


def test_network_is_asked_for_with_a_socket_before_the_start(talk: tuple[Execution, Channel]) -> None:
    execution, shim = talk
    file = memory_file(b"netlink")
    shim.send({"network": 42}, (file,))
    os.close(file)
    shim.send({"started": 42})
    (asked,) = list(execution.wait_started())
    assert asked["network"] == 42
    assert read_all(asked["socket"]) == b"netlink"
    os.close(asked["socket"])


def test_failure_of_the_start_is_raised(talk: tuple[Execution, Channel]) -> None:
    execution, shim = talk
    shim.send({"error": FAILURES[0][0]})
    with pytest.raises(StartFailed, match="nosuch"):
        list(execution.wait_started())


def test_shim_that_dies_before_the_start_is_a_failed_start_and_after_it_an_end(talk: tuple[Execution, Channel]) -> None:
    execution, shim = talk
    shim.send({"started": 1})
    list(execution.wait_started())
    shim.close()
    assert execution.wait_ended() is not None
    engine, other = Channel.pair()
    other.close()
    with pytest.raises(StartFailed, match="box died before the start"):
        list(Execution(engine, "box").wait_started())
    engine.close()


def test_waiting_ends_when_its_time_is_over(talk: tuple[Execution, Channel]) -> None:
    execution, _ = talk
    assert execution.wait_ended(timeout_s=0.01) is None
    with pytest.raises(TimeoutError):
        execution.next(timeout_s=0)


def test_signal_goes_to_the_shim_and_is_lost_without_one(talk: tuple[Execution, Channel]) -> None:
    execution, shim = talk
    execution.signal(15)
    assert shim.receive()[0] == {"signal": 15}
    shim.close()
    execution.signal(9)


@pytest.mark.parametrize(("busy", "succeeds"), [(2, True), (100, False)])
def test_a_copy_that_is_still_busy_is_sealed_a_moment_later(monkeypatch: pytest.MonkeyPatch, busy: int, succeeds: bool) -> None:
    asked: list[int] = []

    def ask(fd: int, command: int, seals: int) -> None:
        asked.append(fd)
        if len(asked) <= busy:
            raise OSError(errno.EBUSY, "busy")

    monkeypatch.setattr(sealed, "fcntl", SimpleNamespace(fcntl=ask, F_ADD_SEALS=fcntl.F_ADD_SEALS))
    monkeypatch.setattr(sealed, "_REST_S", 0)
    if succeeds:
        os.close(sealed_copy("/proc/self/exe"))
        assert len(asked) == busy + 1
        return
    with pytest.raises(OSError, match="busy"):
        sealed_copy("/proc/self/exe")
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(asked[0])


def test_sealed_copy_is_the_interpreter_and_cannot_be_changed_by_anybody() -> None:
    interpreter = os.path.realpath(sys.executable)
    fd = sealed_copy(interpreter)
    try:
        assert read_all(fd) == Path(interpreter).read_bytes()
        for attempt in (lambda: os.write(fd, b"x"), lambda: os.ftruncate(fd, 0), lambda: fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 0)):
            with pytest.raises(PermissionError):
                attempt()
        writer = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY)
        with pytest.raises(PermissionError):
            os.write(writer, b"x")
        os.close(writer)
    finally:
        os.close(fd)


def test_closed_launcher_is_not_started_again(tmp_path: Path) -> None:
    launcher = LauncherProcess(tmp_path)
    launcher.close()
    with pytest.raises(Unavailable, match="closed"):
        launcher.start()


def test_a_handler_runs_though_its_signal_did_not_wake_the_thread_that_waits(talk: tuple[Execution, Channel]) -> None:
    execution, shim = talk
    with lost_signal(lambda word: shim.send({"exited": word})):
        assert execution.next() == {"exited": "handled"}
