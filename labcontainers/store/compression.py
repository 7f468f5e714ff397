"""Compressed layers: which kind it is, inflating any kind, and gzip that is the same on every machine.

It must not know layers, files or digests. Everything streams: memory does not depend on sizes, whatever the input claims.

Inflating: gzip by ISA-L where the package isal is there, which takes half the time, else by zlib; zstd by the standard library (3.14) or
backports.zstd. Members and frames that follow each other are one stream, skippable frames are skipped (zstd:chunked keeps its table in
one). After the end of gzip and bzip2 zeros and anything else are passed over, as gzip(1) and bzip2(1) do, after xz zeros; a zstd stream
ends where its last frame ends.

Deflating (GzipWriter): the digest of a layer that is pushed or saved shall not depend on the machine, so it is always zlib of the
standard library at one level, in blocks of one size that do not know each other: as many threads as there are share the work, and the
bytes are the same with one. Level 1: for Debian's minbase (170 MB) level 6 takes three times as long, 7.3 s of one processor instead of
2.4, for 9 % less, and a push is bound by it. A Python whose zlib is really zlib-ng writes other bytes, which every reader can read.

Sources: RFC 1950-1952; RFC 8878, "Skippable Frames"; zlib manual, Z_FULL_FLUSH; pigz(1).
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from labcontainers.errors import InvalidArgument, Unsupported

# Input is fed in pieces of this size, since what a member or frame leaves over is copied each time.
_FEED = 1 << 16
_PIECE = 1 << 20
_ZSTD_WINDOW_LOG = 27
_XZ_MEMORY = 128 << 20
_ZSTD = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = b"\x2a\x4d\x18"
_XZ = b"\xfd7zXZ\0"
_BZIP2_BLOCKS = (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")
_CUT_OFF = "get it again: it was cut off"
_DAMAGED = "get it again: it is damaged, or made to do harm"


def kind_of(head: bytes) -> str:
    """How a stream that begins like this is compressed: "gzip", "zstd", "bzip2", "xz", or "" for not at all; 16 bytes are enough."""
    if head[:3] == b"\x1f\x8b\x08":
        return "gzip"
    if head[:4] == _ZSTD or (head[1:4] == _SKIPPABLE and head[0] >> 4 == 5):
        return "zstd"
    if head[:3] == b"BZh" and head[3:4] in b"123456789" and head[4:10] in _BZIP2_BLOCKS:
        return "bzip2"
    return "xz" if head[:6] == _XZ else ""


class _Engine(Protocol):
    """What inflates one member or frame; of the standard library's two interfaces the newer one."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes | memoryview, max_length: int, /) -> bytes: ...


