"""An answer of a server: its status, headers, and a body that is read straight from the socket; it must not know registries."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any

from labcontainers.errors import InvalidArgument, LabError, Unavailable
from labcontainers.registry.names import host_and_port

if TYPE_CHECKING:
    import urllib3

# As much as is worth returning with: records of TLS are smaller.
_WORTHWHILE = 1 << 16
_CHUNK = 1 << 20


class Broken(Unavailable):
    """A connection that failed or broke off; `again` is how often it is worth to be tried."""

    def __init__(self, message: str, hint: str = "", again: int = 5) -> None:
        super().__init__(message, hint)
        self.again = again


class Response:
    """One answer; close it, or use it as a context manager. Not thread-safe."""

    def __init__(self, inner: urllib3.BaseHTTPResponse, url: str) -> None:
        self._inner = inner
        self.url = url
        self._failure: Broken | None = None
        self.status: int = inner.status
        self.headers = inner.headers
        # http.client's answer: reading there saves a copy, and lets other threads run meanwhile
        self._raw: Any = getattr(inner, "_fp", None)

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def length(self) -> int | None:
        """How many bytes are to come, if the server says so."""
        length: int | None = None if self._raw is None or self._raw.chunked else self._raw.length
        return length

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the beginning of the buffer with what there is; how many bytes, 0 at the end. Raises Broken, Stalled."""
        if self._failure is not None:
            raise self._failure
        filled = 0
        wanted = min(len(buffer), _WORTHWHILE)
        try:
            while filled < wanted and (count := self._read(buffer[filled:])):
                filled += count
        except LabError:
            self.close()
            raise
        # http.client, urllib3 and ssl have no common ancestor below Exception
        except Exception as error:
            self.close()
            self._failure = Broken(f"{host_and_port(self.url)}: the connection broke: {_reason(error)}", "try again")
            # what came before is given first
            if not filled:
                raise self._failure from None
        return filled

    def _read(self, buffer: memoryview) -> int:
        raw = self._raw
        if raw is None or raw.fp is None or not buffer:
            return 0
        if raw.chunked:
            count: int = raw.readinto(buffer)
        else:
            count = raw.fp.readinto1(buffer if raw.length is None else buffer[: raw.length])
            if raw.length is not None:
                if not count and raw.length:
                    raise ConnectionError(f"it ended {raw.length} bytes too early")
                raw.length -= count
            if not count or raw.length == 0:
                raw.close()
        if raw.fp is None:
            self._inner.release_conn()
        return count

    def read(self, limit: int, what: str) -> bytes:
        """The whole body, which `what` names; raises InvalidArgument when it has more than `limit` bytes."""
        too_long = InvalidArgument(f"{what} has more than {limit} bytes", f"at most {limit} are read: ask who runs the registry")
        if self.headers.get("Content-Encoding", "identity") != "identity":
            raise Unavailable(f"{what} came in a coding that was not asked for", "ask who runs the registry")
        if (self.length or 0) > limit:
            self.close()
            raise too_long
        data = bytearray()
        buffer = memoryview(bytearray(min(_CHUNK, limit + 1)))
        while count := self.readinto(buffer[: limit + 1 - len(data)]):
            data += buffer[:count]
            if len(data) > limit:
                self.close()
                raise too_long
        return bytes(data)

    def json(self, limit: int, what: str) -> Any:
        """The body as JSON; raises InvalidArgument when it is none."""
        try:
            return json.loads(self.read(limit, what))
        except (ValueError, RecursionError) as error:
            raise InvalidArgument(f"{what} is no JSON: {str(error)[:100]}", "is it a registry?") from None

    def discard(self, most: int = 1 << 16) -> None:
        """Read a short rest, so that the connection can be used again; else close it."""
        buffer = memoryview(bytearray(most))
        try:
            while (length := self.length) is not None and 0 < length <= most and self.readinto(buffer):
                pass
        except LabError:
            pass
        self.close()

    def interrupt(self) -> None:
        """Let a readinto() that waits in another thread fail at once. The connection is of no use then."""
        sock = getattr(self._inner.connection, "sock", None)
        if sock is not None:
            # one that has just been closed needs no interrupt
            with contextlib.suppress(OSError, ValueError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the connection, unless all was read, when it was given back."""
        if self._raw is not None and self._raw.fp is not None:
            # an answer without a body is complete already
            if self._raw.length == 0 and not self._raw.chunked:
                self._raw.close()
                self._inner.release_conn()
            else:
                self._inner.close()
        elif self._raw is not None:
            self._inner.release_conn()


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text[:200] or type(error).__name__
