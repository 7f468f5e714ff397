"""Interrupting a cell: the first interrupt goes to its foreground container as SIGINT, the next one kills; nothing remains."""

from __future__ import annotations

import os
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from labcontainers import Engine
from labcontainers.errors import StartFailed
from tests import leaks
from tests.integration.test_faults_killed_kernel import wait_until

pytestmark = pytest.mark.alike("ordinary users")

OBEYS = "trap 'echo interrupted; exit 3' INT; echo up; while :; do sleep 0.05; done"
IGNORES = "trap 'echo ignored' INT; echo up; while :; do sleep 0.05; done"


class Notebook:
    """A real kernel, spoken to as Jupyter speaks to it."""

    def __init__(self, place: Path) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.kernel_cmd = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        environment = {**os.environ, "LABCONTAINERS_ROOT": str(place / "s"), "LABCONTAINERS_RUN": str(place / "r")}
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        environment["IPYTHONDIR"] = environment["JUPYTER_RUNTIME_DIR"] = str(place / "ipython")
        self.manager.start_kernel(env=environment, cwd=str(place))
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def begin(self, code: str) -> str:
        return str(self.client.execute(code))

    def end(self, message_id: str) -> dict[str, Any]:
        """The content of the cell's reply."""
        while True:
            reply = self.client.get_shell_msg(timeout=60)
            if reply["parent_header"].get("msg_id") == message_id:
                return dict(reply["content"])

    def run(self, code: str) -> dict[str, Any]:
        return self.end(self.begin(code))

    def output(self) -> str:
        """What has been written by cells since the last look."""
        text = ""
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=0.5)
            except queue.Empty:
                return text
            text += message["content"].get("text", "")

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=False)
        self.manager.cleanup_resources()


@pytest.fixture
def notebook(place: Path, make_engine: Callable[[], Engine]) -> Iterator[Notebook]:
    """With the extension, on the store of `make_engine`, which has to be there before the extension's engine makes one."""
    made = Notebook(place)
    assert made.run("%load_ext labcontainers")["status"] == "ok"
    yield made
    made.close()


@pytest.mark.may_leak("threads", "descriptors")
def test_the_extension_starts_the_launcher_before_any_container_is_asked_for(notebook: Notebook) -> None:
    def launchers() -> list[str]:
        below = Path(f"/proc/{notebook.manager.provisioner.pid}/task").glob("*/children")
        pids = [pid for path in below for pid in path.read_text().split()]
        return [pid for pid in pids if leaks.describe(int(pid)).startswith("lab-launcher")]

    wait_until(lambda: len(launchers()) == 1, "the launcher is a child of the kernel")
    before = launchers()
    assert notebook.run("%container run --rm --network none lab/base true")["status"] == "ok"
    assert launchers() == before, "the container came from another launcher"
    assert notebook.run("%unload_ext labcontainers")["status"] == "ok"
    wait_until(lambda: launchers() == [], "it ends with the extension")


def runs(engine: Engine, name: str) -> bool:
    """Whether it runs and has said so; the kernel then gets a moment to show it, since code that shows things may swallow interrupts."""
    found = any(container.name == name and "up" in container.logs().text for container in engine.containers.list())
    if found:
        time.sleep(0.3)
    return found


@pytest.mark.may_leak("threads", "descriptors")
def test_interrupted_cell_sends_sigint_and_ends_with_keyboard_interrupt(notebook: Notebook, make_engine: Callable[[], Engine]) -> None:
    engine = make_engine()
    cell = notebook.begin(f'%container run --rm --name box --network none lab/base sh -c "{OBEYS}"')
    wait_until(lambda: runs(engine, "box"), "it runs")
    notebook.manager.interrupt_kernel()
    reply = notebook.end(cell)
    assert reply["status"] == "error"
    assert reply["ename"] in ("KeyboardInterrupt", "Interrupted")
    assert "interrupted" in notebook.output()
    assert engine.containers.list(all=True) == []
    wait_until(lambda: notebook.run("%container run --rm --network none lab/base true")["status"] == "ok", "the kernel works on")


