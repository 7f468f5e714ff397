"""Lines of JSON in a compressed file, for what is read as a whole; it must not know what they mean."""

from __future__ import annotations

import json
import zlib
from types import TracebackType
from typing import Any

_GZIP = 31


class LineWriter:
    """Lines of JSON into a new, compressed file."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "xb")  # noqa: SIM115  # it is closed with this
        self._compress = zlib.compressobj(1, zlib.DEFLATED, _GZIP)

    def __enter__(self) -> LineWriter:
        return self

    def line(self, value: Any) -> None:
        # ASCII alone: bytes of names that are no UTF-8 stay as lone surrogates
        self._file.write(self._compress.compress(json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._file.write(self._compress.flush())
        finally:
            self._file.close()