class _Zlib:
    """zlib's interface as that of bz2, lzma and zstd."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._inflate = make()
        self._tail: bytes | memoryview = b""

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes:
        found: bytes = self._inflate.decompress(self._tail or data, max_length)
        self._tail = self._inflate.unconsumed_tail
        return found

    @property
    def eof(self) -> bool:
        return bool(self._inflate.eof)

    @property
    def needs_input(self) -> bool:
        return not self._tail

    @property
    def unused_data(self) -> bytes:
        return bytes(self._inflate.unused_data)


class Decompressor:
    """Inflates one stream of a kind that kind_of() tells. Not thread-safe; releases the GIL while it works."""

    def __init__(self, kind: str, *, most_bytes: int | None = None) -> None:
        """More than `most_bytes` of content are refused as they come. Raises Unsupported for a kind that this Python cannot read."""
        self._kind = kind
        self._most = most_bytes
        self._done = 0
        self._make, self._errors = _engine(kind)
        self._engine: _Engine | None = None
        self._between = b""
        self._begun = self._over = False

    def feed(self, data: bytes | memoryview) -> Iterator[bytes | memoryview]:
        """The content that these next bytes of the stream hold, in pieces of at most 1 MiB; a piece of `data` itself if not compressed.

        Raises InvalidArgument for a stream that is damaged, or whose content is larger than was allowed.
        """
        if self._make is None:
            self._count(len(data))
            yield data
            return
        view = memoryview(data)
        for at in range(0, len(view), _FEED):
            left: bytes | memoryview = view[at : at + _FEED]
            while len(left) and not self._over:
                if self._engine is None:
                    left = self._next_member(left)
                    continue
                yield from self._inflate(self._engine, left)
                if not self._engine.eof:
                    break
                left = self._engine.unused_data
                self._engine = None

    def finish(self) -> Iterator[bytes]:
        """There are no more bytes: nothing is left to be given out. Raises InvalidArgument when the stream was cut off."""
        if self._make is not None and (self._engine is not None or not self._begun):
            raise InvalidArgument(f"a {self._kind} stream ends too early", _CUT_OFF)
        if self._between.strip(b"\0") and not self._over:
            self._check_rest(self._between)
        return iter(())

    def _inflate(self, engine: _Engine, data: bytes | memoryview) -> Iterator[bytes]:
        try:
            while True:
                piece = engine.decompress(data, _PIECE)
                data = b""
                if piece:
                    self._count(len(piece))
                    yield piece
                if engine.eof or (engine.needs_input and len(piece) < _PIECE):
                    return
        except self._errors as error:
            raise InvalidArgument(f"a {self._kind} stream cannot be inflated: {str(error).lower()}", _DAMAGED) from None

    def _count(self, size: int) -> None:
        self._done += size
        if self._most is not None and self._done > self._most:
            hint = "make room on the store's file system if this is meant to be so large"
            raise InvalidArgument(f"the content is larger than the {self._most} bytes that are allowed", hint)

    def _next_member(self, data: bytes | memoryview) -> bytes:
        """Begin the next member or frame, if one begins here; what is to be fed to it."""
        assert self._make is not None
        found = self._between + bytes(data)
        if self._begun and self._kind != "zstd":
            found = found.lstrip(b"\0")
        magic = found[:_MAGIC_BYTES]
        self._between = b""
        if not self._begun or _begins(self._kind, magic):
            self._begun = True
            self._engine = self._make()
            return found
        if len(magic) < _MAGIC_BYTES:
            self._between = found
        else:
            self._check_rest(magic)
        return b""

    def _check_rest(self, magic: bytes) -> None:
        """What follows the end of the stream is no member."""
        if self._kind not in ("gzip", "bzip2"):
            raise InvalidArgument(f"something that is no {self._kind} follows the end of a {self._kind} stream: {magic.hex()}", _DAMAGED)
        self._over = True


_MAGIC_BYTES = 4


def _begins(kind: str, magic: bytes) -> bool:
    """Whether a member of this kind begins with these four bytes."""
    if kind == "gzip":
        return magic[:3] == b"\x1f\x8b\x08"
    if kind == "bzip2":
        return magic[:3] == b"BZh"
    if kind == "xz":
        return magic == _XZ[:_MAGIC_BYTES]
    return magic == _ZSTD or (magic[1:] == _SKIPPABLE and magic[0] >> 4 == 5)


def _engine(kind: str) -> tuple[Callable[[], _Engine] | None, tuple[type[Exception], ...]]:
    """What makes an engine for one member, and its errors."""
    if not kind:
        return None, ()
    if kind == "gzip":
        inflater = _zlib()
        return lambda: _Zlib(lambda: inflater.decompressobj(wbits=31)), (zlib.error, inflater.error)
    if kind == "bzip2":
        import bz2

        return bz2.BZ2Decompressor, (OSError, ValueError)
    if kind == "xz":
        import lzma

        return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY), (lzma.LZMAError,)
    if kind == "zstd":
        zstd = _zstd()
        options = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        return lambda: zstd.ZstdDecompressor(options=options), (zstd.ZstdError,)
    raise Unsupported(f"no decompressor for {kind}", "compress the layer by gzip or zstd")


def _zlib() -> Any:
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib
    return isal_zlib


def _zstd() -> Any:
    try:
        from compression import zstd
    except ImportError:
        try:
            from backports import zstd
        except ImportError:
            raise Unsupported("this Python cannot inflate zstd", "pip install backports.zstd") from None
    return zstd


# --- deflating

_BLOCK = 512 << 10
_LEVEL = 1
# no name, no time, "fastest" (level 1), and no operating system
_GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"
_LAST_BLOCK = b"\x03\0"
_MOST_THREADS = 4


class GzipWriter:
    """Compresses one stream, to the same bytes whatever pieces it comes in and however many threads work. A context manager."""

    def __init__(self, threads: int | None = None) -> None:
        count = threads or min(_MOST_THREADS, len(os.sched_getaffinity(0)))
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="lab-gzip")
        self._waiting: deque[Future[bytes]] = deque()
        self._most_waiting = 2 * count
        self._block = bytearray()
        self._crc = self._size = 0
        self._header = _GZIP_HEADER

    def __enter__(self) -> GzipWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads. Idempotent."""
        self._pool.shutdown(cancel_futures=True)

    def feed(self, data: bytes | memoryview) -> bytes:
        """Take the next bytes, which may change afterwards; compressed bytes that are ready, perhaps none. May block."""
        view = memoryview(data)
        self._crc = zlib.crc32(view, self._crc)
        self._size += len(view)
        ready = [self._header]
        self._header = b""
        while len(view):
            part = view[: _BLOCK - len(self._block)]
            self._block += part
            view = view[len(part) :]
            if len(self._block) == _BLOCK:
                ready += self._submit()
        return b"".join(ready)

    def finish(self) -> bytes:
        """The rest of the compressed bytes."""
        ready = [self._header, *(self._submit() if self._block else ())]
        ready += [future.result() for future in self._waiting]
        self._waiting.clear()
        self.close()
        return b"".join((*ready, _LAST_BLOCK, self._crc.to_bytes(4, "little"), (self._size & 0xFFFFFFFF).to_bytes(4, "little")))

    def _submit(self) -> Iterator[bytes]:
        """Give the block to a thread; what the first ones have made of theirs, as far as that must be waited for or is there."""
        block, self._block = self._block, bytearray()
        self._waiting.append(self._pool.submit(_deflate, block))
        while self._waiting and (len(self._waiting) > self._most_waiting or self._waiting[0].done()):
            yield self._waiting.popleft().result()


def _deflate(block: bytearray) -> bytes:
    """One block that can be inflated by itself."""
    deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, 8, zlib.Z_DEFAULT_STRATEGY)
    return deflater.compress(block) + deflater.flush(zlib.Z_FULL_FLUSH)
