"""`labcontainers …` as far as it needs no container: help, versions, slips of the pen and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from labcontainers import session
from labcontainers.__main__ import main
from labcontainers.errors import ContainerExit, DockerfileError, Interrupted, NotFound, StartFailed, StepFailed
from tests.fakes.engine import FakeEngine, run_result

REFUSED = [
    ("run --nmae x lab/base", "run: unknown flag: --nmae (did you mean --name?)"),
    ("run -it lab/base", "the input device is not a TTY"),
    ("exec -it web sh", "the input device is not a TTY"),
    ("run --detach-keys ctrl-x,foo lab/base", "--detach-keys: invalid detach keys (ctrl-x,foo) provided: unknown character 'foo'"),
    ("attach --detach-keys ü web", "--detach-keys: invalid detach keys (ü) provided: unknown character 'ü'"),
    ("start -a one two", "you cannot start and attach multiple containers at once"),
    ("run --gpus all lab/base", "run: --gpus is not supported yet"),
    ("run", "run: IMAGE is missing"),
    ("run --name", "run: flag needs a value: --name"),
    ("rum", "unknown command 'rum'"),
    ("trust inspect", "trust is not supported yet: signatures are not verified"),
    ("--host x ps", "unknown flag: --host"),
    ("ps -f colour", "--filter: not KEY=VALUE: 'colour'"),
]
FAILED = [
    (NotFound("no such image: x", "build it"), 125, "labcontainers: no such image: x (build it)\n"),
    (StartFailed("exec x: not found", 127), 127, "labcontainers: exec x: not found\n"),
    (StepFailed("RUN x", 4), 4, "labcontainers: step failed with exit code 4: RUN x\n"),
    (DockerfileError("bad", first_line=2, source="BAD x"), 125, "labcontainers: Dockerfile:2: bad\n2 | BAD x\n"),
    (ContainerExit("web", 9), 9, ""),
    (
        ContainerExit("web", 137, "", "killed for lack of memory"),
        137,
        "labcontainers: container web ended with exit code 137, killed for lack of memory\n",
    ),
    (OSError(28, "No space left on device", "/x"), 125, "labcontainers: /x: no space left on device\n"),
    (OSError(5, "Input/output error"), 125, "labcontainers: input/output error (errno 5)\n"),
    (TimeoutError("not yet healthy"), 125, "labcontainers: not yet healthy\n"),
    (Interrupted("container web", 7), 7, ""),
    (KeyboardInterrupt(), 130, ""),
    (KeyboardInterrupt(15), 143, ""),
]


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    fake = FakeEngine()
    session.use_engine(fake)
    yield fake
    session.close()


@pytest.mark.parametrize(("words", "said"), REFUSED, ids=[words for words, _ in REFUSED])
def test_a_slip_of_the_pen_is_one_line_and_125(engine: FakeEngine, capfd: Any, words: str, said: str) -> None:
    assert main(words.split()) == 125
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"labcontainers: {said}")
    assert err.count("\n") == 1
    assert engine.asked == []


@pytest.mark.parametrize(("error", "exit_code", "said"), FAILED, ids=[type(error).__name__ + str(code) for error, code, _ in FAILED])
def test_an_error_of_run_becomes_dockers_exit_code(engine: FakeEngine, capfd: Any, error: BaseException, exit_code: int, said: str) -> None:
    engine.fails = error
    assert main(["run", "lab/base"]) == exit_code
    assert capfd.readouterr() == ("", said)
    assert engine.closed


def test_output_is_passed_on_as_bytes_and_not_kept(engine: FakeEngine, capfdbinary: Any) -> None:
    engine.writes = [(1, b"a\0\xff"), (2, b"\xc3"), (1, b"\r\n")]
    engine.answer = run_result(warnings=("memory is not limited here",))
    assert main(["run", "lab/base"]) == 0
    assert capfdbinary.readouterr() == (b"a\0\xff\r\n", b"\xc3warning: memory is not limited here\n")
    assert engine.asked[-1][3]["keep_output"] is False


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_is_shown(engine: FakeEngine, capfd: Any, words: list[str]) -> None:
    assert main(words) == 0
    assert "Run a command in a running container" in capfd.readouterr().out


@pytest.mark.parametrize("words", [["--help", "run"], ["run", "--help"], ["help", "run"], ["container", "run", "--help"]])
def test_help_of_a_command_is_shown(engine: FakeEngine, capfd: Any, words: list[str]) -> None:
    assert main(words) == 0
    assert "--env-file FILE" in capfd.readouterr().out


def test_versions_are_shown(engine: FakeEngine, capfd: Any) -> None:
    from labcontainers.engine.version import Version

    engine.version = lambda: Version("1.2.3", "3.11.2", "6.1.0", "x86_64")
    for words in (["--version"], ["-v"], ["version"]):
        assert main(words) == 0
        assert capfd.readouterr().out == "labcontainers 1.2.3 (Python 3.11.2, Linux 6.1.0, x86_64)\n"
        session.use_engine(engine)
    assert main(["version", "-f", "json"]) == 0
    assert json.loads(capfd.readouterr().out)["Server"]["Version"] == "1.2.3"
