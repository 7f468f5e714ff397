"""Where the bytes of layers come from, and how who reads them is told that it is over; it must not know registries or archives."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


class Reader(Protocol):
    """Stored bytes of a layer, from `offset` on, which may be less than what was asked for when the source cannot go there."""

    offset: int

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the beginning of the buffer; how many bytes, 0 at the end."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Interruptible(Protocol):
    """A reader that may have to wait for what comes."""

    def interrupt(self) -> None:
        """Let a readinto() that waits in another thread fail at once."""
        ...


class Stopped(Exception):
    """Another layer failed, or the user gave up."""


class Stop:
    """Says to all who fetch the layers of an image that it is over, also to those who wait for a server. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: list[Reader] = []
        self._over = False

    def set(self) -> None:
        """It is over."""
        with self._lock:
            self._over = True
            for reader in self._readers:
                if isinstance(reader, Interruptible):
                    reader.interrupt()

    def check(self) -> None:
        """Raises Stopped when it is over."""
        if self._over:
            raise Stopped

    @contextlib.contextmanager
    def opened(self, reader: Reader) -> Iterator[Reader]:
        """While it lasts the reader may be interrupted; it is closed at the end."""
        with self._lock:
            self._readers.append(reader)
        try:
            self.check()
            yield reader
        except Exception:
            # what is told of an interrupted reader is not the reason
            self.check()
            raise
        finally:
            with self._lock:
                self._readers.remove(reader)
            reader.close()


@dataclass(frozen=True, slots=True)
class LayerSource:
    """Where a layer's bytes come from: `open(offset)` reads them. `digest` and `size` are those of the stored bytes, if known."""

    diff_id: str
    open: Callable[[int], Reader]
    digest: str = ""
    size: int = -1
    media_type: str = ""
