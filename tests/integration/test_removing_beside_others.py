"""While processes build, commit and create, another one removes and prunes everything: nobody fails, and the store stays whole."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.containers.register import Register
from labcontainers.errors import Conflict, NotFound
from labcontainers.store.records import ContainerRow

pytestmark = pytest.mark.alike("ordinary users")

HOUSE = Path(__file__).resolve().parents[2]
CHILD = Path(__file__).with_name("makers_child.py")
TIMEOUT_S = 120
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(place: Path) -> Iterator[Start]:
    """Begins a process on the store of `engine`; it waits for a line."""
    begun: list[subprocess.Popen[str]] = []

    def begin(what: str, name: str, seconds: float = 4) -> subprocess.Popen[str]:
        command = [sys.executable, str(CHILD), what, str(place / "s"), str(place / "r"), name, str(seconds)]
        environment = {**os.environ, "PYTHONPATH": str(HOUSE)}
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        begun.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        return child

    yield begin
    for child in begun:
        if child.poll() is None:
            child.kill()
        child.communicate()


def go(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()


def test_nobody_who_makes_images_fails_beside_somebody_who_removes_them(start: Start, engine: Engine) -> None:
    engine.images.get("lab/base")
    children = [start("build", "b1"), start("build", "b2"), start("commit", "c1"), start("create", "r1")]
    output: list[str] = []
    readers = [threading.Thread(target=lambda child=child: output.extend(child.stdout)) for child in children]
    for reader in readers:
        reader.start()
    for child in children:
        go(child)
    removed = 0
    while any(reader.is_alive() for reader in readers):
        for image in engine.images.list(all=True):
            if "lab/base:latest" not in image.tags:
                try:
                    removed += bool(engine.images.remove(image.id, force=True).deleted)
                except (NotFound, Conflict):
                    continue
        engine.images.prune(all=True)
        engine.disk_usage()
        readers[0].join(0.05)
    assert [child.wait(TIMEOUT_S) for child in children] == [0] * 4
    assert [line for line in output if line.startswith("problem")] == []
    assert sum(line.startswith("done") for line in output) == 4
    assert removed > 0
    assert engine.verify() == []
    for container in engine.containers.list(all=True):
        container.remove(force=True)
    engine.prune(all=True)
    assert engine.store.records.list_layers() == []
    assert list(engine.store.blobs.list()) == []
    assert engine.store.verify(deep=True) == []


def test_an_image_that_goes_while_a_container_of_it_is_written_down_is_made_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    put, removed = Register._put, list[object]()

    def put_too_late(register: Register, *arguments: Any) -> ContainerRow:
        if len(removed) < 2:
            removed.append(engine.images.prune(all=True))
        return put(register, *arguments)

    monkeypatch.setattr(Register, "_put", put_too_late)
    with pytest.raises(NotFound, match="no such image"):
        engine.containers.create(engine.images.get("lab/base").id, ["true"], network="none")
    container = engine.containers.create("lab/base", ["true"], network="none")
    assert len(removed) == 2
    assert container.start().wait() == 0
    assert [each.id for each in engine.containers.list(all=True)] == [container.id]


def test_what_a_killed_build_left_goes_with_the_next_prune(start: Start, engine: Engine) -> None:
    child = start("build", "b1", 60)
    go(child)
    while not any(image.tags and image.tags[0].startswith("b1") for image in engine.images.list()):
        assert child.poll() is None
    child.kill()
    child.wait(TIMEOUT_S)
    assert engine.verify() == []
    engine.prune(all=True)
    assert engine.store.records.list_layers() == []
    assert list(engine.store.blobs.list()) == []
