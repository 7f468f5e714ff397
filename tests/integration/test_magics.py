"""Magics in a real IPython shell over a real engine."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import CapturedIO, capture_output
from traitlets.config import Config

from labcontainers import Engine, session
from labcontainers.containers.container import Container
from labcontainers.errors import ContainerExit, Interrupted, StartFailed, StepFailed
from labcontainers.magics import extension

pytestmark = pytest.mark.alike("ordinary users")

QUICK = "--rm --network none"
TIMEOUT_S = 30


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


class Notebook:
    """Runs cells in a shell whose session uses the given engine."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.names: dict[str, Any] = shell.user_ns
        self.error: BaseException | None = None

    def run(self, cell: str) -> CapturedIO:
        with capture_output() as shown:
            self.error = self.shell.run_cell(cell).error_in_exec
        return shown


@pytest.fixture
def notebook(engine: Engine, place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    monkeypatch.chdir(place)
    hooks = sys.displayhook, sys.excepthook
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}}))
    session.use_engine(engine)
    extension.load(shell)
    yield Notebook(shell)
    # Unloading closes the engine, so what it still has is removed before.
    for container in engine.containers.list(all=True):
        container.remove(force=True)
    extension.unload(shell)
    shell.restore_sys_module_state()
    InteractiveShell.clear_instance()
    sys.displayhook, sys.excepthook = hooks


def test_a_line_and_a_cell_run_programs_and_show_what_they_say(notebook: Notebook) -> None:
    notebook.names["who"] = "the lab"
    shown = notebook.run(f"result = %container run {QUICK} -e WHO={{who}} lab/base sh -c 'echo hello $WHO; echo err >&2'")
    assert (shown.stdout, shown.stderr) == ("hello the lab\n", "err\n")
    assert notebook.names["result"].stdout == "hello the lab\n"
    shown = notebook.run(f'%%container run {QUICK} --out script lab/base\nfor i in 1 2 3; do\n  echo "$i {{who}}"\ndone')
    assert notebook.names["script"].stdout == "1 {who}\n2 {who}\n3 {who}\n"
    assert shown.stdout.startswith("1 {who}\n")


def test_a_container_is_assigned_used_and_removed(notebook: Notebook) -> None:
    notebook.run("c = %container run -d --name web --network none lab/base sleep 100")
    assert isinstance(notebook.names["c"], Container)
    assert notebook.names["c"].status == "running"
    assert "web" in notebook.run("%container ps").stdout
    assert notebook.run("%container exec {c.name} echo inside").stdout.startswith("inside\n")
    assert notebook.run('%%container exec web sh -s one two\necho "$1-$2"').stdout.startswith("one-two\n")
    assert notebook.run("%container inspect --format {{.State.Status}} {c.short_id}").stdout.endswith("running\n")
    assert "CPU %" in notebook.run("%container stats web").stdout
    assert "pivot_root(2)" in notebook.run("%container explain web").stdout
    assert "nothing was done" in notebook.run("%container run --dry-run --name planned lab/base true").stdout
    assert "planned" not in notebook.run("%container ps -a").stdout
    notebook.run("%container stop -t 0 web\n%container rm web")
    assert notebook.error is None
    assert notebook.names["c"].summary() == "Removed"


def test_a_script_is_fed_to_a_detached_container_too(notebook: Notebook) -> None:
    notebook.run("%%container run -d --name job --network none --out job lab/base\necho from the script\nexit 4")
    assert notebook.names["job"].wait() == 4
    assert notebook.run("%container logs job").stdout.endswith("from the script\n")


@pytest.mark.parametrize(
    ("cell", "kind", "words"),
    [
        (f"%container run {QUICK} lab/base sh -c 'echo last words; exit 3'", ContainerExit, "ended with exit code 3"),
        (f"%container run {QUICK} lab/base nosuch", StartFailed, "executable file not found"),
        ("%%dockerfile -t x\nFROM lab/base\nRUN echo it fails && exit 7", StepFailed, "step failed with exit code 7"),
    ],
    ids=["exit", "start", "build"],
)
def test_a_failure_is_raised_and_told_without_a_traceback(notebook: Notebook, cell: str, kind: type[Exception], words: str) -> None:
    shown = notebook.run(cell)
    assert isinstance(notebook.error, kind)
    assert words in shown.stdout
    assert 'File "' not in shown.stdout


def test_what_a_failing_program_wrote_is_shown_once(notebook: Notebook) -> None:
    shown = notebook.run(f"%container run {QUICK} lab/base sh -c 'echo last $((40 + 2)); exit 3'")
    assert (shown.stdout + shown.stderr).count("last 42") == 1
    notebook.run(f"result = %container run --no-raise {QUICK} lab/base sh -c 'echo last $((40 + 2)); exit 3'")
    assert notebook.run("result.check()").stdout.count("last 42") == 1


