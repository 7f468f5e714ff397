"""The tar reader: every format by every program, archives that no honest program would write, and random ones."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labcontainers.errors import InvalidArgument
from labcontainers.store import tar_writer
from labcontainers.store.tar_reader import Limits, TarReader
from tests.fakes.tar_maker import (
    END,
    GNU,
    OLD,
    archive,
    directory,
    entry,
    hardlink,
    header,
    in_chunks,
    members_of,
    names_of,
    number,
    padded,
    pax,
    symlink,
)
from tests.fakes.tree_of_everything import fill

NS = 10**9
CHUNKS = (1, 511, 512, 10_000, 1 << 20)
LONG = b"d" * 90 + b"/" + b"f" * 200
WEIRD = b"caf\xe9-\xff\n"

MAP_01 = (b"GNU.sparse.size", b"10000"), (b"GNU.sparse.name", b"real"), (b"GNU.sparse.map", b"1000,3,5000,2")
MAP_00 = (
    (b"GNU.sparse.size", b"10000"),
    (b"GNU.sparse.numblocks", b"2"),
    (b"GNU.sparse.offset", b"1000"),
    (b"GNU.sparse.numbytes", b"3"),
    (b"GNU.sparse.offset", b"5000"),
    (b"GNU.sparse.numbytes", b"2"),
)
MAP_10 = (
    (b"GNU.sparse.major", b"1"),
    (b"GNU.sparse.minor", b"0"),
    (b"GNU.sparse.name", b"real"),
    (b"GNU.sparse.realsize", b"10000"),
)
SPARSE_CONTENT = bytes(1000) + b"abc" + bytes(3997) + b"xy" + bytes(4998)


def old_map(*pieces: tuple[int, int]) -> bytes:
    return b"".join(number(at, 12) + number(length, 12) for at, length in pieces)


def old_sparse(first: bytes, size: int, *more: bytes, stored: bytes = b"abcxy") -> bytes:
    """GNU's first form: the header, blocks with more pieces, and the content."""
    tail = (bytes(41) + first).ljust(137, b"\0") + (b"\1" if more else b"\0") + number(size, 12)
    blocks = [block.ljust(504, b"\0") + (b"\0" if block is more[-1] else b"\1") for block in more]
    return (
        header(b"s", b"S", magic=GNU, size=len(stored), tail=tail) + b"".join(block.ljust(512, b"\0") for block in blocks) + padded(stored)
    )


