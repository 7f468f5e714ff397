"""What the tests of removals run in processes of their own: images that are made again and again while another process removes them."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

from labcontainers import Engine
from labcontainers.errors import Conflict, NotFound


def say(*words: object) -> None:
    """One line, whole or not at all."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def build(engine: Engine, name: str, number: int) -> None:
    """Two steps of its own above one that all builds share: nobody may take away what it stands on."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "shared").write_text("shared")
        Path(folder, "own").write_text(f"{name} {number}")
        text = "FROM lab/base\nCOPY shared /shared\nCOPY own /own\nCOPY shared /last\n"
        image = engine.images.build(folder, dockerfile_text=text, tag=f"{name}:{number % 3}").image
        assert len(image.diff_ids) == 4


def commit(engine: Engine, name: str, number: int) -> None:
    container = engine.containers.create("lab/base", ["true"], network="none", name=f"{name}-{number}")
    try:
        container.commit(name, str(number % 3), message=str(number))
    finally:
        container.remove(force=True)


def create(engine: Engine, name: str, number: int) -> None:
    """A container of an image that somebody may remove meanwhile: either there is none, or it has all its layers."""
    for image in engine.images.list(all=True):
        try:
            container = engine.containers.create(image.id, ["true"], network="none")
        except (NotFound, Conflict):
            continue
        assert engine.store.snapshots.lower_paths(container.layers)
        container.remove(force=True)


def main(what: str, root: str, run_root: str, name: str, seconds: str) -> None:
    work = {"build": build, "commit": commit, "create": create}[what]
    with Engine(root, run_root) as engine:
        engine.images.get("lab/base")
        say("ready")
        sys.stdin.readline()
        end, number = time.monotonic() + float(seconds), 0
        while time.monotonic() < end or number < 3:
            try:
                work(engine, name, number)
            except Exception:
                say("problem", " | ".join(traceback.format_exc().splitlines()[-12:]))
            number += 1
        say("done", number)


if __name__ == "__main__":
    main(*sys.argv[1:])
