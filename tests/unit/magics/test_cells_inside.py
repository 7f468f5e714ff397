"""`%%in NAME` in a real IPython shell, with sessions whose processes run on this machine."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers.containers.sessions.session import CellResult
from labcontainers.errors import CellTimedOut, ContainerExit, Interrupted, InvalidArgument, NotFound, Unsupported
from tests.fakes.engine import FakeEngine
from tests.fakes.session_peer import HostContainer
from tests.unit.magics.conftest import Notebook
from tests.waiting import until


@pytest.fixture
def web(engine: FakeEngine, tmp_path: Path) -> Iterator[HostContainer]:
    container = HostContainer("web", str(tmp_path))
    engine.held["web"] = container
    yield container
    container.sessions.close()


def test_folder_variables_and_functions_stay_from_cell_to_cell(notebook: Notebook, web: HostContainer) -> None:
    shown = notebook.run('%%in web\ncd /tmp; x=5\ngreet() { echo "hello $1 from $(pwd)"; }\n')
    assert (shown.stdout, shown.stderr, shown.outputs, notebook.error) == ("", "", [], None)
    notebook.names["who"] = "web"
    shown = notebook.run("%%in {who}\ngreet {who} $x\nprintf err >&2\n")
    assert (shown.stdout, shown.stderr) == ("hello {who} from /tmp\n", "err"), "the cell's text is taken as it is"
    assert notebook.run("%%in --session two web\necho [$x]\n").stdout == "[]\n"
    assert notebook.run("%%in --lang bash web\necho [$x] ${BASH_VERSION:+bash}\n").stdout == "[] bash\n"
    assert notebook.run("%%in --session three -w / web\npwd\n").stdout == "/\n"
    assert notebook.run("%%in web\necho $x\n").stdout == "5\n", "without --lang it is the first one"


def test_a_line_runs_as_it_was_written(notebook: Notebook, web: HostContainer) -> None:
    notebook.names["x"] = "the notebook's"
    notebook.run("%in web x=5; y='two  words'")
    shown = notebook.run("""result = %in web echo "$x $y" | tr a-z A-Z && echo '{x}'""")
    assert shown.stdout == "5 TWO  WORDS\n{x}\n"
    assert isinstance(notebook.names["result"], CellResult)
    assert notebook.names["result"].stdout == shown.stdout


def test_python_shows_the_last_value(notebook: Notebook, web: HostContainer) -> None:
    shown = notebook.run("%%in --lang python web\nimport math\nprint('a')\nmath.floor(2.5)\n")
    assert shown.stdout == "a\n2\n"
    assert notebook.run("%%in web\nmath.ceil(2.5)\n").stdout == "3\n", "the first language is the one that is meant"


def test_a_cell_that_fails_raises_unless_told_not_to(notebook: Notebook, web: HostContainer) -> None:
    shown = notebook.run("%%in --out kept web\necho last $((40 + 2)); false\n")
    assert isinstance(notebook.error, ContainerExit)
    assert "a cell in container web ended with exit code 1" in shown.stdout
    assert (shown.stdout + shown.stderr).count("last 42") == 1, "what was shown is not shown again"
    assert (notebook.names["kept"].exit_code, notebook.names["kept"].stdout) == (1, "last 42\n")
    notebook.run("%%in --no-raise --out kept web\nexit_code() { return 7; }; exit_code\n")
    assert notebook.error is None
    assert notebook.names["kept"].exit_code == 7
    notebook.run("%%in web\necho 'open\n")
    assert isinstance(notebook.error, ContainerExit)
    assert notebook.run("%%in web\nexit_code; echo $?\n").stdout == "7\n"


def test_variables_go_in_and_come_out(notebook: Notebook, web: HostContainer) -> None:
    notebook.names.update(rows=[1, 2, 3], word="it's", table={"a": None})
    flags = "--lang python --push rows,word --push table --pull total,back --out kept"
    notebook.run(f"%%in {flags} web\ntotal = sum(rows)\nback = [word, table]\n")
    assert notebook.error is None
    assert (notebook.names["total"], notebook.names["back"]) == (6, ["it's", {"a": None}])
    assert notebook.names["kept"].values == {"total": 6, "back": ["it's", {"a": None}]}
    notebook.run('%%in --lang sh --session s --push rows,word --pull said web\nsaid="$word $rows"\n')
    assert notebook.names["said"] == "it's [1, 2, 3]"


@pytest.mark.parametrize(
    ("cell", "kind", "words"),
    [
        ("%%in --push nope web\ntrue\n", InvalidArgument, "the notebook has no variable nope"),
        ("%%in --push thing web\ntrue\n", InvalidArgument, "thing cannot be pushed: it is of type object"),
        ("%%in --pull nope web\ntrue\n", InvalidArgument, "has no variable nope"),
        ("%%in --pull a-b web\ntrue\n", InvalidArgument, "not the name of a variable in sh: 'a-b'"),
        ("%%in --lang ruby web\ntrue\n", InvalidArgument, "no sessions in this language: 'ruby'"),
        ("%%in --timeout soon web\ntrue\n", InvalidArgument, "not a number of seconds: 'soon'"),
        ("%%in --timeout -1 web\ntrue\n", InvalidArgument, "give it more than 0 seconds"),
        ("%%in --out a-b web\ntrue\n", InvalidArgument, "--out needs the name of a variable"),
        ("%%in web --lang python\ntrue\n", InvalidArgument, "flags stand before the name"),
        ("%%in --nosuch web\ntrue\n", InvalidArgument, "unknown flag: --nosuch"),
        ("%%in\ntrue\n", InvalidArgument, "NAME is missing"),
        ("%in web", InvalidArgument, "nothing to run"),
        ("%%in --close web\ntrue\n", InvalidArgument, "--close ends a session, and runs nothing"),
        ("%in --close web", NotFound, "no such session in container web"),
        ("%%in nosuch\ntrue\n", NotFound, "no such container: nosuch"),
    ],
)
def test_what_is_wrong_is_told(notebook: Notebook, web: HostContainer, cell: str, kind: type[Exception], words: str) -> None:
    notebook.names["thing"] = object()
    shown = notebook.run(cell)
    assert isinstance(notebook.error, kind)
    assert words in shown.stdout


def test_tables_need_arrow(notebook: Notebook, web: HostContainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    notebook.names["frame"] = type("DataFrame", (), {"__module__": "pandas.core.frame"})()
    shown = notebook.run("%%in --lang python --push frame web\nframe\n")
    assert isinstance(notebook.error, Unsupported)
    assert "frame is a table: these travel by Arrow, and the notebook has no pyarrow" in shown.stdout
    notebook.run("%%in --lang sh --session s --push frame web\ntrue\n")
    assert isinstance(notebook.error, Unsupported)


def test_exit_is_told_with_its_code_and_the_next_cell_begins_anew(notebook: Notebook, web: HostContainer) -> None:
    shown = notebook.run("%%in web\nx=5; exit 3\n")
    assert shown.stderr == "the sh session in web has ended with exit code 3; the next cell begins a new one\n"
    assert isinstance(notebook.error, ContainerExit)
    assert "ended with exit code 3, which ended the session" in shown.stdout
    shown = notebook.run("%%in web\necho [$x]\n")
    assert (shown.stdout, shown.stderr) == ("[]\n", "")


def test_a_session_that_died_meanwhile_is_told_once(notebook: Notebook, web: HostContainer) -> None:
    notebook.run("%%in --out started web\nx=5; echo $$\n")
    os.kill(int(notebook.names["started"].stdout), signal.SIGKILL)
    dead = web.sessions.find(web.id, "sh")
    assert dead is not None
    until(lambda: not dead.alive, "its death is noticed")
    shown = notebook.run("%%in web\necho [$x]\n")
    assert (shown.stdout, shown.stderr) == ("[]\n", "the sh session in web has ended meanwhile, with exit code 137; a new one begins\n")
    assert notebook.run("%%in web\necho on\n").stderr == ""


def test_sessions_that_died_keep_nothing_open(notebook: Notebook, web: HostContainer) -> None:
    notebook.run("%%in web\ntrue\n")
    open_before = len(os.listdir("/proc/self/fd"))
    for number in range(3):
        session = web.session(id=f"dead {number}")
        os.kill(int(session.run("echo $$").stdout), signal.SIGKILL)
        until(lambda session=session: not session.alive, "its death is noticed")
    web.session(id="last").close()
    web.session(id="last again").close()
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_sessions_are_closed(notebook: Notebook, web: HostContainer) -> None:
    notebook.run("%%in web\nx=5\n")
    notebook.run("%%in --session two web\nx=6\n")
    assert notebook.run("%in --close --session two web").stdout == ""
    assert notebook.error is None
    assert notebook.run("%%in web\necho [$x]\n").stdout == "[5]\n"
    notebook.run("%%in --close web\n\n")
    assert notebook.error is None
    assert notebook.run("%%in web\necho [$x]\n").stdout == "[]\n"


def test_an_interrupt_stops_the_cell_and_the_variables_stay(notebook: Notebook, web: HostContainer, tmp_path: Path) -> None:
    def interrupt() -> None:
        until(lambda: (tmp_path / "began").exists(), "the cell is on its way")
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    shown = notebook.run("%%in web\nx=kept; : >began; sleep 1000; echo after\n")
    thread.join()
    assert isinstance(notebook.error, Interrupted)
    assert "the cell in web was interrupted" in shown.stdout
    assert "after" not in shown.stdout
    assert notebook.run("%%in web\necho $x\n").stdout == "kept\n"


def test_a_cell_that_takes_too_long_is_stopped(notebook: Notebook, web: HostContainer) -> None:
    shown = notebook.run("%%in --timeout 0.3 web\nx=kept; sleep 1000\n")
    assert isinstance(notebook.error, CellTimedOut)
    assert "the cell in web was stopped after 0.3 s" in shown.stdout
    assert "the variables are still there" in shown.stdout
    assert notebook.run("%%in web\necho $x\n").stdout == "kept\n"


def test_much_output_is_shown_in_part_and_kept_whole(notebook: Notebook, web: HostContainer) -> None:
    shown = notebook.run("%%in --out kept web\nseq 1 400000\n")
    assert len(shown.stdout) == 1_000_000
    assert "more bytes are not shown here; --out NAME keeps all of it" in shown.stderr
    assert notebook.names["kept"].stdout.endswith("399999\n400000\n")


def test_a_flood_between_cells_is_told(notebook: Notebook, web: HostContainer, tmp_path: Path) -> None:
    notebook.run("%%in web\n(seq 1 400000; : >flooded) &\n")
    until(lambda: (tmp_path / "flooded").exists(), "nobody waits for the next cell")
    assert "bytes that came between the cells were thrown away" in notebook.run("%%in web\nwait\n").stderr
    assert notebook.run("%%in web\ntrue\n").stderr == ""


def test_help_lists_the_flags(notebook: Notebook) -> None:
    shown = notebook.run("%in --help").stdout
    assert shown.startswith("Usage:  %%in [OPTIONS] NAME [COMMAND...]\n")
    assert "--push NAMES" in shown
