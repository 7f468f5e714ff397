"""Files of a mirror, fetched several at once and kept by their digest, so that each is fetched once. It must not know what they mean.

A file in the cache that is lost costs time only. Every byte of it is hashed again when it is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from labcontainers.errors import DigestMismatch, Failed, InvalidArgument, NotFound, Unavailable
from labcontainers.images.debs.sources import proxy_for

_PIECE = 1 << 20
_CONNECT_S, _SILENCE_S = 15.0, 60.0
_ATTEMPTS = 3
_FORGOTTEN_S = 60 * 86400
_BUSY = (429, 500, 502, 503, 504)


class Fetcher:
    """Fetches by HTTP, HTTPS and from files. Thread-safe; close() ends its connections."""

    def __init__(self, cache: Path, settings: Mapping[str, str], *, connections: int = 8) -> None:
        """`cache` is made if it is not there; `settings` are those of apt.conf, for proxies."""
        self._cache = cache
        self._settings = settings
        self._connections = connections
        self._managers: dict[str, Any] = {}
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)

    def close(self) -> None:
        """End all connections. Idempotent."""
        managers, self._managers = self._managers, {}
        for manager in managers.values():
            manager.clear()

    def read(self, uri: str, most_bytes: int) -> bytes:
        """A small file that nobody knows a digest of; raises NotFound, Unavailable, Failed for one of more bytes."""
        found = bytearray()
        for piece in self._pieces(uri):
            found += piece
            if len(found) > most_bytes:
                raise Failed(f"{uri} has more than {most_bytes} bytes", "use another mirror")
        return bytes(found)

    def path(self, sha256: str) -> Path:
        """Where the file of this digest (hexadecimal) is kept."""
        return self._cache / sha256

    def kept(self, sha256: str) -> Path | None:
        """The file of this digest if it is in the cache, and is what it says."""
        path = self.path(sha256)
        try:
            with open(path, "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                    os.utime(path)
                    return path
        except FileNotFoundError:
            return None
        path.unlink(missing_ok=True)
        return None

    def fetch(self, uri: str, sha256: str, size: int) -> Path:
        """The file of this digest and size, from the cache or from `uri`; raises DigestMismatch, NotFound, Unavailable."""
        kept = self.kept(sha256)
        if kept is not None:
            return kept
        with self.writing(sha256) as file:
            for piece in self.pieces(uri, sha256, size):
                file.write(piece)
        return self.path(sha256)

    def pieces(self, uri: str, sha256: str, size: int) -> Iterator[bytes]:
        """The bytes of a file as they come; only at the end it is known whether they are those of the digest: raises as fetch()."""
        digest = hashlib.sha256()
        done = 0
        for piece in self._pieces(uri):
            done += len(piece)
            if done > size:
                break
            digest.update(piece)
            yield piece
        if done != size or digest.hexdigest() != sha256:
            found = f"more than {size} bytes" if done > size else f"{done} bytes of SHA-256 {digest.hexdigest()}"
            raise DigestMismatch(f"{uri} has {found}, not {size} bytes of {sha256}", "try again, or use another mirror")

    @contextlib.contextmanager
    def writing(self, sha256: str) -> Iterator[IO[bytes]]:
        """A file that becomes the one of this digest in the cache when nothing is raised; else nothing of it stays."""
        with tempfile.NamedTemporaryFile(dir=self._cache, prefix=".new-", delete=False) as file:
            try:
                yield file
            except BaseException:
                os.unlink(file.name)
                raise
        os.rename(file.name, self.path(sha256))

    def sweep(self) -> None:
        """Forget what nobody has used for two months, and what was not finished in a day."""
        now = time.time()
        for path in self._cache.iterdir():
            with contextlib.suppress(OSError):
                age = now - path.stat().st_mtime
                if age > _FORGOTTEN_S or (path.name.startswith(".new-") and age > 86400):
                    path.unlink()

    def _pieces(self, uri: str) -> Iterator[bytes]:
        parts = urlsplit(uri)
        if parts.scheme == "file":
            yield from _of_file(unquote(parts.path), uri)
            return
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidArgument(f"bootstrap: not an address: {uri}", "mirrors are http://…, https://… or file:/…")
        import urllib3

        manager = self._manager(urllib3, parts.scheme, parts.hostname)
        try:
            response = manager.request(
                "GET", uri, preload_content=False, headers={"Accept-Encoding": "identity", "User-Agent": "labcontainers"}
            )
            try:
                if response.status == 404:
                    raise NotFound(f"the mirror has no such file: {uri}", "check the suite's name, or use another mirror")
                if response.status != 200:
                    raise Unavailable(f"the mirror answers {response.status} for {uri}", "try again later, or use another mirror")
                yield from response.stream(_PIECE, decode_content=False)
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(f"{uri} cannot be fetched: {_reason(error)}", "check the network and http_proxy") from None

    def _manager(self, urllib3: Any, scheme: str, host: str) -> Any:
        direct = host in ("localhost", "127.0.0.1", "::1")
        proxy = "" if direct or _bypassed(host) else proxy_for(scheme, host, self._settings, os.environ)
        manager = self._managers.get(proxy)
        if manager is None:
            options: dict[str, Any] = {
                "maxsize": self._connections,
                "timeout": urllib3.Timeout(connect=_CONNECT_S, read=_SILENCE_S),
                "retries": urllib3.Retry(_ATTEMPTS, backoff_factor=0.5, status_forcelist=_BUSY, raise_on_status=False),
            }
            made = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
            manager = self._managers.setdefault(proxy, made)
        return manager


def _bypassed(host: str) -> bool:
    """Whether no_proxy of the environment names the host or a domain of it."""
    names = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")
    return any(name.strip() == "*" or (f".{host}".endswith("." + name.strip().lstrip(".")) and name.strip()) for name in names)


def _of_file(path: str, uri: str) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            while piece := file.read(_PIECE):
                yield piece
    except FileNotFoundError:
        raise NotFound(f"the mirror has no such file: {uri}", "check the suite's name, or use another mirror") from None
    except OSError as error:
        raise Unavailable(f"{uri} cannot be read: {(error.strerror or '').lower()}", "check the path") from None


def _reason(error: BaseException) -> str:
    """The innermost reason of an error of urllib3, on one line."""
    inner = getattr(error, "reason", None)
    text = str(inner if isinstance(inner, BaseException) else error)
    return " ".join(text.split())[:200].lower()
