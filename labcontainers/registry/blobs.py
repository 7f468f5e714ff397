"""Reading one blob: from any offset, and again from where a connection broke; it must not know manifests.

What is read is not verified here: who reads it hashes it anyway.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from labcontainers.errors import DigestMismatch, Unavailable
from labcontainers.registry.response import Broken, Response

_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")
_RESUMED = 5
# With less than this between two breaks, they count as one after the other.
_PROGRESS = 1 << 20
# The answer to a request from an offset; 0 asks for all.
OpenAt = Callable[[int], Response]


def part_of(response: Response, what: str) -> tuple[int, int | None]:
    """(where an answer's bytes begin in the blob, the blob's size or None); raises Unavailable for an answer that says neither."""
    if response.status != 206:
        return 0, response.length
    match = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if match is None or int(match[2]) < int(match[1]):
        raise Unavailable(f"{what}: the registry does not say which part it sends", "ask who runs the registry")
    if match[3] != "*" and int(match[2]) + 1 != int(match[3]):
        raise Unavailable(f"{what}: the registry sends less than what was asked for", "ask who runs the registry")
    if response.length is not None and response.length != int(match[2]) - int(match[1]) + 1:
        raise Unavailable(f"{what}: the registry sends another number of bytes than it says", "ask who runs the registry")
    return int(match[1]), int(match[2]) + 1


class BlobReader:
    """The bytes of a blob from `offset` to its end; close it, or use it as a context manager. Not thread-safe.

    offset   where the bytes begin: what was asked for, or 0 where the registry only gives all
    size     how many bytes are to come from there, or None when the registry does not say
    """

    def __init__(self, open_at: OpenAt, offset: int, size: int | None, what: str) -> None:
        """`size` is the whole blob's, by its descriptor, if known. Raises DigestMismatch when the registry's is another."""
        self._open_at = open_at
        self._what = what
        self._attempts = _RESUMED
        self._gone = self._interrupted = False
        self._progress = 0
        self._response, self.offset, self._end = self._open(offset)
        if size is not None and self._end is not None and self._end != size:
            self._response.close()
            raise DigestMismatch(f"{what} has {self._end} bytes at the registry, not {size}", "ask who made the image")
        self._end = size if self._end is None else self._end
        self._position = self.offset
        self.size = None if self._end is None else self._end - self.offset

    def __enter__(self) -> BlobReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, however much was read."""
        self._response.close()

    def interrupt(self) -> None:
        """Let a readinto() that waits in another thread fail at once, and every later one."""
        self._interrupted = True
        self._response.interrupt()

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the beginning of the buffer with what there is; how many bytes, 0 at the end.

        A connection that breaks is opened again where it was, some times in a row. Raises Unavailable, DigestMismatch for too many bytes.
        """
        while True:
            try:
                if self._gone:
                    self._go_on()
                count = self._response.readinto(buffer)
                if not count and self._end is not None and self._position < self._end and len(buffer):
                    raise Broken(f"{self._what} ended {self._end - self._position} bytes too early", "try again")
            except Broken:
                self.close()
                if not self._attempts or self._interrupted:
                    raise
                self._attempts -= 1
                self._gone, self._progress = True, self._position + _PROGRESS
                continue
            self._position += count
            if self._end is not None and self._position > self._end:
                self.close()
                raise DigestMismatch(f"{self._what} has more than {self._end} bytes", "ask who runs the registry")
            if self._position >= self._progress:
                self._attempts = _RESUMED
            return count

    def _open(self, offset: int) -> tuple[Response, int, int | None]:
        """The answer, where it begins and where it ends; all of it where the registry cannot begin there."""
        response = self._open_at(offset)
        try:
            start, end = (-1, None) if response.status == 416 else part_of(response, self._what)
        except Unavailable:
            response.close()
            if not offset:
                raise
            start, end = -1, None
        if start in (0, offset):
            return response, start, end
        response.close()
        response = self._open_at(0)
        return response, 0, part_of(response, self._what)[1]

    def _go_on(self) -> None:
        """Open it again, and pass over what was read already."""
        self._response, start, end = self._open(self._position)
        self._gone = False
        if end is not None and self._end is not None and end != self._end:
            self.close()
            raise DigestMismatch(f"{self._what} had {self._end} bytes, and has {end} now", "try again")
        waste = memoryview(bytearray(min(1 << 20, max(1, self._position - start))))
        while start < self._position:
            count = self._response.readinto(waste[: self._position - start])
            if not count:
                raise Broken(f"{self._what} ended too early", "try again")
            start += count
