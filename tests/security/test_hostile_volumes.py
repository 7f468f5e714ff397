"""What an image and a container try by way of volumes; each test names the weakness of another engine that it repeats."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.errors import LabError, StartFailed
from labcontainers.images.image import Image
from tests.security.hostile import BASE, link, make_image, put

RUN: dict[str, Any] = {"network": "none", "remove": True}


def sh(engine: Engine, image: Any, script: str, **options: Any) -> str:
    result = engine.containers.run(image, ["sh", "-c", script], **{**RUN, **options})
    assert result.exit_code == 0, result.stderr
    return result.stdout


def is_untouched(folder: Path) -> bool:
    return os.listdir(folder) == ["canary"] and (folder / "canary").read_text() == "host"


@contextlib.contextmanager
def racing(engine: Engine, script: str) -> Iterator[None]:
    """Meanwhile a container changes the volume `db`, which it has at /data, without end."""
    racer = engine.containers.run(BASE, ["sh", "-c", script], volumes=["db:/data"], network="none", detach=True)
    try:
        yield
    finally:
        racer.kill()
        racer.wait()


def image_with(engine: Engine, outside: Path, volume: str) -> Image:
    """An image whose links lead to a folder of the host, and that wants a volume at one of them."""

    def fill(tree: Path) -> None:
        link(tree, "/absolute", str(outside))
        link(tree, "/relative", "../" * 20 + str(outside).lstrip("/"))
        link(tree, "/chain", "/absolute")
        link(tree, "/to-root", "/")
        put(tree, "/real/file", "of-the-image")
        link(tree, "/inside", "../../../real")

    return make_image(engine, fill, volumes=(volume,))


# containerd CVE-2022-23648: the content of a new volume came from the host, by a link or by `..`
@pytest.mark.parametrize(
    "volume", ["/absolute", "/relative", "/chain", "/../../../../../../../..{outside}", "/to-root{outside}", "{outside}"]
)
def test_nothing_of_the_host_is_copied_into_a_volume(engine: Engine, outside: Path, volume: str) -> None:
    target = volume.format(outside=outside)
    image = image_with(engine, outside, target)
    container = engine.containers.create(image, ["true"], network="none")
    (point,) = container.inspect()["Mounts"]
    assert os.listdir(point["Source"]) == []
    container.remove(v=True)
    named = engine.containers.create(BASE, ["true"], network="none", volumes=[f"db:{Path(os.path.normpath(target))}"])
    assert os.listdir(engine.volumes.get("db").mountpoint) == []
    named.remove()
    assert is_untouched(outside)


def test_a_link_of_the_image_leads_the_copy_to_the_images_own_files(engine: Engine, outside: Path) -> None:
    image = image_with(engine, outside, "/inside")
    assert sh(engine, image, "cat /inside/file; echo changed >/inside/file; ls -l /real/file | wc -l") == "of-the-image1\n"
    assert is_untouched(outside)


def test_links_among_the_copied_files_are_copied_and_not_followed(engine: Engine, outside: Path) -> None:
    def fill(tree: Path) -> None:
        link(tree, "/data/out", str(outside))
        link(tree, "/data/canary", str(outside / "canary"))

    image = make_image(engine, fill, volumes=("/data",))
    assert sh(engine, image, "cat /data/canary 2>/dev/null || readlink /data/out", volumes=["db:/data"]) == f"{outside}\n"
    data = engine.volumes.get("db").mountpoint
    assert (data / "out").is_symlink()
    assert is_untouched(outside)


# a volume's own files must not decide what of the host is mounted by a path below it
@pytest.mark.parametrize("subpath", ["out", "deep/out", "out/canary", "up"])
def test_a_path_below_a_volume_does_not_lead_out_of_it(engine: Engine, outside: Path, subpath: str) -> None:
    script = f"mkdir -p /data/deep; ln -s {outside} /data/out; ln -s ../out /data/deep/out; ln -s ../../../../.. /data/up"
    sh(engine, BASE, script, volumes=["db:/data"])
    with pytest.raises(StartFailed, match="subpath"):
        sh(engine, BASE, "ls /x", mounts=[f"source=db,target=/x,volume-subpath={subpath}"])
    assert is_untouched(outside)


# runc CVE-2021-30465, with a named volume and a path below it instead of a folder of the host
def test_a_path_below_a_volume_that_turns_into_a_link_leads_nowhere(engine: Engine, outside: Path) -> None:
    sh(engine, BASE, "mkdir -p /data/flip/inner", volumes=["db:/data"])
    up = "../" * 20 + str(outside.parent).lstrip("/")
    flip = f"cd /data; while :; do mv flip aside; ln -s {outside.parent} flip; rm flip; ln -s {up} flip; rm flip; mv aside flip; done"
    starts = rounds = 0
    with racing(engine, flip):
        # at least one start must have had a path to go, else nothing was tried
        while rounds < 40 or (not starts and rounds < 1000):
            rounds += 1
            for below in ("flip", "flip/outside"):
                try:
                    shown = sh(engine, BASE, "ls -R /x", mounts=[f"source=db,target=/x,volume-subpath={below}"])
                except StartFailed:
                    continue
                starts += 1
                assert "canary" not in shown
    assert starts > 0
    assert is_untouched(outside)


# the same race against a mount point below a shared volume
def test_a_mount_below_a_shared_volume_that_turns_into_a_link_leads_nowhere(engine: Engine, outside: Path, place: Path) -> None:
    sh(engine, BASE, "mkdir -p /data/flip", volumes=["db:/data"])
    flip = "cd /data; while :; do mv flip aside; ln -s / flip; rm flip; ln -s ../../../../.. flip; rm flip; mv aside flip; done"
    before = set(os.listdir("/"))
    starts = number = 0
    with racing(engine, flip):
        while number < 25 or (not starts and number < 1000):
            number += 1
            inner = {"volumes": ["db:/data"], "mounts": [f"target=/data/flip/made-{number}"], "tmpfs": [f"/data/flip/tmp-{number}"]}
            try:
                sh(engine, BASE, "true", **inner)
            except StartFailed:
                continue
            starts += 1
    assert starts > 0
    assert set(os.listdir("/")) == before
    assert not [path for path in place.iterdir() if path.name.startswith(("made-", "tmp-"))]


# podman CVE-2023-0778, where a volume was exported: who races is another container, so that nobody holds it still
def test_files_of_a_shared_volume_that_turn_into_links_show_nothing_of_the_host(engine: Engine, outside: Path, place: Path) -> None:
    flip = (
        f"cd /data; mkdir d; echo inside > d/canary; ln -s {outside} out; echo inside > f; ln -s {outside}/canary link; "
        "while :; do mv -T d x; mv -T x d; mv -T out x; mv -T x out; mv f y; mv y f; mv link y; mv y link; done"
    )
    reader = engine.containers.create(BASE, ["true"], volumes=["db:/data"], network="none")
    found = 0
    with racing(engine, flip):
        for number in range(20):
            for path in ("/data", "/data/x/canary", "/data/y"):
                with contextlib.suppress(LabError):
                    data = b"".join(reader.get_archive(path, follow_link=number % 2 == 0)[0])
                    assert b"\0host" not in data
                    found += 1
            with contextlib.suppress(LabError):
                reader.copy_from("/data", place / f"out{number}", follow_link=True)
            for name in ("x/canary", "y", "f"):
                copied = place / f"out{number}" / name
                assert copied.is_symlink() or copied.parent.is_symlink() or not copied.exists() or copied.read_text() == "inside\n"
    assert found > 0
    assert is_untouched(outside)


# moby CVE-2026-41568, CVE-2026-42306: who copies mounts the container's volumes, and the way to one becomes a link at that moment
def test_copying_to_a_volume_below_a_volume_that_turns_into_a_link_leads_nowhere(engine: Engine, outside: Path, place: Path) -> None:
    sh(engine, BASE, "mkdir -p /data/flip/v", volumes=["db:/data"])
    up = "../" * 20 + str(outside).lstrip("/")
    flip = f"cd /data; while :; do mv flip aside; ln -s {outside} flip; rm flip; ln -s {up} flip; rm flip; mv aside flip; done"
    target = engine.containers.create(BASE, ["true"], volumes=["db:/data", "other:/data/flip/v"], network="none")
    (place / "canary").write_text("from the attacker")
    copied = rounds = 0
    with racing(engine, flip):
        while rounds < 20 or (not copied and rounds < 500):
            rounds += 1
            with contextlib.suppress(LabError):
                target.copy_to(place / "canary", "/data/flip/v/canary")
                copied += 1
            with contextlib.suppress(LabError):
                assert b"\0host" not in b"".join(target.get_archive("/data/flip/")[0])
    assert copied > 0
    assert is_untouched(outside)


# runc CVE-2023-28642
@pytest.mark.parametrize("target", ["/proc", "/proc/self/attr", "/link"])
def test_no_volume_covers_proc(engine: Engine, target: str) -> None:
    image = make_image(engine, lambda tree: link(tree, "/link", "/proc"))
    asked: list[dict[str, Any]] = [
        {"volumes": [f"db:{target}"]},
        {"volumes": [target]},
        {"mounts": [f"type=tmpfs,target={target}"]},
        {"mounts": [f"type=image,source={BASE},target={target}"]},
        {"mounts": [f"type=bind,source=/usr,target={target}"]},
    ]
    for options in asked:
        with pytest.raises(StartFailed, match="proc"):
            engine.containers.run(image, ["true"], **RUN, **options)
    with pytest.raises(StartFailed, match="proc"):
        engine.containers.run(make_image(engine, volumes=("/proc",)), ["true"], **RUN)


def test_no_other_user_reads_a_volume(engine: Engine) -> None:
    engine.volumes.create("db")
    for folder in (engine.paths.root, engine.paths.volumes, engine.paths.volumes / "db"):
        assert folder.stat().st_mode & 0o077 == 0


def test_no_volume_of_a_containers_choice_of_name_leaves_the_store(engine: Engine) -> None:
    for name in ("..", ".", "a/../../b", "-x", "x\0y", "x\ny"):
        with pytest.raises(LabError):
            engine.volumes.create(name)
        with pytest.raises(LabError):
            engine.volumes.get(name).remove()
    assert os.listdir(engine.paths.volumes) == []
