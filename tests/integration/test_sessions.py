"""Sessions in containers on the real kernel: what stays from cell to cell, what ends them, and that nothing is left."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labcontainers import Container, Engine
from labcontainers.containers.sessions.session import CellResult, Session
from labcontainers.errors import CellTimedOut, Conflict, Interrupted, InvalidArgument, StartFailed
from tests.waiting import until

pytestmark = pytest.mark.alike("ordinary users")


def sleeper(engine: Engine, image: str, name: str) -> Container:
    """A container that does nothing, and lets go of processes whose parents have ended."""
    return engine.containers.run(image, ["sleep", "9999"], name=name, network="none", init=True, detach=True)


@pytest.fixture
def web(engine: Engine) -> Container:
    return sleeper(engine, "lab/base", "web")


@pytest.fixture
def tool(engine: Engine) -> Container:
    return sleeper(engine, "lab/python", "tool")


@pytest.fixture
def interrupting() -> Iterator[Callable[[Callable[[], bool]], None]]:
    """Send this process SIGINT, as a notebook's kernel gets it, once something holds."""
    threads = []

    def soon(when: Callable[[], bool]) -> None:
        def wait() -> None:
            until(when, "the cell is on its way")
            os.kill(os.getpid(), signal.SIGINT)

        threads.append(threading.Thread(target=wait))
        threads[-1].start()

    yield soon
    for thread in threads:
        thread.join()


def said(result: CellResult) -> tuple[str, str, int]:
    return result.stdout, result.stderr, result.exit_code


def commands(container: Container) -> list[str]:
    """What runs in it besides its first process and what that started."""
    return [row[-1] for row in container.top().rows[1:] if row[-1] != "sleep 9999"]


def has(container: Container, path: str) -> bool:
    return container.exec(["test", "-e", path]).ok


def test_a_shell_keeps_its_folder_variables_and_functions(web: Container) -> None:
    session = web.session()
    assert said(session.run('x=5; mkdir -p /data && cd /data; f() { echo "$x in $(pwd)"; }')) == ("", "", 0)
    assert said(session.run("f; printf none >&2; false")) == ("5 in /data\n", "none", 1)
    assert web.session() is session
    assert web.session(id="other").run("echo [$x]").stdout == "[]\n"
    result = session.run("echo 'open")
    assert result.exit_code
    assert "unterminated quoted string" in result.stderr
    assert said(session.run("read a; cat; f")) == ("5 in /data\n", "", 0)


def test_a_python_keeps_its_names(tool: Container) -> None:
    session = tool.session("python")
    session.run("import math\ndef area(r):\n    return round(math.pi * r ** 2, 2)")
    assert said(session.run("area(2)")) == ("12.57\n", "", 0)
    result = session.run("area(None)")
    assert result.exit_code == 1
    assert "<cell 3>" in result.stderr
    session.push(numbers=[1, 2, 3], name="ü")
    session.run("total = {'sum': sum(numbers), 'name': name}")
    assert session.pull("total", "numbers") == {"total": {"sum": 6, "name": "ü"}, "numbers": [1, 2, 3]}
    assert tool.session() is session, "the first language is the one that is meant"


def test_megabytes_and_bytes_that_are_no_text_come_whole(web: Container) -> None:
    session = web.session()
    assert session.run("seq 1 800000").stdout_bytes == "".join(f"{number}\n" for number in range(1, 800001)).encode()
    everything = "".join(f"\\{number:03o}" for number in range(256))
    assert session.run(f"printf '{everything}'").stdout_bytes == bytes(range(256))


def test_values_come_and_go_as_text(web: Container) -> None:
    session = web.session()
    session.push({"a": 'it\'s\n"two"\n', "n": 3, "many": [1, {"k": "ü"}]})
    assert session.pull("a", "n", "many") == {"a": 'it\'s\n"two"\n', "n": "3", "many": '[1, {"k": "ü"}]'}
    with pytest.raises(InvalidArgument, match="has no variable nope"):
        session.pull("nope")


def test_exit_ends_a_session_and_the_next_one_is_new(web: Container) -> None:
    session = web.session()
    result = session.run("x=1; sleep 1000 & exit 3")
    assert (result.exit_code, result.ended) == (3, True)
    with pytest.raises(Conflict, match="has ended with exit code 3"):
        session.run("true")
    again = web.session()
    assert again is not session
    assert again.run("echo [$x]").stdout == "[]\n"
    assert commands(web) == ["sh"], "what it left behind has ended"


