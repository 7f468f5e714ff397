"""Sessions of node in a container whose image has this machine's: names, values, interrupts, and what a cell starts, as in python's."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from labcontainers import Container, Engine
from labcontainers.errors import CellTimedOut, Interrupted
from tests.fakes.host_programs import import_programs
from tests.waiting import until

pytestmark = [pytest.mark.needs("node"), pytest.mark.alike("ordinary users")]

WAITS = "const kept = 'kept'; require('fs').writeFileSync('/began', ''); for (;;) {}"


@pytest.fixture
def tool(engine: Engine) -> Container:
    import_programs(engine, "with-node", ["node", "sh", "sleep", "cat", "id"])
    return engine.containers.run("with-node", ["sleep", "9999"], name="tool", network="none", init=True, detach=True)


def test_names_and_values_stay_and_it_is_the_container_that_is_seen(tool: Container) -> None:
    session = tool.session("node", working_dir="/tmp")
    assert session.run("const area = (r) => Math.PI * r ** 2; let last = area(2); last.toFixed(2)").stdout == "'12.57'\n"
    assert session.run("process.cwd() + ' ' + require('os').hostname()").stdout == f"'/tmp {tool.id[:12]}'\n"
    session.push(numbers=[1, 2, 3], name="ü", nested={"a": [None, True]})
    session.run("const total = { sum: numbers.reduce((a, b) => a + b), name, nested }")
    assert session.pull("total") == {"total": {"sum": 6, "name": "ü", "nested": {"a": [None, True]}}}
    failed = session.run("function broken() { throw new TypeError('no') }\nbroken()")
    assert failed.exit_code == 1
    assert "TypeError: no" in failed.stderr
    assert session.run("Promise.resolve(7)").stdout == "7\n"
    assert session.run("require('child_process').execSync('echo child; id -u').toString()").stdout == "'child\\n0\\n'\n"
    assert tool.session() is session, "the first language is the one that is meant"


def test_an_interrupt_and_a_time_limit_stop_the_cell_alone(tool: Container) -> None:
    session = tool.session("node")

    def interrupt() -> None:
        until(lambda: tool.exec(["cat", "/began"]).exit_code == 0, "the cell is on its way")
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Interrupted, match="the cell in tool was interrupted"):
        session.run(WAITS)
    thread.join()
    assert session.run("kept").stdout == "'kept'\n"
    with pytest.raises(CellTimedOut):
        session.run("for (;;) {}", timeout_s=0.5)
    assert session.run("kept").stdout == "'kept'\n"
    with pytest.raises(CellTimedOut):
        session.run("new Promise(() => setInterval(() => {}, 1000))", timeout_s=0.5)
    assert session.run("kept").stdout == "'kept'\n"


def test_megabytes_come_whole_and_the_end_of_node_is_the_end_of_its_session(tool: Container) -> None:
    session = tool.session("node")
    text = "".join(f"{number}\n" for number in range(200_000))
    assert session.run("for (let n = 0; n < 200000; n++) console.log(n)").stdout == text
    assert session.run("void process.stdout.write('ü'.repeat(500000))").stdout == "ü" * 500_000
    assert session.run("console.error('x'.repeat(300000))").stderr == "x" * 300_000 + "\n"
    assert session.run("1").stdout == "1\n", "nothing of a cell comes with the next"
    ended = session.run("process.exit(3)")
    assert (ended.exit_code, ended.ended) == (3, True)
    assert tool.session("node").run("typeof kept").stdout == "'undefined'\n"
