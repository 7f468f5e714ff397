"""One file at an address that a user names, as `import` and ADD read it; it must not know what is in it.

As in Docker, an address may be of plain HTTP, and may have a user and a password in front of its host.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from urllib.parse import unquote, urlsplit

from labcontainers.errors import Denied, Failed, InvalidArgument, LabError, NotFound, Unavailable
from labcontainers.registry.blobs import BlobReader
from labcontainers.registry.names import host_and_port, origin
from labcontainers.registry.response import Response
from labcontainers.registry.transport import Request, Transport

_KINDS: dict[int, type[LabError]] = {401: Denied, 403: Denied, 404: NotFound, 410: NotFound, 429: Unavailable}


class Download(io.RawIOBase):
    """The bytes of a file, as they come; close it, or use it as a context manager. Not thread-safe.

    address   where they come from, without a user and a password
    size      how many there are, or None when the server does not say
    etag, modified   by which the server tells this file from a later one, each "" when it does not
    unchanged        whether the server says, by the conditions it was given, that nothing changed; then there are no bytes
    """

    def __init__(
        self,
        transport: Transport,
        url: str,
        on_bytes: Callable[[int, int | None], None] | None = None,
        conditions: Mapping[str, str] | None = None,
        authorization: str = "",
    ) -> None:
        """Ask for it; `on_bytes` is told how many have come, and of how many. Raises Denied, NotFound, Unavailable, InvalidArgument.

        `conditions` are headers such as If-None-Match, to which the server may answer that the file is unchanged. `authorization` is what
        the header of that name says, to this server alone, unless the address has a user.
        """
        super().__init__()
        self._transport = transport
        self._on_bytes = on_bytes
        self._conditions = conditions or {}
        self.unchanged = False
        self.etag = self.modified = ""
        self.address, login = without_user(url)
        self._headers = login or ({"Authorization": authorization} if authorization else {})
        self._what = f"the file at {host_and_port(self.address)}"
        # what tells that a file is still the same
        self._mark = ""
        self._came = 0
        self._reader = BlobReader(self._open_at, 0, None, self._what)
        self.size = self._reader.size

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # nobody passes anything else
        """Fill the beginning of the buffer; how many bytes, 0 at the end. Raises Unavailable for a connection that cannot be mended."""
        count = self._reader.readinto(memoryview(buffer))
        self._came += count
        if self._on_bytes is not None:
            self._on_bytes(self._came, self.size)
        return count

    def interrupt(self) -> None:
        """Let a readinto() that waits in another thread fail at once, and every later one."""
        self._reader.interrupt()

    def close(self) -> None:
        """End it, however much was read."""
        if not self.closed and hasattr(self, "_reader"):
            self._reader.close()
        super().close()

    def _open_at(self, offset: int) -> Response:
        """The answer, from an offset only while the file is the one of which something was read already."""
        if offset and not self._mark:
            raise Unavailable(f"{self._what}: the connection broke after {offset} bytes", "try again: it cannot be gone on with")
        more = {"Range": f"bytes={offset}-", "If-Range": self._mark} if offset else self._conditions
        response = self._transport.send(Request("GET", self.address, {**self._headers, **more}, plain=self.address.startswith("http://")))
        if response.status == 304 and self._conditions and not offset:
            self.unchanged = True
            return response
        if response.status >= 300:
            response.close()
            kind = _KINDS.get(response.status, Unavailable if response.status >= 500 else Failed)
            raise kind(f"{self._what}: the server says: status {response.status}", "check the address")
        mark = response.headers.get("ETag", "")
        if offset and mark != self._mark:
            response.close()
            raise Unavailable(f"{self._what} became another one while it was read", "try again")
        if not offset:
            # from here on only all of it will do
            self._conditions = {}
            self.etag, self.modified = mark, response.headers.get("Last-Modified", "")
        # a weak one does not promise the same bytes (RFC 9110, 8.8.1)
        self._mark = "" if mark.startswith("W/") else mark
        return response


def without_user(url: str) -> tuple[str, dict[str, str]]:
    """An address without user, password and fragment, and the header that tells them; raises InvalidArgument."""
    try:
        if not (url.isascii() and url.isprintable()):
            raise ValueError(url)
        parts = urlsplit(url)
        user, password = parts.username, parts.password
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
    except ValueError:
        raise InvalidArgument(f"not an address of HTTP: {url[:200]!r}", "it begins with https:// and a host") from None
    origin(bare)
    if user is None:
        return bare, {}
    pair = f"{unquote(user)}:{unquote(password or '')}".encode()
    return bare, {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