# what one entry is read as
READ: dict[str, tuple[bytes, dict[str, Any]]] = {
    "a plain file": (entry(b"a/b", b"hello", mode=0o4755, uid=7, gid=8, mtime=9), {
        "name": b"a/b", "kind": b"0", "mode": 0o4755, "uid": 7, "gid": 8, "size": 5, "mtime_ns": 9 * NS}),
    "an old archive without magic": (entry(b"a", b"x", b"\0", magic=OLD), {"name": b"a", "kind": b"0", "size": 1}),
    "a directory of an old archive": (header(b"a/", b"\0", magic=OLD, size=5), {"name": b"a/", "kind": b"5", "size": 0}),
    "a file whose name ends with a slash": (entry(b"a/", b"x"), {"name": b"a/", "kind": b"0", "size": 1}),
    "a contiguous file": (entry(b"a", b"x", b"7"), {"kind": b"0", "size": 1}),
    "a name of a hundred bytes": (header(b"n" * 100), {"name": b"n" * 100}),
    "a prefix": (header(b"n" * 100, tail=b"p" * 155), {"name": b"p" * 155 + b"/" + b"n" * 100}),
    "no prefix in GNU's format": (header(b"n", magic=GNU, tail=b"p" * 12), {"name": b"n"}),
    "a symbolic link": (symlink(b"l", b"../x"), {"kind": b"2", "link": b"../x"}),
    "a hard link that says it has content": (hardlink(b"l", b"x", size=99), {"kind": b"1", "link": b"x", "size": 0}),
    "a directory that says it has content": (directory(b"d/", size=99), {"kind": b"5", "size": 0}),
    "a device": (header(b"c", b"3", device=(1, 3)), {"kind": b"3", "device": (1, 3)}),
    "a block device": (header(b"c", b"4", device=(259, 70_000)), {"kind": b"4", "device": (259, 70_000)}),
    "a fifo": (header(b"p", b"6"), {"kind": b"6"}),
    "numbers in base 256": (header(b"a", uid=3_000_000, gid=2**32 - 2, mtime=-5), {
        "uid": 3_000_000, "gid": 2**32 - 2, "mtime_ns": -5 * NS}),
    "a number with blanks around": (header(b"a", size=b"          0 "), {"size": 0}),
    "the sum of signed bytes": (header(WEIRD, checksum=int(header(WEIRD)[148:154], 8) - 512), {"name": WEIRD}),
    "GNU's long name": (entry(b"././@LongLink", LONG + b"\0", b"L", magic=GNU) + header(LONG[:100], magic=GNU), {"name": LONG}),
    "GNU's long link": (entry(b"././@LongLink", LONG + b"\0", b"K", magic=GNU) + symlink(b"l", LONG[:100]), {"link": LONG}),
    "both of GNU's": (
        entry(b"x", b"name\0", b"L") + entry(b"x", b"target\0", b"K") + symlink(b"a", b"b"), {"name": b"name", "link": b"target"}),
    "pax names": (pax((b"path", WEIRD), (b"linkpath", LONG)) + symlink(b"a", b"b"), {"name": WEIRD, "link": LONG}),
    "pax ids": (pax((b"uid", b"3000000"), (b"gid", b"7")) + header(b"a"), {"uid": 3_000_000, "gid": 7}),
    "pax size": (pax((b"size", b"3")) + header(b"a", size=0) + padded(b"abc"), {"size": 3}),
    "pax time": (pax((b"mtime", b"1700000000.1234567")) + header(b"a"), {"mtime_ns": 1_700_000_000_123_456_700}),
    "a time before 1970": (pax((b"mtime", b"-1.5")) + header(b"a"), {"mtime_ns": -NS - NS // 2}),
    "more decimals than there are": (pax((b"mtime", b"1.12345678999")) + header(b"a"), {"mtime_ns": NS + 123_456_789}),
    "the last of two records": (pax((b"path", b"one"), (b"path", b"two")) + header(b"a"), {"name": b"two"}),
    "an empty record": (pax((b"path", b"")) + header(b"a"), {"name": b"a"}),
    "the last of two headers": (pax((b"path", b"one")) + pax((b"uid", b"5")) + header(b"a"), {"name": b"a", "uid": 5}),
    "records that nobody knows": (pax((b"comment", b"x=y"), (b"VENDOR.k", b"v")) + header(b"a"), {"name": b"a"}),
    "a record with a line's end in it": (pax((b"path", b"a\nb=c")) + header(b"a"), {"name": b"a\nb=c"}),
    "records for all entries, which change none": (pax((b"uid", b"5"), (b"path", b"x"), kind=b"g") + header(b"a"), {
        "name": b"a", "uid": 0}),
    "records for all entries before others": (pax((b"uid", b"5"), kind=b"g") + pax((b"gid", b"7")) + header(b"a"), {"uid": 0, "gid": 7}),
    "records for all entries after others": (pax((b"gid", b"7")) + pax((b"uid", b"5"), kind=b"g") + header(b"a"), {"uid": 0, "gid": 7}),
    "attributes of star": (pax((b"SCHILY.xattr.user.a", b"1\0=\n"), (b"SCHILY.xattr.user.b", b"")) + header(b"a"), {
        "xattrs": {b"user.a": b"1\0=\n", b"user.b": b""}}),
    "attributes of libarchive": (pax((b"LIBARCHIVE.xattr.user.a%3D", b"aGVsbG8")) + header(b"a"), {"xattrs": {b"user.a=": b"hello"}}),
    "attributes of both": (pax((b"LIBARCHIVE.xattr.user.a", b"eA"), (b"SCHILY.xattr.user.a", b"y")) + header(b"a"), {
        "xattrs": {b"user.a": b"y"}}),
    "GNU's first sparse form": (old_sparse(old_map((1000, 3), (5000, 2), (10_000, 0)), 10_000), {
        "kind": b"0", "size": 10_000, "sparse": ((1000, 3), (5000, 2), (10_000, 0))}),
    "GNU's first sparse form with more blocks": (
        old_sparse(old_map((0, 1), (2, 1), (4, 1), (6, 1)), 100, old_map((8, 1), (10, 0)), stored=b"12345"), {
        "size": 100, "sparse": ((0, 1), (2, 1), (4, 1), (6, 1), (8, 1), (10, 0))}),
    "the sparse form 0.0": (pax(*MAP_00) + entry(b"x", b"abcxy"), {"name": b"x", "size": 10_000, "sparse": ((1000, 3), (5000, 2))}),
    "the sparse form 0.1": (pax(*MAP_01) + entry(b"x", b"abcxy"), {"name": b"real", "size": 10_000, "sparse": ((1000, 3), (5000, 2))}),
    "the sparse form 1.0": (pax(*MAP_10) + entry(b"x", padded(b"2\n1000\n3\n5000\n2\n") + b"abcxy"), {
        "name": b"real", "size": 10_000, "sparse": ((1000, 3), (5000, 2))}),
    "a file of holes alone": (pax(*MAP_10) + entry(b"x", padded(b"0\n")), {"size": 10_000, "sparse": ()}),
}  # fmt: skip

# what is refused, and a word of the reason
REFUSED: dict[str, tuple[bytes, str]] = {
    "a wrong checksum": (header(b"a", checksum=1) + END, "checksum"),
    "no tar at all": (b"#!/bin/sh\n".ljust(1024, b"#"), "checksum"),
    "a header that was cut off": (header(b"a")[:300], "ends within"),
    "content that was cut off": (header(b"a", size=1000) + bytes(400), "ends within"),
    "padding that was cut off": (header(b"a", size=3) + b"abc", "ends within"),
    "records that were cut off": (pax((b"path", b"b"))[:600], "ends within"),
    "records of nothing": (pax((b"path", b"b")) + END, "not there"),
    "a size below zero": (header(b"a", size=number(-512, 12)) + END, "size of -512"),
    "a size that is no number": (header(b"a", size=b"-0000000512\0") + END, "no number"),
    "a size with a digit that is none": (header(b"a", size=b"00000000008\0") + END, "no number"),
    "a size with an underscore": (header(b"a", size=b"0000000_010\0") + END, "no number"),
    "an endless size": (header(b"a", size=b"\x80" + b"\xff" * 11) + END, "size of"),
    "an owner below zero": (header(b"a", uid=-2) + END, "uid of -2"),
    "an owner that means none": (header(b"a", uid=2**32 - 1) + END, "4294967295"),
    "an unknown type": (header(b"a", b"Z") + END, "unknown type"),
    "a volume's label": (header(b"a", b"V") + END, "unknown type"),
    "no name": (header(b"") + END, "0 bytes"),
    "a name of 4097 bytes": (pax((b"path", b"n" * 4097)) + header(b"a") + END, "4097 bytes"),
    "a link of 4097 bytes": (pax((b"linkpath", b"n" * 4097)) + symlink(b"a", b"b") + END, "4097 bytes"),
    "a zero byte in a name": (pax((b"path", b"a\0b")) + header(b"a") + END, "zero byte"),
    "a zero byte in an attribute": (pax((b"SCHILY.xattr.user.\0a", b"")) + header(b"a") + END, "zero byte"),
    "an attribute without a name": (pax((b"SCHILY.xattr.", b"x")) + header(b"a") + END, "without a name"),
    "base64 that is none": (pax((b"LIBARCHIVE.xattr.user.a", b"a")) + header(b"a") + END, "libarchive"),
    "a record that is too long": (entry(b"x", b"99 path=a\n", b"x") + header(b"a") + END, "length"),
    "a record that is too short": (entry(b"x", b"5 path=a\n", b"x") + header(b"a") + END, "length"),
    "a record without a length": (entry(b"x", b"path=a\n", b"x") + header(b"a") + END, "length"),
    "a record without a value": (entry(b"x", b"7 path\n", b"x") + header(b"a") + END, "length"),
    "a record of no length": (entry(b"x", b"0 path=a\n", b"x") + header(b"a") + END, "length"),
    "a pax size below zero": (pax((b"size", b"-1")) + header(b"a") + END, "no size"),
    "a pax size beyond 63 bits": (pax((b"size", b"9" * 19)) + header(b"a") + END, "no size"),
    "a pax owner that is none": (pax((b"uid", b"root")) + header(b"a") + END, "no size, offset or id"),
    "a pax time that is none": (pax((b"mtime", b"now")) + header(b"a") + END, "no time"),
    "a pax time beyond all": (pax((b"mtime", b"9" * 19)) + header(b"a") + END, "no time"),
    "a record for all entries that is too long": (entry(b"x", b"99 path=a\n", b"g") + header(b"a") + END, "length"),
    "a header of 2 MiB": (header(b"x", b"x", size=2 << 20) + END, "a header of"),
    "a sparse map out of order": (old_sparse(old_map((5000, 2), (1000, 3)), 10_000) + END, "does not fit"),
    "a sparse map that overlaps": (old_sparse(old_map((1000, 3), (1002, 2)), 10_000) + END, "does not fit"),
    "a sparse map beyond the end": (old_sparse(old_map((1000, 3), (9999, 2)), 10_000) + END, "does not fit"),
    "a sparse map of less than there is": (old_sparse(old_map((1000, 3)), 10_000) + END, "5 bytes of content"),
    "a sparse map of more than there is": (old_sparse(old_map((1000, 30)), 10_000) + END, "5 bytes of content"),
    "an old sparse file in another format": (header(b"s", b"S") + END, "GNU"),
    "a sparse file of 4 EiB": (pax((b"GNU.sparse.map", b"0,0"), (b"GNU.sparse.size", b"%d" % 2**62)) + header(b"a") + END, "file of 46"),
    "an odd map": (pax((b"GNU.sparse.map", b"0,1,2"), (b"GNU.sparse.size", b"9")) + entry(b"a", b"x") + END, "lacks"),
    "a map of lengths alone": (pax((b"GNU.sparse.size", b"9"), (b"GNU.sparse.numbytes", b"1")) + entry(b"a", b"x") + END, "lacks"),
    "a sparse form of the future": (pax((b"GNU.sparse.major", b"2"), (b"GNU.sparse.size", b"9")) + entry(b"a", b"x") + END, "unknown form"),
    "a map without an end": (pax(*MAP_10) + entry(b"a", padded(b"2\n1000\n")) + END, "does not end"),
    "a map of one endless number": (pax(*MAP_10) + entry(b"a", b"1" * 2048) + END, "does not end"),
    "a map of a billion pieces": (pax(*MAP_10) + entry(b"a", padded(b"1000000000\n")) + END, "pieces"),
}  # fmt: skip

# what may stand at the end of an archive of one entry
ENDS = {
    "two blocks of zeros": END,
    "a whole record of zeros": bytes(10_240),
    "one block of zeros": bytes(512),
    "nothing": b"",
    "more after the end": END + b"anything" * 1000,
    "another archive after the end": END + entry(b"hidden", b"x") + END,
    "an entry after one block of zeros": bytes(512) + entry(b"hidden", b"x") + END,
}

LIMITS = {
    "entries": (Limits(entries=2), header(b"a") * 3 + END, "2 entries"),
    "attributes": (Limits(xattr_bytes=20), pax((b"SCHILY.xattr.user.a", b"x" * 20)) + header(b"a") + END, "26 bytes"),
    "records for all": (Limits(header_bytes=300), pax((b"c", b"x" * 400), kind=b"g"), "300 are read"),
    "sparse pieces": (Limits(sparse_pieces=1), old_sparse(old_map((1, 3), (9, 2)), 100) + END, "1 pieces"),
    "names": (Limits(name_bytes=2), header(b"abc") + END, "3 bytes"),
}


class TestWhatIsRead:
    @pytest.mark.parametrize("chunk", CHUNKS)
    @pytest.mark.parametrize("label", READ)
    def test_an_entry_is_what_its_format_says(self, label: str, chunk: int) -> None:
        data, expected = READ[label]
        ((member, _), (last, content)) = members_of(data + entry(b"last", b"content") + END, chunk=chunk)
        assert {name: getattr(member, name) for name in expected} == expected
        assert (last.name, content) == (b"last", b"content")

    @pytest.mark.parametrize("chunk", CHUNKS)
    @pytest.mark.parametrize("label", [label for label in READ if label.startswith(("the sparse", "GNU's first sparse form"))])
    def test_the_pieces_of_a_sparse_file_come_where_they_belong(self, label: str, chunk: int) -> None:
        content = members_of(archive(READ[label][0]), chunk=chunk)[0][1]
        assert content == (SPARSE_CONTENT if len(content) == 10_000 else b"1\0002\0003\0004\0005".ljust(100, b"\0"))

    @pytest.mark.parametrize("size", [0, 1, 511, 512, 513, (1 << 20) - 512, 1 << 20, (1 << 20) + 1, 3_000_000])
    @pytest.mark.parametrize("chunk", [700, 65_536, 1 << 20])
    def test_content_of_any_size_comes_as_it_is(self, size: int, chunk: int) -> None:
        content = os.urandom(size)
        found = members_of(archive(entry(b"a", content), entry(b"b", content)), chunk=chunk)
        assert [(member.size, data) for member, data in found] == [(size, content)] * 2

    @pytest.mark.parametrize("taken", [0, 1, 2])
    def test_what_nobody_wants_of_the_content_is_passed_over(self, taken: int) -> None:
        content = os.urandom(3_000_000)
        reader = TarReader(in_chunks(archive(entry(b"a", content), entry(b"b", b"x")), 100_000))
        assert reader.next() is not None
        for _, _ in zip(range(taken), reader.pieces(), strict=False):
            pass
        member = reader.next()
        assert member is not None
        assert member.name == b"b"
        assert reader.next() is None
        assert reader.next() is None

    @pytest.mark.parametrize("label", ENDS)
    def test_an_archive_ends_with_zeros_or_with_the_stream(self, label: str) -> None:
        assert names_of(entry(b"a", b"x") + ENDS[label]) == [b"a"]

    def test_an_empty_stream_is_an_empty_archive(self) -> None:
        assert members_of(b"") == []

    def test_an_error_of_the_stream_comes_out(self) -> None:
        def broken(buffer: memoryview) -> int:
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            TarReader(broken).next()


class TestWhatIsRefused:
    @pytest.mark.parametrize("chunk", [7, 1 << 20])
    @pytest.mark.parametrize("label", REFUSED)
    def test_an_archive_that_contradicts_itself_is_refused(self, label: str, chunk: int) -> None:
        data, word = REFUSED[label]
        with pytest.raises(InvalidArgument, match=word) as caught:
            members_of(data, chunk=chunk)
        assert caught.value.hint
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("label", LIMITS)
    def test_more_than_the_limits_allow_is_refused(self, label: str) -> None:
        limits, data, word = LIMITS[label]
        with pytest.raises(InvalidArgument, match=word):
            members_of(data, limits=limits)

    @given(st.binary(max_size=5000))
    def test_random_bytes_are_an_archive_or_refused(self, data: bytes) -> None:
        read_or_refuse(data)

    @settings(max_examples=300)
    @given(st.data())
    def test_a_damaged_archive_is_an_archive_or_refused(self, data: st.DataObject) -> None:
        """A header that was changed gets its checksum right again, so that what is behind it is reached."""
        label = data.draw(st.sampled_from(sorted(READ)))
        damaged = bytearray(READ[label][0] + entry(b"last", b"content") + END)
        for _ in range(data.draw(st.integers(1, 4))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        for at in range(0, len(damaged), 512):
            block = damaged[at : at + 512]
            if block[148:156].strip(b"\0 ").isdigit():
                damaged[at + 148 : at + 156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 256)
        read_or_refuse(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


def read_or_refuse(data: bytes) -> None:
    reader = TarReader(in_chunks(data, 1000))
    with contextlib.suppress(InvalidArgument):
        while (member := reader.next()) is not None:
            end = 0
            for at, piece in reader.pieces():
                assert end <= at <= at + len(piece) <= member.size
                end = at + len(piece)


def test_memory_does_not_depend_on_the_archive() -> None:
    """Fifty megabytes in one file and in ten thousand, and names that each take a header of half a megabyte."""
    entries = [header(b"big", size=50 << 20), *(bytes(1 << 20) for _ in range(50)), *(entry(b"f", b"x") for _ in range(10_000))]
    entries += [entry(b"x", bytes(500_000), b"L") + header(b"a") for _ in range(20)]
    stream = iter(entries)
    left = memoryview(b"")

    def read_into(buffer: memoryview) -> int:
        nonlocal left
        left = left or memoryview(next(stream, b""))
        count = min(len(left), len(buffer))
        buffer[:count] = left[:count]
        left = left[count:]
        return count

    tracemalloc.start()
    try:
        reader = TarReader(read_into)
        count = 0
        while (reader.next()) is not None:
            count += 1
            for _ in reader.pieces():
                pass
        assert count == 10_021
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def check(tree: Path, data: bytes, *, nanoseconds: bool, with_xattrs: bool = False) -> None:
    """The archive has what the tree has."""
    found = {member.name.removeprefix(b"./").rstrip(b"/"): (member, content) for member, content in members_of(data)}
    for path in sorted(tree.rglob("*")):
        member, content = found[os.fsencode(path.relative_to(tree))]
        status = os.lstat(path)
        assert (member.uid, member.gid) == (status.st_uid, status.st_gid)
        if member.kind == b"1":
            assert member.link.removeprefix(b"./") in (b"file", b"second")
            continue
        assert member.mode == status.st_mode & 0o7777
        assert member.mtime_ns == (status.st_mtime_ns if nanoseconds else status.st_mtime_ns // NS * NS)
        kind = b"2" if path.is_symlink() else b"5" if path.is_dir() else b"6" if path.is_fifo() else b"0"
        assert member.kind == kind, path
        if kind == b"2":
            assert member.link == os.fsencode(os.readlink(path))
        if kind == b"0":
            assert content == path.read_bytes()
            if with_xattrs:
                assert member.xattrs == {os.fsencode(name): os.getxattr(path, name) for name in os.listxattr(path)}


class TestArchivesOfOtherPrograms:
    @pytest.mark.skipif(shutil.which("tar") is None, reason="needs GNU tar")
    @pytest.mark.parametrize("options", [
        "--format=gnu", "--format=gnu --sparse", "--format=oldgnu --sparse", "--format=pax", "--format=pax --xattrs --xattrs-include=*",
        "--format=pax --sparse --sparse-version=0.0", "--format=pax --sparse --sparse-version=0.1", "--format=pax --sparse",
    ])  # fmt: skip
    def test_gnu_tar(self, tmp_path: Path, options: str) -> None:
        fill(tmp_path / "tree")
        data = subprocess.run(["tar", "-C", str(tmp_path / "tree"), *options.split(), "-cf-", "."], check=True, capture_output=True).stdout
        check(tmp_path / "tree", data, nanoseconds="pax" in options, with_xattrs="xattrs" in options)

    @pytest.mark.skipif(shutil.which("tar") is None, reason="needs GNU tar")
    @pytest.mark.parametrize("name", ["v7", "ustar"])
    def test_gnu_tar_in_formats_that_hold_less(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "tree/dir").mkdir(parents=True)
        (tmp_path / "tree/dir/file").write_bytes(b"x" * 5000)
        os.symlink("file", tmp_path / "tree/dir/link")
        command = ["tar", "-C", str(tmp_path / "tree"), f"--format={name}", "-cf-", "."]
        check(tmp_path / "tree", subprocess.run(command, check=True, capture_output=True).stdout, nanoseconds=False)

    @pytest.mark.skipif(shutil.which("bsdtar") is None, reason="needs bsdtar")
    @pytest.mark.parametrize("name", ["pax", "gnutar"])
    def test_bsdtar(self, tmp_path: Path, name: str) -> None:
        fill(tmp_path / "tree")
        # bsdtar writes no time before 1970 as it is
        os.utime(tmp_path / "tree/large", ns=(0, 1_500_000_000))
        command = ["bsdtar", "-C", str(tmp_path / "tree"), f"--format={name}", "-cf-", "."]
        check(tmp_path / "tree", subprocess.run(command, check=True, capture_output=True).stdout, nanoseconds=name == "pax",
              with_xattrs=name == "pax")  # fmt: skip

    @pytest.mark.parametrize("number", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    def test_python(self, tmp_path: Path, number: int) -> None:
        fill(tmp_path / "tree")
        output = io.BytesIO()
        with tarfile.open(fileobj=output, mode="w", format=number, errors="surrogateescape") as made:
            made.add(tmp_path / "tree", ".")
        data = output.getvalue()
        found = {member.name.rstrip(b"/"): (member, content) for member, content in members_of(data)}
        with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as opened:
            for info in opened:
                member, content = found[os.fsencode(info.name)]
                assert (member.kind, member.mode, member.size) == (info.type, info.mode, info.size if info.isreg() else 0)
                if info.isreg():
                    file = opened.extractfile(info)
                    assert file is not None
                    assert content == file.read()

    def test_our_own_writer(self, tmp_path: Path) -> None:
        fill(tmp_path / "tree")
        written = io.BytesIO()
        tar_writer.TarWriter(written.write).write(str(tmp_path / "tree"))
        check(tmp_path / "tree", written.getvalue(), nanoseconds=True, with_xattrs=True)


def test_nothing_heavy_is_loaded_for_it() -> None:
    """Workers start with the standard library alone."""
    program = "import sys; import labcontainers.store.unpack; print(*sorted(sys.modules))"
    root = str(Path(__file__).resolve().parents[3])
    done = subprocess.run([sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {root!r}); {program}"],
                          check=True, capture_output=True, text=True)  # fmt: skip
    assert not {"tarfile", "concurrent.futures", "labcontainers.store.compression", "asyncio", "logging"} & set(done.stdout.split())