def test_an_image_is_built_from_a_cell_and_run(notebook: Notebook, place: Path) -> None:
    (place / "data.txt").write_text("from the notebook's folder\n")
    notebook.run('%%dockerfile -t me/app --out built\nFROM lab/base\nCOPY data.txt /data.txt\nCMD ["cat", "/data.txt"]')
    assert notebook.error is None
    assert notebook.names["built"].image.tags == ("me/app:latest",)
    assert notebook.run(f"%container run {QUICK} {{built.image.name}}").stdout.startswith("from the notebook's folder\n")


def test_a_million_lines_are_bounded_in_the_cell_and_whole_in_the_result(notebook: Notebook) -> None:
    shown = notebook.run(f"result = %container run {QUICK} lab/base seq 1000000")
    whole = notebook.names["result"].stdout_bytes
    assert whole == b"".join(b"%d\n" % number for number in range(1, 1_000_001))
    assert len(shown.stdout) == 1_000_000
    assert "more bytes are not shown here" in shown.stderr


def test_interrupting_a_cell_stops_its_container_and_says_so(notebook: Notebook, engine: Engine) -> None:
    def interrupt() -> None:
        # what the cell shows comes from who follows the container, and he is interrupted
        wait_until(lambda: "up" in getattr(sys.stdout, "getvalue", str)())
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    shown = notebook.run(
        "%container run --name busy --network none lab/base sh -c \"trap 'exit 5' INT; echo up; while :; do sleep 0.05; done\""
    )
    thread.join()
    assert isinstance(notebook.error, Interrupted)
    assert "container busy was interrupted, and ended with exit code 5" in shown.stdout
    assert engine.containers.get("busy").state.exit_code == 5


def test_a_dockerfile_in_cells_builds_the_same_image_as_in_one(notebook: Notebook, place: Path) -> None:
    notebook.run("%%dockerfile --append parts --network none\nFROM lab/base AS made\nRUN echo one > /file\n")
    notebook.run("%%dockerfile --append parts --network none\nRUN cat /nowhere\n")
    assert isinstance(notebook.error, StepFailed)
    assert "line 1 of this cell" in notebook.error.hint
    notebook.run("%%dockerfile --append parts --network none --out built\nFROM lab/base\nCOPY --from=made /file /copy\n")
    assert notebook.error is None
    notebook.run("%container dockerfile export parts")
    notebook.run("whole = %container build --network none -t whole .")
    assert notebook.names["whole"].image.id == notebook.names["built"].image.id
    assert "one" in notebook.run(f"%container run {QUICK} parts cat /copy").stdout


def test_cells_run_inside_a_container_and_find_what_the_last_one_left(notebook: Notebook) -> None:
    notebook.run("%container run -d --init --name web --network none lab/python sleep 1000")
    shown = notebook.run('%%in web\ncd /tmp; port=8080\ngreet() { echo "port $port in $(pwd)"; }\ngreet >&2\n')
    assert (shown.stdout, shown.stderr, notebook.error) == ("", "port 8080 in /tmp\n", None)
    assert notebook.run("%%in web\ngreet\n").stdout == "port 8080 in /tmp\n"
    notebook.names["rows"] = [1, 2, 3]
    shown = notebook.run("%%in --lang python --session py --push rows --pull total web\ntotal = sum(rows)\ntotal / len(rows)\n")
    assert (shown.stdout, notebook.names["total"]) == ("2.0\n", 6)
    notebook.run("%%in --session py web\ntotal.nothing\n")
    assert isinstance(notebook.error, ContainerExit)
    assert notebook.run("%in web exit 3").stderr.startswith("the sh session in web has ended with exit code 3")
    assert notebook.run("%%in web\necho [$port]\n").stdout == "[]\n"
    notebook.run("%in --close web")
    assert notebook.error is None
    assert "python" not in notebook.run("%container top web").stdout


def test_an_interrupt_stops_a_cell_inside_and_not_its_session(notebook: Notebook, engine: Engine) -> None:
    notebook.run("%container run -d --init --name web --network none lab/base sleep 1000")
    web = engine.containers.get("web")

    def interrupt() -> None:
        wait_until(lambda: web.exec(["test", "-e", "/began"]).ok)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    shown = notebook.run("%%in web\nx=kept; : >/began; sleep 1000; echo after\n")
    thread.join()
    assert isinstance(notebook.error, Interrupted)
    assert "after" not in shown.stdout
    assert notebook.run("%%in web\necho $x\n").stdout == "kept\n"
