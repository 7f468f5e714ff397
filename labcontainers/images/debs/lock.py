"""Which packages an image is made of, to the byte: the same lock gives the same image on every machine. It must not fetch anything."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labcontainers.errors import Conflict, Denied, InvalidArgument
from labcontainers.images.debs.control import Package

_FORM = 1
_HEX = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*")
_HINT = "remove the file to have a new one written"


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """One package: its file's SHA-256 (hexadecimal), size in bytes and address; `base` when the variant has it, whatever else is wanted."""

    name: str
    version: str
    architecture: str
    sha256: str
    size: int
    uri: str
    base: bool

    @classmethod
    def of(cls, package: Package, *, base: bool) -> LockedPackage:
        """As an index has it."""
        fields = package.fields
        return cls(package.name, package.version, package.architecture, fields["SHA256"], int(fields["Size"]), package.uri, base)

    @property
    def title(self) -> str:
        """Name, version and architecture."""
        return f"{self.name} {self.version} {self.architecture}"


@dataclass(frozen=True, slots=True)
class Lock:
    """What was wanted, and the packages that it became, from the bottom up."""

    distribution: str
    architecture: str
    variant: str
    wanted: tuple[str, ...]
    packages: tuple[LockedPackage, ...]

    def to_text(self) -> str:
        """JSON, a line for each value."""
        value = {"labcontainers_lock": _FORM, **asdict(self)}
        return json.dumps(value, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_text(cls, text: str, where: str) -> Lock:
        """Parse JSON; raises InvalidArgument for what is no lock."""
        try:
            value = json.loads(text)
            if value["labcontainers_lock"] != _FORM:
                raise InvalidArgument(f"--lock: {where} has the form {value['labcontainers_lock']!r}, not {_FORM}", _HINT)
            packages = tuple(_package(one) for one in value["packages"])
            wanted = tuple(map(str, value["wanted"]))
            return cls(str(value["distribution"]), str(value["architecture"]), str(value["variant"]), wanted, packages)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise InvalidArgument(f"--lock: {where} is no lock of bootstrap", _HINT) from None

    def check(self, distribution: str, architecture: str, variant: str, wanted: Sequence[str], where: str) -> None:
        """Raise Conflict unless the lock is of the same wishes."""
        asked = {"distribution": distribution, "architecture": architecture, "variant": variant, "packages": ",".join(wanted)}
        locked = {"distribution": self.distribution, "architecture": self.architecture, "variant": self.variant}
        for name, value in {**locked, "packages": ",".join(self.wanted)}.items():
            if asked[name] != value:
                raise Conflict(f"--lock: {where} is for {name} {value or 'none'!r}, not {asked[name] or 'none'!r}", _HINT)


def _package(value: Any) -> LockedPackage:
    found = LockedPackage(**value)
    texts = (found.version, found.architecture, found.uri)
    if not _HEX.fullmatch(found.sha256) or not _NAME.fullmatch(found.name) or not all(isinstance(text, str) for text in texts):
        raise ValueError
    if type(found.size) is not int or found.size < 0 or type(found.base) is not bool:
        raise ValueError
    return found


def read_lock(path: Path) -> Lock | None:
    """The lock in a file, or None when there is no such file; raises InvalidArgument and Denied."""
    try:
        return Lock.from_text(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise InvalidArgument(f"--lock: {path} is no lock of bootstrap", _HINT) from None
    except OSError as error:
        raise Denied(f"--lock: {path}: {(error.strerror or '').lower()}", "name another file") from None


def write_lock(path: Path, lock: Lock) -> None:
    """Keep a lock in a file; raises Denied."""
    try:
        path.write_text(lock.to_text(), encoding="utf-8")
    except OSError as error:
        raise Denied(f"--lock: {path}: {(error.strerror or '').lower()}", "name another file") from None
