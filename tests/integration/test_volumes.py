"""Volumes on the real kernel: made, filled, shared, counted, removed, also by shims and after deaths."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.containers.state import shim_alive
from labcontainers.errors import Conflict, InvalidArgument, NotFound, Unsupported
from tests.waiting import until

pytestmark = pytest.mark.on_disk

BASE = "lab/base"
RUN: dict[str, Any] = {"network": "none", "remove": True}


def sh(engine: Engine, script: str, image: Any = BASE, **options: Any) -> str:
    result = engine.containers.run(image, ["sh", "-c", script], **{**RUN, **options})
    assert result.exit_code == 0, result.stderr
    return result.stdout


def names(engine: Engine, **filters: Any) -> list[str]:
    return [volume.name for volume in engine.volumes.list(filters)]


def folders(engine: Engine) -> list[str]:
    return sorted(os.listdir(engine.paths.volumes))


# --- records


def test_a_volume_is_made_found_listed_and_removed(engine: Engine) -> None:
    volume = engine.volumes.create("db", labels={"tier": "back"})
    assert engine.volumes.create("db").labels == {"tier": "back"}
    assert engine.volumes.get("db") == volume
    attrs = volume.attrs
    assert attrs.pop("CreatedAt").startswith("20")
    assert attrs == {
        "Driver": "local",
        "Labels": {"tier": "back"},
        "Mountpoint": str(engine.paths.volumes / "db" / "_data"),
        "Name": "db",
        "Options": None,
        "Scope": "local",
    }
    nameless = engine.volumes.create()
    assert len(nameless.name) == 64
    assert nameless.anonymous
    assert engine.volumes.get(nameless.name[:12]) == nameless
    assert sorted(names(engine)) == sorted(["db", nameless.name])
    assert names(engine, label="tier") == names(engine, label="tier=back") == ["db"]
    assert "db" in names(engine, name="b")
    assert names(engine, label="tier=front") == []
    assert "db" in repr(volume)
    assert "tier=back" in volume._repr_html_()
    volume.remove()
    with pytest.raises(NotFound, match="get db: no such volume"):
        engine.volumes.get("db")
    with pytest.raises(NotFound):
        volume.remove()
    volume.remove(force=True)
    assert folders(engine) == [nameless.name]


@pytest.mark.parametrize(
    ("keywords", "kind", "message"),
    [
        ({"name": "a"}, InvalidArgument, "too short"),
        ({"name": "../x"}, InvalidArgument, "invalid characters"),
        ({"name": ".hidden"}, InvalidArgument, "invalid characters"),
        ({"name": "x" * 256}, InvalidArgument, "invalid characters"),
        ({"name": "db", "driver": "nfs"}, Unsupported, "'nfs'"),
        ({"name": "db", "driver_opts": {"type": "nfs", "device": ":/x", "o": "addr=1.2.3.4"}}, Unsupported, "'nfs'"),
        ({"name": "db", "driver_opts": {"type": "none", "o": "bind"}}, InvalidArgument, "device"),
        ({"name": "db", "driver_opts": {"size": "1g"}}, Unsupported, "size"),
        ({"name": "db", "driver_opts": {"colour": "red"}}, InvalidArgument, "'colour'"),
    ],
)
def test_a_wrong_volume_is_refused_before_anything_is_made(engine: Engine, keywords: Any, kind: Any, message: str) -> None:
    with pytest.raises(kind, match=message):
        engine.volumes.create(**keywords)
    assert folders(engine) == []


# --- with containers


def test_what_is_written_into_a_volume_outlives_the_container(engine: Engine) -> None:
    sh(engine, "echo kept >/data/file", volumes=["db:/data"])
    assert sh(engine, "cat /data/file", volumes={"db": {"bind": "/data", "mode": "ro"}}) == "kept\n"
    assert sh(engine, "echo x 2>/dev/null >/data/x || echo denied", volumes=["db:/data:ro"]) == "denied\n"
    assert sh(engine, "cat /data/file", mounts=["source=db,target=/data"]) == "kept\n"
    assert names(engine) == ["db"]


def test_a_part_of_a_volume_is_mounted_by_its_path(engine: Engine) -> None:
    sh(engine, "mkdir -p /data/a/b; echo inner >/data/a/b/file; ln -s a/b /data/link; ln -s / /data/out", volumes=["db:/data"])
    assert sh(engine, "cat /x/file", mounts=["source=db,target=/x,volume-subpath=a/b"]) == "inner\n"
    assert sh(engine, "cat /x/file", mounts=["source=db,target=/x,volume-subpath=link"]) == "inner\n"


def test_a_volume_in_use_cannot_be_removed(engine: Engine) -> None:
    container = engine.containers.create(BASE, ["true"], name="user-of-db", network="none", volumes=["db:/data"])
    with pytest.raises(Conflict, match=r"remove db: volume is in use - \[user-of-db\]"):
        engine.volumes.get("db").remove(force=True)
    assert names(engine, dangling=True) == []
    assert engine.volumes.prune(all=True).names == ()
    assert engine.volumes.get("db").users == (container.id,)
    container.remove(v=True)
    assert names(engine, dangling=True) == ["db"]
    assert names(engine, dangling="false") == []
    engine.volumes.get("db").remove()


def test_anonymous_volumes_stay_unless_their_container_goes_with_them(engine: Engine) -> None:
    kept, gone = (engine.containers.create(BASE, ["true"], network="none", volumes=["/data"]) for _ in range(2))
    assert len(folders(engine)) == 2
    kept.remove()
    gone.remove(v=True)
    assert len(folders(engine)) == 1
    pruned = engine.volumes.prune()
    assert len(pruned.names) == 1
    assert folders(engine) == names(engine) == []


def test_a_container_that_is_removed_at_its_end_takes_its_anonymous_volumes_along(engine: Engine) -> None:
    sh(engine, "echo x >/data/x; echo y >/named/y", volumes=["/data", "db:/named"])
    assert folders(engine) == ["db"]
    until(lambda: list(engine.paths.trash.iterdir()) == [], "it is deleted")
    engine.volumes.get("db").remove()
    actions = [(event.action, event.name == "db") for event in engine.events.read() if event.type == "volume"]
    assert sorted(actions) == sorted((action, named) for action in ("create", "mount", "unmount", "destroy") for named in (True, False))


def test_nothing_is_left_when_no_engine_lives_at_the_end(make_engine: Any) -> None:
    first = make_engine()
    script = "while [ ! -e /db/end ]; do sleep 0.1; done"
    container = first.containers.run(BASE, ["sh", "-c", script], detach=True, volumes=["/data", "db:/db"], **RUN)
    directory, end = first.paths.volumes, first.volumes.get("db").mountpoint / "end"
    assert len(os.listdir(directory)) == 2
    first.close()
    if not os.access(end.parent, os.W_OK):
        pytest.skip("the folder belongs to an id of the container")
    end.touch()
    until(lambda: os.listdir(directory) == ["db"] and not (first.paths.containers / container.id).exists(), "it is gone")
    second = make_engine()
    assert names(second) == ["db"]
    assert second.volumes.get("db").users == ()
    second.volumes.get("db").remove()


def test_a_shim_that_died_leaves_volumes_that_the_next_engine_takes_away(make_engine: Any) -> None:
    first = make_engine()
    container = first.containers.run(BASE, ["sleep", "1000"], detach=True, volumes=["/data", "db:/db"], **RUN)
    shim = int(json.loads((first.paths.containers / container.id / "state.json").read_text())["shim_pid"])
    first.close()
    os.kill(shim, signal.SIGKILL)
    until(lambda: not shim_alive(first.paths.containers / container.id), "its shim has ended")
    second = make_engine()
    until(lambda: not second.containers.list(all=True), "nothing is left")
    assert names(second) == ["db"]
    second.volumes.get("db").remove()
    assert folders(second) == []


def test_a_failed_creation_leaves_no_volume_and_no_mark(engine: Engine) -> None:
    engine.volumes.create("db")
    with pytest.raises(NotFound):
        engine.containers.create(BASE, ["true"], volumes=["/one", "db:/two"], mounts=["type=image,source=no/such,target=/x"])
    engine.containers.create(BASE, ["true"], name="taken")
    with pytest.raises(Conflict):
        engine.containers.create(BASE, ["true"], name="taken", volumes=["/one", "db:/two"])
    assert folders(engine) == ["db"]
    assert engine.volumes.get("db").users == ()


def test_a_half_made_volume_is_swept(make_engine: Any) -> None:
    first = make_engine()
    first.volumes.create("whole")
    (first.paths.volumes / "half" / "_data").mkdir(parents=True)
    os.rmdir(first.paths.volumes / "whole" / "users")
    assert any("half" in complaint for complaint in first.store.verify())
    first.close()
    second = make_engine()
    assert folders(second) == []
    assert names(second) == []
    second.store.sweep()
    assert second.store.leftovers() == []


def test_many_containers_use_and_leave_one_volume_at_once(engine: Engine) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(3):
                sh(engine, f"echo x >/data/{number}-{turn}", volumes=["db:/data", "/nameless"])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert folders(engine) == ["db"]
    assert sh(engine, "ls /data | wc -l", volumes=["db:/data"]).strip() == "18"


# --- content of the image

DOCKERFILE = """
FROM lab/base
RUN mkdir -p /srv/data/inner && echo of-the-image >/srv/data/file && ln /srv/data/file /srv/data/same && ln -s file /srv/data/link \\
 && chmod 750 /srv/data/inner && chmod 711 /srv/data
