"""Volumes of a store without containers: names, marks of users, filters, and what is taken away when."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers.errors import Conflict, InvalidArgument, NotFound, Unsupported
from labcontainers.runtime.cleanup import release_volumes
from labcontainers.store.layout import Store
from labcontainers.store.paths import StorePaths
from labcontainers.volumes.driver import Backing, backing_of, check_name
from labcontainers.volumes.volumes import Volumes
from tests.fakes.in_process_worker import InProcessWorker

BACKINGS = [
    ({}, Backing()),
    ({"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=5"}, Backing("tmpfs", "tmpfs", "size=1m,uid=5")),
    ({"type": "none", "device": "/srv/../srv", "o": "bind"}, Backing("bind", "/srv")),
    ({"device": "/srv", "o": "ro,rbind"}, Backing("bind", "/srv", "", True)),
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(StorePaths(tmp_path / "s", tmp_path / "r"), InProcessWorker())
    yield opened
    assert opened.verify() == []
    opened.close()


@pytest.fixture
def volumes(store: Store) -> Volumes:
    return Volumes(store)


def container(store: Store, name: str) -> str:
    (store.paths.containers / name).mkdir()
    return name


@pytest.mark.parametrize(("options", "wanted"), BACKINGS)
def test_options_of_the_driver_tell_where_the_files_are(options: dict[str, str], wanted: Backing) -> None:
    assert backing_of(options) == wanted


@pytest.mark.parametrize("options", [{"type": "none", "device": "x", "o": "bind"}, {"device": "/x", "o": ""}, {"o": "bind"}])
def test_wrong_options_of_the_driver_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument):
        backing_of(options)


@pytest.mark.parametrize(
    "options", [{"type": "nfs4", "device": ":/x"}, {"type": "none", "device": "/x", "o": "bind,noexec"}, {"size": "1"}]
)
def test_options_that_need_a_mount_on_the_host_are_not_supported(options: dict[str, str]) -> None:
    with pytest.raises(Unsupported):
        backing_of(options)


def test_names_are_those_that_docker_allows() -> None:
    for name in ("db", "a.b-c_d", "0x", "x" * 255):
        assert check_name(name) == name
    for name in ("", "a", "-a", ".a", "_a", "a/b", "a b", "ä1", "x" * 256, "..", "a\n"):
        with pytest.raises(InvalidArgument):
            check_name(name)


def test_a_volume_goes_only_when_its_last_container_is_gone(store: Store, volumes: Volumes) -> None:
    one, two = container(store, "one"), container(store, "two")
    volumes.use("db", one)
    volumes.join("db", two)
    volumes.release("db", one, remove=True)
    with pytest.raises(Conflict, match="two"):
        volumes.remove("db")
    os.rmdir(store.paths.containers / two)
    assert volumes.users("db") == ()
    volumes.remove("db")
    with pytest.raises(NotFound):
        volumes.join("db", one)
    os.rmdir(store.paths.containers / one)
    assert os.listdir(store.paths.volumes) == []


def test_a_shim_removes_only_what_nobody_else_has(store: Store, volumes: Volumes) -> None:
    one, two = container(store, "one"), container(store, "two")
    told = []
    for name, anonymous in (("named", False), ("alone", True), ("joined", True)):
        volumes.use(name, one)
        told.append({"name": name, "directory": str(store.paths.volumes / name), "anonymous": anonymous})
    volumes.join("joined", two)
    os.rmdir(store.paths.containers / one)
    assert release_volumes(told, one, str(store.paths.trash)) == ["alone"]
    assert sorted(os.listdir(store.paths.volumes)) == ["joined", "named"]
    assert os.listdir(store.paths.trash) == []
    assert [volume.name for volume in volumes.list()] == ["joined", "named"]
    assert volumes.users("joined") == (two,)
    assert release_volumes(told, one, str(store.paths.trash)) == []
    os.rmdir(store.paths.containers / two)


def test_filters_are_dockers(store: Store, volumes: Volumes) -> None:
    volumes.create("one", labels={"a": "1", "b": ""})
    volumes.create("two", labels=["a=2"])
    volumes.use("two", container(store, "user"))

    def names(**filters: object) -> list[str]:
        return [volume.name for volume in volumes.list(filters)]

    assert names(label="a") == ["one", "two"]
    assert names(label=["a", "b"]) == ["one"]
    assert names(label="a=2") == names(dangling=False) == names(name=["w"]) == ["two"]
    assert names(driver="local", dangling="1") == ["one"]
    assert names(driver="nfs") == []
    with pytest.raises(InvalidArgument, match="did you mean label"):
        names(lable="a")
    with pytest.raises(InvalidArgument, match="dangling=maybe"):
        names(dangling="maybe")
    assert volumes.prune({"label!": "a", "all": True}).names == ()
    pruned = volumes.prune(all=True)
    assert list(pruned) == ["one"]
    assert repr(pruned).startswith("Deleted Volumes:\none\n\nTotal reclaimed space: ")
    os.rmdir(store.paths.containers / "user")
