"""`labcontainers …` as a Docker user types it: real processes, exact bytes, exit codes and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labcontainers import Engine

pytestmark = pytest.mark.alike("ordinary users")

HOUSE = Path(__file__).resolve().parents[2]
TIMEOUT_S = 60

Terminal = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def environment(place: Path, engine: Engine) -> dict[str, str]:
    """What points the command line at the store of the fixture `engine`, which clears up after it."""
    assert engine.paths.root == place / "s"
    python_path = os.pathsep.join([str(HOUSE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "LABCONTAINERS_ROOT": str(place / "s"), "LABCONTAINERS_RUN": str(place / "r"), "PYTHONPATH": python_path}


@pytest.fixture
def terminal(environment: dict[str, str], place: Path) -> Terminal:
    def run(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "labcontainers", *words],
            input=stdin,
            capture_output=True,
            env=environment,
            cwd=place,
            timeout=TIMEOUT_S,
            check=False,
        )

    return run


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts commands that go on; what still runs at the end is ended."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "labcontainers", *words]
        # without a buffer, from which `communicate` would not take what `readline` left there
        process = subprocess.Popen(command, 0, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        started.append(process)
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


RUN = ("run", "--rm", "--network", "none", "lab/base")


def test_output_is_exact_and_in_its_own_stream_and_the_exit_code_is_the_containers(terminal: Terminal) -> None:
    done = terminal(*RUN, "sh", "-c", r"printf 'a\0\377b\r\n\303'; printf 'err' >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == (b"a\0\xffb\r\n\xc3", b"err", 7)


FAILURES = [
    ((*RUN, "nosuch"), 127, "executable file not found"),
    ((*RUN, "/etc/passwd"), 126, "permission denied"),
    (("run", "no/such/image"), 125, "no such image: no/such/image"),
    (("run", "-v", "/no/such:/x", "lab/base"), 125, "/no/such"),
    (("logs", "nosuch"), 1, "no such container: nosuch"),
    (("exec", "nosuch", "true"), 1, "no such container: nosuch"),
    (("inspect", "nosuch"), 1, "no such container, image, network or volume: nosuch"),
    (("build", "/no/such"), 1, "/no/such"),
]


def test_a_failure_is_one_line_with_dockers_exit_code(terminal: Terminal) -> None:
    for words, exit_code, said in FAILURES:
        done = terminal(*words)
        # inspect lists what it found, as Docker's does
        assert (words, done.returncode, done.stdout) == (words, exit_code, b"[]\n" if words[0] == "inspect" else b"")
        lines = done.stderr.decode().splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("labcontainers: ")
        assert said in lines[0]


def test_standard_input_is_passed_on_with_i_and_only_then(terminal: Terminal) -> None:
    data = bytes(range(256)) * 1000
    assert terminal("run", "-i", "--rm", "--network=none", "lab/base", "cat", stdin=data).stdout == data
    assert terminal(*RUN, "cat", stdin=data).stdout == b""


def test_flags_after_the_image_belong_to_the_program(terminal: Terminal) -> None:
    assert terminal(*RUN, "echo", "--rm", "-e", "--", "--help").stdout == b"--rm -e -- --help\n"


def test_variables_come_from_files_the_line_and_the_terminal(terminal: Terminal, place: Path, environment: dict[str, str]) -> None:
    (place / "env").write_text("A=file\nB=file\n")
    environment["C"] = "passed on"
    script = 'echo "$A $B $C"'
    words = (
        "run",
        "--rm",
        "--network",
        "none",
        "--env-file",
        "env",
        "-e",
        "B=line",
        "-eC",
        "-e",
        "D_NOT_SET",
        "lab/base",
        "sh",
        "-c",
        script,
    )
    assert terminal(*words).stdout == b"file line passed on\n"


def test_a_detached_container_from_its_start_to_its_removal(terminal: Terminal) -> None:
    script = "echo out; echo err >&2; trap 'exit 5' TERM; while :; do sleep 0.05; done"
    done = terminal("run", "-d", "--name", "web", "--network", "none", "-l", "role=db", "lab/base", "sh", "-c", script)
    container_id = done.stdout.decode().strip()
    assert len(container_id) == 64
    assert terminal("ps", "-q", "--no-trunc").stdout.decode().split() == [container_id]
    assert terminal("ps", "--format", '{{.Names}} {{.State}} {{.Label "role"}}').stdout == b"web running db\n"
    assert terminal("ps", "-f", "name=^we", "-f", "label=role=db", "-q").stdout.decode().split() == [container_id[:12]]
    assert terminal("ps", "-qf", "status=exited").stdout == b""
    assert terminal("inspect", "-f", "{{.State.Status}} {{index .Config.Cmd 0}}", container_id[:6]).stdout == b"running sh\n"
    done = terminal("exec", "-i", "-e", "X=1", "web", "sh", "-c", 'cat; echo "$X"; echo e >&2; exit 9', stdin=b"in\n")
    assert (done.stdout, done.stderr, done.returncode) == (b"in\n1\n", b"e\n", 9)
    done = terminal("logs", "web")
    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")
    assert terminal("rm", "web").returncode == 1
    assert terminal("stop", "web").stdout == b"web\n"
    assert terminal("wait", "web").stdout == b"5\n"
    assert terminal("ps", "-a", "--format", "{{.Status}}").stdout.startswith(b"Exited (5) ")
    assert terminal("start", "web").stdout == b"web\n"
    assert terminal("kill", "-s", "KILL", "web").stdout == b"web\n"
    assert terminal("wait", "web").stdout == b"137\n"
    done = terminal("rm", "-f", "web", "nosuch")
    assert (done.stdout, done.returncode) == (b"web\n", 0)
    assert done.stderr == b"no such container: nosuch\n"
    assert terminal("ps", "-aq").stdout == b""


def test_an_image_from_its_build_to_its_removal(terminal: Terminal, place: Path) -> None:
    (place / "Dockerfile").write_text('FROM lab/base\nARG WHO=world\nRUN echo hello $WHO > /greeting\nCMD ["cat", "/greeting"]\n')
    done = terminal("build", "-t", "mine:1", "--build-arg", "WHO=lab", "--iidfile", "id", ".")
    assert done.returncode == 0
    assert b"RUN echo hello" in done.stderr
    image_id = (place / "id").read_text()
    assert terminal("images", "--no-trunc", "-q", "mine").stdout.decode().strip() == image_id
    assert terminal("run", "--rm", "--network", "none", "mine:1").stdout == b"hello lab\n"
    done = terminal("build", "-q", "-", stdin=b"FROM mine:1\nRUN exit 4\n")
    assert done.returncode == 4
    assert terminal("build", "-q", "-f", "-", ".", stdin=b"FROM mine:1\n").stdout.startswith(b"sha256:")
    assert terminal("tag", "mine:1", "mine:2").stdout == b""
    assert terminal("images", "--format", "{{.Tag}}", "-f", "reference=mine:*").stdout.split() == [b"1", b"2"]
    assert terminal("rmi", "mine:1", "mine:2").returncode == 0
    assert terminal("images", "-q", "mine").stdout == b""


def ready(process: subprocess.Popen[bytes]) -> None:
    """Wait until the container says that it is up."""
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"


@pytest.mark.parametrize(
    ("number", "trap", "exit_code"),
    [(signal.SIGINT, "INT", 7), (signal.SIGTERM, "TERM", 8), (signal.SIGUSR1, "USR1", 9)],
    ids=["INT", "TERM", "USR1"],
)
def test_a_signal_passes_to_the_container_whose_exit_code_counts(
    start: Callable[..., subprocess.Popen[bytes]], number: int, trap: str, exit_code: int
) -> None:
    process = start(*RUN, "sh", "-c", f"trap 'echo got it; exit {exit_code}' {trap}; echo up; while :; do sleep 0.05; done")
    ready(process)
    process.send_signal(number)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (out, err, process.returncode) == (b"got it\n", b"", exit_code)


def test_a_second_interrupt_kills_a_container_that_ignores_the_first(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = start(*RUN, "sh", "-c", "trap 'echo no' INT; echo up; while :; do sleep 0.05; done")
    ready(process)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == b"no\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 137


def test_a_signal_that_interrupts_nothing_passes_as_often_as_it_comes(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = start(*RUN, "sh", "-c", "n=0; trap 'n=$((n+1)); echo $n' USR1; echo up; while [ $n -lt 3 ]; do sleep 0.05; done")
    ready(process)
    assert process.stdout is not None
    for number in (b"1\n", b"2\n", b"3\n"):
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == number
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0


def test_without_sig_proxy_an_interrupt_leaves_the_container_running(engine: Engine, start: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = start(*RUN[:1], "--sig-proxy=false", "--name", "it", *RUN[1:], "sh", "-c", "echo up; sleep 100")
    ready(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (out, err, process.returncode) == (b"", b"", 130)
    assert engine.containers.get("it").status == "running"


def test_an_interrupt_passes_to_what_exec_runs_and_not_to_the_container(
    engine: Engine, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    container = engine.containers.run("lab/base", ["sleep", "100"], detach=True, network="none")
    process = start("exec", container.name, "sh", "-c", "trap 'exit 6' INT; echo up; while :; do sleep 0.05; done")
    ready(process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 6
    assert container.status == "running"


def test_a_reader_that_goes_away_ends_the_command_quietly(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = start(*RUN, "yes")
    assert process.stdout is not None
    assert process.stdout.readline() == b"y\n"
    process.stdout.close()
    assert process.wait(TIMEOUT_S) == 128 + signal.SIGPIPE
    assert process.stderr is not None
    assert process.stderr.read() == b""


def test_following_the_log_of_another_process_ends_with_the_container(
    engine: Engine, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    container = engine.containers.run(
        "lab/base", ["sh", "-c", "echo up; sleep 0.3; echo err >&2; printf partial; sleep 0.3"], detach=True, network="none"
    )
    process = start("logs", "-f", container.name)
    ready(process)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (out, err, process.returncode) == (b"partial", b"err\n", 0)


def test_statistics_are_shown_again_and_again_until_the_container_ends(
    engine: Engine, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    container = engine.containers.run("lab/base", ["sleep", "100"], detach=True, network="none", name="busy")
    process = start("stats", "--format", "{{.Name}} {{.PIDs}}", "busy")
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == [b"busy 1\n"] * 2
    container.stop(timeout_s=0)
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0


def test_events_of_another_process_are_followed_and_filtered(engine: Engine, start: Callable[..., subprocess.Popen[bytes]]) -> None:
    began = time.time()
    engine.containers.run("lab/base", ["true"], network="none", name="first", remove=True)
    process = start("events", "--since", f"{began:.3f}", "-f", "event=die", "--format", "{{.Actor.Attributes.name}}")
    assert process.stdout is not None
    assert process.stdout.readline() == b"first\n"
    engine.containers.run("lab/base", ["true"], network="none", name="second", remove=True)
    assert process.stdout.readline() == b"second\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130


def test_a_context_on_standard_input_is_told_from_a_dockerfile_by_its_content(terminal: Terminal, place: Path) -> None:
    for name, content in {"Dockerfile": "FROM scratch\nCOPY f /\n", "Other": "FROM scratch\nCOPY f /o\n", "f": "f"}.items():
        (place / "c").mkdir(exist_ok=True)
        (place / "c" / name).write_text(content)
    subprocess.run(["tar", "-czf", "../c.tgz", "."], cwd=place / "c", check=True)
    data = (place / "c.tgz").read_bytes()
    image = terminal("build", "-q", "c").stdout
    assert image.startswith(b"sha256:")
    assert terminal("build", "-q", "-", stdin=data).stdout == image
    other = terminal("build", "-q", "-f", "Other", "-", stdin=data)
    assert other.stdout not in (b"", image)
    assert terminal("build", "--check", "-", stdin=data).returncode == 0
    for words, said, told in (
        (("-f", "Other", "-"), b"FROM scratch\n", b"--file: standard input is a Dockerfile"),
        (("-f", "-", "-"), b"", b"--file: - and the context -"),
        (("-",), b"\xff\xfe", b"neither an archive nor a Dockerfile"),
        (("c.tgz",), b"", b"build - < c.tgz"),
        (("https://",), b"", b"not an address"),
        (("--build-context", "x=target:y", "c"), b"", b"bake"),
    ):
        done = terminal("build", *words, stdin=said)
        assert (done.returncode != 0, told in done.stderr) == (True, True), done
    named = terminal("build", "-q", "--build-context", "x=c", "-", stdin=b"FROM scratch\nCOPY --from=x f /\n")
    assert (named.returncode, named.stdout.startswith(b"sha256:")) == (0, True)
