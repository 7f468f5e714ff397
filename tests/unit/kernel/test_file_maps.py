"""Files that are seen as memory."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from labcontainers.kernel.file_maps import map_file


def test_what_is_mapped_is_read_without_name_and_descriptor_and_let_go_of_with_its_last_piece(tmp_path: Path) -> None:
    path = tmp_path / "lab-mapped"
    path.write_bytes(b"0123456789" * 1000)
    with open(path, "rb") as file:
        data = map_file(file.fileno(), 10_000)
    path.unlink()
    piece = data[5_000:5_010]
    del data
    gc.collect()
    assert bytes(piece) == b"0123456789"
    with pytest.raises(TypeError):
        piece[0] = 0
    assert path.name in Path("/proc/self/maps").read_text()
    del piece
    gc.collect()
    assert path.name not in Path("/proc/self/maps").read_text()


def test_what_cannot_be_mapped_is_told() -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(OSError, match=r"No such device|Permission denied"):
            map_file(reading, 1)
    finally:
        os.close(reading)
        os.close(writing)
