"""Which attestations `build` is asked for by --attest, --provenance and --sbom; it must not know what is in them.

Source: docs.docker.com "docker buildx build", --attest, --provenance, --sbom.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labcontainers.errors import InvalidArgument, Unsupported

_TRUE, _FALSE = ("true", "1", "t"), ("false", "0", "f")
_MODES = ("min", "max")
_LATER = {
    "generator": "the bill is made by the engine itself",
    "inline-only": "a build is for one platform",
    "reproducible": "it says nothing that is not seen",
    "filename": "attestations have no files of their own",
}


@dataclass(frozen=True, slots=True)
class Attests:
    """What is asked for: `provenance` is its mode, min or max, or "" for none; `builder_id` is a URI."""

    sbom: bool = False
    provenance: str = ""
    builder_id: str = ""

    @property
    def wanted(self) -> bool:
        """Whether there is any."""
        return self.sbom or bool(self.provenance)


def parse_attests(attest: str | Sequence[str] = (), provenance: object = None, sbom: object = None) -> Attests:
    """What the three flags say together; of `provenance` and `sbom` also True and False. Raises InvalidArgument, Unsupported."""
    said: list[tuple[str, dict[str, str]]] = [("--attest", _fields("--attest", text)) for text in _several(attest)]
    for kind, value in (("provenance", provenance), ("sbom", sbom)):
        if value is not None and value != "":
            said.append((f"--{kind}", {"type": kind, **_shorthand(f"--{kind}", value)}))
    found: dict[str, dict[str, str]] = {}
    for flag, fields in said:
        kind = fields.pop("type", "")
        if kind not in ("provenance", "sbom"):
            raise InvalidArgument(f"{flag}: unknown type {kind!r}", "types are provenance and sbom")
        if kind in found:
            raise InvalidArgument(f"{flag}: {kind} is asked for twice", f"use either --attest type={kind} or --{kind}")
        found[kind] = _checked(flag, kind, fields)
    wanted = {kind: fields for kind, fields in found.items() if not _truth(f"--{kind}", "disabled", fields.get("disabled", "false"))}
    mode = wanted["provenance"].get("mode", "min") if "provenance" in wanted else ""
    return Attests("sbom" in wanted, mode, wanted.get("provenance", {}).get("builder-id", ""))


def _several(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else [str(text) for text in value]


def _shorthand(flag: str, value: object) -> dict[str, str]:
    """`true`, `false`, or fields without a type."""
    text = str(value)
    if text.lower() in _TRUE + _FALSE:
        return {"disabled": "false" if text.lower() in _TRUE else "true"}
    return {"mode": text} if text in _MODES and flag == "--provenance" else _fields(flag, text)


def _fields(flag: str, text: str) -> dict[str, str]:
    try:
        (words,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        raise InvalidArgument(f"{flag}: not a list of KEY=VALUE: {text[:80]!r}", "write such as type=provenance,mode=max") from None
    found: dict[str, str] = {}
    for word in words:
        key, separator, value = word.partition("=")
        if not separator or not key:
            raise InvalidArgument(f"{flag}: not KEY=VALUE: {word[:80]!r}", "write such as type=provenance,mode=max")
        found[key.strip().lower()] = value
    return found


def _checked(flag: str, kind: str, fields: Mapping[str, Any]) -> dict[str, str]:
    for key, value in fields.items():
        if key in _LATER:
            raise Unsupported(f"{flag}: {key} is not supported: {_LATER[key]}", "leave it out")
        if key == "version" and kind == "provenance":
            if value != "v1":
                raise Unsupported(f"{flag}: version {value} is not supported: provenance is SLSA's of version v1", "leave it out")
        elif key == "mode" and kind == "provenance":
            if value not in _MODES:
                raise InvalidArgument(f"{flag}: unknown mode {value!r}", "modes are min and max")
        elif key != "disabled" and not (key == "builder-id" and kind == "provenance"):
            raise InvalidArgument(f"{flag}: unknown option {key!r}", "options are disabled, and of provenance mode and builder-id")
    return dict(fields)


def _truth(flag: str, key: str, text: str) -> bool:
    if text.lower() not in _TRUE + _FALSE:
        raise InvalidArgument(f"{flag}: {key} is true or false, not {text!r}", "leave it out")
    return text.lower() in _TRUE
