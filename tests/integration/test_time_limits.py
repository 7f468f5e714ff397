"""What runs in the foreground ends when its time is over: run, exec and start -a, by magics, the command line and the API."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from labcontainers import Engine, session
from labcontainers.commands.table import execute, understand
from labcontainers.errors import InvalidArgument, TimedOut
from tests.waiting import until

pytestmark = pytest.mark.alike("ordinary users")

# Ends by SIGTERM with a code of its own; what it waits for is a child, so that the shell can hear the signal.
POLITE = "trap 'echo bye; exit 7' TERM; echo begun; sleep 100 & wait"
STUBBORN = "trap '' TERM; echo begun; while :; do sleep 0.05; done"


def names(engine: Engine) -> list[str]:
    return [container.name for container in engine.containers.list(all=True)]


def no_watchers() -> bool:
    return not any(thread.name == "lab-time-limit" for thread in threading.enumerate())


def test_a_run_gets_its_stop_signal_and_the_result_tells(engine: Engine) -> None:
    result = engine.containers.run("lab/base", ["sh", "-c", POLITE], network="none", remove=True, timeout_s=0.6)
    assert (result.exit_code, result.stdout, result.ok, result.timed_out) == (7, "begun\nbye\n", False, True)
    assert "stopped after 0.6 s" in repr(result)
    with pytest.raises(TimedOut, match=r"was stopped after 0\.6 s") as raised:
        result.check()
    assert (raised.value.exit_code, raised.value.ended_with) == (124, 7)
    assert names(engine) == []
    assert no_watchers()


def test_one_that_does_not_listen_is_killed_after_its_own_stop_timeout(engine: Engine) -> None:
    result = engine.containers.run("lab/base", ["sh", "-c", STUBBORN], network="none", remove=True, timeout_s=0.5, stop_timeout=0)
    assert (result.exit_code, result.timed_out) == (137, True)


def test_a_restart_policy_does_not_bring_it_back(engine: Engine) -> None:
    options = {"network": "none", "restart_policy": {"Name": "always"}, "stop_timeout": 0}
    result = engine.containers.run("lab/base", ["sh", "-c", STUBBORN], name="again", timeout_s=0.5, **options)
    assert result.timed_out
    assert engine.containers.get("again").status == "exited"
    engine.containers.get("again").remove()


def test_what_ends_in_time_is_left_alone(engine: Engine) -> None:
    result = engine.containers.run("lab/base", ["true"], network="none", remove=True, timeout_s=60)
    assert (result.ok, result.timed_out) == (True, False)
    assert no_watchers()


def test_an_exec_ends_even_where_a_child_holds_its_output(engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["sleep", "1000"], network="none", detach=True)
    result = container.exec(["sh", "-c", "echo begun; sleep 1000 & wait"], timeout_s=0.4)
    assert (result.stdout, result.timed_out) == ("begun\n", True)
    with_terminal = container.exec(["sh", "-c", "echo begun; sleep 1000"], timeout_s=0.4, tty=True)
    assert (with_terminal.stdout, with_terminal.timed_out) == ("begun\r\n", True)
    assert container.status == "running"
    container.remove(force=True)
    assert no_watchers()


def said(engine: Engine, *words: str) -> tuple[object, str]:
    shown = bytearray()
    value = execute(lambda: engine, understand(words), on_output=lambda stream, data: shown.extend(data))
    return value, shown.decode()


@pytest.mark.parametrize("verb", ["run", "exec", "start"])
def test_each_verb_has_the_flag(engine: Engine, verb: str) -> None:
    engine.containers.create("lab/base", ["sh", "-c", POLITE], name="it", network="none")
    line = {
        "run": ("run", "--rm", "--network", "none", "--timeout", "400ms", "lab/base", "sh", "-c", POLITE),
        "exec": ("exec", "--timeout", "0.4", "it", "sh", "-c", POLITE),
        "start": ("start", "-a", "--timeout", "0.4", "it"),
    }[verb]
    if verb == "exec":
        said(engine, "start", "it")
    with pytest.raises(TimedOut) as raised:
        said(engine, *line)
    assert raised.value.exit_code == 124
    engine.containers.get("it").remove(force=True)
    assert names(engine) == []


@pytest.mark.parametrize(
    "line", ["run -d --timeout 1 lab/base true", "exec -d --timeout 1 it true", "start --timeout 1 it", "run --timeout x lab/base true"]
)
def test_where_nobody_waits_it_is_refused(engine: Engine, line: str) -> None:
    with pytest.raises(InvalidArgument, match="--timeout"):
        said(engine, *line.split())
    assert names(engine) == []


def test_output_can_be_kept_back(engine: Engine) -> None:
    value, shown = said(engine, "run", "--rm", "--network", "none", "--no-output", "lab/base", "echo", "hello")
    assert (getattr(value, "stdout", None), shown) == ("hello\n", "")
    said(engine, "create", "--name", "it", "--network", "none", "lab/base", "sh", "-c", "echo hello; exit 3")
    value, shown = said(engine, "start", "-a", "--quiet", "--no-raise", "it")
    assert (getattr(value, "stdout", None), getattr(value, "exit_code", None), shown) == ("hello\n", 3, "")
    engine.containers.get("it").remove()


def test_the_command_line_ends_with_124(engine: Engine, place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from labcontainers.__main__ import main

    session.use_engine(engine)
    code = main(["run", "--rm", "--network", "none", "--timeout", "0.5", "lab/base", "sh", "-c", POLITE])
    assert code == 124
    out, err = capfd.readouterr()
    assert out == "begun\nbye\n"
    assert "was stopped after 0.5 s" in err


def test_who_waits_can_give_up_from_elsewhere(engine: Engine) -> None:
    from labcontainers.containers.time_limit import TimeLimit

    limit = TimeLimit(cancellable=True)
    results = []
    thread = threading.Thread(
        target=lambda: results.append(
            engine.containers.run("lab/base", ["sh", "-c", POLITE], name="it", network="none", limit=limit, on_output=begun)
        )
    )
    heard = threading.Event()

    def begun(stream: int, data: bytes) -> None:
        heard.set()

    thread.start()
    assert heard.wait(30)
    limit.cancel()
    until(lambda: not thread.is_alive(), "the run ended")
    assert (results[0].exit_code, results[0].timed_out, limit.cancelled) == (7, False, True)
    engine.containers.get("it").remove()
