"""Sending one blob: at once or in pieces, and again from where the registry says it is; it must not know manifests.

Source: OCI distribution spec, "Pushing Blobs".
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any
from urllib.parse import urljoin

from labcontainers.errors import Failed, LabError, Unavailable
from labcontainers.registry.endpoint import Endpoint
from labcontainers.registry.response import Broken, Response

_CHUNK = 1 << 20
_PORTION = 1 << 18
# As much of a blob that is being made is worth a request.
_GROWN = 16 << 20
_ATTEMPTS = 5
_RANGE = re.compile(r"(?:bytes[= ])?0-(\d{1,19})")
_OCTETS = {"Content-Type": "application/octet-stream"}
Read = Callable[[], Iterable[bytes] | IO[bytes]]
OnBytes = Callable[[int], None]


def _nobody(sent: int) -> None:
    """For who does not listen."""


class Upload:
    """One blob on its way into one repository. Not thread-safe."""

    def __init__(
        self, endpoint: Endpoint, repository: str, digest: str, size: int, read: Read, scopes: Sequence[str], on_bytes: OnBytes | None
    ) -> None:
        self._endpoint = endpoint
        self._start = f"v2/{repository}/blobs/uploads/"
        self._blob = f"v2/{repository}/blobs/{digest}"
        self._what = f"blob {digest} of {repository}" if digest else f"a new blob of {repository}"
        self._digest = digest
        self._size = size
        self._read = read
        self._scopes = scopes
        self._on_bytes = on_bytes or _nobody
        self._location = ""
        self._at_least = 0

    def run(self, chunk_bytes: int = 0) -> None:
        """Send it: in one PUT, or in pieces of `chunk_bytes`. Where a connection breaks, go on from what the registry has.

        Pieces are found by seek() in a file; any other source is read again from its beginning for each.

        Raises what Endpoint.send() does, and Failed when the source has another number of bytes than was said.
        """
        self._begin()
        sent = 0
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._send_from(sent, chunk_bytes)
                return
            except Unavailable:
                if attempt == _ATTEMPTS:
                    self.cancel()
                    raise
                self._endpoint.pause(attempt)
                if self._is_there():
                    return
                sent = self._resume()
            except BaseException:
                self.cancel()
                raise

    def run_growing(self, grown: Callable[[int], tuple[int, str]]) -> None:
        """Send it while it is made, in pieces; the digest and the size that were said do not count.

        `grown(count)` waits until there are `count` bytes or all of them, and gives how many there are and, once that is all, the digest.
        What goes wrong is raised at once, and the registry told to forget it: all of it may be sent by run() then.
        """
        self._begin()
        sent = 0
        try:
            while not (have := grown(sent + max(_GROWN, self._at_least)))[1]:
                sent = self._patch(sent, have[0] - sent)
            self._size, self._digest = have
            self._send_from(sent, 0)
        except BaseException:
            self.cancel()
            raise

    def _send_from(self, sent: int, chunk_bytes: int) -> None:
        if not chunk_bytes and not sent:
            self._finish(0, self._size)
            return
        length = max(chunk_bytes, self._at_least) if chunk_bytes else self._size
        while sent < self._size:
            sent = self._patch(sent, min(length, self._size - sent))
        self._finish(self._size, 0)

    def cancel(self) -> None:
        """Tell the registry that nothing more will come, if it cares to hear."""
        if self._location:
            with contextlib.suppress(LabError), self._call("DELETE", self._location, expected=(400, 404, 405), again=False) as response:
                response.discard()
            self._location = ""

    def _begin(self) -> None:
        with self._call("POST", self._start, {"Content-Length": "0"}, again=True) as response:
            response.discard()
            self._take(response)
            least = response.headers.get("OCI-Chunk-Min-Length", "")
            self._at_least = int(least) if least.isascii() and least.isdigit() and len(least) < 12 else 0

    def _take(self, response: Response) -> None:
        location = response.headers.get("Location")
        if not location:
            raise Unavailable(f"{self._what}: {self._endpoint.name} does not say where to send it", "is it a registry?")
        self._location = urljoin(response.url, location)

    def _patch(self, sent: int, length: int) -> int:
        """One piece; how much the registry has then, by what it says."""
        headers = {**_OCTETS, "Content-Length": str(length), "Content-Range": f"{sent}-{sent + length - 1}"}
        with self._call("PATCH", self._location, headers, lambda: self._pieces(sent, length), expected=(416,)) as response:
            response.discard()
            if response.status == 416:
                # it has another part than we believe: ask which
                raise Broken(f"{self._what}: {self._endpoint.name} does not go on at byte {sent}", "try again")
            self._take(response)
            have = _range_end(response, sent + length)
            if not sent < have <= sent + length:
                raise Broken(f"{self._what}: {self._endpoint.name} took {length} bytes, and says that it has {have}", "try again")
            return have

    def _finish(self, start: int, length: int) -> None:
        """The last request, with all of the blob or with nothing."""
        mark = "&" if "?" in self._location else "?"
        headers = {**_OCTETS, "Content-Length": str(length)}
        body: Any = (lambda: self._pieces(start, length)) if length else b""
        with self._call("PUT", f"{self._location}{mark}digest={self._digest}", headers, body, again=False) as response:
            response.discard()
            self._location = ""

    def _is_there(self) -> bool:
        """Whether only the answer was lost."""
        with self._call("HEAD", self._blob, expected=(404,)) as response:
            response.close()
            return response.status < 400

    def _resume(self) -> int:
        """How much of it the registry has; 0 with a new upload where it has forgotten."""
        if self._location:
            with self._call("GET", self._location, expected=(400, 404, 405, 416)) as response:
                response.discard()
                if response.status < 400:
                    have = _range_end(response, 0)
                    if response.headers.get("Location"):
                        self._take(response)
                    if have <= self._size:
                        return have
        self._begin()
        return 0

    def _call(
        self, method: str, where: str, headers: dict[str, str] | None = None, body: Any = None, expected: Sequence[int] = (), **more: Any
    ) -> Response:
        return self._endpoint.send(method, where, self._what, scopes=self._scopes, headers=headers, body=body, expected=expected, **more)

    def _pieces(self, start: int, length: int) -> Iterator[memoryview]:
        """That part of the source, which is read from its beginning."""
        source, position, end = self._read(), 0, start + length
        if start and (seek := getattr(source, "seek", None)) is not None:
            position = seek(start)
        for piece in _from(source):
            first, position = position, position + len(piece)
            if position <= start:
                continue
            if end == self._size and position > end:
                break
            yield from _cut(piece, max(0, start - first), min(len(piece), end - first))
            self._on_bytes(min(position, end))
            if position >= end:
                break
        if position < end or (end == self._size and position > end):
            amount = "more" if position > end else "less"
            raise Failed(f"{self._what}: the source has {amount} than {self._size} bytes", "do not change it meanwhile")


def _cut(piece: bytes, start: int, end: int) -> Iterator[memoryview]:
    """A part of a piece in portions that a slow network takes within a socket's timeout, which is one for each."""
    view = memoryview(piece)
    for position in range(start, end, _PORTION):
        yield view[position : min(end, position + _PORTION)]


def _from(source: Iterable[bytes] | IO[bytes]) -> Iterator[bytes]:
    """The pieces of a file or of an iterable, which is closed at the end."""
    try:
        if hasattr(source, "read"):
            while data := source.read(_CHUNK):
                yield data
        else:
            yield from source
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()


def _range_end(response: Response, default: int) -> int:
    """How many bytes a registry has, by the header Range of its answer."""
    header = response.headers.get("Range", "").strip()
    match = _RANGE.fullmatch(header)
    if match is None:
        return default
    # 0-0 is one byte by the spec, but distribution says it of an upload that has none
    return int(match[1]) + 1 if match[1] != "0" or default == 1 else 0
