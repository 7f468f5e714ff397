"""Sessions with every shell and interpreter of this machine, as plain processes: what a cell may do, and what is told of it."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers.containers.sessions import wire
from labcontainers.containers.sessions.dialects import dialect_of
from labcontainers.containers.sessions.session import CellResult, Session
from labcontainers.errors import CellTimedOut, Conflict, Interrupted, InvalidArgument, StartFailed, Unsupported
from tests.fakes.session_peer import HostPeer
from tests.waiting import until

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "LANG": "C.UTF-8",
    "HOME": "/nonexistent",
    "PS1": "prompt> ",
    "ENV": "/nonexistent/profile",
}
SHELLS = {
    "dash": ("sh", ("dash",)),
    "busybox": ("sh", ("busybox", "sh")),
    "bash as sh": ("sh", ("bash", "--posix")),
    "bash": ("bash", ("bash",)),
}
Open = Callable[..., Session]


@pytest.fixture
def open_session(tmp_path: Path) -> Iterator[Open]:
    opened: list[Session] = []

    def start(language: str, command: tuple[str, ...] | None = None, environment: dict[str, str] = ENVIRONMENT) -> Session:
        dialect = dialect_of(language)
        command = command or dialect.commands[0]
        if command[0] == "python3":
            command = (sys.executable, *command[1:])
        peer = HostPeer(command, environment, str(tmp_path))
        opened.append(Session("c" * 64, "web", dialect, peer, environment, lambda: None))
        return opened[-1]

    yield start
    for session in opened:
        session.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("lab-session")]


@pytest.fixture(params=[name for name, (_, command) in SHELLS.items() if shutil.which(command[0])])
def shell(open_session: Open, request: pytest.FixtureRequest) -> Session:
    return open_session(*SHELLS[request.param])


@pytest.fixture
def python(open_session: Open) -> Session:
    return open_session("python")


@pytest.fixture
def node(open_session: Open) -> Session:
    return open_session("node")


def interrupt_soon(session: Session, when: Callable[[], bool], times: int = 1) -> threading.Thread:
    """Interrupt the cell that is about to run, once `when` holds."""

    def wait() -> None:
        until(when, "the cell is on its way")
        for _ in range(times):
            session.interrupt()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def runs(pid: int) -> bool:
    """Whether it is there, and more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def said(result: CellResult) -> tuple[str, str, int]:
    return result.stdout, result.stderr, result.exit_code


def test_a_process_that_greets_before_it_is_listened_to_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dialect = dialect_of("python")
    peer = HostPeer((sys.executable, *dialect.commands[0][1:]), ENVIRONMENT, str(tmp_path))
    assert select.select([peer.control], [], [], 60)[0]

    def begin(thread: threading.Thread) -> None:
        thread.start()
        time.sleep(0.2)

    monkeypatch.setattr(wire, "begin_thread", begin)
    session = Session("c" * 64, "web", dialect, peer, ENVIRONMENT, lambda: None)
    assert session.run("1 + 1").stdout == "2\n"
    session.close()


# --- shells


def test_folder_variables_functions_and_options_stay(shell: Session) -> None:
    assert said(shell.run("x=5; cd /tmp\nf() { echo \"f: $x $1\"; }\nalias hey='echo aliased'\nset -f")) == ("", "", 0)
    assert said(shell.run("f one; pwd; echo *; hey")) == ("f: 5 one\n/tmp\n*\naliased\n", "", 0)


def test_the_environment_is_what_it_was(shell: Session) -> None:
    assert said(shell.run('echo "$ENV|$-"; env | grep ^ENV='))[0].startswith("/nonexistent/profile|")
    assert shell.run("env | grep ^ENV=").stdout == "ENV=/nonexistent/profile\n"


@pytest.mark.parametrize(
    ("text", "code"), [("true", 0), ("false", 1), ("(exit 7)", 7), ("nosuchcommand", 127), ("sh -c 'kill -9 $$'", 137)]
)
def test_the_exit_code_is_that_of_the_last_command(shell: Session, text: str, code: int) -> None:
    assert shell.run(text).exit_code == code
    assert said(shell.run("echo $?; true"))[2] == 0


