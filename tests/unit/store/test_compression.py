"""Compressed streams: every kind by the programs that write them, cut off, damaged or made to explode; and gzip that never varies."""

from __future__ import annotations

import bz2
import contextlib
import functools
import gzip
import hashlib
import importlib.util
import lzma
import os
import shutil
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.store import compression
from labcontainers.store.compression import Decompressor, GzipWriter, kind_of

HAS_ZSTD = sys.version_info >= (3, 14) or importlib.util.find_spec("backports.zstd") is not None
needs_zstd = pytest.mark.skipif(not HAS_ZSTD, reason="needs zstd: Python 3.14 or backports.zstd")
CONTENT = b"".join(hashlib.sha256(b"%d" % number).hexdigest().encode() + b" layer\n" for number in range(30_000))
SMALL = [b"%d" % number for number in range(500)]
CHUNKS = (313, 65_536, 1 << 22)


def zstd_of(data: bytes) -> bytes:
    zstd = compression._zstd()
    return bytes(zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}))


def skippable(data: bytes) -> bytes:
    return b"\x53\x2a\x4d\x18" + struct.pack("<I", len(data)) + data


def gzip_with_everything(data: bytes) -> bytes:
    """A member with extra field, name, comment and a checksum of its header (RFC 1952)."""
    head = b"\x1f\x8b\x08\x1e\0\0\0\0\0\x03" + b"\x04\0ABCD" + b"name\0" + b"comment\0"
    head += struct.pack("<H", zlib.crc32(head) & 0xFFFF)
    deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
    return head + deflater.compress(data) + deflater.flush() + struct.pack("<II", zlib.crc32(data), len(data))


# each at its fastest, and each content once
WRITERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": functools.lru_cache(lambda data: gzip.compress(data, 1)),
    "bzip2": functools.lru_cache(lambda data: bz2.compress(data, 1)),
    "xz": functools.lru_cache(lambda data: lzma.compress(data, preset=0)),
    "zstd": functools.lru_cache(zstd_of),
}
INFLATERS = ["gzip by isal", "gzip by zlib", "bzip2", "xz", pytest.param("zstd", marks=needs_zstd)]

# a stream and its content: (kind, stream from the writer of the kind and the content)
STREAMS: dict[str, tuple[str, Callable[[Callable[[bytes], bytes]], bytes], bytes]] = {
    "one gzip member": ("gzip", lambda write: write(CONTENT), CONTENT),
    "gzip of nothing": ("gzip", lambda write: write(b""), b""),
    "gzip members": ("gzip", lambda write: write(b"a") + write(b"") + write(CONTENT), b"a" + CONTENT),
    "gzip of many members": ("gzip", lambda write: b"".join(map(write, SMALL)), b"".join(SMALL)),
    "gzip with a header of all fields": ("gzip", lambda write: gzip_with_everything(CONTENT), CONTENT),
    "gzip and zeros": ("gzip", lambda write: write(CONTENT) + bytes(10_000), CONTENT),
    "gzip, zeros and a member": ("gzip", lambda write: write(b"a") + bytes(3) + write(b"b"), b"ab"),
    "gzip and garbage": ("gzip", lambda write: write(CONTENT) + b"garbage" * 1000, CONTENT),
    "gzip and a byte": ("gzip", lambda write: write(CONTENT) + b"\x1f", CONTENT),
    "one bzip2 stream": ("bzip2", lambda write: write(CONTENT), CONTENT),
    "bzip2 of nothing": ("bzip2", lambda write: write(b""), b""),
    "bzip2 streams": ("bzip2", lambda write: write(b"a") + write(CONTENT), b"a" + CONTENT),
    "one xz stream": ("xz", lambda write: write(CONTENT), CONTENT),
    "xz streams with padding": ("xz", lambda write: write(b"a") + bytes(4) + write(CONTENT) + bytes(8), b"a" + CONTENT),
    "one zstd frame": ("zstd", lambda write: write(CONTENT), CONTENT),
    "zstd frames": ("zstd", lambda write: write(b"a") + write(CONTENT), b"a" + CONTENT),
    "zstd of many frames": ("zstd", lambda write: b"".join(map(write, SMALL)), b"".join(SMALL)),
    "zstd:chunked, whose table is skipped": ("zstd", lambda write: write(CONTENT) + write(b"b") + skippable(b"x" * 5000), CONTENT + b"b"),
    "zstd that begins with what is skipped": ("zstd", lambda write: skippable(b"") + write(CONTENT), CONTENT),
}  # fmt: skip

