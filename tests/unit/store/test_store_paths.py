"""Where a store is, by environment and user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labcontainers.errors import Denied
from labcontainers.store.layout import Store
from labcontainers.store.paths import StorePaths, default_paths
from tests.fakes.in_process_worker import InProcessWorker


def test_the_environment_chooses_root_and_run() -> None:
    assert default_paths({"LABCONTAINERS_ROOT": "/a"}) == StorePaths(Path("/a"), Path("/a/run"))
    assert default_paths({"LABCONTAINERS_ROOT": "/a", "LABCONTAINERS_RUN": "/b"}) == StorePaths(Path("/a"), Path("/b"))


def test_root_has_the_places_of_the_system() -> None:
    assert default_paths({"XDG_DATA_HOME": "/x"}, uid=0) == StorePaths(Path("/var/lib/labcontainers"), Path("/run/labcontainers"))


def test_a_user_has_the_places_of_xdg(tmp_path: Path) -> None:
    owner = tmp_path.stat().st_uid or 1000
    environment = {"HOME": "/home/u", "XDG_DATA_HOME": "/data"}
    assert default_paths({"HOME": "/home/u"}, uid=owner).root == Path("/home/u/.local/share/labcontainers")
    assert default_paths({"HOME": "/home/u", "XDG_DATA_HOME": "relative"}, uid=owner).root == Path("/home/u/.local/share/labcontainers")
    assert default_paths(environment, uid=owner) == StorePaths(Path("/data/labcontainers"), Path("/data/labcontainers/run"))
    assert default_paths({**environment, "LABCONTAINERS_RUN": "/r"}, uid=owner).run == Path("/r")


def test_run_time_state_goes_only_where_the_directory_is_the_users_own(tmp_path: Path) -> None:
    environment = {"XDG_DATA_HOME": "/data", "XDG_RUNTIME_DIR": str(tmp_path)}
    owner = tmp_path.stat().st_uid or 1000
    if os.geteuid() == 0:
        os.chown(tmp_path, owner, -1)
    assert default_paths(environment, uid=owner).run == tmp_path / "labcontainers"
    assert default_paths(environment, uid=owner + 1).run == Path("/data/labcontainers/run")
    assert default_paths({**environment, "XDG_RUNTIME_DIR": "/nowhere"}, uid=owner).run == Path("/data/labcontainers/run")


def test_everything_is_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        paths = StorePaths(tmp_path / "new/s", tmp_path / "r")
        Store.open(paths, InProcessWorker()).close()
    finally:
        os.umask(before)
    assert {path: path.stat().st_mode & 0o777 for path in paths.directories} == dict.fromkeys(paths.directories, 0o700)


def test_a_root_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Denied, match="file"):
        Store.open(StorePaths(tmp_path / "file/s", tmp_path / "r"), InProcessWorker())