@pytest.mark.parametrize("text", ["echo 'unbalanced", "if true; then", "echo a )", 'echo "$(', "cat <<E\n$("])
def test_a_syntax_error_is_told_and_the_session_goes_on(shell: Session, text: str) -> None:
    shell.run("x=kept")
    result = shell.run(text)
    assert result.exit_code != 0 or "<<" in text
    assert result.stderr
    assert said(shell.run("echo $x")) == ("kept\n", "", 0)


@pytest.mark.parametrize(
    "text",
    [
        "echo ${nope?is unset}; echo after",
        "set -u; echo $nope; echo after",
        "readonly r=1; r=2; echo after",
        "cd /nope",
    ],
)
def test_what_may_end_a_shell_ends_the_cell_alone(shell: Session, text: str) -> None:
    result = shell.run(text)
    assert result.exit_code != 0
    assert result.stdout == ""
    assert result.stderr
    assert said(shell.run("set +u; echo on")) == ("on\n", "", 0)


def test_output_may_hold_anything(shell: Session) -> None:
    result = shell.run("printf 'ended 1 0\\0 ended 2 9\\0\\377\\001no newline'; printf 'error' >&2")
    assert result.stdout_bytes == b"ended 1 0\0 ended 2 9\0\xff\x01no newline"
    assert said(result)[1:] == ("error", 0)


def test_a_cell_reads_an_empty_input_and_never_the_protocol(shell: Session) -> None:
    assert said(shell.run('read y; echo "[$y] $?"; cat; echo end')) == ("[] 1\nend\n", "", 0)
    assert said(shell.run("cat <<E\nhere $((1 + 1))\nE")) == ("here 2\n", "", 0)
    assert said(shell.run("exec <&-; cat 2>/dev/null; echo $?"))[2] == 0
    assert said(shell.run("echo on")) == ("on\n", "", 0)


def test_several_megabytes_come_whole_and_in_order(shell: Session) -> None:
    pieces: list[bytes] = []
    result = shell.run("seq 1 700000", on_output=lambda stream, data: pieces.append(data))
    assert result.stdout_bytes == b"".join(pieces) == "".join(f"{number}\n" for number in range(1, 700001)).encode()


def test_redirections_of_a_cell_end_with_it(shell: Session, tmp_path: Path) -> None:
    assert said(shell.run("exec >file 2>&1; echo hidden; echo hidden >&2")) == ("", "", 0)
    assert said(shell.run("cat file; echo shown; echo err >&2")) == ("hidden\nhidden\nshown\n", "err\n", 0)


def test_large_texts_with_all_characters(shell: Session) -> None:
    text = "".join(f"a{number}='it'\\''s \"ü\" $'; " for number in range(5000)) + 'echo "$a4999"'
    assert said(shell.run(text)) == ('it\'s "ü" $\n', "", 0)
    with pytest.raises(InvalidArgument, match="zero byte"):
        shell.run("echo \0")
    for text in ("", "\n", "# nothing", "echo \\\n continued"):
        assert shell.run(text).exit_code == 0


def test_a_cell_may_change_what_lines_mean(shell: Session) -> None:
    assert shell.run("IFS=0123456789; set -- one two; printf() { echo mine; }; alias eval='echo not'").exit_code == 0
    assert said(shell.run('echo "$1 $2"; (exit 10)')) == ("one two\n", "", 10)


def test_exit_ends_the_session_with_its_code(shell: Session) -> None:
    result = shell.run("trap 'echo bye' EXIT; echo before; exit 3; echo after")
    assert said(result) == ("before\nbye\n", "", 3)
    assert result.ended
    assert not shell.alive
    assert shell.exit_code == 3
    with pytest.raises(Conflict, match="has ended with exit code 3"):
        shell.run("echo again")


def test_errexit_ends_the_session(shell: Session) -> None:
    result = shell.run("set -e\necho one\nfalse\necho two")
    assert (result.stdout, result.exit_code, result.ended) == ("one\n", 1, True)


def test_programs_in_the_background_go_on_writing(shell: Session, tmp_path: Path) -> None:
    result = shell.run("(while [ ! -e stop ]; do echo tick; sleep 0.01; done; echo done; : >stopped) & echo started")
    assert result.stdout.replace("tick\n", "") == "started\n"
    assert result.stderr == ""
    assert shell.run("echo next").stdout.replace("tick\n", "") == "next\n"
    (tmp_path / "stop").touch()
    until(lambda: (tmp_path / "stopped").exists(), "the loop ends")
    assert shell.run("wait").stdout.endswith("done\n")


