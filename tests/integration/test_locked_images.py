"""`lock` says which images a course was written with, and tells on another machine what is not the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.images.image import Image
from tests.command_lines import said

pytestmark = pytest.mark.alike("every user")


@pytest.fixture(autouse=True)
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "labcontainers.lock"


def built(engine: Engine, text: str, tag: str = "team/web:1") -> Image:
    return engine.images.build(dockerfile_text=f"FROM lab/base\n{text}\n", tags=[tag], network="none").image


def test_what_was_locked_is_the_same_until_it_is_built_anew(engine: Engine, capfd: pytest.CaptureFixture[str], course: Path) -> None:
    first = built(engine, "RUN echo one > /one\nRUN echo two > /two")
    code, out, _ = said(engine, capfd, "lock", "team/web:1", "lab/base")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["NAME", "lab/base:latest", "team/web:1"]
    assert json.loads(course.read_text())["images"]["team/web:1"]["layers"] == list(first.diff_ids)
    assert said(engine, capfd, "lock", "--check")[0] == 0
    built(engine, "RUN echo one > /one\nRUN echo three > /two")
    code, out, err = said(engine, capfd, "lock", "--check")
    assert code == 1
    assert out.splitlines()[2].split(maxsplit=3)[3] == f"other files from layer {len(first.diff_ids)} on"
    assert "1 of 2 images are not those of labcontainers.lock" in err
    assert said(engine, capfd, "lock", "--check", "lab/base")[0] == 0
    assert said(engine, capfd, "lock")[0] == 0
    assert said(engine, capfd, "lock", "--check")[0] == 0


@pytest.mark.parametrize(
    ("text", "difference"),
    [("ENV A=2", "the same files, another configuration"), ("RUN touch /more", "other files from layer")],
)
def test_it_tells_how_an_image_differs(engine: Engine, capfd: pytest.CaptureFixture[str], text: str, difference: str) -> None:
    built(engine, "ENV A=1")
    said(engine, capfd, "lock", "team/web:1")
    built(engine, text)
    assert difference in said(engine, capfd, "lock", "--check")[1]


def test_an_image_that_is_gone_is_not_there(engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    built(engine, "ENV A=1")
    said(engine, capfd, "lock", "team/web:1")
    engine.images.remove("team/web:1")
    code, out, err = said(engine, capfd, "lock", "--check")
    assert code == 1
    assert out.splitlines()[1].split() == ["team/web:1", *out.splitlines()[1].split()[1:2], "-", "not", "there"]
    assert "build or load the locked ones" in err


def test_the_file_is_the_same_on_another_store(engine: Engine, place: Path, capfd: pytest.CaptureFixture[str], course: Path) -> None:
    with Engine(root=place / "s2", run_root=place / "r2") as other:
        for one in (engine, other):
            built(one, "RUN echo one > /one")
        said(engine, capfd, "lock", "team/web:1")
        text = course.read_text()
        assert said(other, capfd, "lock", "--check")[0] == 0
        said(other, capfd, "lock", "team/web:1")
        assert course.read_text() == text


def test_all_that_there_is_is_locked_where_nothing_is_named(engine: Engine, capfd: pytest.CaptureFixture[str], course: Path) -> None:
    built(engine, "ENV A=1")
    engine.images.tag("team/web:1", "team/web:2")
    said(engine, capfd, "lock", "--file", "other.lock")
    assert sorted(json.loads((course.parent / "other.lock").read_text())["images"]) == ["lab/base:latest", "team/web:1", "team/web:2"]


class TestRefusals:
    def test_a_file_that_is_not_there(self, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
        code, _, err = said(engine, capfd, "lock", "--check")
        assert (code, "there is no labcontainers.lock" in err) == (1, True)

    def test_a_file_that_is_no_lock_stays_as_it_is(self, engine: Engine, capfd: pytest.CaptureFixture[str], course: Path) -> None:
        course.write_text("[]")
        code, _, err = said(engine, capfd, "lock", "lab/base")
        assert code != 0
        assert "labcontainers.lock is no lock of images" in err
        assert course.read_text() == "[]"

    def test_an_image_without_a_name(self, engine: Engine, capfd: pytest.CaptureFixture[str], course: Path) -> None:
        image = engine.images.build(dockerfile_text="FROM scratch\nENV A=1\n").image
        code, _, err = said(engine, capfd, "lock", image.id)
        assert code != 0
        assert "has no name by which it can be looked for" in err
        assert not course.exists()
