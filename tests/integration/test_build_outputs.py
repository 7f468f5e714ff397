"""What a build gives besides an image in the store: folders, tars, archives and pushes, whole or not there."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.build.progress import BuildEvent, BuildFinished, StepFinished, StepStarted
from labcontainers.build.result import Build
from labcontainers.commands.table import execute, understand
from labcontainers.errors import Conflict, Denied, Failed, InvalidArgument, LabError, NotFound
from tests.conftest import is_root
from tests.fakes.registry_server import RegistryServer

pytestmark = pytest.mark.usefixtures("settings_of_nobody")

FILES = """
FROM lab/base AS build
RUN mkdir -p /out/bin /out/share /out/closed && echo tool > /out/bin/tool && chmod 4755 /out/bin/tool \\
    && echo text > /out/share/text && ln -s /etc/passwd /out/share/link && ln -s ../../.. /out/share/up \\
    && ln /out/share/text /out/share/same && touch /out/closed/inner && chmod 500 /out/closed
FROM scratch
COPY --from=build /out /
"""


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        yield server


@pytest.fixture
def folder(place: Path) -> Path:
    """A context with a Dockerfile, and where outputs go."""
    folder = place / "work"
    (folder / "context").mkdir(parents=True)
    (folder / "context/Dockerfile").write_text(FILES)
    return folder


def build(engine: Engine, folder: Path, *outputs: Any, **more: Any) -> Build:
    return engine.images.build(folder / "context", outputs=outputs, folder=folder, network="none", **more)


def command(engine: Engine, folder: Path, *words: str) -> tuple[Any, bytes, str]:
    """What the command returns, and what it wrote to standard output and to standard error."""
    written: dict[int, list[bytes]] = {1: [], 2: []}
    value = execute(
        lambda: engine,
        understand(["build", *words, "context"]),
        on_output=lambda stream, data: written[stream].append(data),
        folder=folder,
        live=True,
    )
    return value, b"".join(written[1]), b"".join(written[2]).decode()


def names_of(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getnames()


# --- folders


def test_the_files_of_a_scratch_image_come_into_a_folder_of_the_user(engine: Engine, folder: Path) -> None:
    value, _, _ = command(engine, folder, "-t", "never:1", "-o", "out")
    out = folder / "out"
    assert (out / "bin/tool").read_text() == "tool\n"
    assert os.stat(out / "bin/tool").st_mode & 0o7777 == 0o755  # no setuid bit gets out of an image
    assert os.stat(out / "closed").st_mode & 0o7777 == 0o500
    assert {os.lstat(path).st_uid for path in (out, out / "bin/tool", out / "share/link")} == {os.geteuid()}
    assert os.readlink(out / "share/link") == "/etc/passwd"
    assert os.stat(out / "share/text").st_ino == os.stat(out / "share/same").st_ino
    assert value.image.tags == ()
    assert [image.tags for image in engine.images.list()] == [("lab/base:latest",)]
    assert engine.images.find("never:1") is None
    assert sorted(path.name for path in folder.iterdir()) == ["context", "out"]
    (out / "closed").chmod(0o700)


def test_a_folder_keeps_what_it_has_and_is_filled_again(engine: Engine, folder: Path) -> None:
    (folder / "out/share").mkdir(parents=True)
    (folder / "out/share/mine").write_text("mine")
    for _ in range(2):
        build(engine, folder, "out")
    assert sorted(os.listdir(folder / "out/share")) == ["link", "mine", "same", "text", "up"]


def test_the_whole_root_of_an_image_of_several_layers_comes_without_what_was_removed(engine: Engine, folder: Path) -> None:
    text = "FROM lab/base\nRUN echo one > /one && mkdir /gone && touch /gone/x\nRUN rm -r /gone && echo two > /one\n"
    build(engine, folder, "out", dockerfile_text=text)
    assert (folder / "out/one").read_text() == "two\n"
    assert not (folder / "out/gone").exists()
    assert (folder / "out/bin/busybox").exists() or (folder / "out/bin/sh").exists()


def test_neither_links_at_the_destination_nor_in_the_image_lead_out_of_it(engine: Engine, folder: Path) -> None:
    outside = folder / "outside"
    outside.mkdir()
    (folder / "link").symlink_to(outside)
    with pytest.raises(InvalidArgument, match="symbolic link"):
        build(engine, folder, "link")
    (folder / "out").mkdir()
    (folder / "out/share").symlink_to(outside)
    with pytest.raises(Conflict, match="share is no directory"):
        build(engine, folder, "out")
    # what the image has in a folder is not written through a link that it put there itself before
    text = "FROM scratch\nCOPY link /d\nFROM lab/base\nRUN ln -s ../outside /d\n"
    (folder / "context/link").write_text("x")
    build(engine, folder, "other", dockerfile_text=text)
    assert os.listdir(outside) == []
    assert os.listdir(folder / "out") == ["share"]


def test_places_that_cannot_be_are_refused_before_anything_is_built(engine: Engine, folder: Path) -> None:
    (folder / "file").write_text("mine")
    events: list[BuildEvent] = []
    for output, kind in (
        ("file", Conflict),
        ("file/below", Conflict),
        ("type=tar,dest=context", Conflict),
        ("type=tar,dest=none/x", NotFound),
        ("type=oci,dest=-", InvalidArgument),
    ):
        with pytest.raises(kind, match="--output: "):
            build(engine, folder, output, on_event=events.append)
    assert events == []
    assert (folder / "file").read_text() == "mine"


def test_a_place_that_this_user_may_not_write_is_told(engine: Engine, folder: Path) -> None:
    if is_root():
        with pytest.raises(LabError, match="--output: "):
            build(engine, folder, "/proc/nowhere")
        return
    with pytest.raises(InvalidArgument, match="may not write"):
        build(engine, folder, "/usr/nowhere")
    with pytest.raises(Denied, match=r"--output: /usr/x\.tar"):
        build(engine, folder, "type=tar,dest=/usr/x.tar")


# --- tars


def test_the_tar_of_a_single_layer_is_that_layers_and_always_of_the_same_bytes(engine: Engine, folder: Path) -> None:
    built = build(engine, folder, "type=tar,dest=one.tar", {"type": "tar", "dest": folder / "two.tar"})
    one = (folder / "one.tar").read_bytes()
    assert one == (folder / "two.tar").read_bytes()
    assert [f"sha256:{hashlib.sha256(one).hexdigest()}"] == list(built.image.diff_ids)
    with tarfile.open(folder / "one.tar") as archive:
        tool = archive.getmember("bin/tool")
        assert (tool.mode, tool.uid, tool.gid) == (0o4755, 0, 0)


def test_a_tar_goes_to_standard_output_and_nothing_else_does(engine: Engine, folder: Path) -> None:
    value, data, _ = command(engine, folder, "-o", "-")
    assert value is None
    assert "bin/tool" in names_of(data)
    file = io.BytesIO()
    build(engine, folder, {"type": "tar", "dest": file})
    assert file.getvalue() == data


def test_a_screen_gets_no_archive(engine: Engine, folder: Path) -> None:
    with pytest.raises(Conflict, match="terminal"):
        execute(lambda: engine, understand(["build", "-o", "-", "context"]), folder=folder, live=True, screen=True)
    with pytest.raises(InvalidArgument, match="cell"):
        execute(lambda: engine, understand(["build", "-o", "-", "context"]), folder=folder)


def test_an_output_that_fails_leaves_no_half_of_it(engine: Engine, folder: Path) -> None:
    class Full:
        def write(self, data: bytes, /) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(LabError, match="no space left"):
        build(engine, folder, {"type": "tar", "dest": Full()})
    with pytest.raises(Failed, match=r"--output: /dev/full|no space"):
        build(engine, folder, "type=tar,dest=/dev/full")
    assert sorted(path.name for path in folder.iterdir()) == ["context"]


# --- archives


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_an_archive_has_the_image_by_its_names_and_is_loaded_again(engine: Engine, folder: Path, kind: str) -> None:
    built = build(engine, folder, f"type={kind},dest=x.tar", tag="team/tool:1")
    assert built.image.tags == ()
    assert engine.images.find("team/tool:1") is None
    engine.images.remove(built.image.id)
    (loaded,) = engine.images.load(folder / "x.tar").images
    assert (loaded.id, loaded.tags) == (built.image.id, ("team/tool:1",))


def test_an_archive_may_be_a_folder(engine: Engine, folder: Path) -> None:
    built = build(engine, folder, "type=oci,dest=layout,tar=false,name=a:1")
    index = json.loads((folder / "layout/index.json").read_bytes())
    assert index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] == "1"
    engine.images.remove(built.image.id)
    (loaded,) = engine.images.load(folder / "layout").images
    assert loaded.id == built.image.id
    with pytest.raises(Conflict, match="has an image layout already"):
        build(engine, folder, "type=oci,dest=layout,tar=false")


@pytest.mark.needs("skopeo")
def test_skopeo_reads_the_oci_output(engine: Engine, folder: Path) -> None:
    built = build(engine, folder, "type=oci,dest=x.tar,name=a:1")
    ran = subprocess.run(["skopeo", "inspect", "--raw", "--config", f"oci-archive:{folder}/x.tar"], capture_output=True, check=True)
    assert f"sha256:{hashlib.sha256(ran.stdout).hexdigest()}" == built.image.id


# --- the store and registries


def test_load_names_the_image_beside_another_output(engine: Engine, folder: Path) -> None:
    built = build(engine, folder, "out", tag="a:1", load=True)
    assert built.image.tags == ("a:1",)
    assert build(engine, folder, "type=image,name=b:1").image.tags == ("a:1", "b:1")
    assert build(engine, folder, "type=docker", tag="c:1").image.tags == ("a:1", "b:1", "c:1")


def test_push_sends_the_image_to_its_registry(engine: Engine, folder: Path, server: RegistryServer) -> None:
    name = f"{server.address}/team/tool:1"
    events: list[BuildEvent] = []
    built = build(engine, folder, tag=name, push=True, on_event=events.append)
    manifest = json.loads(server.manifests["team/tool", "1"][1])
    assert manifest["config"]["digest"] == built.image.id
    assert engine.images.get(name) == built.image
    steps = [event.index for event in events if isinstance(event, StepStarted)]
    assert sorted(steps) == list(range(1, len(steps) + 1))
    assert isinstance(events[-1], BuildFinished)
    assert isinstance(events[-2], StepFinished)
    command(engine, folder, "-o", f"type=registry,name={server.address}/other:2")
    assert json.loads(server.manifests["other", "2"][1])["config"]["digest"] == built.image.id


def test_a_push_needs_a_name_and_tells_when_the_registry_is_away(engine: Engine, folder: Path) -> None:
    with pytest.raises(InvalidArgument, match="--push: the image has no name"):
        command(engine, folder, "--push")
    with pytest.raises(LabError, match=r"127\.0\.0\.1:1"):
        build(engine, folder, tag="127.0.0.1:1/x:1", push=True)