def test_a_flood_between_cells_does_not_stop_its_writer(shell: Session, tmp_path: Path) -> None:
    shell.run("(seq 1 400000; : >flooded) &")
    until(lambda: (tmp_path / "flooded").exists(), "nobody waits for the next cell")
    assert shell.run("wait").stdout.endswith("400000\n")
    assert shell.lost_bytes > 0


@pytest.mark.parametrize(
    "loop",
    ["sleep 100", "while :; do :; done", "while :; do sleep 0.01; done", "g() { while :; do sleep 1; done; }; g; g"],
)
def test_an_interrupt_ends_the_cell_and_the_variables_stay(shell: Session, tmp_path: Path, loop: str) -> None:
    shell.run("x=kept")
    thread = interrupt_soon(shell, lambda: (tmp_path / "began").exists())
    with pytest.raises(Interrupted, match="exit code 130"):
        shell.run(f"y=new; : >began; {loop}\necho after >after")
    thread.join()
    assert said(shell.run("echo $x $y; ls")) == ("kept new\nbegan\n", "", 0)


def test_a_program_that_ignores_interrupts_is_killed_and_the_session_lives(shell: Session, tmp_path: Path) -> None:
    shell.run("x=kept; sleep 100 & bg=$!")
    thread = interrupt_soon(shell, lambda: (tmp_path / "began").exists(), times=2)
    with pytest.raises(Interrupted):
        shell.run("sh -c 'trap \"\" INT; : >began; while :; do sleep 1; done'")
    thread.join()
    assert said(shell.run("kill -0 $bg && echo $x")) == ("kept\n", "", 0)


def test_a_cell_that_takes_too_long_is_stopped(shell: Session) -> None:
    with pytest.raises(CellTimedOut, match=r"stopped after 0\.3 s"):
        shell.run("x=kept; sleep 100; echo after", timeout_s=0.3)
    assert said(shell.run("echo $x")) == ("kept\n", "", 0)


def test_variables_come_and_go_as_text(shell: Session) -> None:
    values = {
        "a": 'it\'s\n"two" lines\n',
        "n": 3,
        "f": 1.5,
        "yes": True,
        "none": None,
        "many": [1, "ü", {"k": None}],
        "empty": "",
    }
    shell.push(values)
    expected = {**values, "n": "3", "f": "1.5", "yes": "true", "none": "", "many": '[1, "ü", {"k": null}]'}
    assert shell.pull(*values) == expected
    assert shell.run('printf %s "$a$n"').stdout == 'it\'s\n"two" lines\n3'
    large = "x" * 3_000_000
    shell.push(large=large)
    assert shell.pull("large") == {"large": large}


def test_variables_that_cannot_come_or_go_are_named(shell: Session) -> None:
    shell.run("readonly fixed=1")
    for values, words in [
        ({"fixed": "2"}, "fixed cannot be pushed"),
        ({"a-b": "x"}, "'a-b'"),
        ({"s": {1}}, "s cannot be pushed"),
        ({"z": "\0"}, "zero byte"),
    ]:
        with pytest.raises(InvalidArgument, match=words):
            shell.push(values)
    with pytest.raises(InvalidArgument, match="has no variable nope"):
        shell.pull("nope")
    shell.run("set -u")
    with pytest.raises(InvalidArgument, match="has no variable nope"):
        shell.pull("nope")
    assert shell.pull("fixed") == {"fixed": "1"}


# --- python


def test_python_keeps_one_namespace_and_shows_the_last_expression(python: Session) -> None:
    assert said(python.run("import os\nx = 5\ndef f(y):\n    return x + y\nclass P: pass")) == ("", "", 0)
    assert said(python.run("print('a', end='')\nf(1)")) == ("a6\n", "", 0)
    assert said(python.run("x = 7; f(1), __name__")) == ("(8, '__main__')\n", "", 0)
    assert said(python.run("None")) == ("", "", 0)
    assert said(python.run("import pickle; type(pickle.loads(pickle.dumps(P()))) is P, _")) == (
        "(True, (8, '__main__'))\n",
        "",
        0,
    )


