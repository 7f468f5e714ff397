"""Files by HTTP, kept as blobs under the digest of their content; an address that is known is only asked whether something changed.

It must not know what the files are for, nor HTTP beyond what tells of a change: whoever downloads is passed in.

Source: RFC 9110, "Conditional Requests"; docs.docker.com "Dockerfile reference", ADD.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from labcontainers.build.cancelling import Cancel
from labcontainers.build.remotes.addresses import WebAddress
from labcontainers.build.secrets import Confidential
from labcontainers.errors import DigestMismatch, InvalidArgument, Unavailable, Unsupported
from labcontainers.store.layout import Store

if TYPE_CHECKING:
    from labcontainers.registry.download import Download

_CHUNK = 1 << 20


class Downloads(Protocol):
    """Opens the file at an address. `conditions` are headers for which the server may say that it is unchanged.

    `authorization` is the header of that name, or "".
    """

    def __call__(self, url: str, *, conditions: Mapping[str, str], authorization: str) -> Download: ...


@dataclass(frozen=True, slots=True)
class _Known:
    """What was there the last time: its digest, and by which words of the server it is told from a later one."""

    digest: str
    etag: str = ""
    modified: str = ""

    @property
    def conditions(self) -> dict[str, str]:
        """The headers of a request that asks for a change only."""
        headers = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in headers.items() if value}


class WebFiles:
    """The files of one build: each address is asked at most once. Thread-safe."""

    def __init__(self, store: Store, downloads: Downloads | None, confidential: Confidential, cancel: Cancel) -> None:
        self._confidential = confidential
        self._store = store
        self._cancel = cancel
        self._downloads = downloads
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._asked: dict[str, str] = {}
        self._modified: dict[str, str] = {}

    def time_s(self, address: WebAddress) -> int | None:
        """When the server says that the file of digest() was last changed, in seconds since 1970; None where it does not."""
        from email.utils import parsedate_to_datetime  # only here: it takes long to load

        said = self._modified.get(address.url, "")
        try:
            return max(0, int(parsedate_to_datetime(said).timestamp()))
        except (TypeError, ValueError, OverflowError):
            return None

    def digest(self, address: WebAddress) -> str:
        """The digest of the file: the one that was promised, or else that of what the server has now.

        Raises DigestMismatch, NotFound, Denied, Unavailable, InvalidArgument for a file for which there is no room.
        """
        if address.checksum:
            return address.checksum
        with self._lock:
            lock = self._locks.setdefault(address.url, threading.Lock())
        with lock:
            if address.url not in self._asked:
                self._asked[address.url] = self._ask(address)
            return self._asked[address.url]

    def file(self, address: WebAddress, digest: str) -> Path:
        """Where the content with that digest lies; fetched if it is not there. Raises as digest() does."""
        if not self._store.blobs.has(digest):
            self._fetch(address, {}, digest)
        return self._store.blobs.path(digest)

    def _ask(self, address: WebAddress) -> str:
        # what only some may have is asked for anew each time, and nothing of it is noted
        is_private = address.is_private or bool(self._authorization(address))
        known = None if is_private else self._known(address)
        found = self._fetch(address, {} if known is None else known.conditions, None)
        if found is None:
            assert known is not None
            self._store.records.touch(_key(address), time.time())
            self._modified[address.url] = known.modified
            return known.digest
        if not is_private:
            self._remember(address, found)
        self._modified[address.url] = found.modified
        return found.digest

    def _fetch(self, address: WebAddress, conditions: Mapping[str, str], expected: str | None) -> _Known | None:
        """What is there now, kept as a blob; None where the server says that nothing changed."""
        downloads = self._downloads
        if downloads is None:
            raise Unsupported(f"{address.shown}: nothing is downloaded by this builder", "use an Engine")
        room = os.statvfs(self._store.paths.root)
        most = room.f_bavail * room.f_frsize
        authorization = self._authorization(address)
        opened = Opening(lambda: downloads(address.url, conditions=conditions, authorization=authorization), self._cancel)
        with opened.result() as download, self._store.blobs.writer() as writer:
            if download.unchanged:
                return None
            _check_size(address, download.size or 0, most)
            buffer = memoryview(bytearray(_CHUNK))
            total = 0
            with self._cancel.stopping(download.interrupt):
                while count := self._read(download, buffer):
                    total += count
                    _check_size(address, total, most)
                    writer.write(bytes(buffer[:count]))
            try:
                digest, _ = writer.commit(expected)
            except DigestMismatch as error:
                problem = f"{address.shown}: {error.message.replace('content has', 'the file has')}"
                raise DigestMismatch(problem, "is it the file that you want? then write its digest") from None
            return _Known(digest, download.etag, download.modified)

    def _authorization(self, address: WebAddress) -> str:
        """What the secrets of BuildKit's names say for this host, with its port or without; "" where there is none."""
        parts = urlsplit(address.shown)
        for host in (parts.netloc, parts.hostname or ""):
            for name in (f"HTTP_AUTH_HEADER_{host}", f"HTTP_AUTH_TOKEN_{host}"):
                value = self._confidential.secrets.get(name)
                if value is not None:
                    text = value.decode("latin-1").strip()
                    if not (text.isascii() and text.isprintable()):
                        raise InvalidArgument(f"secret {name} has letters that no header may have", "write it on one line")
                    return text if "_HEADER_" in name else f"Bearer {text}"
        return ""

    def _read(self, download: Download, buffer: memoryview) -> int:
        try:
            return download.readinto(buffer)
        except Unavailable:
            # it may have been we who broke the connection
            self._cancel.check()
            raise

    def _known(self, address: WebAddress) -> _Known | None:
        row = self._store.records.find_cache(_key(address))
        if row is None:
            return None
        try:
            value = json.loads(row.result)
            return _Known(str(value["digest"]), str(value["etag"]), str(value["modified"]))
        except (ValueError, KeyError, TypeError):
            return None

    def _remember(self, address: WebAddress, found: _Known) -> None:
        value = {"chain_id": "", "diff_id": "", "digest": found.digest, "etag": found.etag, "modified": found.modified}
        self._store.records.put_cache(_key(address), json.dumps(value), time.time())


class Opening:
    """Asks a server in a thread of its own, so that one which does not answer keeps nobody waiting who has cancelled."""

    def __init__(self, opens: Callable[[], Download], cancel: Cancel) -> None:
        self._opens = opens
        self._cancel = cancel
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._left = False
        self._found: Download | None = None
        self._error: BaseException | None = None

    def result(self) -> Download:
        """What was opened; raises what that raised, or Cancelled, and then whatever is opened later is closed."""
        threading.Thread(target=self._open, name="lab-fetch", daemon=True).start()
        try:
            with self._cancel.stopping(self._done.set):
                self._done.wait()
            self._cancel.check()
        except BaseException:
            with self._lock:
                self._left = True
                if self._found is not None:
                    self._found.close()
            raise
        if self._error is not None:
            raise self._error
        assert self._found is not None
        return self._found

    def _open(self) -> None:
        try:
            found = self._opens()
        except BaseException as error:
            self._error = error
        else:
            with self._lock:
                self._found = found
                if self._left:
                    found.close()
        self._done.set()


def _check_size(address: WebAddress, size: int, most: int) -> None:
    if size > most:
        raise InvalidArgument(f"{address.shown}: the file has {size} bytes or more, and {most} are free", "make room in the store")


def _key(address: WebAddress) -> str:
    """The address itself may hold a signature: it is not written down."""
    return "web:" + hashlib.sha256(address.url.partition("#")[0].encode()).hexdigest()