@pytest.mark.may_leak("threads", "descriptors")
def test_second_interrupt_kills_what_ignores_the_first(notebook: Notebook, make_engine: Callable[[], Engine]) -> None:
    engine = make_engine()
    cell = notebook.begin(f'%container run --name box --network none lab/base sh -c "{IGNORES}"')
    wait_until(lambda: runs(engine, "box"), "it runs")
    notebook.manager.interrupt_kernel()
    container = engine.containers.get("box")
    wait_until(lambda: "ignored" in container.logs().text, "it ignores the first")
    assert container.state.running
    notebook.manager.interrupt_kernel()
    assert notebook.end(cell)["status"] == "error"
    assert (container.status, container.state.exit_code) == ("exited", 137)


@pytest.mark.may_leak("threads", "descriptors")
def test_plain_sleep_ends_by_two_interrupts(notebook: Notebook, make_engine: Callable[[], Engine]) -> None:
    # As process 1 of its namespace it has no handler for SIGINT, so the kernel ignores the first (pid_namespaces(7)).
    engine = make_engine()
    cell = notebook.begin("%container run --rm --name box --network none lab/base sleep 100")
    wait_until(lambda: bool(engine.containers.list()), "it runs")
    notebook.manager.interrupt_kernel()
    time.sleep(0.3)
    notebook.manager.interrupt_kernel()
    assert notebook.end(cell)["status"] == "error"
    wait_until(lambda: engine.containers.list(all=True) == [], "nothing is left")


@pytest.mark.may_leak("threads", "descriptors")
def test_interrupt_does_not_reach_detached_containers_nor_the_launcher(notebook: Notebook, make_engine: Callable[[], Engine]) -> None:
    engine = make_engine()
    assert notebook.run("%container run -d --name box --network none lab/base sleep 600")["status"] == "ok"
    cell = notebook.begin("import time; time.sleep(60)")
    time.sleep(0.5)
    notebook.manager.interrupt_kernel()
    assert notebook.end(cell)["ename"] == "KeyboardInterrupt"
    assert engine.containers.get("box").status == "running"
    # The kernel refuses what is asked of it too soon after an error.
    wait_until(lambda: notebook.run("%container exec box true")["status"] == "ok", "the kernel works on")


def run_interrupted(engine: Engine, after_s: float) -> None:
    """What ignores the first interrupt is killed by the second."""
    try:
        signal.setitimer(signal.ITIMER_REAL, after_s, 0.5)
        engine.containers.run("lab/base", ["sleep", "600"], network="none", remove=True)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def test_workload_and_exec_ignore_and_block_no_signal(engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["sleep", "600"], network="none", detach=True)
    for read in ("/proc/1/status", "/proc/self/status"):
        lines = container.exec(["cat", read]).stdout.splitlines()
        masks = {name: int(value, 16) for name, _, value in (line.partition(":") for line in lines) if name in ("SigIgn", "SigBlk")}
        assert masks == {"SigIgn": 0, "SigBlk": 0}


# An interrupt while a file is opened can lose its descriptor (Python raises it before the number is stored); locks use objects instead.
@pytest.mark.may_leak("descriptors")
def test_interrupt_at_any_instant_of_a_run_leaves_nothing_that_runs(engine: Engine) -> None:
    engine.images.get("lab/base")
    engine.containers.run("lab/base", ["true"], network="none", remove=True)

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for after_s in (0.0003, 0.0005, 0.0007, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.007, 0.01, 0.015, 0.03):
            with pytest.raises((KeyboardInterrupt, StartFailed)):
                run_interrupted(engine, after_s)
            wait_until(lambda: engine.containers.list() == [], "nothing runs")
            assert all(container.status == "created" for container in engine.containers.list(all=True))
            assert engine.verify() == []
    finally:
        signal.signal(signal.SIGALRM, before)
    for container in engine.containers.list(all=True):
        container.remove()
    assert not list(engine.paths.containers.iterdir())
    for lock in engine.paths.locks.iterdir():
        with engine.store.locks.hold(lock.name, timeout_s=0):
            pass
