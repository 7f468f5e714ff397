"""`--init`: a process of ours is number 1, passes signals on, reaps orphans, and is locked against the container it is in."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labcontainers import Container, Engine
from labcontainers.errors import StartFailed

BASE = "lab/base"


def sh(engine: Engine, script: str, **options: object) -> str:
    result = engine.containers.run(BASE, ["sh", "-c", script], init=True, network="none", remove=True, **options)
    result.check()
    return result.stdout


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.02)


def started(engine: Engine, script: str, **options: object) -> Container:
    """A detached container whose script has said that it is ready."""
    container = engine.containers.run(BASE, ["sh", "-c", script], init=True, network="none", detach=True, **options)
    wait_until(lambda: "ready" in container.logs().text)
    return container


def test_number_1_is_lab_init_and_the_program_its_child(engine: Engine) -> None:
    said = sh(engine, "cat /proc/1/comm; tr '\\0' ' ' < /proc/1/cmdline; echo; echo $$ $PPID; ls -d /proc/[0-9]*").split()
    assert said[:2] == ["lab-init", "lab-init"]
    assert (said[2] != "1", said[3]) == (True, "1")


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)])
def test_the_exit_code_is_the_programs(engine: Engine, script: str, code: int) -> None:
    result = engine.containers.run(BASE, ["sh", "-c", script], init=True, network="none", remove=True)
    assert result.exit_code == code


@pytest.mark.parametrize(("command", "code"), [("no-such-program", 127), ("/etc/passwd", 126)])
def test_a_program_that_cannot_run_fails_as_without(engine: Engine, command: str, code: int) -> None:
    with pytest.raises(StartFailed) as caught:
        engine.containers.run(BASE, [command], init=True, network="none", remove=True)
    assert caught.value.exit_code == code
    assert engine.containers.list(all=True) == []


def test_a_program_that_handles_no_signal_is_ended_by_stop_at_once(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sleep", "1000"], init=True, network="none", detach=True)
    container.stop(timeout_s=60)
    assert container.state.exit_code == 143


@pytest.mark.parametrize("signal", ["HUP", "INT", "QUIT", "USR1", "USR2", "TERM", "WINCH", "CONT", "RTMIN+3"])
def test_signals_are_passed_on(engine: Engine, signal: str) -> None:
    name = {"RTMIN+3": "37"}.get(signal, signal)
    container = started(engine, f"trap 'echo got; exit 3' {name}; echo ready; while true; do sleep 0.05; done")
    container.kill(signal)
    assert container.wait(60) == 3
    assert "got" in container.logs().text


def test_orphans_are_reaped(engine: Engine) -> None:
    script = "for i in 1 2 3 4 5; do (sleep 0.1 & ) ; done; sleep 1; grep -l 'State:.Z' /proc/[0-9]*/status; echo done"
    assert sh(engine, script) == "done\n"
    result = engine.containers.run(
        BASE, ["sh", "-c", "(sh -c 'sleep 0.1; exit 9' &); sleep 0.5; exit 4"], init=True, network="none", remove=True
    )
    assert result.exit_code == 4


def test_what_the_program_left_ends_with_it(engine: Engine) -> None:
    container = started(engine, "sleep 1000 & echo ready; sleep 0.3")
    assert container.wait(60) == 0


def test_the_containers_root_cannot_look_into_number_1(engine: Engine) -> None:
    script = "for f in exe root cwd; do readlink /proc/1/$f; done; for f in mem environ maps; do head -c 1 /proc/1/$f && echo $f; done; "
    script += "ls /proc/1/fd; echo end"
    result = engine.containers.run(BASE, ["sh", "-c", script], init=True, network="none", remove=True)
    assert result.stdout == "end\n"
    assert result.stderr.lower().count("permission denied") >= 3


def test_number_1_has_no_capability_to_use_but_to_pass_signals_on(engine: Engine) -> None:
    # it locks itself while the program begins
    locked = "n=0; until grep -q '^CapEff:.0*[02]0$' /proc/1/status || [ $n = 100 ]; do n=$((n + 1)); sleep 0.1; done"
    lines = dict(line.split(":", 1) for line in sh(engine, f"{locked}; cat /proc/1/status").splitlines())
    assert int(lines["CapEff"], 16) & ~(1 << 5) == 0
    assert int(lines["CapPrm"], 16) & ~(1 << 5 | 1 << 19) == 0
    assert lines["Seccomp"].strip() == "2"


def test_number_1_holds_no_descriptor_and_is_the_sealed_interpreter(engine: Engine) -> None:
    container = started(engine, "echo ready; sleep 1000")
    pid = container.state.pid
    assert Path(f"/proc/{pid}/comm").read_text() == "lab-init\n"
    if os.geteuid() == 0:
        assert os.listdir(f"/proc/{pid}/fd") == []
        assert os.readlink(f"/proc/{pid}/exe").startswith("/memfd:")


def test_exec_enters_beside_number_1(engine: Engine) -> None:
    container = started(engine, "echo ready; sleep 1000")
    assert container.exec(["cat", "/proc/1/comm"]).stdout == "lab-init\n"
    assert container.inspect()["HostConfig"]["Init"] is True


@pytest.mark.parametrize("who", [pytest.param(who, marks=pytest.mark.needs(who)) for who in ("root", "subids")])
def test_another_user_has_the_same(engine: Engine, who: str) -> None:
    container = started(engine, "id -u; echo ready; sleep 1000", user="65534:65534")
    assert container.logs().text == "65534\nready\n"
    assert container.exec(["cat", "/proc/1/comm"]).stdout == "lab-init\n"
    assert container.exec(["sh", "-c", "readlink /proc/1/exe || echo locked"]).stdout == "locked\n"
    container.stop(timeout_s=60)
    assert container.state.exit_code == 143


def test_input_reaches_the_program(engine: Engine) -> None:
    result = engine.containers.run(BASE, ["cat"], init=True, network="none", remove=True, stdin="fed\n")
    assert result.stdout == "fed\n"