def test_python_shows_the_traceback_of_the_cells_alone(python: Session) -> None:
    python.run("def broken():\n    return 1 / 0")
    result = python.run("x = 1\nbroken()")
    assert (result.stdout, result.exit_code) == ("", 1)
    assert result.stderr.splitlines()[:3] == [
        "Traceback (most recent call last):",
        '  File "<cell 2>", line 2, in <module>',
        "    broken()",
    ]
    assert "<string>" not in result.stderr
    assert "return 1 / 0" in result.stderr
    for text in ("def f(:", "x = 'open", "  indented = 1", "x\0"):
        assert python.run(text).exit_code == 1
    assert said(python.run("x")) == ("1\n", "", 0)


@pytest.mark.parametrize(
    ("text", "code", "error"),
    [
        ("import sys; sys.exit(3)", 3, ""),
        ("exit()", 0, ""),
        ("raise SystemExit('words')", 1, "words\n"),
        ("import os; os._exit(9)", 9, ""),
    ],
)
def test_python_ends_by_exit(python: Session, text: str, code: int, error: str) -> None:
    result = python.run(f"print('before')\n{text}")
    assert (*said(result), result.ended) == ("before\n", error, code, True)


def test_python_reads_an_empty_input_and_writes_anything(python: Session) -> None:
    assert python.run("import sys; sys.stdin.read(), input()").stderr.endswith("EOFError: EOF when reading a line\n")
    result = python.run(
        "import sys, os; n = sys.stdout.buffer.write(b'ended 1 0\\0\\xff' * 500000); os.system('cat; echo child >&2') ; None"
    )
    assert result.stdout_bytes == b"ended 1 0\0\xff" * 500000
    assert result.stderr == "child\n"
    assert said(python.run("import os\npid = os.fork()\nif pid: code = os.waitpid(pid, 0)[1]\nelse: raise SystemExit(4)\ncode >> 8")) == (
        "4\n",
        "",
        0,
    )


@pytest.mark.parametrize(
    "text", ["while True: pass", "import time; time.sleep(100)", "import subprocess; subprocess.run(['sleep', '100'])"]
)
def test_python_interrupted_keeps_its_variables(python: Session, tmp_path: Path, text: str) -> None:
    thread = interrupt_soon(python, lambda: (tmp_path / "began").exists())
    with pytest.raises(Interrupted, match="exit code 130"):
        python.run(f"x = 'kept'; open('began', 'w').close()\n{text}")
    thread.join()
    assert said(python.run("x")) == ("'kept'\n", "", 0)


def test_python_shows_where_it_was_interrupted(python: Session, tmp_path: Path) -> None:
    thread = interrupt_soon(python, lambda: (tmp_path / "began").exists())
    heard: list[bytes] = []
    with pytest.raises(Interrupted):
        python.run("open('began', 'w').close()\nwhile True: pass", on_output=lambda stream, data: heard.append(data))
    thread.join()
    lines = b"".join(heard).decode().splitlines()
    assert [line for line in lines if line.startswith("  File")] == ['  File "<cell 1>", line 2, in <module>']
    assert lines[-1] == "KeyboardInterrupt"


def test_python_that_takes_no_interrupt_is_ended_and_that_is_told(python: Session, tmp_path: Path) -> None:
    thread = interrupt_soon(python, lambda: (tmp_path / "began").exists(), times=3)
    with pytest.raises(Interrupted, match="exit code 137"):
        python.run("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); open('began', 'w').close()\nwhile True: pass")
    thread.join()
    assert not python.alive


def test_python_values_come_and_go(python: Session) -> None:
    values: dict[str, Any] = {
        "i": 2**70,
        "f": 0.1,
        "s": "ü\0\n",
        "b": True,
        "n": None,
        "l": [1, [2.5, "x"]],
        "d": {"a": {"b": []}},
    }
    python.push(values)
    assert python.pull(*values) == values
    assert python.run("type(b), type(i), d['a']").stdout == "(<class 'bool'>, <class 'int'>, {'b': []})\n"
    python.run(
        "t = (1, 2); o = object(); k = {1: 2}; c = []; c.append(c); deep = {'a': [1, {2, 3}]}\n"
        "import datetime; when = datetime.date(2024, 1, 1)"
    )
    assert python.pull("t") == {"t": [1, 2]}
    for name, words in [
        ("o", "object"),
        ("k", "the key 1"),
        ("c", "contains itself"),
        ("deep", r"deep\['a'\]\[1\] is of type set"),
        ("when", "datetime.date"),
    ]:
        with pytest.raises(InvalidArgument, match=f"{name} cannot be pulled from web: .*{words}"):
            python.pull(name)
    with pytest.raises(InvalidArgument, match="has no variable nope"):
        python.pull("nope")
    for pushed, words in [
        ({"class": 1}, "'class'"),
        ({"o": object()}, "o cannot be pushed"),
        ({"k": {1: 2}}, "its key 1"),
        ({"b": b"x"}, "of type bytes"),
    ]:
        with pytest.raises(InvalidArgument, match=words):
            python.push(pushed)


