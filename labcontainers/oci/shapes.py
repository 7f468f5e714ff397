"""Checking documents of JSON against their shape: each check takes a value and its path, and gives the value as the rest may rely on it.

It must not know any document. Objects come out with every key of their shape, absent ones as None or empty; keys that the shape does not
have are left out. It imports nothing, since the OCI runtime command starts a Python for each container.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    Check = Callable[[Any, str], Any]

_SHOWN = 60


def fault(path: str, value: object, why: str, hint: str = "") -> NoReturn:
    """Raise InvalidArgument in one line: the path, the value, what is wrong with it."""
    from labcontainers.errors import InvalidArgument

    shown = repr(value)
    raise InvalidArgument(f"{path}: {shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + '…'} {why}", hint)


def text(value: Any, path: str) -> str:
    """A string that the kernel takes: without NUL."""
    if not isinstance(value, str):
        fault(path, value, "is not a string")
    if "\0" in value:
        fault(path, value, "has a NUL character")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            fault(path, value, "is no Unicode text")
    return value


def word(value: Any, path: str) -> str:
    """A string that is not empty."""
    return text(value, path) or fault(path, value, "is empty")


def boolean(value: Any, path: str) -> bool:
    """true or false."""
    return value if isinstance(value, bool) else fault(path, value, "is neither true nor false")


def between(least: int, most: int) -> Check:
    """A whole number in these bounds, both included."""

    def check(value: Any, path: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            fault(path, value, "is not a whole number")
        if not least <= value <= most:
            fault(path, value, f"is not between {least} and {most}")
        return value

    return check


def absolute(value: Any, path: str) -> str:
    """An absolute path."""
    found = text(value, path)
    return found if found.startswith("/") else fault(path, value, "is not an absolute path")


def one_of(*words: str) -> Check:
    """One of these words."""

    def check(value: Any, path: str) -> str:
        return value if isinstance(value, str) and value in words else fault(path, value, "is not one of " + ", ".join(words))

    return check


def list_of(check: Check) -> Check:
    """A list, each of whose entries passes `check`; absent is empty."""

    def check_all(value: Any, path: str) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            fault(path, value, "is not a list")
        return [check(entry, f"{path}[{number}]") for number, entry in enumerate(value)]

    return check_all


def map_of(check: Check) -> Check:
    """An object with any keys, each of whose values passes `check`; absent is empty."""

    def check_all(value: Any, path: str) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            fault(path, value, "is not an object")
        return {text(key, path): check(entry, f"{path}.{key}") for key, entry in value.items()}

    return check_all


def anything(value: Any, path: str) -> Any:
    """What somebody else checks."""
    return value


def object_of(required: dict[str, Check] | None = None, many: dict[str, Check] | None = None, **optional: Check) -> Check:
    """An object with these keys; `many` are its lists and maps, which are empty where they are absent."""
    shape = [
        *((name, check, "must") for name, check in (required or {}).items()),
        *((name, check, "many") for name, check in (many or {}).items()),
        *((name, check, "may") for name, check in optional.items()),
    ]

    def check_all(value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            fault(path or "the document", value, "is not an object")
        found: dict[str, Any] = {}
        for name, check, kind in shape:
            entry = value.get(name)
            where = f"{path}.{name}" if path else name
            if entry is not None or kind == "many":
                found[name] = check(entry, where)
            elif kind == "must":
                fault(where, entry, "is missing")
            else:
                found[name] = None
        return found

    return check_all
