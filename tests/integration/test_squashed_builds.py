"""`build --squash`: one layer above the base whose files, gone ones too, are those of the steps; and what the history says of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.build.result import Build
from labcontainers.commands.table import execute, understand
from labcontainers.errors import InvalidArgument, NotFound

BASE = (
    "FROM lab/base\nRUN mkdir -p /a/b /opq/old /kept; echo 1 > /a/b/gone; echo 1 > /a/stays; echo 1 > /opq/old/f; echo 1 > /opq/g;"
    " echo 1 > /changed; echo 1 > /file-then-dir; mkdir /dir-then-file; echo 1 > /dir-then-file/x; touch /twice\n"
)
STEPS = (
    "RUN printf canary-%s 4c1e > /only-between; rm /a/b/gone; rm -r /opq; rm /twice\n"
    "RUN rm /only-between; mkdir /opq; echo new > /opq/new; rm /file-then-dir; mkdir /file-then-dir; touch /twice\n"
    "RUN rm -r /dir-then-file; echo f > /dir-then-file; echo 2 >> /changed; touch /file-then-dir/in; rm /twice; ln /changed /linked\n"
    "RUN mkdir -m 1750 /sticky; ln -s nowhere /dangling; chmod 700 /kept; ln /changed /a/also\n"
    "ENV A=1\nCMD true\n"
)
# the size of a directory is the file system's own business
LISTING = (
    "cd /; find . -mindepth 1 -xdev \\( -path ./proc -o -path ./sys -o -path ./dev -o -path ./etc \\) -prune"
    " -o -type d -exec stat -c '%n %f %u %g %Y' {} + -o -exec stat -c '%n %f %u %g %s %Y' {} + | sort"
)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return tmp_path


def listing(engine: Engine, build: Build) -> list[str]:
    return engine.containers.run(build.image, ["sh", "-c", LISTING], remove=True, network="none").stdout.splitlines()


def build(engine: Engine, context: Path, text: str, **options: Any) -> Build:
    return engine.images.build(context, dockerfile_text=text, network="none", **options)


def test_one_layer_has_what_the_steps_made_and_hides_what_they_removed(engine: Engine, context: Path) -> None:
    base = build(engine, context, BASE, tag="below").image
    plain = build(engine, context, "FROM below\n" + STEPS)
    squashed = build(engine, context, "FROM below\n" + STEPS, squash=True)
    assert squashed.image.diff_ids[:-1] == base.diff_ids
    assert all(step.cached for step in squashed.steps)
    assert set(listing(engine, squashed)) ^ set(listing(engine, plain)) == set()
    with engine.images.save(squashed.image.id) as archive:
        assert b"canary-4c1e" not in b"".join(archive)
    config = squashed.image.config
    assert (config.config, config.created) == (plain.image.config.config, plain.image.config.created)
    history = config.history
    assert history[: len(base.config.history)] == base.config.history
    own = history[len(base.config.history) :]
    assert [entry.created_by for entry in own[:-1]] == [
        entry.created_by for entry in plain.image.config.history[len(base.config.history) :]
    ]
    assert all(entry.empty_layer for entry in own[:-1])
    assert (own[-1].created_by, own[-1].comment, own[-1].empty_layer) == ("", f"merge {plain.image.id} to {base.id}", False)


def test_from_scratch_and_through_stages_all_new_layers_become_one(engine: Engine, context: Path) -> None:
    (context / "f").write_text("1")
    (context / "g").write_text("2")
    alone = build(engine, context, "FROM scratch\nCOPY f /\nCOPY g /d/\n", squash=True)
    assert len(alone.image.diff_ids) == 1
    assert alone.image.config.history[-1].comment.startswith("create new from sha256:")
    stages = build(engine, context, "FROM lab/base AS one\nCOPY f /\nFROM one\nCOPY g /\nRUN rm /f\n", squash=True)
    assert stages.image.diff_ids[:-1] == engine.images.get("lab/base").diff_ids
    lines = listing(engine, stages)
    assert [line.split()[0] for line in lines if line.split()[0] in ("./f", "./g")] == ["./g"]


def test_the_same_steps_give_the_same_image_and_nothing_new_an_empty_layer(engine: Engine, context: Path) -> None:
    text = "FROM lab/base\nRUN mkdir /d; echo 1 > /d/f; rm -r /var/log\n"
    first = build(engine, context, text, squash=True)
    assert build(engine, context, text, squash=True, no_cache=True).image.id == first.image.id
    same = build(engine, context, "FROM lab/base\nLABEL a=b\n", squash=True)
    assert len(same.image.diff_ids) == len(engine.images.get("lab/base").diff_ids) + 1
    assert engine.store.verify(deep=True) == []


def test_flags(make_engine: Callable[[], Engine], engine: Engine, context: Path) -> None:
    def say(*words: str) -> Any:
        return execute(lambda: engine, understand(["build", "--network", "none", *words, str(context)]), folder=context)

    (context / "Dockerfile").write_text("FROM lab/base\nRUN echo 1 > /1\nRUN echo 2 > /2\n")
    assert len(say("--squash", "--builder", "default").image.diff_ids) == len(engine.images.get("lab/base").diff_ids) + 1
    with pytest.raises(NotFound, match="no such builder: other"):
        say("--builder", "other")
    with pytest.raises(InvalidArgument, match="no layers of steps"):
        say("--squash", "--cache-to", "type=inline")
