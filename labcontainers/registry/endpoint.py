"""One address where a registry answers, and one credential for it; it must not know what a manifest or a blob is."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urljoin

from labcontainers.errors import InvalidArgument, LabError, Unavailable
from labcontainers.registry.auth import Authorizer, Credential
from labcontainers.registry.faults import Refusal, error_of
from labcontainers.registry.names import is_loopback, origin
from labcontainers.registry.response import Response
from labcontainers.registry.transport import CertificateRefused, Pieces, Request, Transport

_MOST_ERROR_BYTES = 1 << 16
# A token that has expired, then one that lacked a scope.
_ASKED_AGAIN = 2


class Endpoint:
    """A registry's API at one address. Thread-safe."""

    def __init__(self, name: str, address: str, transport: Transport, credential: Callable[[], Credential | None]) -> None:
        """`name` is what users call it; `address` is HOST[:PORT], or begins with a scheme and may have a path."""
        self.name = name
        self._address = address
        self._transport = transport
        self._credential = credential
        self._lock = threading.Lock()
        self._base = ""
        self._authorizer: Authorizer | None = None

    def send(
        self,
        method: str,
        where: str,
        what: str,
        *,
        scopes: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | Pieces | None = None,
        expected: Sequence[int] = (),
        again: bool | None = None,
    ) -> Response:
        """The answer to a request; `where` is a path that begins with v2/, or an address that the registry gave, `what` is named in errors.

        Raises the error that a status above 399 means, unless it is `expected`; Denied, NotFound, Unavailable and others.
        """
        base, authorizer = self._open()
        url = urljoin(base, where)
        ours = origin(url) == origin(base)
        refused = ""
        for _ in range(_ASKED_AGAIN + 1):
            asked = dict(headers or {})
            # an address elsewhere, to which a registry sends uploads, is signed already
            refused = authorizer.header(scopes) if ours else ""
            if refused:
                asked["Authorization"] = refused
            response = self._transport.send(Request(method, url, asked, body, again))
            if response.status == 401 and origin(response.url) == origin(base) and ours:
                try:
                    if authorizer.learn(response, scopes, refused):
                        response.discard()
                        continue
                except LabError:
                    response.close()
                    raise
            break
        if response.status >= 400 and response.status not in expected:
            raise self._error(response, what)
        if response.status in (301, 302, 303, 307, 308):
            response.close()
            raise Unavailable(f"{what}: {self.name} sends {method} elsewhere, which cannot be followed", "ask who runs the registry")
        return response

    def pause(self, attempt: int) -> None:
        """Wait before something is tried once more."""
        self._transport.pause(attempt)

    def ping(self) -> str:
        """Whether a registry answers here, and lets this user in: the identity token that it gave, or "". Raises as send()."""
        with self.send("GET", "v2/", f"registry {self.name}") as response:
            response.discard()
        return self._open()[1].identity_token

    def local(self, link: str, asked: str) -> str:
        """The address that a page names as the next; raises Unavailable for one of another host."""
        try:
            target = urljoin(urljoin(self._open()[0], asked), link)
            if origin(target) == origin(self._open()[0]):
                return target
        except (InvalidArgument, ValueError):
            pass
        raise Unavailable(f"{self.name} says that its list goes on at another host, which is not followed", "ask who runs the registry")

    def _error(self, response: Response, what: str) -> LabError:
        body = b""
        with response, contextlib.suppress(LabError):
            body = response.read(_MOST_ERROR_BYTES, what)
        return error_of(Refusal.parse(response.status, body), self.name, what)

    def _open(self) -> tuple[str, Authorizer]:
        """The address with its scheme, found out when it is first needed."""
        with self._lock:
            if self._authorizer is None:
                base = self._address if "://" in self._address else self._probed()
                self._base = base.rstrip("/") + "/"
                self._authorizer = Authorizer(self.name, self._transport, self._credential)
            return self._base, self._authorizer

    def _probed(self) -> str:
        """HTTPS, or plain HTTP where it is allowed and HTTPS is not spoken. Nothing is sent that anyone may not read."""
        secure = f"https://{self._address}"
        if not is_loopback(self._address) and not self._transport.is_insecure(self._address):
            return secure
        for base in (secure, f"http://{self._address}"):
            try:
                with self._transport.send(Request("GET", f"{base}/v2/", again=False)) as response:
                    response.discard()
                return base
            except CertificateRefused:
                raise
            except Unavailable as error:
                problem = error
        raise problem
