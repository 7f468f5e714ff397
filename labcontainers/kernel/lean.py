"""What the launcher and its children need of a few standard modules, in the form that those have in C.

It must not do anything else. The full modules bring others along (typing, re, enum, collections …), and every process beside a container
would pay for that: half a megabyte of memory of its own, and the launcher 15 ms of its start. A type checker sees the full modules. What
the C forms lack is not to be used: `socket.accept()`, a socket as a context manager, names of signals.
"""

from __future__ import annotations

__all__ = ["Any", "Callable", "Mapping", "Sequence", "deque", "dumps", "loads", "signal", "socket"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from collections import deque
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any
else:
    import _signal as signal
    import _socket as socket
    from _collections import deque
    from _collections_abc import Callable, Mapping, Sequence

    Any = object


def _encoder() -> Callable[[Any], str]:
    """json.dumps without spaces; the module json, where this interpreter has another C form or none."""
    try:
        from _json import encode_basestring_ascii, make_encoder

        encode = make_encoder(None, _not_plain, encode_basestring_ascii, None, ":", ",", False, False, True)
        if encode({"a": [1]}, 0)[0]:
            return lambda value: "".join(encode(value, 0))
    except (ImportError, TypeError):
        pass
    import json

    return json.JSONEncoder(separators=(",", ":")).encode


def _not_plain(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} has no form in JSON")


class _Reading:
    """How json.loads reads, as the C form asks for it."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = float
    parse_int = int

    @staticmethod
    def parse_constant(name: str) -> Any:
        """NaN and the infinities, which nobody of ours writes."""
        raise ValueError(f"{name} is no JSON")


def _decoder() -> Callable[[str | bytes], Any]:
    """json.loads; raises ValueError."""
    try:
        from _json import make_scanner

        scan = make_scanner(_Reading)  # type: ignore[arg-type]  # typeshed wants the context of the module json
    except (ImportError, TypeError, AttributeError):
        import json

        return json.loads

    def load(text: str | bytes) -> Any:
        words = text.decode("utf-8", "surrogatepass") if isinstance(text, bytes) else text
        start = len(words) - len(words.lstrip(" \t\n\r"))
        try:
            value, end = scan(words, start)
        except (StopIteration, ValueError, RecursionError, ImportError, SystemError):
            # The C form tells some errors by the module json. A child of the launcher cannot import that any more, and gets SystemError.
            raise ValueError("a text that is no JSON") from None
        if words[end:].strip(" \t\n\r"):
            raise ValueError("more than one JSON value")
        return value

    return load


dumps = _encoder()
loads = _decoder()