FAKE_ARROW = """
import sys, types, json
class Table:
    schema = None
    def __init__(self, rows): self.rows = rows
Table.__module__ = "pyarrow.lib"
class Sink:
    def getvalue(self): return self
    def to_pybytes(self): return json.dumps(self.rows).encode()
class Writer:
    def __init__(self, sink): self.sink = sink
    def __enter__(self): return self
    def __exit__(self, *rest): pass
    def write_table(self, table): self.sink.rows = table.rows
class Reader:
    def __init__(self, data): self.data = data
    def read_all(self): return Table(json.loads(bytes(self.data)))
arrow = types.ModuleType("pyarrow")
arrow.Table, arrow.BufferOutputStream = Table, Sink
arrow.ipc = types.SimpleNamespace(new_stream=lambda sink, schema: Writer(sink), open_stream=Reader)
sys.modules["pyarrow"] = arrow
"""


def test_tables_travel_by_arrow_where_both_sides_have_it(python: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {}
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    exec(FAKE_ARROW, names)
    table = names["Table"]([[1, "x"]])
    python.run("import sys; sys.modules['pyarrow'] = None")
    with pytest.raises(Unsupported, match=r"table cannot be pushed into web: .* the container's python has no pyarrow"):
        python.push(table=table)
    python.run(FAKE_ARROW + "mine = Table([[2, None]])")
    python.push(table=table)
    assert python.run("type(table).__name__, table.rows").stdout == "('Table', [[1, 'x']])\n"
    assert python.pull("mine")["mine"].rows == [[2, None]]
    python.run("sys.modules['pyarrow'] = None")
    with pytest.raises(Unsupported, match=r"mine cannot be pulled from web: .* has no pyarrow"):
        python.pull("mine")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Unsupported, match="the notebook has no pyarrow"):
        python.push(table=table)


# --- node


@pytest.mark.needs("node")
def test_node_keeps_one_context_and_shows_the_last_value(node: Session) -> None:
    assert said(node.run("const x = 5; let y = 1; function f(z) { return x + y + z }\nvar v = 2")) == ("", "", 0)
    assert said(node.run("console.log('a'); f(1)")) == ("a\n7\n", "", 0)
    assert said(node.run("require('path').join('a', 'b')")) == ("'a/b'\n", "", 0)
    assert said(node.run("new Promise((done) => setTimeout(() => done('later'), 10))")) == ("'later'\n", "", 0)
    result = node.run("function broken() { throw new Error('no') }\nbroken()")
    assert result.exit_code == 1
    assert "Error: no\n    at broken (<cell 5>:1:" in result.stderr
    assert "eval" not in result.stderr
    assert "node:" not in result.stderr
    assert node.run("let let = 1").exit_code == 1
    assert node.run("require('fs').readFileSync(0).length").stdout == "0\n"
    assert node.run("require('child_process').execSync('cat; echo child').toString()").stdout == "'child\\n'\n"


@pytest.mark.needs("node")
def test_node_values_come_and_go(node: Session) -> None:
    values: dict[str, Any] = {
        "i": 7,
        "f": 0.1,
        "s": "ü\0\n",
        "b": True,
        "n": None,
        "l": [1, ["x"]],
        "d": {"a": {"b": []}},
    }
    node.push(values)
    assert node.pull(*values) == values
    node.run("let mine = [1]; const big = 10n; const fn = () => 1; const bad = {a: [NaN]}; const m = new Map(); const c = {}; c.c = c")
    assert node.pull("mine") == {"mine": [1]}
    for name, words in [
        ("big", "bigint"),
        ("fn", "function"),
        ("bad", r"bad\[\"a\"\]\[0\] is NaN"),
        ("m", "Map"),
        ("c", "contains itself"),
    ]:
        with pytest.raises(InvalidArgument, match=words):
            node.pull(name)
    with pytest.raises(InvalidArgument, match="big cannot be pushed"):
        node.push(big=1)
    with pytest.raises(InvalidArgument, match="no exact number"):
        node.push(large=2**60)


