"""The canonical tar: equal trees give equal bytes, and the standard library and GNU tar read out of it what was in the tree."""

from __future__ import annotations

import hashlib
import io
import os
import resource
import shutil
import socket
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainers.errors import Failed, InvalidArgument
from labcontainers.store import tar_writer, trees
from tests.fakes.written_tar import write_tar

NS = 10**9
LONG = "n" * 150
WEIRD = b"caf\xe9-\xff"

# names, that are files in one directory, in the order of their entries
ORDER = ("-", "A", "Z", "a", "a-b", "a/", "a/b", "a/b-", "a/b/", "a/b/c", "a0", "b", "é")


def fill(tree: Path) -> None:
    """One of everything that an ordinary user may make."""
    tree.mkdir()
    (tree / "empty").touch(mode=0o644)
    (tree / "block").write_bytes(b"x" * 512)
    (tree / "more").write_bytes(os.urandom(3000))
    (tree / "large").write_bytes(bytes(range(256)) * 8000)
    (tree / "set").write_bytes(b"id")
    (tree / "set").chmod(0o6755)
    (tree / "dir").mkdir(mode=0o755)
    (tree / "dir" / LONG).mkdir(mode=0o700)
    (tree / "dir" / LONG / LONG).write_bytes(b"deep")
    (tree / "ünïcode").write_bytes(b"u")
    Path(os.fsdecode(os.fsencode(tree) + b"/" + WEIRD)).write_bytes(b"w")
    (tree / "new\nline = 7").write_bytes(b"n")
    (tree / "sticky").mkdir()
    (tree / "sticky").chmod(0o1777)
    os.symlink("../else/where", tree / "link")
    os.symlink("t" * 200, tree / "longlink")
    os.symlink(os.fsdecode(WEIRD), tree / "weirdlink")
    os.mkfifo(tree / "pipe", 0o640)
    os.link(tree / "more", tree / "zz-second")
    os.link(tree / "more", tree / "dir" / "third")
    with open(tree / "sparse", "wb") as file:
        file.truncate(1 << 20)
    os.utime(tree / "empty", ns=(0, 1_700_000_000 * NS + 123_456_700))
    os.utime(tree / "block", ns=(0, -5 * NS - NS // 2))
    os.utime(tree / "more", ns=(0, 0))
    os.utime(tree / "link", ns=(0, 7 * NS + 1), follow_symlinks=False)


def tar_of(tree: Path) -> bytes:
    written = io.BytesIO()
    tar_writer.TarWriter(written.write).write(str(tree))
    return written.getvalue()


def names_of(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [member.name + ("/" if member.isdir() else "") for member in archive]


def listing(tree: Path) -> dict[bytes, tuple[object, ...]]:
    """What must survive: kind and mode, ids, time, content or target, and which names are one file."""
    found: dict[bytes, tuple[object, ...]] = {}
    inodes: dict[int, bytes] = {}
    root = os.fsencode(tree)
    for folder, folders, files in os.walk(root):
        for name in sorted((*folders, *files)):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            content: object = None
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    content = hashlib.sha256(file.read()).digest()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            relative = os.path.relpath(path, root)
            first = relative if stat.S_ISDIR(status.st_mode) else inodes.setdefault(status.st_ino, relative)
            attributes = tuple((key, os.getxattr(path, key, follow_symlinks=False)) for key in os.listxattr(path, follow_symlinks=False))
            found[relative] = (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, content, first, attributes)
    return found


def by_tarfile(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as opened:
        opened.extraction_filter = lambda member, _: member
        opened.extractall(target, numeric_owner=True)


def by_gnu_tar(archive: Path, target: Path) -> None:
    target.mkdir()
    command = ["tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", str(archive), "-C", str(target)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    # Of a time before 1970 it only says that it is implausible.
    assert result.returncode == 0, result.stderr


def without_fractions(found: dict[bytes, tuple[object, ...]]) -> dict[bytes, tuple[object, ...]]:
    """As tarfile sets it: with the precision of a float, and links with no time at all."""
    return {
        name: (*entry[:3], None if stat.S_ISLNK(int(str(entry[0]))) else round(int(str(entry[3])) / NS, 4), *entry[4:])
        for name, entry in found.items()
    }


class TestRoundTrip:
    def test_the_standard_library_reads_out_what_was_in_the_tree(self, tmp_path: Path) -> None:
        fill(tmp_path / "tree")
        before = without_fractions(listing(tmp_path / "tree"))
        write_tar(tmp_path / "tree", tmp_path / "tar")
        by_tarfile(tmp_path / "tar", tmp_path / "out")
        assert without_fractions(listing(tmp_path / "out")) == before

    @pytest.mark.skipif(shutil.which("tar") is None, reason="needs GNU tar")
    def test_gnu_tar_reads_out_what_was_in_the_tree(self, tmp_path: Path) -> None:
        fill(tmp_path / "tree")
        before = listing(tmp_path / "tree")
        write_tar(tmp_path / "tree", tmp_path / "tar")
        by_gnu_tar(tmp_path / "tar", tmp_path / "out")
        assert listing(tmp_path / "out") == before

    @pytest.mark.parametrize("unpack", [by_tarfile, by_gnu_tar])
    def test_what_was_read_out_has_the_same_digest(self, tmp_path: Path, unpack: Callable[[Path, Path], None]) -> None:
        fill(tmp_path / "tree")
        for path in (tmp_path / "tree").rglob("*"):
            os.utime(path, ns=(0, 1_000 * NS), follow_symlinks=False)
        first = write_tar(tmp_path / "tree", tmp_path / "tar")
        unpack(tmp_path / "tar", tmp_path / "out")
        for path in (tmp_path / "out").rglob("*"):
            os.utime(path, ns=(0, 1_000 * NS), follow_symlinks=False)
        assert trees.measure(str(tmp_path / "out")) == first

    def test_extended_attributes_of_users_are_kept(self, tmp_path: Path) -> None:
        tree = tmp_path / "tree"
        tree.mkdir()
        (tree / "file").touch()
        try:
            os.setxattr(tree / "file", "user.colour", b"red\0\n\xff=")
        except OSError:
            pytest.skip("this file system has no extended attributes")
        os.setxattr(tree / "file", "user.a", b"")
        write_tar(tree, tmp_path / "tar")
        with tarfile.open(tmp_path / "tar") as archive:
            assert archive.getmember("file").pax_headers["SCHILY.xattr.user.a"] == ""
        by_gnu_tar(tmp_path / "tar", tmp_path / "out")
        assert os.getxattr(tmp_path / "out/file", "user.colour") == b"red\0\n\xff="

    def test_overlays_own_attributes_are_left_out(self, tmp_path: Path) -> None:
        (tmp_path / "tree" / "plain").mkdir(parents=True)
        before = trees.measure(str(tmp_path / "tree"))
        try:
            os.setxattr(tmp_path / "tree" / "plain", "user.overlay.origin", b"x")
        except OSError:
            pytest.skip("this file system has no extended attributes")
        assert trees.measure(str(tmp_path / "tree")) == before


class TestBytes:
    def test_a_tree_is_the_same_bytes_whatever_order_its_files_were_made_in(self, tmp_path: Path) -> None:
        made = []
        for label, names in (("one", range(200)), ("two", reversed(range(200)))):
            (tmp_path / label).mkdir()
            for number in names:
                (tmp_path / label / f"f{number}").write_bytes(b"%d" % number)
                os.utime(tmp_path / label / f"f{number}", ns=(0, 0))
            made.append(tar_of(tmp_path / label))
        assert made[0] == made[1]

    def test_the_first_name_in_order_has_the_content_of_a_hard_link(self, tmp_path: Path) -> None:
        for label, first, second in (("one", "a", "b/c"), ("two", "b/c", "a")):
            (tmp_path / label / "b").mkdir(parents=True)
            (tmp_path / label / first).write_bytes(b"content")
            os.link(tmp_path / label / first, tmp_path / label / second)
            for name in ("a", "b"):
                os.utime(tmp_path / label / name, ns=(0, 0))
        assert tar_of(tmp_path / "one") == tar_of(tmp_path / "two")
        with tarfile.open(fileobj=io.BytesIO(tar_of(tmp_path / "two"))) as archive:
            assert archive.getmember("a").isreg()
            assert archive.getmember("b/c").linkname == "a"

    def test_a_file_with_another_name_outside_the_tree_is_a_plain_file(self, tmp_path: Path) -> None:
        (tmp_path / "tree").mkdir()
        (tmp_path / "outside").write_bytes(b"x")
        os.link(tmp_path / "outside", tmp_path / "tree" / "inside")
        with tarfile.open(fileobj=io.BytesIO(tar_of(tmp_path / "tree"))) as archive:
            assert archive.getmember("inside").isreg()

    def test_entries_are_sorted_by_the_bytes_of_their_names(self, tmp_path: Path) -> None:
        for name in reversed(ORDER):
            path = tmp_path / name
            if name.endswith("/") and not path.exists():
                path.mkdir(parents=True)
            elif not name.endswith("/") and f"{name}/" not in ORDER:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        expected = [name for name in ORDER if f"{name}/" not in ORDER]
        assert names_of(tar_of(tmp_path)) == expected == sorted(expected, key=os.fsencode)

    def test_an_empty_tree_is_one_record_of_zeros(self, tmp_path: Path) -> None:
        assert tar_of(tmp_path) == b"\0" * 10240

    def test_a_plain_file_needs_no_extended_header_and_no_names_of_users(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"x")
        os.utime(tmp_path / "file", ns=(0, 1_600_000_000 * NS))
        data = tar_of(tmp_path)
        assert (data[:4], data[156:157], data[257:265], data[265:329]) == (b"file", b"0", b"ustar\x0000", b"\0" * 64)
        assert len(data) == 10240

    def test_a_name_of_a_hundred_bytes_needs_no_extended_header_and_one_more_does(self, tmp_path: Path) -> None:
        for length, kind in ((100, b"0"), (101, b"x")):
            (tmp_path / str(length)).mkdir()
            (tmp_path / str(length) / ("n" * length)).touch()
            os.utime(tmp_path / str(length) / ("n" * length), ns=(0, 0))
            assert tar_of(tmp_path / str(length))[156:157] == kind

    def test_measuring_and_writing_agree(self, tmp_path: Path) -> None:
        fill(tmp_path / "tree")
        measured = trees.measure(str(tmp_path / "tree"))
        assert write_tar(tmp_path / "tree", tmp_path / "tar") == measured
        data = (tmp_path / "tar").read_bytes()
        assert measured == {"diff_id": "sha256:" + hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}

    @pytest.mark.needs("root")
    def test_the_bytes_stay_what_they_are(self, tmp_path: Path) -> None:
        """Were they to change, no digest of a built image would be what it was; root, since the owner is in them."""
        (tmp_path / "dir").mkdir()
        (tmp_path / "dir" / "é").write_bytes(b"hello\n")
        os.symlink("dir/é", tmp_path / "link")
        (tmp_path / "dir").chmod(0o755)
        (tmp_path / "dir" / "é").chmod(0o644)
        for name in ("dir/é", "dir", "link"):
            os.utime(tmp_path / name, ns=(0, 1_000 * NS + 500), follow_symlinks=False)
        data = tar_of(tmp_path)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            assert [member.pax_headers for member in archive] == [
                {"mtime": "1000.0000005"},
                {"mtime": "1000.0000005", "path": "dir/é"},
                {"linkpath": "dir/é", "mtime": "1000.0000005"},
            ]
        assert hashlib.sha256(data).hexdigest() == "f52ff9926f2cd22507ed764a5731e9cc437ac7ec15ac4a6d4fff91d90258bd6b"

    @given(st.binary(min_size=1, max_size=30), st.binary(max_size=1100))
    def test_the_length_of_a_record_counts_itself(self, key: bytes, value: bytes) -> None:
        record = tar_writer.pax_record(key, value)
        assert int(record.split(b" ", 1)[0]) == len(record)
        assert record.endswith(b" " + key + b"=" + value + b"\n")


class TestWhatALayerCannotHold:
    @pytest.mark.parametrize("name", [".wh.x", ".wh..wh..opq", ".wh."])
    def test_a_name_that_means_a_deleted_file_is_refused(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "dir").mkdir()
        (tmp_path / "dir" / name).touch()
        with pytest.raises(InvalidArgument, match=r"dir/\.wh\."):
            trees.measure(str(tmp_path))

    def test_a_socket_is_left_out(self, tmp_path: Path) -> None:
        (tmp_path / "tree").mkdir()
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.relpath(tmp_path / "tree" / "socket"))
        assert names_of(tar_of(tmp_path / "tree")) == []

    def test_a_tree_that_refers_to_its_lower_layers_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "moved").mkdir()
        try:
            os.setxattr(tmp_path / "moved", "user.overlay.redirect", b"/old")
        except OSError:
            pytest.skip("this file system has no extended attributes")
        with pytest.raises(Failed, match="redirect"):
            trees.measure(str(tmp_path))

    def test_a_link_in_place_of_the_tree_is_not_followed(self, tmp_path: Path) -> None:
        os.symlink("/etc", tmp_path / "tree")
        with pytest.raises(OSError, match="tree"):
            trees.measure(str(tmp_path / "tree"))

    def test_who_reads_a_layer_no_more_ends_its_stream(self, tmp_path: Path) -> None:
        (tmp_path / "tree").mkdir()
        (tmp_path / "tree" / "file").write_bytes(bytes(1 << 21))
        ours, theirs = os.pipe()
        os.close(ours)
        with pytest.raises(Failed, match="nobody reads the layer any more"):
            trees.stream_tar(theirs, str(tmp_path / "tree"))


def test_a_tree_deeper_than_any_path_can_be_is_measured_and_removed(tmp_path: Path) -> None:
    top = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    fd = os.dup(top)
    depth = min(1500, sys.getrecursionlimit() + 300)
    os.mkdir("tree", dir_fd=top)
    here = "tree"
    for _ in range(depth):
        inner = os.open(here, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = inner
        here = "ddd"
        os.mkdir(here, dir_fd=fd)
    os.close(fd)
    os.close(top)
    # The depth is bounded by the number of descriptors that a process may have, and only by it.
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] > depth + 100:
        assert trees.measure(str(tmp_path / "tree"))["size_bytes"] > depth * 512
    trees.remove(str(tmp_path / "tree"))
    assert not (tmp_path / "tree").exists()


def test_two_thousand_files_of_fifty_megabytes_are_measured_in_about_a_second(tmp_path: Path) -> None:
    block = os.urandom(25_000)
    for folder in range(40):
        (tmp_path / str(folder)).mkdir()
        for number in range(50):
            (tmp_path / str(folder) / str(number)).write_bytes(block)
    trees.measure(str(tmp_path))
    start = time.perf_counter()
    trees.measure(str(tmp_path))
    assert time.perf_counter() - start < 2
