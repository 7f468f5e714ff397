"""Containers and commands with a terminal of their own, and a user who sits at his: `run -it`, `exec -it`, `start -ai`, `attach`."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.errors import Conflict, InvalidArgument, StartFailed, Unsupported
from tests.integration.typist import DEADLINE_S, DETACH, PROMPT, Typist

pytestmark = pytest.mark.alike("ordinary users")

HOUSE = Path(__file__).resolve().parents[2]
QUIET = ("--network", "none")
RUN = ("run", "-it", "--rm", *QUIET, "lab/base")

Sit = Callable[..., Typist]


@pytest.fixture
def environment(place: Path, engine: Engine) -> dict[str, str]:
    """What points the command line at the store of the fixture `engine`, which clears up after it."""
    python_path = os.pathsep.join([str(HOUSE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "LABCONTAINERS_ROOT": str(place / "s"), "LABCONTAINERS_RUN": str(place / "r"), "PYTHONPATH": python_path}


@pytest.fixture
def sit(environment: dict[str, str]) -> Iterator[Sit]:
    """Sits down at a new terminal and gives a command there."""
    typists: list[Typist] = []

    def begin(*words: str, size: tuple[int, int] = (24, 80)) -> Typist:
        typists.append(Typist(environment, *words, size=size))
        return typists[-1]

    yield begin
    for typist in typists:
        typist.close()


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


# --- what is inside


def test_program_has_a_controlling_terminal_and_console_is_the_same(engine: Engine) -> None:
    script = "tty && echo $TERM && stat -c %t,%T /dev/console $(tty) && echo to-console >/dev/console && echo to-tty >/dev/tty && test -t 2"
    result = engine.containers.run("lab/base", ["sh", "-c", script], network="none", remove=True, tty=True)
    assert result.stdout_bytes.split(b"\r\n") == [b"/dev/pts/0", b"xterm", b"88,0", b"88,0", b"to-console", b"to-tty", b""]
    assert (result.exit_code, result.stderr_bytes) == (0, b"")


def test_terminal_is_the_users_who_runs_the_program(engine: Engine) -> None:
    options = {} if os.geteuid() else {"user": "1000:1000"}
    result = engine.containers.run(
        "lab/base", ["sh", "-c", "stat -c %u $(tty); id -u; echo x >/dev/stdout"], network="none", remove=True, tty=True, **options
    )
    owner, user, written = result.stdout.split()
    assert owner == user
    assert written == "x"


def test_container_without_a_terminal_has_no_console(engine: Engine) -> None:
    result = engine.containers.run("lab/base", ["sh", "-c", "test -e /dev/console || tty"], network="none", remove=True)
    assert (result.stdout, result.exit_code) == ("not a tty\n", 1)


def test_own_environment_may_name_another_kind_of_terminal(engine: Engine) -> None:
    options = {"network": "none", "remove": True, "environment": {"TERM": "dumb"}}
    assert engine.containers.run("lab/base", ["sh", "-c", "echo $TERM"], tty=True, **options).stdout == "dumb\r\n"


def test_log_keeps_what_the_terminal_made_of_line_ends(engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["sh", "-c", r"printf 'a\nb\r\nc' >&2"], network="none", tty=True, detach=True)
    assert container.wait() == 0
    assert container.logs().data == b"a\r\nb\r\r\nc"
    assert container.logs(stderr=False).data == b"a\r\nb\r\r\nc", "all output of a terminal is standard output"


def test_inspect_tells_what_the_streams_are(engine: Engine) -> None:
    names = ("AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce")
    wanted = {
        "dit": ({"detach": True, "tty": True, "stdin_open": True}, (False, False, False, True, True, False)),
        "d": ({"detach": True}, (False, False, False, False, False, False)),
    }
    for keywords, expected in wanted.values():
        config = engine.containers.run("lab/base", ["sleep", "60"], network="none", **keywords).inspect()["Config"]
        assert tuple(config[name] for name in names) == expected
    created = engine.containers.create("lab/base", ["true"], network="none", stdin_open=True).inspect()["Config"]
    assert tuple(created[name] for name in names) == (True, True, True, False, True, True)


def test_program_that_cannot_be_executed_is_told_as_without_a_terminal(engine: Engine) -> None:
    with pytest.raises(StartFailed) as caught:
        engine.containers.run("lab/base", ["nosuch"], network="none", tty=True, remove=True)
    assert caught.value.exit_code == 127
    container = engine.containers.run("lab/base", ["sleep", "60"], network="none", detach=True)
    with pytest.raises(StartFailed) as caught:
        container.exec(["nosuch"], tty=True)
    assert caught.value.exit_code == 127


def test_50_megabytes_come_through_a_terminal_without_loss(engine: Engine) -> None:
    script = "stty raw; head -c 50000000 /dev/urandom >/blob; sha256sum /blob >/sum; cat /blob"
    container = engine.containers.create("lab/base", ["sh", "-c", script], network="none", tty=True)
    digest, size = hashlib.sha256(), 0
    with container.start_open(foreground=True) as attachment:
        for _, data in attachment:
            digest.update(data)
            size += len(data)
        assert attachment.exit_code == 0
    assert size == 50_000_000
    assert hashlib.sha256(container.logs().data).hexdigest() == digest.hexdigest()
    told = (engine.paths.containers / container.id / "upper" / "sum").read_text().split()[0]
    assert told == digest.hexdigest(), "what came is not what the program wrote"


def test_terminal_of_an_exec_is_its_own(engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["sleep", "60"], network="none", detach=True, tty=True)
    result = container.exec(["sh", "-c", "tty; echo $TERM; echo problem >&2; exit 5"], tty=True)
    assert (result.stdout_bytes, result.stderr_bytes, result.exit_code) == (b"/dev/pts/1\r\nxterm\r\nproblem\r\n", b"", 5)


def test_container_that_closes_its_terminal_and_opens_it_again_is_still_heard(engine: Engine) -> None:
    script = "exec <&- >&- 2>&-; sleep 0.3; exec </dev/console >/dev/console 2>&1; echo here again"
    result = engine.containers.run("lab/base", ["sh", "-c", script], network="none", tty=True, remove=True)
    assert result.stdout == "here again\r\n"


@pytest.mark.parametrize(("height", "width"), [(-1, 10), (10, 70000), ("x", 1), (True, 1), (1.5, 2)])
def test_size_that_is_none_is_refused(engine: Engine, height: object, width: object) -> None:
    container = engine.containers.run("lab/base", ["sleep", "60"], network="none", detach=True, tty=True)
    with pytest.raises(InvalidArgument, match="of a terminal"):
        container.resize(height, width)


def test_resize_reaches_the_program_and_is_told_as_event(engine: Engine) -> None:
    script = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.1; done"
    container = engine.containers.run("lab/base", ["sh", "-c", script], network="none", detach=True, tty=True)
    with container.attach(logs=True) as attachment:
        got = b""
        while b"ready" not in got:
            got += (attachment.read(DEADLINE_S) or (1, b""))[1]
        container.resize(41, 123)
        while b"41 123" not in got:
            got += (attachment.read(DEADLINE_S) or (1, b""))[1]
    (event,) = [event for event in engine.events.read() if event.action == "resize"]
    assert (event.attributes["height"], event.attributes["width"]) == ("41", "123")


def test_container_without_a_terminal_has_no_size(engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["sleep", "60"], network="none", detach=True)
    with pytest.raises(Conflict, match="has no terminal"):
        container.resize(10, 10)
    container.stop(0)
    with pytest.raises(Conflict, match="not running"):
        container.resize(10, 10)


def test_terminal_without_somebody_is_refused_before_anything_is_made(engine: Engine) -> None:
    with pytest.raises(Unsupported, match="--tty and --interactive without --detach"):
        engine.containers.run("lab/base", ["sh"], tty=True, stdin_open=True)
    with pytest.raises(InvalidArgument, match="stdin does not go with tty"):
        engine.containers.run("lab/base", ["sh"], tty=True, stdin=b"exit")
    with pytest.raises(InvalidArgument, match=r"conflicting options: .*-a and -d"):
        engine.containers.run("lab/base", ["sh"], detach=True, attach=["stdout"])
    with pytest.raises(InvalidArgument, match="valid streams are STDIN, STDOUT and STDERR"):
        engine.containers.create("lab/base", ["sh"], attach=["stdlog"])
    assert engine.containers.list(all=True) == []


# --- who sits outside


def test_run_it_is_a_shell_at_the_users_terminal(sit: Sit) -> None:
    user = sit(*RUN, "sh", size=(33, 99))
    user.expect(PROMPT)
    user.type(b"stty size\n")
    user.expect(b"33 99")
    user.resize(40, 120)
    user.type(b"sleep 0.3; stty size\n")
    user.expect(b"40 120")
    # ctrl-c interrupts the program inside, not the command outside
    user.type(b"sleep 1000\n")
    user.expect(b"sleep 1000")
    time.sleep(0.5)
    user.type(b"\x03")
    user.expect(PROMPT)
    user.type(b"exit 7\n")
    assert user.end() == 7
    assert user.restored()


def test_users_terminal_is_restored_when_the_program_left_it_raw_or_was_killed(sit: Sit, engine: Engine) -> None:
    user = sit("run", "-it", "--name", "wild", *QUIET, "lab/base", "sh", "-c", "stty raw -echo; echo up; sleep 1000")
    user.expect(b"up")
    engine.containers.get("wild").kill()
    assert user.end() == 137
    assert user.restored()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_signals_to_the_command_go_to_the_container_and_the_terminal_is_restored(sit: Sit, number: int) -> None:
    script = f"trap 'echo caught; exit 9' {number}; echo up; while :; do sleep 0.1; done"
    user = sit(*RUN, "sh", "-c", script)
    user.expect(b"up")
    user.signal(number)
    user.expect(b"caught")
    assert user.end() == 9
    assert user.restored()


def test_detach_keys_leave_the_container_running(sit: Sit, engine: Engine) -> None:
    user = sit("run", "-it", "--name", "left", *QUIET, "lab/base", "sh")
    user.expect(PROMPT)
    user.type(DETACH[:1])
    time.sleep(0.2)
    user.type(DETACH[1:])
    assert user.end() == 0
    assert user.restored()
    container = engine.containers.get("left")
    assert container.status == "running"
    again = sit("attach", "--detach-keys", "ctrl-],x", "left", size=(30, 90))
    again.type(b"echo ba''ck\n")
    again.expect(b"back")
    again.type(b"stty size\n")
    again.expect(b"30 90")
    again.type(b"\x1dx")
    assert again.end() == 0
    assert again.restored()
    assert container.status == "running"
    actions = [event.action for event in engine.events.read() if event.name == "left"]
    assert [action for action in actions if action in ("attach", "detach")] == ["attach", "detach", "attach", "detach"]


@pytest.mark.parametrize("words", [("start", "-ai"), ("exec", "-it")])
def test_detach_keys_are_those_that_start_and_exec_are_given(sit: Sit, engine: Engine, words: tuple[str, ...]) -> None:
    starts = words[0] == "start"
    container = engine.containers.create(
        "lab/base", ["sh"] if starts else ["sleep", "600"], name="box", network="none", tty=starts, stdin_open=starts
    )
    if not starts:
        container.start()
    user = sit(*words, "--detach-keys", "ctrl-],x", "box", *([] if starts else ["sh"]))
    user.expect(PROMPT)
    user.type(b"echo st''ays\n" + DETACH + b"\n")
    user.expect(b"stays")
    user.type(b"\x1dx")
    assert user.end() == 0
    assert user.restored()
    assert container.status == "running"


def test_attach_ends_with_the_containers_exit_code(sit: Sit, engine: Engine) -> None:
    engine.containers.run("lab/base", ["sh"], name="shell", network="none", detach=True, tty=True, stdin_open=True)
    user = sit("attach", "shell")
    user.type(b"exit 3\n")
    assert user.end() == 3
    assert user.restored()


def test_start_ai_is_a_run_of_what_was_created(sit: Sit, engine: Engine, environment: dict[str, str]) -> None:
    create = [sys.executable, "-m", "labcontainers", "create", "-it", "--name", "later", *QUIET, "lab/base", "sh"]
    subprocess.run(create, env=environment, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=DEADLINE_S)
    user = sit("start", "-ai", "later")
    user.expect(PROMPT)
    user.type(b"exit 6\n")
    assert user.end() == 6
    assert user.restored()
    assert engine.containers.get("later").state.exit_code == 6


def test_exec_it_is_a_shell_beside_the_program(sit: Sit, engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["sleep", "1000"], name="host", network="none", detach=True)
    ids = "0:0" if engine.info()["IDs"] == "single" else "4242:4243"
    user = sit("exec", "-it", "-e", "GREETING=hello", "-w", "/usr/bin", "-u", ids, "host", "sh", size=(31, 91))
    user.type(b"stty size; echo $GREETING $PWD $(id -u):$(id -g); exit 4\n")
    user.expect(b"31 91\r\nhello /usr/bin " + ids.encode())
    assert user.end() == 4
    assert user.restored()
    assert container.status == "running"
    look = ["grep", "CapEff", "/proc/self/status"]
    user = sit("exec", "-it", "--privileged", "host", *look)
    assert user.end() == 0
    plain = container.exec(look).stdout.split()[1].encode()
    assert b"CapEff:" in user.screen
    assert plain not in user.screen


def test_exec_that_is_left_by_its_keys_goes_on(sit: Sit, engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["sleep", "1000"], name="host", network="none", detach=True)
    user = sit(
        "exec", "-it", "host", "sh", "-c", "echo up; for i in $(seq 20000); do echo 0123456789; done; sleep 1; touch /done; sleep 1000"
    )
    user.expect(b"up")
    user.type(DETACH)
    assert user.end() == 0
    assert user.restored()
    eventually(lambda: container.exec(["test", "-e", "/done"]).ok, "the command that was left does not go on")


def test_user_who_is_killed_ends_his_run_and_not_what_he_was_attached_to(sit: Sit, engine: Engine) -> None:
    lasting = engine.containers.run("lab/base", ["sh"], name="lasting", network="none", detach=True, tty=True, stdin_open=True)
    mine = sit("run", "-it", "--name", "mine", *QUIET, "lab/base", "sh")
    other = sit("attach", "lasting")
    mine.expect(PROMPT)
    other.type(b"echo at''tached\n")
    other.expect(b"attached")
    for typist in (mine, other):
        typist.signal(signal.SIGKILL)
        typist.end()
    eventually(lambda: engine.containers.get("mine").status == "exited", "a foreground run outlives its command")
    assert lasting.status == "running"
    assert lasting.exec(["true"]).ok


def test_input_that_is_no_terminal_is_refused_for_one(environment: dict[str, str], engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["sleep", "60"], name="host", network="none", detach=True, tty=True, stdin_open=True)
    for words in (RUN, ("exec", "-it", "host", "sh"), ("attach", "host")):
        command = [sys.executable, "-m", "labcontainers", *words]
        done = subprocess.run(command, env=environment, capture_output=True, stdin=subprocess.DEVNULL, timeout=DEADLINE_S, check=False)
        assert done.returncode != 0
        assert done.stderr.startswith(b"labcontainers: the input device is not a TTY")
    assert engine.containers.list(all=True) == [container]


def said(environment: dict[str, str], *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "labcontainers", *words]
    return subprocess.run(command, env=environment, capture_output=True, input=stdin, timeout=DEADLINE_S, check=False)


def test_dit_needs_no_terminal_and_waits_for_who_attaches(environment: dict[str, str], engine: Engine) -> None:
    done = said(environment, "run", "-dit", "--name", "waiting", *QUIET, "lab/base", "sh")
    assert (done.returncode, done.stderr) == (0, b"")
    container = engine.containers.get(done.stdout.decode().strip())
    with container.attach() as attachment:
        attachment.write(b"exit 8\n")
        assert attachment.wait() == 8


def test_piped_input_comes_to_what_is_attached_to_and_leaves_it(environment: dict[str, str], engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["cat"], name="reader", network="none", detach=True, stdin_open=True)
    done = said(environment, "attach", "reader", stdin=b"by pipe\n")
    assert done.returncode == 0
    eventually(lambda: container.logs().data == b"by pipe\n", "the input did not arrive")
    assert container.status == "running"


def test_start_a_shows_the_output_and_i_passes_input_on(environment: dict[str, str], engine: Engine) -> None:
    said(environment, "create", "-i", "--name", "later", *QUIET, "lab/base", "sh", "-c", "cat; exit 5")
    done = said(environment, "start", "-ai", "later", stdin=b"text\n")
    assert (done.stdout, done.returncode) == (b"text\n", 5)
    assert engine.containers.get("later").state.exit_code == 5


def test_a_stdin_alone_prints_the_id_and_leaves_it_with_its_input(environment: dict[str, str], engine: Engine) -> None:
    done = said(environment, "run", "-i", "-a", "stdin", *QUIET, "lab/base", "sha256sum", stdin=b"text")
    container = engine.containers.get(done.stdout.decode().strip())
    assert container.wait(DEADLINE_S) == 0
    assert container.logs().text.split()[0] == hashlib.sha256(b"text").hexdigest()


def test_streams_that_were_not_asked_for_are_not_shown(environment: dict[str, str]) -> None:
    done = said(environment, "run", "--rm", "-a", "STDERR", *QUIET, "lab/base", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == (b"", b"err\n")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("run", "-d", "-a", "stdout", "lab/base"), b"conflicting options: --attach and --detach (-a and -d)"),
        (("run", "-a", "stdlog", "lab/base"), b"--attach: invalid stream 'stdlog'"),
        (("run", "--detach-keys", "ctrl-x,foo", "lab/base"), b"invalid detach keys (ctrl-x,foo) provided"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_made(
    environment: dict[str, str], engine: Engine, words: tuple[str, ...], complaint: bytes
) -> None:
    done = said(environment, *words)
    assert done.returncode == 125
    assert complaint in done.stderr
    assert engine.containers.list(all=True) == []


def test_exec_in_a_terminal_may_be_left_at_once(engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["sleep", "60"], network="none", detach=True)
    assert container.exec(["sh", "-c", "sleep 0.5; tty >/which"], tty=True, detach=True).exit_code == 0
    eventually(lambda: container.exec(["cat", "/which"]).stdout == "/dev/pts/0\n", "it did not go on")


def test_t_alone_gives_a_terminal_to_a_program_whose_output_goes_elsewhere(environment: dict[str, str], engine: Engine) -> None:
    command = [sys.executable, "-m", "labcontainers", "run", "-t", "--rm", *QUIET, "lab/base", "sh", "-c", "tty; exit 3"]
    done = subprocess.run(command, env=environment, capture_output=True, stdin=subprocess.DEVNULL, timeout=DEADLINE_S, check=False)
    assert (done.stdout, done.returncode) == (b"/dev/pts/0\r\n", 3)


def test_typed_input_without_a_terminal_of_its_own_comes_by_lines(sit: Sit) -> None:
    user = sit("run", "-i", "--rm", *QUIET, "lab/base", "sh", "-c", "tty; read line; echo got $line; cat; exit 2")
    user.expect(b"not a tty")
    user.type(b"one\n")
    user.expect(b"got one")
    user.type(b"\x04")
    assert user.end() == 2
    assert user.restored()


def test_every_life_of_a_container_has_a_terminal_and_takes_input(engine: Engine) -> None:
    options = {"restart_policy": {"Name": "always"}, "tty": True, "stdin_open": True}
    container = engine.containers.run("lab/base", ["sh"], network="none", detach=True, **options)
    for life in range(3):
        eventually(lambda: container.status == "running", "it was not started again")
        with container.attach() as attachment:
            attachment.write(b"exit 0\n")
            attachment.wait()
        eventually(lambda life=life: container.inspect()["RestartCount"] > life, "it was not started again")


def test_ctrl_c_reaches_the_program_behind_an_init(engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["sh"], network="none", detach=True, tty=True, stdin_open=True, init=True)
    with container.attach() as attachment:
        attachment.write(b"sleep 1000; echo code $?\n")
        eventually(lambda: "sleep 1000" in container.exec(["ps"]).stdout, "it does not sleep")
        attachment.write(b"\x03")
        attachment.write(b"exit 3\n")
        assert attachment.wait() == 3
