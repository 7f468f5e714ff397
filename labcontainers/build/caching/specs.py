"""What `build --cache-to` and `--cache-from` ask for, as values, checked before anything is built; it must not read or write a cache.

Source: docs.docker.com "Cache storage backends": local, registry, inline.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labcontainers.errors import InvalidArgument, LabError, Unsupported
from labcontainers.oci.digest import parse_digest
from labcontainers.oci.reference import Reference, parse_reference

TO, FROM = "--cache-to", "--cache-from"
_TYPES = {TO: ("local", "registry", "inline"), FROM: ("local", "registry")}
_SERVICES = ("gha", "s3", "azblob")
_ATTRIBUTES = {
    (TO, "local"): ("dest", "tag", "mode", "ignore-error"),
    (TO, "registry"): ("ref", "mode", "ignore-error"),
    (TO, "inline"): (),
    (FROM, "local"): ("src", "tag", "digest"),
    (FROM, "registry"): ("ref",),
}
# BuildKit's that say what is always so here, with the values that do
_ALWAYS = {"oci-mediatypes": ("true",), "image-manifest": ("true",), "compression": ("gzip",)}
_LATER = ("compression-level", "force-compression", "compression", "oci-mediatypes", "image-manifest", "registry.insecure")
_MODES = ("min", "max")
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class CacheSpec:
    """One cache: a folder, by tag or digest, or a name in a registry. With `whole` (mode=max) all steps are in it, not the image's only."""

    type: str
    text: str
    folder: Path | None = None
    reference: Reference | None = None
    tag: str = "latest"
    digest: str = ""
    whole: bool = False
    may_fail: bool = False


def parse_specs(flag: str, texts: Sequence[str], base: Path) -> tuple[CacheSpec, ...]:
    """All of one flag; folders are found from `base`. Raises InvalidArgument, Unsupported."""
    return tuple(_parsed(flag, text, base) for text in texts)


def _parsed(flag: str, text: str, base: Path) -> CacheSpec:
    fields = _fields(flag, text)
    kind = fields.pop("type")
    if kind in _SERVICES:
        raise Unsupported(f"{flag}: type={kind} is not supported: no such service is spoken to", "use type=registry or type=local")
    if kind not in _TYPES[flag]:
        raise InvalidArgument(f"{flag}: unknown type: {kind}", f"types are {', '.join(_TYPES[flag])}")
    known = _ATTRIBUTES[flag, kind]
    for name, value in list(fields.items()):
        if name in known:
            continue
        if value in _ALWAYS.get(name, ()):
            del fields[name]
        elif name in _LATER:
            raise Unsupported(f"{flag}: {name}={value} is not supported: layers are packed by gzip, always in the same way", "leave it out")
        else:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"attributes of type={kind} are {', '.join(known) or 'none'}"
            raise InvalidArgument(f"{flag}: unknown attribute: {name}", hint)
    return _spec(flag, kind, text, fields, base)


def _fields(flag: str, text: str) -> dict[str, str]:
    """The attributes of one text; one without `=` is the name of an image, as in Docker."""
    try:
        parts = next(csv.reader([text], strict=True), [])
    except csv.Error:
        raise InvalidArgument(f"{flag}: cannot be read: {text!r}", "write such as type=local,dest=FOLDER") from None
    if len(parts) == 1 and "=" not in parts[0]:
        return {"type": "registry" if parts[0] != "inline" else "inline", **({"ref": parts[0]} if parts[0] != "inline" else {})}
    fields: dict[str, str] = {}
    for part in parts:
        name, separator, value = part.partition("=")
        if not separator:
            raise InvalidArgument(f"{flag}: not KEY=VALUE: {part!r}", "write such as type=registry,ref=NAME")
        fields[name.strip().lower()] = value.strip()
    if "type" not in fields:
        raise InvalidArgument(f"{flag}: type is missing: {text}", f"write type=… first: {', '.join(_TYPES[flag])}")
    return fields


def _spec(flag: str, kind: str, text: str, fields: dict[str, str], base: Path) -> CacheSpec:
    folder, reference = None, None
    if kind == "local":
        name = "dest" if flag == TO else "src"
        if not fields.get(name):
            raise InvalidArgument(f"{flag}: {name} is missing: {text}", f"write type=local,{name}=FOLDER")
        folder = base.absolute() / Path(fields[name]).expanduser()
        if folder.exists() and not folder.is_dir():
            raise InvalidArgument(f"{flag}: {folder} is no folder", "name a folder")
    if kind == "registry":
        if not fields.get("ref"):
            raise InvalidArgument(f"{flag}: ref is missing: {text}", "write type=registry,ref=REGISTRY/NAME:TAG")
        try:
            reference = parse_reference(fields["ref"])
        except LabError as error:
            raise InvalidArgument(f"{flag}: {error.message}", error.hint) from None
    mode = fields.get("mode", "min")
    if mode not in _MODES:
        raise InvalidArgument(f"{flag}: invalid mode: {mode}", "modes are min and max")
    ignore = fields.get("ignore-error", "false").lower()
    if ignore not in _TRUTH:
        raise InvalidArgument(f"{flag}: not true or false: ignore-error={ignore}", "write ignore-error=true")
    digest = fields.get("digest", "")
    if digest:
        try:
            parse_digest(digest)
        except LabError as error:
            raise InvalidArgument(f"{flag}: {error.message}", error.hint) from None
    return CacheSpec(kind, text, folder, reference, fields.get("tag") or "latest", digest, mode == "max", _TRUTH[ignore])