HEADS: dict[bytes, str] = {
    gzip.compress(b""): "gzip",
    bz2.compress(b""): "bzip2",
    bz2.compress(b"x"): "bzip2",
    lzma.compress(b""): "xz",
    b"\x28\xb5\x2f\xfd\x24": "zstd",
    b"\x50\x2a\x4d\x18": "zstd",
    b"": "",
    b"etc/passwd": "",
    b"BZh9etc/passwd": "",
    bytes(512): "",
    b"\x1f\x8b": "",
}


STREAMS_AND_INFLATERS = [
    pytest.param(label, inflater, marks=needs_zstd if kind == "zstd" else ())
    for label, (kind, _, _) in STREAMS.items()
    for inflater in (("gzip by isal", "gzip by zlib") if kind == "gzip" else (kind,))
]
DAMAGE = st.lists(st.tuples(st.integers(0), st.integers(1, 255)), max_size=3)


def inflate(kind: str, data: bytes, *, chunk: int = 1 << 16, most_bytes: int | None = None) -> bytes:
    decompressor = Decompressor(kind, most_bytes=most_bytes)
    found = bytearray()
    for at in range(0, len(data), chunk):
        for piece in decompressor.feed(memoryview(data)[at : at + chunk]):
            assert len(piece) <= 1 << 20
            found += piece
    for piece in decompressor.finish():
        found += piece
    return bytes(found)