VOLUME /srv/data /srv/empty
"""


@pytest.fixture
def with_volume(engine: Engine) -> str:
    engine.images.build(dockerfile_text=DOCKERFILE, tag="me/volume", network="none")
    return "me/volume"


def test_a_new_volume_begins_with_what_the_image_has_there(engine: Engine, with_volume: str) -> None:
    look = "stat -c '%n %a %F' /srv/data /srv/data/inner; cat /srv/data/link; [ /srv/data/file -ef /srv/data/same ] && echo one"
    wanted = "/srv/data 711 directory\n/srv/data/inner 750 directory\nof-the-image\none\n"
    assert sh(engine, look, with_volume) == wanted
    assert sh(engine, look, with_volume, volumes=["db:/srv/data"]) == wanted
    assert sh(engine, "rm /srv/data/file; cat /srv/data/same", with_volume, volumes=["db:/srv/data"]) == "of-the-image\n"
    # no longer empty: nothing is copied again
    assert sh(engine, "ls /srv/data", with_volume, volumes=["db:/srv/data"]).split() == ["inner", "link", "same"]
    assert sh(engine, "ls /srv/data", with_volume, volumes=["other:/srv/data:nocopy"]) == ""
    assert sh(engine, "ls /srv/data", with_volume, tmpfs=["/srv/data"]) == ""
    assert folders(engine) == ["db", "other"]


def test_volumes_of_an_image_are_anonymous_and_told(engine: Engine, with_volume: str) -> None:
    container = engine.containers.create(with_volume, ["true"], network="none")
    document = container.inspect()
    assert [mount["Destination"] for mount in document["Mounts"]] == ["/srv/data", "/srv/empty"]
    assert document["Config"]["Volumes"] == {"/srv/data": {}, "/srv/empty": {}}
    assert {mount["Name"] for mount in document["Mounts"]} == set(names(engine))
    container.remove(v=True)
    assert folders(engine) == []


@pytest.mark.needs("root")
def test_owners_of_the_image_are_owners_in_the_volume(engine: Engine) -> None:
    text = "FROM lab/base\nRUN mkdir /own && touch /own/file && chown 5:6 /own/file && chown 7:8 /own\nUSER 7:8"
    engine.images.build(dockerfile_text=text, tag="me/owned", network="none")
    assert sh(engine, "stat -c %u:%g /own /own/file; touch /own/new", "me/owned", volumes=["db:/own"]) == "7:8\n5:6\n"


def test_a_volume_cannot_cover_a_file_of_the_image(engine: Engine) -> None:
    with pytest.raises(InvalidArgument, match="/etc/passwd"):
        engine.containers.create(BASE, ["true"], volumes=["db:/etc/passwd"])
    engine.volumes.get("db").remove()


# --- driver options


def test_a_volume_may_be_a_folder_of_the_host(engine: Engine, place: Path) -> None:
    (place / "data").mkdir()
    engine.volumes.create("db", driver_opts={"type": "none", "o": "bind", "device": str(place / "data")})
    sh(engine, "echo x >/data/file", volumes=["db:/data"])
    assert (place / "data" / "file").read_text() == "x\n"
    engine.volumes.get("db").remove()
    assert (place / "data" / "file").exists()


def test_a_volume_may_be_a_tmpfs(engine: Engine) -> None:
    engine.volumes.create("scratch", driver_opts={"type": "tmpfs", "device": "tmpfs", "o": "size=1m,mode=700"})
    assert sh(engine, "grep ' /data ' /proc/mounts; echo x >/data/x", volumes=["scratch:/data"]).startswith("tmpfs /data tmpfs")
    assert sh(engine, "ls /data", volumes=["scratch:/data"]) == ""


# --- the command line


def test_commands_of_volumes_print_what_dockers_print(engine: Engine) -> None:
    from labcontainers.commands.table import execute, understand

    def said(*words: str) -> str:
        return str(execute(lambda: engine, understand(["volume", *words]), live=True))

    assert said("create", "--label", "a=b", "db") == "db"
    nameless = said("create")
    assert len(nameless) == 64
    assert said("ls", "-q") == "\n".join(sorted(["db", nameless]))
    assert repr(execute(lambda: engine, understand(["volume", "ls", "-f", "label=a"]))) == "DRIVER    VOLUME NAME\nlocal     db"
    assert said("ls", "--filter", "label=a", "--format", "{{.Name}} {{.Driver}} {{.Labels}} {{.Scope}}") == "db local a=b local"
    assert said("inspect", "-f", "{{.Mountpoint}}", "db") == str(engine.paths.volumes / "db" / "_data")
    assert str(execute(lambda: engine, understand(["inspect", "--type", "volume", "-f", "{{.Name}}", "db"]))) == "db"
    assert said("prune", "-f").startswith(f"Deleted Volumes:\n{nameless}\n\nTotal reclaimed space: ")
    assert said("rm", "db") == "db"
    assert said("rm", "-f", "db") == "db"
    with pytest.raises(NotFound, match="get db: no such volume"):
        said("rm", "db")
    assert said("prune", "-a") == "Total reclaimed space: 0B"
