"""The hint to the file system that the directories in one have nothing to do with each other."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from labcontainers.kernel import placement, syscalls

EXT4 = 0xEF53
EXTENTS = 0x00080000


def _is_ext4(path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return bool(struct.unpack_from("=Q", syscalls.fstatfs(fd))[0] == EXT4)
    finally:
        os.close(fd)


def test_spread_marks_directory_on_ext4_and_keeps_its_other_flags(tmp_path: Path) -> None:
    if not _is_ext4(tmp_path):
        pytest.skip("the folder for tests is not on ext4, which alone knows the hint")
    before = placement.flags(tmp_path)
    placement.spread(tmp_path)
    placement.spread(tmp_path)
    assert placement.flags(tmp_path) == before | placement.TOP_OF_TREES
    inner = tmp_path / "inner"
    inner.mkdir()
    assert placement.flags(inner) == before & EXTENTS


@pytest.mark.parametrize("path", ["/proc", "/dev/shm", "/nowhere"])
def test_spread_leaves_what_knows_no_such_hint_as_it_is(path: str) -> None:
    placement.spread(path)


def test_flags_tell_when_there_are_none() -> None:
    with pytest.raises(OSError, match="ioctl"):
        placement.flags("/proc")
