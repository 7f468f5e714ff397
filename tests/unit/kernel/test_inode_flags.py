"""A directory of strangers is spread over the disk where the file system can; elsewhere it stays as it is."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import pytest

from labcontainers.kernel import inode_flags
from labcontainers.store.layout import Store
from labcontainers.store.paths import StorePaths
from tests.fakes.in_process_worker import InProcessWorker


class FileSystem:
    """The flags of directories, as a file system keeps them: `refuses` is the error of one that has none."""

    def __init__(self, refuses: int = 0) -> None:
        self.refuses = refuses
        self.flags = 0x80000
        self.sets = 0

    def ioctl(self, _fd: int, request: int, value: bytes) -> bytes:
        if self.refuses:
            raise OSError(self.refuses, "no flags")
        if request == 0x40086602:
            self.flags = int.from_bytes(value[:4], "little")
            self.sets += 1
        return self.flags.to_bytes(8, "little")


@pytest.fixture
def file_system(monkeypatch: pytest.MonkeyPatch) -> FileSystem:
    made = FileSystem()
    monkeypatch.setattr(fcntl, "ioctl", made.ioctl)
    return made


def test_the_flag_is_added_once_and_others_stay(tmp_path: Path, file_system: FileSystem) -> None:
    inode_flags.spread(tmp_path)
    inode_flags.spread(tmp_path)
    assert inode_flags.flags_of(tmp_path) == 0x80000 | inode_flags.TOPDIR
    assert file_system.sets == 1


@pytest.mark.parametrize("refuses", [errno.ENOTTY, errno.EOPNOTSUPP, errno.EPERM])
def test_a_file_system_without_flags_is_left_alone(tmp_path: Path, file_system: FileSystem, refuses: int) -> None:
    file_system.refuses = refuses
    inode_flags.spread(tmp_path)
    assert file_system.sets == 0


def test_a_directory_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    inode_flags.spread(tmp_path / "none")


def is_spread(directory: Path) -> bool:
    """False, too, on a file system without flags."""
    try:
        return bool(inode_flags.flags_of(directory) & inode_flags.TOPDIR)
    except OSError:
        return False


def test_a_store_spreads_containers_volumes_and_what_is_being_made_where_that_can_be(tmp_path: Path) -> None:
    inode_flags.spread(tmp_path)
    paths = StorePaths(tmp_path / "root", tmp_path / "run")
    Store.open(paths, InProcessWorker())
    assert {is_spread(path) for path in (paths.containers, paths.volumes, paths.tmp)} == {is_spread(tmp_path)}
    assert not is_spread(paths.root)