@pytest.mark.needs("node")
@pytest.mark.parametrize("text", ["for (;;);", "new Promise(() => {})"])
def test_node_interrupted_keeps_its_variables(node: Session, tmp_path: Path, text: str) -> None:
    thread = interrupt_soon(node, lambda: (tmp_path / "began").exists())
    with pytest.raises(Interrupted, match="exit code 130"):
        node.run(f"var x = 'kept'; require('fs').writeFileSync('began', '')\n{text}")
    thread.join()
    assert said(node.run("x")) == ("'kept'\n", "", 0)


@pytest.mark.needs("node")
def test_node_ends_by_exit(node: Session) -> None:
    result = node.run("console.log('before'); process.exit(3)")
    assert (*said(result), result.ended) == ("before\n", "", 3, True)


# --- all


def test_a_language_that_is_not_there_is_told(open_session: Open) -> None:
    with pytest.raises(InvalidArgument, match="no sessions in this language: 'ruby'"):
        open_session("ruby")
    with pytest.raises(StartFailed, match="there is no node in container web"):
        open_session(
            "node",
            environment={**ENVIRONMENT, "PATH": "/nonexistent"},
            command=("/bin/sh", *dialect_of("node").commands[0][1:]),
        )


def test_a_process_that_dies_between_cells(shell: Session) -> None:
    shell.run("x=1")
    os.kill(shell._peer.process.pid, signal.SIGKILL)
    until(lambda: not shell.alive, "the death is noticed")
    with pytest.raises(Conflict, match="has ended with exit code 137"):
        shell.run("echo $x")


def test_closing_leaves_nothing(shell: Session, tmp_path: Path) -> None:
    shell.run("sleep 1000 & echo $! >pid; (trap '' HUP; sleep 1000) & echo $! >>pid")
    pids = [int(line) for line in (tmp_path / "pid").read_text().split()]
    shell.close()
    shell.close()
    until(lambda: not any(map(runs, pids)), "what it started ends with it")
    with pytest.raises(Conflict, match="was closed"):
        shell.run("true")


def test_closing_ends_a_cell_that_runs(shell: Session, tmp_path: Path) -> None:
    def wait() -> None:
        until(lambda: (tmp_path / "began").exists(), "the cell is on its way")
        shell.close()

    thread = threading.Thread(target=wait)
    thread.start()
    result = shell.run(": >began; sleep 100")
    thread.join()
    assert (result.exit_code, result.ended) == (137, True)


def test_cells_of_two_threads_wait_for_each_other(shell: Session) -> None:
    outputs: list[str] = []

    def work(word: str) -> None:
        for _ in range(5):
            outputs.append(shell.run(f"echo {word}; sleep 0.01; echo {word}").stdout)

    threads = [threading.Thread(target=work, args=(word,)) for word in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outputs) == ["a\na\n"] * 5 + ["b\nb\n"] * 5


def test_what_a_process_says_out_of_turn_does_no_harm(python: Session) -> None:
    """A cell finds the socket and writes there what might be taken for answers; between cells, without end."""
    python.run("import os, threading\nlook = lambda fd: os.path.exists(fd) and os.readlink(fd)")
    find = "control = next(int(fd) for fd in os.listdir('/proc/self/fd') if str(look(f'/proc/self/fd/{fd}')).startswith('socket'))"
    assert said(python.run(find)) == ("", "", 0)
    junk = "b'ended\\0ended x y\\0value\\0\\0\\xff\\0ended 99 7\\0began\\0took 5\\0'"
    assert python.run(f"os.write(control, {junk}) > 0").stdout == "True\n"
    python.push(x=1)
    assert python.pull("x") == {"x": 1}
    python.run("def flood():\n    while True: os.write(control, b'x' * 65536)\nthreading.Thread(target=flood, daemon=True).start()")
    until(lambda: not python.alive, "who floods the socket is ended")


def test_an_output_that_fails_ends_the_session(shell: Session) -> None:
    def fail(stream: int, data: bytes) -> None:
        raise ValueError("full")

    with pytest.raises(ValueError, match="full"):
        shell.run("echo a; sleep 100", on_output=fail)
    until(lambda: not shell.alive, "nobody knows what would come")


def test_a_timeout_must_be_some_time(shell: Session) -> None:
    with pytest.raises(InvalidArgument, match="more than 0 seconds"):
        shell.run("true", timeout_s=0)
