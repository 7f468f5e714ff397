"""`prune` asks before it removes anything, as Docker's does; what Docker 28.5.2 writes is kept here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.errors import InvalidArgument
from tests.integration.typist import Typist

pytestmark = pytest.mark.alike("ordinary users")

HOUSE = Path(__file__).resolve().parents[2]
TIMEOUT_S = 60
QUESTION = "Are you sure you want to continue? [y/N] "
WARNINGS = [
    (("container", "prune"), "WARNING! This will remove all stopped containers.\n"),
    (("prune",), "WARNING! This will remove all stopped containers.\n"),
    (("volume", "prune"), "WARNING! This will remove anonymous local volumes not used by at least one container.\n"),
    (("volume", "prune", "-a"), "WARNING! This will remove all local volumes not used by at least one container.\n"),
    (("image", "prune"), "WARNING! This will remove all dangling images.\n"),
    (("image", "prune", "-a"), "WARNING! This will remove all images without at least one container associated to them.\n"),
    (("network", "prune"), "WARNING! This will remove all custom networks not used by at least one container.\n"),
    (
        ("system", "prune", "--filter", "until=1h", "--filter", "label=x"),
        "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n"
        "  - all dangling images\n  - unused build cache\n\n  Items to be pruned will be filtered with:\n  - label=x\n  - until=1h\n\n",
    ),
    (
        ("system", "prune", "-a", "--volumes"),
        "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n"
        "  - all anonymous volumes not used by at least one container\n"
        "  - all images without at least one container associated to them\n  - all build cache\n\n",
    ),
]


@pytest.fixture
def environment(place: Path, engine: Engine) -> dict[str, str]:
    """What points the command line at the store of the fixture `engine`, which clears up after it."""
    python_path = os.pathsep.join([str(HOUSE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "LABCONTAINERS_ROOT": str(place / "s"), "LABCONTAINERS_RUN": str(place / "r"), "PYTHONPATH": python_path}


@pytest.fixture
def ended(engine: Engine) -> Callable[[], int]:
    """Makes what can be pruned; how many containers and volumes there are now."""
    engine.containers.create("lab/base", ["true"], network="none")
    engine.volumes.create()
    return lambda: len(engine.containers.list(all=True)) + len(engine.volumes.list())


@pytest.fixture
def sit(environment: dict[str, str]) -> Iterator[Callable[..., Typist]]:
    typists: list[Typist] = []

    def begin(*words: str) -> Typist:
        typists.append(Typist(environment, *words))
        return typists[-1]

    yield begin
    for typist in typists:
        typist.close()


@pytest.mark.parametrize(("words", "warning"), WARNINGS)
def test_a_pipe_that_ends_says_no(words: tuple[str, ...], warning: str, environment: dict[str, str], ended: Callable[[], int]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "labcontainers", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, warning + QUESTION, "")
    assert ended() == 2


ANSWERS = [(b"n\r", 2), (b"\r", 2), (b"yes\r", 2), (b"y\r", 1), (b" Y \r", 1), (b"\x04", 2)]


@pytest.mark.parametrize(("typed", "left"), ANSWERS)
def test_at_a_terminal_only_a_y_goes_on(typed: bytes, left: int, sit: Callable[..., Typist], ended: Callable[[], int]) -> None:
    typist = sit("container", "prune")
    typist.expect(QUESTION.encode())
    assert ended() == 2
    typist.type(typed)
    if left == 1:
        typist.expect(b"Total reclaimed space: ")
    assert typist.end() == 0
    assert ended() == left


def test_an_interrupt_at_the_question_removes_nothing(sit: Callable[..., Typist], ended: Callable[[], int]) -> None:
    typist = sit("volume", "prune")
    typist.expect(QUESTION.encode())
    typist.type(b"\x03")
    assert typist.end() == 130
    assert ended() == 2


@pytest.mark.parametrize("words", [("prune", "-f"), ("volume", "prune", "--force")])
def test_with_force_nothing_is_asked(words: tuple[str, ...], sit: Callable[..., Typist], ended: Callable[[], int]) -> None:
    typist = sit(*words)
    assert b"WARNING" not in typist.expect(b"Total reclaimed space: ")
    assert typist.end() == 0
    assert ended() == 1


@pytest.mark.parametrize("words", [[*words, "--filter", "nope=1"] for words, _ in WARNINGS])
def test_what_is_wrong_is_told_before_anything_is_asked(engine: Engine, words: list[str]) -> None:
    written: list[bytes] = []
    with pytest.raises(InvalidArgument):
        execute(lambda: engine, understand(words), on_output=lambda stream, data: written.append(data), stdin=0, live=True)
    assert written == []


def test_a_cell_is_not_asked_since_it_has_no_standard_input(engine: Engine, ended: Callable[[], int]) -> None:
    assert len(execute(lambda: engine, understand(["prune"]))) == 1
    assert len(execute(lambda: engine, understand(["volume", "prune"]))) == 1
    assert ended() == 0
