"""Requests to registries: plain HTTP only where it is allowed, redirects without credentials, and patience with a limit.

It must not know what is asked for. urllib3 does the sending; redirects and retries are done here, since what may go where is decided here.
"""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from labcontainers.errors import Denied, InvalidArgument, Unavailable
from labcontainers.registry.insecure import is_insecure, peers_of
from labcontainers.registry.names import bypasses_proxy, host_and_port, is_loopback, origin
from labcontainers.registry.progress import Patience
from labcontainers.registry.response import Broken, Response
from labcontainers.registry.settings import Settings
from labcontainers.registry.tls import context_for
from labcontainers.version import __version__

if TYPE_CHECKING:
    import urllib3

_ATTEMPTS = 5
_ATTEMPTS_TO_CONNECT = 3
_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 30.0
_LONGEST_RETRY_AFTER_S = 120.0
_REDIRECTS = 10
_REDIRECT = (301, 302, 303, 307, 308)
_KEEPS_METHOD = (307, 308)
_RETRIED = (429, 500, 502, 503, 504)
_IDEMPOTENT = ("GET", "HEAD", "PUT", "DELETE")
Pieces = Callable[[], Iterable[bytes | memoryview]]


class CertificateRefused(Unavailable):
    """A server's certificate that nobody vouches for, or one of ours that it refuses."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: a body is bytes, or a function that gives its pieces for each sending, with Content-Length in the headers.

    `again` says whether the request may be repeated; None: where HTTP says so of the method and the body is there as bytes.
    `plain` says that the user himself named an address of plain HTTP.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Pieces | None = None
    again: bool | None = None
    plain: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether a failure may be answered by sending it once more."""
        if self.again is not None:
            return self.again
        return self.method in _IDEMPOTENT and not callable(self.body)


class Transport:
    """Sends requests to any host, and keeps connections. Thread-safe."""

    def __init__(
        self,
        settings: Settings,
        *,
        patience: Patience | None = None,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.settings = settings
        self._patience = patience or Patience()
        self._sleep = sleep
        self._jitter = jitter
        self._lock = threading.Lock()
        self._managers: dict[tuple[str, str, int], urllib3.PoolManager] = {}

    def close(self) -> None:
        """Close all connections that wait; a later request opens new ones."""
        with self._lock:
            managers, self._managers = list(self._managers.values()), {}
        for manager in managers:
            manager.clear()

    def send(self, request: Request) -> Response:
        """The answer, whatever its status; blocks. Raises Unavailable, Denied for plain HTTP where it is not allowed.

        429, 5xx and broken connections are tried again, with exponential back-off or when the server says so by Retry-After.
        """
        attempt = 1
        while True:
            try:
                response = self._follow(request)
            except Broken as error:
                if not request.repeatable or attempt >= error.again:
                    raise
                delay = self._backoff_s(attempt)
            else:
                if response.status not in _RETRIED or not request.repeatable or attempt >= _ATTEMPTS:
                    return response
                wanted_s = self._wanted_s(response.headers.get("Retry-After"), attempt)
                if wanted_s is None:
                    return response
                delay = wanted_s
                response.discard()
            self._sleep(delay)
            attempt += 1

    def pause(self, attempt: int) -> None:
        """Wait as before the next attempt after this one; for who repeats what cannot be sent again as it is."""
        self._sleep(self._backoff_s(attempt))

    def _backoff_s(self, attempt: int) -> float:
        """Half of it by chance, so that many clients do not come back at once."""
        whole: float = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2 ** (attempt - 1))
        return whole / 2 + whole / 2 * self._jitter()

    def _wanted_s(self, retry_after: str | None, attempt: int) -> float | None:
        """How long to wait for the next attempt; None when the server wants to be left alone for longer than anybody waits."""
        if retry_after is None:
            return self._backoff_s(attempt)
        seconds = _seconds(retry_after)
        if seconds is None:
            return self._backoff_s(attempt)
        return None if seconds > _LONGEST_RETRY_AFTER_S else max(seconds, 0.0)

    def _follow(self, request: Request) -> Response:
        """The answer at the end of redirects. Credentials do not go along to another host, port or scheme."""
        started_here = is_loopback(host_and_port(request.url))
        for _ in range(_REDIRECTS + 1):
            self._check(request, started_here)
            response = self._send_once(request)
            location = response.headers.get("Location")
            if response.status not in _REDIRECT or not location:
                return response
            if request.method not in ("GET", "HEAD") and response.status not in _KEEPS_METHOD:
                return response
            response.discard()
            target, elsewhere = _target(request.url, location)
            headers = dict(request.headers)
            if elsewhere:
                headers.pop("Authorization", None)
            request = replace(request, url=target, headers=headers)
        raise Unavailable(f"{host_and_port(request.url)}: more than {_REDIRECTS} redirects", "ask who runs the registry")

    def _check(self, request: Request, started_here: bool) -> None:
        """Raises Denied for an address that must not be asked; a host elsewhere does not send us to plain HTTP of this machine, either."""
        scheme, _, _ = origin(request.url)
        host = host_and_port(request.url)
        if scheme == "https" or (started_here if is_loopback(host) else request.plain) or self.is_insecure(host):
            return
        raise Denied(f"{host}: plain HTTP is not allowed", f"use HTTPS, or name {host} in the setting insecure")

    def is_insecure(self, host: str) -> bool:
        """Whether HOST[:PORT] may do without TLS because the settings say so."""
        return is_insecure(host, self.settings.insecure)

    def _send_once(self, request: Request) -> Response:
        import urllib3

        manager = self._manager(request.url)
        body: Any = request.body() if callable(request.body) else request.body
        try:
            inner = manager.urlopen(
                request.method, request.url, body=body, headers={**manager.headers, **request.headers}, redirect=False, retries=False,
                preload_content=False, decode_content=False,
                timeout=urllib3.Timeout(connect=self._patience.connect_s, read=self._patience.silence_s),
            )  # fmt: skip
        except (urllib3.exceptions.HTTPError, OSError, ssl.SSLError) as error:
            raise _told(error, request.url, self._patience) from None
        return Response(inner, request.url)

    def _manager(self, url: str) -> urllib3.PoolManager:
        """The connections to the host of this address."""
        from labcontainers.registry.connections import manager_for

        where = origin(url)
        with self._lock:
            manager = self._managers.get(where)
            if manager is None:
                proxies = self.settings.proxies
                direct = bypasses_proxy(url, proxies.get("no", ""))
                proxy = "" if direct else proxies.get(where[0], "")
                host = host_and_port(url)
                headers = {"User-Agent": f"labcontainers/{__version__}", "Accept-Encoding": "identity"}
                peers = peers_of(host, self.settings.insecure)
                manager = manager_for(host, self._patience, context_for(host, self.settings), proxy, headers, peers)
                self._managers[where] = manager
        return manager


