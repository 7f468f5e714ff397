"""urllib3's connections with a rule against servers that stall; imported only when something is sent, since urllib3 is large.

It must not know registries.
"""

from __future__ import annotations

import functools
import http.client
import io
import ipaddress
import ssl
import warnings
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.registry.insecure import Network
from labcontainers.registry.progress import Patience, Watched

_BUFFER = 1 << 16
_IDLE = 8
# As Go, by which Docker connects: with either word the proxy looks up the host's name.
_SOCKS = ("socks5", "socks5h")


class _Answer(http.client.HTTPResponse):
    """An answer whose head and body are read under watch."""

    def __init__(
        self, sock: Any, debuglevel: int = 0, method: str | None = None, url: str | None = None, *, patience: Patience, who: str
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        plain = self.fp
        self.fp = io.BufferedReader(Watched(sock.makefile("rb", buffering=0), patience, who), _BUFFER)
        plain.close()


class _Patient:
    """A connection that waits long for a slow network once it is there; urllib3 would send by the time limit for connecting."""

    silence_s: float
    peers: Sequence[Network]
    sock: Any
    timeout: Any

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]  # beside it stands a connection of urllib3
        if self.peers:
            there = ipaddress.ip_address(self.sock.getpeername()[0].partition("%")[0])
            if not any(there in network for network in self.peers):
                self.sock.close()
                raise OSError(f"{there} is in no network that may do without TLS")
        self.sock.settimeout(self.silence_s)

    def request(self, *words: Any, **more: Any) -> None:
        if self.sock is not None:
            self.timeout = self.silence_s
        super().request(*words, **more)  # type: ignore[misc]  # as above


class _Trusting(HTTPSConnectionPool):
    """Connects without a warning to a host of which nobody wants a certificate: whoever said so knows."""

    def _validate_conn(self, conn: Any) -> None:
        if conn.is_closed:
            conn.connect()


def manager_for(
    who: str, patience: Patience, context: ssl.SSLContext, proxy: str, headers: Mapping[str, str], peers: Sequence[Network] = ()
) -> urllib3.PoolManager | urllib3.ProxyManager:
    """Connections to one host, straight or through a proxy; straight ones only to `peers`, if there are any.

    Raises Unsupported and InvalidArgument for the proxy's address.
    """
    answer = functools.partial(_Answer, patience=patience, who=who)
    more = {"response_class": answer, "silence_s": patience.silence_s, "peers": () if proxy else peers}
    kinds = _socks_connections() if proxy.partition("://")[0] in _SOCKS else (HTTPConnection, HTTPSConnection)
    plain, secure = (type(f"Watched{kind.__name__}", (_Patient, kind), more) for kind in kinds)
    wanted: dict[str, Any] = {"num_pools": 2, "maxsize": _IDLE, "headers": dict(headers), "ssl_context": context}
    trusting = context.verify_mode == ssl.CERT_NONE
    if trusting:
        wanted["cert_reqs"] = "CERT_NONE"
    manager = _through(proxy, wanted) if proxy else urllib3.PoolManager(**wanted)
    manager.pool_classes_by_scheme = {
        "http": type("WatchedPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("WatchedSecurePool", (_Trusting if trusting else HTTPSConnectionPool,), {"ConnectionCls": secure}),
    }
    return manager


def _socks_connections() -> tuple[type, type]:
    """urllib3's own connections through a SOCKS proxy, plain and with TLS; raises Unsupported without PySocks, by which they speak."""
    try:
        with warnings.catch_warnings():
            # what is missing is told below
            warnings.simplefilter("ignore")
            from urllib3.contrib.socks import SOCKSConnection, SOCKSHTTPSConnection
    except ImportError:
        raise Unsupported("a proxy of socks5: needs PySocks, which is not installed", "pip install pysocks") from None
    return SOCKSConnection, SOCKSHTTPSConnection


def _through(proxy: str, wanted: dict[str, Any]) -> urllib3.PoolManager:
    address = proxy if "://" in proxy else f"http://{proxy}"
    parts = urlsplit(address)
    if parts.scheme in _SOCKS:
        return _through_socks(address, wanted)
    if parts.scheme not in ("http", "https"):
        raise Unsupported(f"a proxy of {parts.scheme}: is not supported", "use one that speaks HTTP or SOCKS 5")
    headers = None
    if parts.username is not None:
        headers = urllib3.make_headers(proxy_basic_auth=f"{unquote(parts.username)}:{unquote(parts.password or '')}")
    try:
        return urllib3.ProxyManager(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", proxy_headers=headers, **wanted)
    except (ValueError, urllib3.exceptions.HTTPError):
        raise InvalidArgument("the address of the proxy cannot be read", "write http://HOST:PORT") from None


def _through_socks(address: str, wanted: dict[str, Any]) -> urllib3.PoolManager:
    from urllib3.contrib.socks import SOCKSProxyManager

    parts = urlsplit(address)
    try:
        port = parts.port or 1080
    except ValueError:
        port = 0
    if not parts.hostname or not port:
        raise InvalidArgument("the address of the proxy cannot be read", "write socks5://HOST:PORT")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    user = None if parts.username is None else unquote(parts.username)
    password = None if user is None else unquote(parts.password or "")
    return SOCKSProxyManager(f"socks5h://{host}:{port}", username=user, password=password, **wanted)
