"""Trees to tar streams and back, without a container: what is kept, what may be replaced, and how much memory it takes."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcontainers.containers.files.packing import Packer, find
from labcontainers.containers.files.unpacking import Rules, Unpacker
from labcontainers.errors import Conflict, InvalidArgument, NotFound

MINE = Rules(keep_owner=False, trusted=False)


def pack(path: str, name: str = "top") -> bytes:
    data = io.BytesIO()
    with find(lambda part, flags: os.open(part, flags | os.O_CLOEXEC), path, path) as found:
        assert Packer(data.write).pack(found, name) == len(data.getvalue())
    return data.getvalue()


def unpack(data: bytes, folder: Path, rules: Rules = MINE, *, links: bool = False) -> int:
    folder.mkdir(exist_ok=True)
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        return Unpacker(fd, "", rules, links=links).unpack(io.BytesIO(data))
    finally:
        os.close(fd)


def archive_of(*members: tarfile.TarInfo | str) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for member in members:
            archive.addfile(tarfile.TarInfo(member) if isinstance(member, str) else member)
    return data.getvalue()


def folder_entry(name: str, mode: int = 0o755, mtime: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = tarfile.DIRTYPE, mode, mtime
    return info


def test_times_modes_links_and_names_survive(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    name = os.fsdecode(b"na\nme-\xff")
    (tree / name).write_text("x" * 1000)
    os.utime(tree / name, ns=(0, 1_600_000_000_123_456_789))
    os.link(tree / name, tree / "sub" / "linked")
    (tree / "away").symlink_to("/no/such" + "/long" * 40)
    os.chmod(tree / "sub", 0o555)
    os.utime(tree / "sub", ns=(0, 7 * 10**9))
    try:
        unpack(pack(str(tree)), tmp_path / "out")
    finally:
        os.chmod(tree / "sub", 0o755)
    out = tmp_path / "out" / "top"
    assert (out / name).read_text() == "x" * 1000
    assert (out / name).stat().st_mtime_ns == 1_600_000_000_123_456_789
    assert os.readlink(out / "away") == "/no/such" + "/long" * 40
    assert (out / "sub" / "linked").samefile(out / name)
    assert stat.S_IMODE((out / "sub").stat().st_mode) == 0o555
    assert (out / "sub").stat().st_mtime_ns == 7 * 10**9
    os.chmod(out / "sub", 0o755)


def test_every_tar_reads_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    os.mkfifo(tmp_path / "pipe")
    with tarfile.open(fileobj=io.BytesIO(pack(f"{tmp_path}/.", "."))) as archive:
        assert archive.getnames() == [".", "./file", "./pipe"]


def test_sockets_are_left_out_of_a_tree_and_refused_alone(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        with tarfile.open(fileobj=io.BytesIO(pack(str(tmp_path)))) as archive:
            assert archive.getnames() == ["top"]
        with pytest.raises(Conflict, match="sockets"):
            pack(str(tmp_path / "s"))


def test_a_file_that_shrinks_is_filled_with_zeros_and_one_that_vanishes_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a-long-one").write_bytes(b"x" * 3_000_000)
    (tmp_path / "gone").write_text("x")
    data = io.BytesIO()

    def take(piece: bytes | memoryview) -> None:
        data.write(piece)
        if (tmp_path / "gone").exists() and len(data.getvalue()) > 1_000_000:
            os.truncate(tmp_path / "a-long-one", 10)
            (tmp_path / "gone").unlink()

    with find(lambda part, flags: os.open(part, flags), str(tmp_path), "it") as found:
        Packer(take).pack(found, "top")
    with tarfile.open(fileobj=io.BytesIO(data.getvalue())) as archive:
        assert archive.getnames() == ["top", "top/a-long-one"]
        file = archive.extractfile("top/a-long-one")
        assert file is not None
        content = file.read()
    assert len(content) == 3_000_000
    assert content.rstrip(b"\0") == b"x" * len(content.rstrip(b"\0"))


@pytest.mark.parametrize("path", ["no/such", "file/x", "file/", "nothing/"])
def test_what_is_missing_is_told(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotFound):
        pack(f"{tmp_path}/{path}")


# the name that the first part gets, and where the archive's s and s/x come to lie
RENAMED = [
    (("s", "new"), ["new", "new/x"]),
    (("", "new"), ["new", "new/s", "new/s/x"]),
    (("other", "new"), ["s", "s/x"]),
    (None, ["s", "s/x"]),
]


@pytest.mark.parametrize(("rename", "paths"), RENAMED)
def test_the_first_part_of_names_is_renamed(tmp_path: Path, rename: tuple[str, str] | None, paths: list[str]) -> None:
    unpack(archive_of(folder_entry("./s"), "s/x"), tmp_path / "out", Rules(keep_owner=False, rename=rename))
    assert sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*")) == paths


def test_files_replace_files_and_directories_are_merged(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "d" / "kept").mkdir(parents=True)
    (out / "f").write_text("old")
    (out / "link").symlink_to("f")
    assert unpack(archive_of(folder_entry("d", 0o700, 5), "f", "link", "d/new"), out) == 4
    assert sorted(os.listdir(out / "d")) == ["kept", "new"]
    assert (out / "d").stat().st_mtime == 5
    assert (out / "f").read_text() == ""
    assert not (out / "link").is_symlink()
    with pytest.raises(Conflict, match="cannot overwrite directory 'd' with non-directory"):
        unpack(archive_of("d"), out)
    with pytest.raises(Conflict, match="cannot overwrite non-directory 'f' with directory"):
        unpack(archive_of(folder_entry("f")), out)


def test_parents_that_an_archive_does_not_name_are_made(tmp_path: Path) -> None:
    unpack(archive_of("a/b/c/file", "a/b/other", "z"), tmp_path / "out")
    assert (tmp_path / "out" / "a" / "b" / "c" / "file").exists()
    assert stat.S_IMODE((tmp_path / "out" / "a").stat().st_mode) == 0o755


@pytest.mark.parametrize(("links", "made"), [(True, ["real/file"]), (False, [])])
def test_links_among_directories_are_followed_only_in_a_container(tmp_path: Path, links: bool, made: list[str]) -> None:
    out = tmp_path / "out"
    (out / "real").mkdir(parents=True)
    (out / "way").symlink_to("/real")
    if links:
        unpack(archive_of("way/file"), out, links=True)
    else:
        with pytest.raises(Conflict, match="not a directory"):
            unpack(archive_of("way/file"), out)
    assert [str(path.relative_to(out)) for path in out.rglob("file")] == made


DAMAGED = [b"x" * 2000, archive_of("a" * 90)[:300], archive_of(folder_entry("../x")), archive_of("a/../../x")]


@pytest.mark.parametrize("data", DAMAGED)
def test_a_damaged_archive_and_names_that_lead_out_are_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        unpack(data, tmp_path / "out")
    assert os.listdir(tmp_path) == ["out"]
    assert os.listdir(tmp_path / "out") == []


class Endless(io.RawIOBase):
    """An archive of many small files, made while it is read."""

    def __init__(self, count: int) -> None:
        self._left = self._pieces(count)
        self._rest = b""

    @staticmethod
    def _pieces(count: int) -> Iterator[bytes]:
        for number in range(count):
            yield tarfile.TarInfo(f"d{number % 50}/{number}").tobuf()
        yield b"\0" * 1024

    def read(self, size: int = -1) -> bytes:
        while len(self._rest) < size and (piece := next(self._left, b"")):
            self._rest += piece
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def test_memory_does_not_grow_with_the_number_of_entries(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        folder = tmp_path / str(count)
        folder.mkdir()
        fd = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        tracemalloc.start()
        Unpacker(fd, "", MINE, links=False).unpack(Endless(count))
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        os.close(fd)
        return highest

    small, large = peak(200), peak(3000)
    assert large < small * 1.5 + 2_000_000