def choose(inflater: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kind, of which gzip is inflated with and without the faster package."""
    kind, _, package = inflater.partition(" by ")
    if package == "zlib":
        monkeypatch.setattr(compression, "_zlib", lambda: zlib)
    elif package == "isal" and importlib.util.find_spec("isal") is None:
        pytest.skip("isal is not installed")
    return kind


@pytest.fixture(params=INFLATERS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    return choose(request.param, monkeypatch)


@pytest.mark.parametrize("head", HEADS)
def test_the_first_bytes_tell_the_kind(head: bytes) -> None:
    assert kind_of(head[:16]) == HEADS[head]


class TestInflating:
    @pytest.mark.parametrize("chunk", CHUNKS)
    @pytest.mark.parametrize(("label", "inflater"), STREAMS_AND_INFLATERS)
    def test_a_stream_is_inflated_whatever_pieces_it_comes_in(
        self, label: str, inflater: str, chunk: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kind, make, content = STREAMS[label]
        choose(inflater, monkeypatch)
        assert inflate(kind, make(WRITERS[kind]), chunk=chunk) == content

    @pytest.mark.parametrize("inflater", ["gzip by isal", "gzip by zlib"])
    @pytest.mark.parametrize("label", ["gzip of many members", "gzip, zeros and a member", "gzip of nothing"])
    def test_a_stream_is_inflated_byte_by_byte(self, label: str, inflater: str, monkeypatch: pytest.MonkeyPatch) -> None:
        kind, make, content = STREAMS[label]
        choose(inflater, monkeypatch)
        assert inflate(kind, make(WRITERS[kind]), chunk=1) == content

    def test_what_is_not_compressed_passes_uncopied(self) -> None:
        data = memoryview(b"plain")
        assert [piece is data for piece in Decompressor("").feed(data)] == [True]
        assert list(Decompressor("").finish()) == []

    @pytest.mark.parametrize("left", [0, 1, 5, 17, 1000, -1])
    def test_a_stream_that_is_cut_off_is_refused(self, kind: str, left: int) -> None:
        with pytest.raises(InvalidArgument, match="too early"):
            inflate(kind, WRITERS[kind](CONTENT)[:left])

    def test_a_second_member_that_is_cut_off_is_refused(self, kind: str) -> None:
        with pytest.raises(InvalidArgument, match="too early"):
            inflate(kind, WRITERS[kind](CONTENT) + WRITERS[kind](CONTENT)[:500])

    @pytest.mark.parametrize("at", [12, 1000, -6])
    def test_a_damaged_stream_is_refused(self, kind: str, at: int) -> None:
        data = bytearray(WRITERS[kind](CONTENT))
        data[at] ^= 0xFF
        with pytest.raises(InvalidArgument) as caught:
            inflate(kind, bytes(data))
        assert caught.value.hint

    @pytest.mark.parametrize("inflater", ["gzip by isal", "gzip by zlib"])
    def test_a_gzip_header_with_a_wrong_checksum_is_refused(self, inflater: str, monkeypatch: pytest.MonkeyPatch) -> None:
        data = bytearray(gzip_with_everything(CONTENT))
        data[data.index(b"name")] ^= 1
        choose(inflater, monkeypatch)
        with pytest.raises(InvalidArgument):
            inflate("gzip", bytes(data))

    @pytest.mark.parametrize("kind", ["xz", pytest.param("zstd", marks=needs_zstd)])
    def test_garbage_after_the_end_is_refused_where_nobody_writes_it(self, kind: str) -> None:
        for garbage in (b"garbage", b"g"):
            with pytest.raises(InvalidArgument, match="follows the end"):
                inflate(kind, WRITERS[kind](CONTENT) + garbage)

    def test_content_beyond_what_is_allowed_is_refused_as_it_comes(self, kind: str) -> None:
        bomb = WRITERS[kind](bytes(200 << 20))
        decompressor = Decompressor(kind, most_bytes=10 << 20)
        taken = 0
        with pytest.raises(InvalidArgument, match=r"larger than the 10485760 bytes"):  # noqa: PT012  # what comes before counts
            for piece in decompressor.feed(bomb):
                taken += len(piece)
        assert taken <= 10 << 20
        assert inflate(kind, WRITERS[kind](b"x" * 1000), most_bytes=1000) == b"x" * 1000

    @needs_zstd
    def test_a_zstd_window_beyond_128_mib_is_refused(self) -> None:
        zstd = compression._zstd()
        options = {zstd.CompressionParameter.window_log: 28, zstd.CompressionParameter.enable_long_distance_matching: 1}
        compressor = zstd.ZstdCompressor(options=options)
        data = compressor.compress(os.urandom(1 << 20)) + compressor.flush()
        with pytest.raises(InvalidArgument, match="zstd"):
            inflate("zstd", data)

    def test_an_xz_dictionary_beyond_the_limit_is_refused(self) -> None:
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 256 << 20}]
        compressor = lzma.LZMACompressor(lzma.FORMAT_XZ, filters=filters)
        with pytest.raises(InvalidArgument, match="memory"):
            inflate("xz", compressor.compress(b"x") + compressor.flush())

    def test_another_kind_is_not_supported(self) -> None:
        with pytest.raises(Unsupported, match="lz4"):
            Decompressor("lz4")

    @settings(max_examples=200)
    @given(st.sampled_from(["gzip", "bzip2", "xz"]), st.binary(max_size=3000), DAMAGE)
    def test_random_damage_is_inflated_or_refused(self, kind: str, content: bytes, damage: list[tuple[int, int]]) -> None:
        data = bytearray(WRITERS[kind](content))
        for at, bits in damage:
            data[at % len(data)] ^= bits
        try:
            inflate(kind, bytes(data), chunk=100)
        except InvalidArgument:
            assert damage


class TestDeflating:
    @staticmethod
    def written(data: bytes, *, threads: int = 1, chunk: int = 1 << 20) -> bytes:
        found = []
        buffer = bytearray(chunk)
        with GzipWriter(threads) as writer:
            for at in range(0, len(data), chunk):
                piece = data[at : at + chunk]
                buffer[: len(piece)] = piece
                found.append(writer.feed(memoryview(buffer)[: len(piece)]))
            found.append(writer.finish())
        return b"".join(found)

    @pytest.mark.parametrize("size", [0, 1, (512 << 10) - 1, 512 << 10, (512 << 10) + 1, 3_000_000])
    def test_gzip_gives_back_what_was_written(self, size: int) -> None:
        data = (CONTENT * 2)[:size]
        assert gzip.decompress(self.written(data)) == data
        assert inflate("gzip", self.written(data)) == data

    @pytest.mark.parametrize(("threads", "chunk"), [(1, 1000), (2, 1 << 20), (4, 700_000), (8, 1 << 23)])
    def test_the_bytes_do_not_depend_on_threads_nor_on_pieces(self, threads: int, chunk: int) -> None:
        data = CONTENT * 3
        assert self.written(data, threads=threads, chunk=chunk) == self.written(data)

    @pytest.mark.skipif("ng" in zlib.ZLIB_RUNTIME_VERSION, reason="this Python's zlib is zlib-ng, which writes other bytes")
    def test_the_bytes_stay_what_they_are(self) -> None:
        """Were they to change, no digest of a layer that was pushed would be what it was."""
        assert hashlib.sha256(self.written(CONTENT)).hexdigest() == "9ce295aecfcbcbc49b119a85915c89e8c94dda4deb62671a9390d81073093a90"

    def test_its_threads_end_with_it_also_when_it_is_given_up(self) -> None:
        before = set(threading.enumerate())
        with contextlib.suppress(KeyboardInterrupt), GzipWriter(4) as writer:
            writer.feed(CONTENT * 3)
            assert set(threading.enumerate()) > before
            raise KeyboardInterrupt
        assert set(threading.enumerate()) == before

    @pytest.mark.skipif(shutil.which("gzip") is None, reason="needs gzip")
    def test_the_program_gzip_reads_it(self) -> None:
        data = CONTENT * 2
        assert subprocess.run(["gzip", "-dc"], input=self.written(data, threads=2), check=True, capture_output=True).stdout == data
