"""The stored bytes of a layer go to a registry while they are made, by a thread that follows the file as it grows.

It must not know HTTP or how layers are made. It only saves time: what goes wrong here is no error, the layer is sent again as any other.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, BinaryIO

from labcontainers.errors import LabError
from labcontainers.images.layer_source import Stopped
from labcontainers.kernel.interrupts import begin_thread
from labcontainers.store.blobs import BlobWriter

if TYPE_CHECKING:
    from labcontainers.registry.client import Registry

# Smaller layers are sent when they are whole: they may be at the registry already, which their digest tells.
_WORTHWHILE = 8 << 20
_STEP = 1 << 20


class Ahead:
    """One layer that is sent while it is made. A context manager, which ends the thread."""

    def __init__(self, registry: Registry, repository: str) -> None:
        self._registry = registry
        self._repository = repository
        self._changed = threading.Condition()
        self._size = 0
        self._digest = ""
        self._over = self._arrived = False
        self._file: BinaryIO | None = None
        self._thread = threading.Thread(target=self._run, name="lab-ahead", daemon=True)

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._over = True
            self._changed.notify()
        if self._file is not None:
            self._thread.join()
            self._file.close()

    @property
    def begun(self) -> bool:
        """Whether anything was sent."""
        return self._file is not None

    def grown(self, writer: BlobWriter) -> None:
        """More was written; who makes the layer says so."""
        if writer.size < max(self._size + _STEP, _WORTHWHILE):
            return
        writer.flush()
        with self._changed:
            self._size = writer.size
            self._changed.notify()
        if self._file is None:
            self._file = writer.reader()
            begin_thread(self._thread)

    def finish(self, digest: str, size: int) -> bool:
        """All of it is written, as content of this digest and size; whether the registry has it now. Blocks; only after it has begun."""
        with self._changed:
            self._size, self._digest = size, digest
            self._changed.notify()
        self._thread.join()
        return self._arrived

    def _run(self) -> None:
        with contextlib.suppress(LabError, Stopped):
            self._registry.upload_growing(self._repository, self._read, self._wait, on_bytes=self._check)
            self._arrived = True

    def _check(self, sent: int) -> None:
        if self._over:
            raise Stopped

    def _read(self) -> BinaryIO:
        assert self._file is not None
        return open(f"/proc/self/fd/{self._file.fileno()}", "rb")

    def _wait(self, count: int) -> tuple[int, str]:
        with self._changed:
            while not self._over and not self._digest and self._size < count:
                self._changed.wait()
            if self._over:
                raise Stopped
            return self._size, self._digest