@pytest.mark.parametrize(
    ("language", "text", "look"),
    [
        ("sh", "x=kept\n: >/began\nsleep 1000", "echo $x"),
        ("python", "x = 'kept'\nopen('/began', 'w').close()\nwhile True: pass", "print(x)"),
    ],
)
def test_an_interrupt_ends_the_cell_alone(
    tool: Container, interrupting: Callable[[Callable[[], bool]], None], language: str, text: str, look: str
) -> None:
    session = tool.session(language)
    interrupting(lambda: has(tool, "/began"))
    with pytest.raises(Interrupted, match="the cell in tool was interrupted"):
        session.run(text)
    assert said(session.run(look)) == ("kept\n", "", 0)


def test_a_cell_that_takes_too_long_is_stopped_with_what_it_started(web: Container) -> None:
    session = web.session()
    session.run("sleep 2000 &")
    with pytest.raises(CellTimedOut, match="the cell in web was stopped after 0"):
        session.run("x=kept; sh -c 'trap \"\" INT; while :; do sleep 1; done'; echo after", timeout_s=0.5)
    assert said(session.run("echo $x")) == ("kept\n", "", 0)
    assert sorted(commands(web)) == ["sh", "sleep 2000"]


def test_closing_leaves_nothing(web: Container) -> None:
    with web.session() as session:
        session.run("sleep 1000 & (trap '' HUP; sleep 3000) &")
        assert len(commands(web)) == 3
    assert commands(web) == []
    with pytest.raises(Conflict, match="was closed"):
        session.run("true")


def test_the_engine_takes_its_sessions_along(make_engine: Callable[[], Engine]) -> None:
    first, second = make_engine(), make_engine()
    container = sleeper(first, "lab/base", "web")
    container.session().run("sleep 1000 &")
    first.close()
    until(lambda: commands(second.containers.get(container.id)) == [], "the session has ended with its engine")


def test_a_container_that_stops_ends_its_sessions(web: Container) -> None:
    session = web.session()
    session.run("x=1")
    web.stop(timeout_s=0)
    until(lambda: not session.alive, "its end is noticed")
    with pytest.raises(Conflict):
        session.run("echo $x")
    with pytest.raises(Conflict, match="is not running"):
        web.session()
    web.start()
    assert web.session().run("echo [$x]").stdout == "[]\n"


def test_a_container_that_stops_in_the_middle_of_a_cell(web: Container) -> None:
    session = web.session()

    def wait() -> None:
        until(lambda: has(web, "/began"), "the cell is on its way")
        web.kill()

    thread = threading.Thread(target=wait)
    thread.start()
    result = session.run("echo before; : >/began; sleep 1000")
    thread.join()
    assert (result.stdout, result.exit_code, result.ended) == ("before\n", 137, True)


def test_a_session_that_is_killed_from_outside(web: Container) -> None:
    session = web.session()
    pid = session.run("echo $$").stdout.strip()
    web.exec(["kill", "-9", pid])
    until(lambda: not session.alive, "its end is noticed")
    assert session.exit_code == 137
    assert web.session().run("echo new").stdout == "new\n"


@pytest.mark.needs("cgroups")
def test_a_paused_container_takes_no_cells(web: Container) -> None:
    session = web.session()
    web.pause()
    with pytest.raises(Conflict, match="is paused"):
        session.run("true")
    web.unpause()
    assert session.run("echo on").stdout == "on\n"


def test_two_sessions_at_once(web: Container, tool: Container) -> None:
    outcomes: dict[str, str] = {}

    def work(name: str, session: Session, text: str) -> None:
        outcomes[name] = "".join(session.run(text).stdout for _ in range(10))

    sessions = [
        ("a", web.session(), "echo a"),
        ("b", web.session(id="b"), "echo b"),
        ("c", tool.session("python"), "print('c')"),
    ]
    threads = [threading.Thread(target=work, args=each) for each in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {name: f"{name}\n" * 10 for name in "abc"}


def test_what_is_not_in_the_image_is_told(web: Container) -> None:
    for language in ("python", "node", "bash"):
        with pytest.raises(StartFailed, match=f"there is no {language} in container web"):
            web.session(language)
    assert commands(web) == []


def test_options_of_exec_count(web: Container, place: Path) -> None:
    session = web.session(working_dir="/tmp", environment={"WHO": "lab"})
    assert session.run('pwd; echo "$WHO"').stdout == "/tmp\nlab\n"