def _target(url: str, location: str) -> tuple[str, bool]:
    """Where a redirect leads to, and whether that is another host, port or scheme; raises Unavailable for what is no address."""
    try:
        target = urljoin(url, location).partition("#")[0]
        return target, origin(target) != origin(url)
    except (InvalidArgument, ValueError):
        raise Unavailable(f"{host_and_port(url)} redirects to what is no address of HTTP", "ask who runs the registry") from None


def _seconds(retry_after: str) -> float | None:
    """Of the header Retry-After: seconds, or a date."""
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return (moment.astimezone(UTC) - datetime.now(UTC)).total_seconds()


def _told(error: Exception, url: str, patience: Patience) -> Unavailable:
    """What a failure to send is called, with the host alone: the address may hold a signature."""
    from urllib3 import exceptions as failures

    host = host_and_port(url)
    reason = " ".join(str(error).split())[:200]
    if isinstance(error, failures.SSLError | ssl.SSLError):
        inner = error.args[0] if error.args and isinstance(error.args[0], ssl.SSLError) else error
        words = getattr(inner, "verify_message", "") or getattr(inner, "reason", "") or reason
        problem = f"{host}: TLS failed: {str(words).lower().replace('_', ' ')}"
        if isinstance(inner, ssl.SSLCertVerificationError):
            return CertificateRefused(problem, f"put its authority's certificate into certs.d/{host}/ca.crt")
        if "CERTIFICATE" in str(words).upper():
            return CertificateRefused(problem, f"put a certificate it accepts into certs.d/{host}/client.cert and client.key")
        return Unavailable(problem, f"is it plain HTTP? then name {host} in the setting insecure")
    if isinstance(error, failures.ProxyError):
        return Unavailable(f"{host}: the proxy cannot be used: {' '.join(str(error.original_error).split())[:200]}", "check HTTPS_PROXY")
    if isinstance(error, failures.NameResolutionError):
        return Unavailable(f"{host}: no such host", "check the name, and whether there is a network")
    # a NewConnectionError is one of these by inheritance
    if isinstance(error, failures.ConnectTimeoutError) and not isinstance(error, failures.NewConnectionError):
        return Broken(f"{host}: no connection in {patience.connect_s:g} s", "check its name and port", _ATTEMPTS_TO_CONNECT)
    if isinstance(error, failures.NewConnectionError):
        words = reason.rpartition(": ")[2].rpartition("] ")[2].lower()
        return Broken(f"{host}: cannot connect: {words}", "check its name and port", _ATTEMPTS_TO_CONNECT)
    if isinstance(error, failures.ReadTimeoutError | TimeoutError):
        return Broken(f"{host}: no answer in {patience.silence_s:g} s", "try again later")
    return Broken(f"{host}: the connection broke: {reason}", "try again later")
