"""The keys by which a terminal's user leaves a container without ending it: their names, and finding them in what is typed.

It must not know where the input comes from, nor where it goes.
"""

from __future__ import annotations

from labcontainers.errors import InvalidArgument

DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"
_HINT = "write single characters or ctrl-<one of @ a-z [ \\ ] ^ _>, with commas between, such as ctrl-p,ctrl-q"
_CONTROL = "@abcdefghijklmnopqrstuvwxyz[\\]^_"


def parse_detach_keys(text: str) -> bytes:
    """The bytes of such as `ctrl-p,ctrl-q`, `ctrl-],x` or `DEL`; an empty text means Docker's own keys. Raises InvalidArgument.

    Source: docs.docker.com "docker attach", --detach-keys.
    """
    return bytes(_code(name, text) for name in (text or DEFAULT_DETACH_KEYS).split(","))


def _code(name: str, text: str) -> int:
    if len(name) == 1 and name.isascii():
        return ord(name)
    letter = name.removeprefix("ctrl-")
    if len(name) == 6 and len(letter) == 1 and letter in _CONTROL:
        return _CONTROL.index(letter)
    if name == "DEL":
        return 127
    raise InvalidArgument(f"invalid detach keys ({text}) provided: unknown character {name!r}", _HINT)


class DetachFilter:
    """Lets input through until the keys come, however they are spread over several pieces."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""
        self.detached = False

    def feed(self, data: bytes) -> bytes:
        """What may go on. A beginning of the keys is held back until it is known not to be them; nothing follows the keys."""
        if self.detached:
            return b""
        data = self._held + data
        at = data.find(self._keys)
        if at >= 0:
            self.detached, self._held = True, b""
            return data[:at]
        longest = min(len(self._keys) - 1, len(data))
        held = next((size for size in range(longest, 0, -1) if self._keys.startswith(data[-size:])), 0)
        self._held = data[len(data) - held :]
        return data[: len(data) - held]
