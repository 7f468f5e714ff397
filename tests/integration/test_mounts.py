"""What is mounted in a container, on the real kernel: folders with propagation, trees of images, temporary file systems, others' mounts."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.errors import Conflict, InvalidArgument, NotFound, StartFailed, Unsupported

BASE = "lab/base"
RUN: dict[str, Any] = {"network": "none", "remove": True}


def sh(engine: Engine, script: str, **options: Any) -> str:
    result = engine.containers.run(BASE, ["sh", "-c", script], **{**RUN, **options})
    assert result.exit_code == 0, result.stderr
    return result.stdout


def mount_points() -> set[str]:
    return {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}


@pytest.fixture
def shared(place: Path) -> Iterator[Path]:
    """A folder of the host that is a shared mount of its own."""
    folder = place / "shared"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    subprocess.run(["mount", "--make-rshared", folder], check=True)
    (folder / "below").mkdir()
    yield folder
    for _ in range(3):
        subprocess.run(["umount", "-R", folder], check=False, capture_output=True)


@contextlib.contextmanager
def mounted_below(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder / "below"], check=True)
    (folder / "below" / "later").write_text("x")
    yield
    subprocess.run(["umount", folder / "below"], check=True)


def wait_for(container: Any, path: str) -> bool:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if container.exec(["test", "-e", path]).exit_code == 0:
            return True
        time.sleep(0.05)
    return False


# --- folders


def test_a_mount_of_a_folder_is_as_a_volume_of_it(engine: Engine, place: Path) -> None:
    (place / "data").mkdir()
    (place / "data" / "in").write_text("hello")
    bind = f"type=bind,source={place}/data,target=/data"
    assert sh(engine, "cat /data/in; echo back >/data/out", mounts=[bind]) == "hello"
    assert (place / "data" / "out").read_text() == "back\n"
    assert sh(engine, "echo x 2>/dev/null >/data/no || echo denied", mounts=[f"{bind},readonly"]) == "denied\n"
    from_object = {"Target": "/data", "Source": str(place / "data"), "Type": "bind", "ReadOnly": True}
    assert sh(engine, "cat /data/in", mounts=[from_object]) == "hello"


def test_own_files_of_etc_give_way_to_what_the_user_mounts_there(engine: Engine, place: Path) -> None:
    (place / "hosts").write_text("10.0.0.1 mine\n")
    assert sh(engine, "cat /etc/hosts", volumes=[f"{place}/hosts:/etc/hosts:ro"]) == "10.0.0.1 mine\n"


@pytest.mark.needs("root")
@pytest.mark.parametrize("propagation", ["rslave", "slave", "rshared", "shared"])
def test_a_later_mount_of_the_host_shows_up_inside(engine: Engine, shared: Path, propagation: str) -> None:
    container = engine.containers.run(BASE, ["sleep", "1000"], detach=True, network="none", volumes=[f"{shared}:/data:{propagation}"])
    assert container.exec(["test", "-e", "/data/below/later"]).exit_code == 1
    with mounted_below(shared):
        assert wait_for(container, "/data/below/later")
        assert container.inspect()["Mounts"][0]["Propagation"] == propagation
    container.remove(force=True)


@pytest.mark.needs("root")
@pytest.mark.parametrize("propagation", ["", "private", "rprivate"])
def test_without_propagation_a_later_mount_stays_outside(engine: Engine, shared: Path, propagation: str) -> None:
    options = f"type=bind,source={shared},target=/data" + (f",bind-propagation={propagation}" if propagation else "")
    container = engine.containers.run(BASE, ["sleep", "1000"], detach=True, network="none", mounts=[options])
    with mounted_below(shared):
        assert container.exec(["ls", "/data/below"]).stdout == ""
    container.remove(force=True)


@pytest.mark.needs("root")
def test_the_host_sees_mounts_of_a_container_only_below_a_shared_folder(engine: Engine, shared: Path, place: Path) -> None:
    """What the container itself mounts in the folder: a volume of another folder on top of it."""
    (place / "other").mkdir()
    before = mount_points()
    for propagation, seen in (("rslave", False), ("rprivate", False), ("rshared", True)):
        volumes = [f"{shared}:/data:{propagation}", f"{place}/other:/data/below"]
        container = engine.containers.run(BASE, ["sleep", "1000"], detach=True, network="none", volumes=volumes)
        assert mount_points() - before == ({f"{shared}/below"} if seen else set())
        container.remove(force=True)
        subprocess.run(["umount", shared / "below"], check=False, capture_output=True)
    assert mount_points() == before


@pytest.mark.needs("root")
def test_a_folder_on_a_private_mount_cannot_propagate(engine: Engine, place: Path) -> None:
    (place / "data").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place / "data"], check=True)
    subprocess.run(["mount", "--make-private", place / "data"], check=True)
    try:
        for propagation, what in (("rshared", "a shared mount"), ("rslave", "a shared or slave mount")):
            with pytest.raises(InvalidArgument, match=f"is mounted on {place}/data but it is not {what}"):
                engine.containers.run(BASE, ["true"], volumes=[f"{place}/data:/data:{propagation}"], **RUN)
    finally:
        subprocess.run(["umount", place / "data"], check=True)


@pytest.mark.needs("ordinary user")
def test_an_ordinary_user_cannot_pass_mounts_on_to_the_host(engine: Engine, place: Path) -> None:
    with pytest.raises(Unsupported, match="needs root"):
        engine.containers.run(BASE, ["true"], volumes=[f"{place}:/data:rshared"], **RUN)


@pytest.mark.needs("root")
def test_what_is_mounted_below_a_folder_follows_the_words_of_bind_recursive(engine: Engine, shared: Path) -> None:
    probe = "cat /data/below/later 2>/dev/null || echo none; echo y 2>/dev/null >/data/below/new && echo written; true"
    bind = f"type=bind,source={shared},target=/data"
    with mounted_below(shared):
        assert sh(engine, probe, mounts=[bind]) == "xwritten\n"
        assert sh(engine, "ls /data/below", mounts=[f"{bind},bind-recursive=disabled"]) == ""
        assert sh(engine, probe, mounts=[f"{bind},readonly"]) == "x"
        assert sh(engine, probe, mounts=[f"{bind},readonly,bind-recursive=writable"]) == "xwritten\n"
        forced = f"{bind},readonly,bind-recursive=readonly,bind-propagation=rprivate"
        assert sh(engine, probe, mounts=[forced]) == "x"


# --- temporary file systems


def test_a_tmpfs_has_the_flags_and_sizes_that_were_asked_for(engine: Engine) -> None:
    script = "grep ' /scratch ' /proc/mounts | cut -d' ' -f4; stat -c %a /scratch"
    assert sh(engine, script, tmpfs=["/scratch"]).startswith("rw,nosuid,nodev,noexec,")
    shown, mode = sh(engine, script, tmpfs=["/scratch:size=1m,mode=1750,exec,noatime"]).splitlines()
    assert {"size=1024k", "noatime", "nosuid", "nodev"} <= set(shown.split(","))
    assert "noexec" not in shown
    assert mode == "1750"
    assert sh(engine, "touch /scratch/x 2>/dev/null || echo denied", tmpfs={"/scratch": "ro"}) == "denied\n"
    by_mount = sh(engine, script, mounts=["type=tmpfs,target=/scratch,tmpfs-size=64k,tmpfs-mode=700"]).splitlines()
    assert "size=64k" in by_mount[0].split(",")
    assert by_mount[1] == "700"


def test_a_tmpfs_without_a_mode_has_that_of_the_images_folder(engine: Engine) -> None:
    assert sh(engine, "stat -c %a /tmp /home /new", tmpfs=["/tmp", "/home", "/new"]).split() == ["1777", "755", "1777"]


# --- images


def test_the_tree_of_another_image_is_there_read_only(engine: Engine) -> None:
    built = engine.images.build(
        dockerfile_text="FROM lab/base\nRUN mkdir /extra && echo of-the-image >/extra/file", tag="me/data", network="none"
    )
    mount = "type=image,source=me/data,target=/mnt/image"
    assert (
        sh(engine, "cat /mnt/image/extra/file; touch /mnt/image/x 2>/dev/null || echo denied", mounts=[mount]) == "of-the-image\ndenied\n"
    )
    assert sh(engine, "ls /mnt/image", mounts=[f"{mount},image-subpath=extra"]) == "file\n"
    assert sh(engine, "ls /mnt/image/etc/passwd", mounts=["type=image,source=lab/base,target=/mnt/image"]) == "/mnt/image/etc/passwd\n"
    with pytest.raises(StartFailed, match="nothing-here"):
        sh(engine, "true", mounts=[f"{mount},image-subpath=nothing-here"])
    with pytest.raises(NotFound, match="no/such"):
        engine.containers.create(BASE, ["true"], mounts=["type=image,source=no/such,target=/x"])
    container = engine.containers.create(BASE, ["true"], mounts=[mount], network="none")
    document = container.inspect()["Mounts"][0]
    assert (document["Type"], document["Source"], document["RW"]) == ("image", "me/data", False)
    with pytest.raises(Conflict):
        engine.images.remove(built.image.id)
    container.remove()
    engine.images.remove("me/data")


# --- others' mounts


def test_mounts_of_another_container_come_along(engine: Engine, place: Path) -> None:
    (place / "data").mkdir()
    first = engine.containers.create(
        BASE, ["true"], name="first", network="none", volumes=[f"{place}/data:/data", "kept:/kept", "/nameless"]
    )
    script = "echo x >/data/x; echo y >/kept/y; echo z >/nameless/z"
    sh(engine, script, volumes_from=["first"])
    assert sh(engine, "cat /data/x /kept/y /nameless/z", volumes_from="first:ro") == "x\ny\nz\n"
    script = "touch /data/n /kept/n /nameless/n 2>/dev/null; ls /data /kept /nameless | grep -c n$ || true"
    assert sh(engine, script, volumes_from=["first:ro"]) == "0\n"
    (place / "mine").mkdir()
    assert sh(engine, "ls /data /kept", volumes_from=["first"], volumes=[f"{place}/mine:/data"]) == "/data:\n\n/kept:\ny\n"
    assert len(engine.volumes.list()) == 2  # the others' end took none of them away
    with pytest.raises(NotFound, match="nobody"):
        engine.containers.create(BASE, ["true"], volumes_from=["nobody"])
    second = engine.containers.create(BASE, ["true"], network="none", volumes_from=["first:ro"])
    assert {(mount["Destination"], mount["RW"]) for mount in second.inspect()["Mounts"]} == {
        ("/data", False),
        ("/kept", False),
        ("/nameless", False),
    }
    first.remove(v=True)
    assert len(engine.volumes.list()) == 2
    second.remove(v=True)
    assert [volume.name for volume in engine.volumes.list()] == ["kept"]


def test_inspect_and_ps_tell_what_is_mounted(engine: Engine, place: Path) -> None:
    from labcontainers.commands.table import execute, understand

    container = engine.containers.create(
        BASE, ["true"], name="web", volumes=[f"{place}:/host:ro", "kept:/kept"], mounts=["type=tmpfs,target=/t"], tmpfs=["/u:size=1m"]
    )
    document = container.inspect()
    volume = engine.volumes.get("kept")
    assert document["Mounts"] == [
        {
            "Type": "bind",
            "Source": str(place),
            "Destination": "/host",
            "Mode": "ro",
            "RW": False,
            "Propagation": "rprivate",
        },
        {
            "Type": "volume",
            "Name": "kept",
            "Source": str(volume.mountpoint),
            "Destination": "/kept",
            "Driver": "local",
            "Mode": "z",
            "RW": True,
            "Propagation": "",
        },
        {"Type": "tmpfs", "Source": "", "Destination": "/t", "Mode": "", "RW": True, "Propagation": ""},
    ]
    assert document["HostConfig"]["Binds"] == [f"{place}:/host:ro", "kept:/kept"]
    assert document["HostConfig"]["Tmpfs"] == {"/u": "size=1m"}

    def ps(*words: str) -> str:
        return str(execute(lambda: engine, understand(["ps", "-a", *words])))

    assert ps("--no-trunc", "--format", "{{.Mounts}} {{.LocalVolumes}}") == f"{place},kept, 1"
    assert ps("--format", "{{.Mounts}}").split(",")[0] in (str(place), str(place)[:14] + "…")
    for value in ("kept", "/kept", str(place)):
        assert ps("-q", "--filter", f"volume={value}") == container.short_id
    assert ps("-q", "--filter", "volume=other") == ""


def test_a_dry_run_with_mounts_makes_nothing(engine: Engine) -> None:
    from labcontainers.commands.table import execute, understand

    engine.images.get(BASE)
    words = ["run", "--dry-run", "-v", "db:/db", "-v", "/nameless", "--mount", f"type=image,src={BASE},dst=/image", BASE, "true"]
    told = repr(execute(lambda: engine, understand(words)))
    assert f"{engine.paths.volumes}/db/_data" in told
    assert engine.volumes.list() == []
    assert list(engine.paths.containers.iterdir()) == list(engine.paths.volumes.iterdir()) == []
