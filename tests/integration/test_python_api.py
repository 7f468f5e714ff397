"""The Python API in docker-py's shape, and the honest text and HTML forms of what it returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import labcontainers
from labcontainers import Build, Container, Engine, ExecResult, Image, RunResult
from labcontainers.commands.table import execute, understand
from labcontainers.errors import Conflict, InvalidArgument, LabError, NotFound, Unsupported

pytestmark = pytest.mark.alike("ordinary users")

NASTY = "<script>alert('&')</script>"


def test_a_lesson_in_docker_pys_words(engine: Engine, place: Path) -> None:
    (place / "Dockerfile").write_text("FROM lab/base\nLABEL role=db\nCMD echo built\n")
    build = engine.images.build(place, tag="me/app:1")
    assert isinstance(build, Build)
    assert engine.images.list()[0].tags == ("me/app:1",)
    assert engine.images.get("me/app:1") == build.image
    result = engine.containers.run("me/app:1", network="none", remove=True)
    assert isinstance(result, RunResult)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "built\n", "")
    container = engine.containers.run(build.image, "sleep 100", detach=True, name="db", network="none", labels={"a": "1"})
    assert isinstance(container, Container)
    assert container.labels == {"role": "db", "a": "1"}
    assert engine.containers.list(filters={"label": ["role=db", "a"]}) == [container] == engine.containers.list(filters={"name": "^db$"})
    assert engine.containers.get(container.short_id) == engine.containers.get("db") == container
    executed = container.exec("sh -c 'echo out; exit 4'")
    assert isinstance(executed, ExecResult)
    assert (executed.exit_code, executed.stdout) == (4, "out\n")
    assert container.logs().text == ""
    assert container.stats().pids == 1
    container.stop(timeout_s=0)
    assert engine.containers.list() == []
    assert engine.containers.list(filters={"exited": 137}) == [container] == engine.containers.list(all=True)
    assert engine.containers.list(filters={"status": "running"}) == []
    with pytest.raises(Conflict, match="db"):
        engine.images.remove("me/app:1")
    assert list(engine.containers.prune()) == [container.id]
    assert "Removed" in repr(container)
    assert "Removed" in container._repr_html_()
    engine.images.remove("me/app:1")
    with pytest.raises(NotFound):
        engine.images.get("me/app:1")


@pytest.mark.parametrize(
    ("ask", "kind", "message", "hint"),
    [
        (lambda engine: engine.containers.run("lab/base", comand="x"), InvalidArgument, "unknown option 'comand'", ""),
        (lambda engine: engine.containers.run("lab/base", enviroment={}), InvalidArgument, "'enviroment'", "did you mean environment?"),
        (lambda engine: engine.containers.create("lab/base", links={}), Unsupported, "'links'", "leave it out"),
        (lambda engine: engine.images.build(".", tagz="x"), InvalidArgument, "'tagz'", "did you mean tag?"),
        (lambda engine: engine.images.build(".", buildargs={}), InvalidArgument, "'buildargs'", "did you mean build_args?"),
        (lambda engine: engine.images.build(".", isolation="hyperv"), Unsupported, "--isolation: 'hyperv'", "leave it out"),
        (lambda engine: engine.containers.list(filters={"lable": "x"}), InvalidArgument, "'lable'", "did you mean label?"),
        (lambda engine: engine.containers.list(filters={"is-task": "x"}), Unsupported, "'is-task'", "filters are"),
        (lambda engine: engine.containers.list(filters={"status": "up"}), InvalidArgument, "'status=up'", "running"),
        (lambda engine: engine.containers.list(filters={"name": "("}), InvalidArgument, "'name=('", "regular expression"),
        (lambda engine: engine.containers.list(filters={"exited": "x"}), InvalidArgument, "'exited=x'", "exited=0"),
        (lambda engine: engine.containers.get("nosuch"), NotFound, "nosuch", "ps -a"),
    ],
)
def test_a_wrong_word_is_named_with_the_near_one(engine: Engine, ask: Any, kind: type[LabError], message: str, hint: str) -> None:
    with pytest.raises(kind) as caught:
        ask(engine)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert engine.containers.list(all=True) == []


def test_an_image_is_called_as_it_was_asked_for(engine: Engine) -> None:
    engine.images.get("lab/base")
    engine.images.tag("lab/base", "a/first:1")
    assert engine.images.get("lab/base").name == "lab/base:latest"
    assert engine.images.get("a/first:1").name == "a/first:1"
    assert ") 1 layer, " in repr(engine.images.get("lab/base"))
    assert engine.images.get(engine.images.get("a/first:1").short_id).name in ("a/first:1", "lab/base:latest")


def test_images_are_listed_by_filters(engine: Engine) -> None:
    engine.images.get("lab/base")
    assert [image.name for image in engine.images.list(filters={"reference": "lab/*"})] == ["lab/base:latest"]
    assert engine.images.list(filters={"dangling": True}) == []
    with pytest.raises(InvalidArgument, match="unknown filter 'name'"):
        engine.images.list(filters={"name": "x"})


@pytest.mark.parametrize("verb", ["load", "import_image"])
def test_a_file_that_is_not_there_is_told_in_a_line(engine: Engine, place: Path, verb: str) -> None:
    with pytest.raises(NotFound, match=r"no such file or directory: .*nowhere"):
        getattr(engine.images, verb)(place / "nowhere")


def test_whatever_stands_in_an_object_its_html_is_escaped(engine: Engine) -> None:
    build = engine.images.build(dockerfile_text=f'FROM lab/base\nLABEL x="{NASTY}"\nRUN echo "{NASTY}"\nENV A="{NASTY}"\n', tag="nasty")
    container = engine.containers.run("nasty", ["sh", "-c", f'echo "{NASTY}"', NASTY], detach=True, network="none", hostname="box")
    container.wait()
    result = engine.containers.run("nasty", ["sh", "-c", "exit 3", NASTY], network="none")
    volume = engine.volumes.create("data", labels={"x": NASTY})
    event = next(event for event in engine.events.read() if event.type == "volume")
    shown: dict[str, list[Any]] = {
        "nasty": [build, build.image],
        container.name: [container, next(event for event in engine.events.read() if event.id == container.id)],
        "alert": [container.logs(), container.explain()],
        "exit code 3": [result],
        "overlay": [engine.doctor()],
        "data": [volume, event],
        "bridge": [engine.networks.get("bridge")],
        labcontainers.__version__: [engine.version()],
    }
    for name, things in shown.items():
        for each in things:
            assert name in repr(each), type(each)
            html = each._repr_html_()
            assert name in html, type(each)
            assert "<script" not in html, type(each)
    # who shows a command or a text of the user's keeps MathJax away from what is between two dollars; `pre` does by itself
    listing = execute(lambda: engine, understand(["ps", "--all"]))
    for each in (build, build.image, container, container.explain(), result, volume, listing):
        assert "mathjax_ignore" in each._repr_html_(), type(each)
    assert "&lt;script&gt;" in container._repr_html_()
    assert "&lt;script&gt;" in container.logs()._repr_html_()
    assert "&lt;script&gt;" in container.explain()._repr_html_()
    assert isinstance(build.image, Image)


def test_the_front_door_names_everything_that_it_opens() -> None:
    for name in labcontainers.__all__:
        assert getattr(labcontainers, name).__doc__ or name == "__version__"
    with pytest.raises(AttributeError, match="nosuch"):
        labcontainers.nosuch  # noqa: B018  # raises
