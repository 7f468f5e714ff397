"""Layers of built images, read by the engine's worker as whoever runs the tests; the commands that tell of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.build.result import Build
from labcontainers.commands.table import execute, understand
from labcontainers.errors import InvalidArgument, NotFound

pytestmark = pytest.mark.on_disk

DOCKERFILE = """FROM lab/base
ENV COLOUR=green
RUN mkdir /data && seq 1000 > /data/numbers && ln /data/numbers /data/again && ln -s numbers /data/link && echo one > /data/same
RUN rm /data/numbers /data/again && echo two > /data/same && chmod 600 /etc/passwd
RUN rm -r /data && mkdir /data && echo new > /data/new
"""


@pytest.fixture
def build(engine: Engine, place: Path) -> Build:
    (place / "context").mkdir()
    return engine.images.build(place / "context", dockerfile_text=DOCKERFILE, tag="looked")


def said(engine: Engine, *words: str) -> object:
    return execute(lambda: engine, understand(words))


def test_each_instruction_tells_what_it_changed(engine: Engine, build: Build) -> None:
    base, made, changed, replaced = build.image.layers
    assert "seq 1000" in made.created_by
    assert base.files["/etc/passwd"].change == "added"
    told = {file.path: (file.change, file.kind, file.link) for file in made.files.below("/data")}
    assert told == {
        "/data/again": ("added", "file", ""),
        "/data/link": ("added", "symlink", "numbers"),
        "/data/numbers": ("added", "hardlink", "/data/again"),
        "/data/same": ("added", "file", ""),
    }
    assert {file.path: (file.change, file.differs) for file in changed.files.changed() if file.kind != "directory"} == {
        "/data/again": ("removed", ()),
        "/data/numbers": ("removed", ()),
        "/data/same": ("modified", ("content",)),
        "/etc/passwd": ("modified", ("mode",)),
    }
    assert {file.path: file.change for file in replaced.files.below("/data")} == {
        "/data/link": "removed",
        "/data/new": "added",
        "/data/same": "removed",
    }


def test_what_is_wasted_lies_in_layers_that_later_ones_hide(build: Build) -> None:
    wasted = {file.path: file.lies for file in build.image.wasted if file.path.startswith("/data")}
    assert wasted == {
        "/data/again": ((1, 3893, "removed", 2),),
        "/data/same": ((2, 4, "removed", 3), (1, 4, "overwritten", 2)),
    }
    assert build.image.wasted_bytes >= 3893 + 8


def test_a_container_sees_what_the_difference_of_two_images_says(engine: Engine, build: Build) -> None:
    diff = engine.images.get("lab/base").diff("looked")
    listing = engine.containers.run("looked", ["find", "/data", "-type", "f"]).stdout.split()
    assert [file.path for file in diff.added if file.kind == "file"] == listing == ["/data/new"]
    assert [file.path for file in diff.modified if file.kind == "file"] == ["/etc/passwd"]
    assert len(diff.removed) == 0
    assert [(found.field, found.after) for found in diff.config] == [("Env.COLOUR", "green")]


def test_another_engine_reads_what_was_kept_of_a_layer(make_engine: Callable[[], Engine]) -> None:
    first, second = make_engine(), make_engine()
    files = first.images.get("lab/base").layers[0].files
    assert second.images.get("lab/base").layers[0].files == files
    assert len(list((first.paths.root / "listings").iterdir())) == 1


def test_nothing_that_is_half_read_is_left(engine: Engine, build: Build) -> None:
    build.image.diff("lab/base", content=True).to_json()
    _ = build.image.wasted
    assert not [path for path in (engine.paths.root / "listings").iterdir() if path.name.startswith(".")]


class TestCommands:
    def test_image_layers_has_a_row_for_each_layer(self, engine: Engine, build: Build) -> None:
        lines = repr(said(engine, "image", "layers", "looked")).splitlines()
        assert lines[0].split() == ["LAYER", "SIZE", "ADDED", "MODIFIED", "REMOVED", "CREATED", "BY"]
        assert [line.split()[0] for line in lines[1:]] == ["0", "1", "2", "3"]
        assert lines[3].split()[2:5] == ["0", "2", "2"]
        assert "RUN rm /data/numbers" in lines[3]
        assert "chmod 600 /etc/passwd" in repr(said(engine, "image", "layers", "--no-trunc", "looked"))

    def test_image_layers_as_a_template_and_as_json(self, engine: Engine, build: Build) -> None:
        assert str(said(engine, "image", "layers", "--format", "{{.Index}} {{.Removed}}", "looked")).splitlines()[2] == "2 2"
        lines = str(said(engine, "image", "layers", "--no-trunc", "--format", "json", "looked")).splitlines()
        assert [json.loads(line)["DiffID"] for line in lines] == list(build.image.diff_ids)

    def test_image_diff_tells_config_and_files(self, engine: Engine, build: Build) -> None:
        text = repr(said(engine, "image", "diff", "lab/base", "looked"))
        assert "config: Env.COLOUR: (none) -> green" in text
        assert "A   new" in text
        document = json.loads(str(said(engine, "image", "diff", "--format", "json", "--content", "lab/base", "looked")))
        assert "/data/new" in [file["path"] for file in document["files"]]
        assert document["content_compared"] is True

    def test_image_diff_refuses_other_formats_and_unknown_images(self, engine: Engine) -> None:
        with pytest.raises(InvalidArgument, match="--format: 'yaml'"):
            said(engine, "image", "diff", "--format", "yaml", "lab/base", "lab/base")
        with pytest.raises(NotFound, match="no such image: nothing"):
            said(engine, "image", "diff", "lab/base", "nothing")

    def test_image_explore_tells_layers_and_waste(self, engine: Engine, build: Build) -> None:
        text = repr(said(engine, "image", "explore", "looked"))
        assert "image looked:latest" in text
        assert "/data/again: 3.89kB in layer 1 removed by layer 2" in text


@pytest.mark.parametrize("words", [("image", "layers"), ("image", "diff", "lab/base"), ("image", "explore")])
def test_an_image_that_is_not_named_is_asked_for(engine: Engine, words: tuple[str, ...]) -> None:
    with pytest.raises(InvalidArgument, match=words[1]):
        said(engine, *words)
