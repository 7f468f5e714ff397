"""What `build --output` asks for, as values, checked before anything is built; it must not know how an output is made.

Source: docs.docker.com "docker buildx build", --output; BuildKit's docs for the exporters image, local, tar, oci and docker.
"""

from __future__ import annotations

import csv
import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.oci.reference import parse_reference

TYPES = ("image", "registry", "oci", "docker", "tar", "local")
# The attributes that each type takes here, and those that only BuildKit has.
_OF_IMAGES = ("name", "push")
_TAKEN = {
    "image": _OF_IMAGES, "registry": _OF_IMAGES, "oci": ("name", "dest", "tar"), "docker": ("name", "dest", "tar"),
    "tar": ("dest",), "local": ("dest",),
}  # fmt: skip
_LATER = {
    "push-by-digest": "a push is by a name with a tag",
    "unpack": "images in the store are always unpacked",
    "store": "a build's image is always in the store",
    "compression": "the store keeps trees, and push packs them by gzip",
    "compression-level": "the store keeps trees, and push packs them by gzip",
    "force-compression": "the store keeps trees, and push packs them by gzip",
    "oci-mediatypes": "media types are always OCI's",
    "oci-artifact": "attestations are always image manifests",
    "rewrite-timestamp": "SOURCE_DATE_EPOCH already holds for all files",
    "platform-split": "a build is for one platform",
    "registry.insecure": "hosts of plain HTTP are listed as insecure in registries.toml",
    "dangling-name-prefix": "an image without a name has none",
    "name-canonical": "it is a part of containerd",
    "attestation-inline": "attestations are in the index beside the image",
    "attestation-prefix": "attestations are in the index beside the image",
    "buildinfo": "it is an old form of provenance",
    "context": "it is a part of buildx",
    "ref-cfg": "it is a part of BuildKit",
    "source-date-epoch": "the build argument SOURCE_DATE_EPOCH says it for all outputs",
}
_TRUE, _FALSE = ("true", "1", "t"), ("false", "0", "f")
# What of it is so here in any case, and is taken for that.
_SO = {
    "rewrite-timestamp": _TRUE, "oci-mediatypes": _TRUE, "unpack": _TRUE, "store": _TRUE, "compression": ("gzip",),
    "platform-split": _FALSE, "push-by-digest": _FALSE, "force-compression": _FALSE, "oci-artifact": _FALSE, "registry.insecure": _FALSE,
}  # fmt: skip
FLAG = "--output"


@runtime_checkable
class Sink(Protocol):
    """Where bytes of an archive go that is not written to a file."""

    def write(self, data: bytes, /) -> object: ...


Dest = str | os.PathLike[str] | Sink


@dataclass(frozen=True, slots=True)
class Output:
    """One output. `names` are those of the image, `dest` is where an archive or a folder goes, None for an image in the store.

    `is_folder` says that an archive's files are to lie in a folder, unpacked. `annotations` are what `annotation.KEY=VALUE` says here.
    """

    type: str
    names: tuple[str, ...] = ()
    dest: Dest | None = None
    push: bool = False
    is_folder: bool = False
    annotations: tuple[str, ...] = ()

    @property
    def in_store(self) -> bool:
        """Whether the image of the store gets the names."""
        return self.type == "image"


# How an output is asked for.
Wish = str | Mapping[str, Any] | Output


def parse_output(value: Wish) -> Output:
    """One output as on the command line, or as a mapping of the same words; raises InvalidArgument, Unsupported."""
    if isinstance(value, Output):
        return value
    if isinstance(value, str):
        return _output(value, _fields(value))
    if not isinstance(value, Mapping):
        raise InvalidArgument(f"{FLAG}: neither a text nor a mapping: {value!r}", 'write such as "type=local,dest=out"')
    return _output(_shown(value), {str(key): item for key, item in value.items()})


def parse_outputs(values: Wish | Sequence[Wish], *, push: bool = False, load: bool = False, tags: Sequence[str] = ()) -> tuple[Output, ...]:
    """All outputs, with what --push and --load mean; `tags` are the names of those that name none. Raises InvalidArgument.

    None at all means the image in the store, under its tags.
    """
    several = [values] if isinstance(values, str | Mapping | Output) else list(values)
    found = [parse_output(value) for value in several]
    if push:
        images = [place for place, output in enumerate(found) if output.in_store]
        for place in images:
            found[place] = replace(found[place], push=True)
        found += [] if images else [Output("image", push=True)]
    if load and not any(output.in_store for output in found):
        found.append(Output("image"))
    if not found:
        found = [Output("image")]
    named = tuple(output if output.names else replace(output, names=tuple(tags)) for output in found)
    for output in named:
        if output.push and not output.names:
            flag = "--push" if push else f"{FLAG}: push"
            raise InvalidArgument(f"{flag}: the image has no name to push it by", "name it: -t REGISTRY/NAME:TAG, or name=… in the output")
    if sum(output.dest == "-" for output in named) > 1:
        raise InvalidArgument(f"{FLAG}: more than one goes to standard output", "name a file by dest=")
    return named


def _fields(text: str) -> dict[str, Any]:
    """The fields of a line of comma-separated values; a single word is a folder, or - for a tar to standard output."""
    try:
        (words,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        raise InvalidArgument(f"{FLAG}: not a list of KEY=VALUE: {_shown(text)}", "write such as type=local,dest=out") from None
    if len(words) == 1 and "=" not in words[0] and words[0]:
        return {"type": "tar", "dest": "-"} if words[0] == "-" else {"type": "local", "dest": words[0]}
    found: dict[str, Any] = {}
    for word in words:
        key, separator, value = word.partition("=")
        key = key.strip().lower() if not key.startswith("annotation") else key.strip()
        if not separator or not key:
            raise InvalidArgument(f"{FLAG}: not KEY=VALUE: {_shown(word)} in {_shown(text)}", "write such as type=local,dest=out")
        if key in found:
            raise InvalidArgument(f"{FLAG}: {key} is given twice: {_shown(text)}", "leave one out")
        found[key] = value
    return found


def _output(said: str, fields: dict[str, Any]) -> Output:
    kind = fields.pop("type", None)
    if kind is None:
        raise InvalidArgument(f"{FLAG}: type is missing: {_shown(said)}", f"write type= and one of {', '.join(TYPES)}")
    if kind == "cacheonly":
        raise Unsupported(f"{FLAG}: type=cacheonly is not supported: a build's image is always in the store", "leave it out")
    if kind not in TYPES:
        near = difflib.get_close_matches(str(kind), TYPES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"types are {', '.join(TYPES)}"
        raise InvalidArgument(f"{FLAG}: unknown type: {_shown(kind)}", hint)
    annotations = tuple(_annotation(key, fields.pop(key)) for key in [key for key in fields if key.startswith("annotation")])
    if annotations and kind in ("tar", "local"):
        raise InvalidArgument(f"{FLAG}: type={kind} has no place for annotations", "they belong to images and archives of them")
    for key, value in fields.items():
        if key not in _TAKEN[kind] and str(value).lower() not in _SO.get(key, ()):
            raise _unknown(key, kind, said)
    dest = _dest(fields.get("dest"), kind, said)
    is_folder = not _truth("tar", fields.get("tar", True))
    if is_folder and (dest is None or dest == "-" or not isinstance(dest, str | os.PathLike)):
        raise InvalidArgument(f"{FLAG}: tar=false needs a folder: {_shown(said)}", "name it by dest=")
    push = kind == "registry" or _truth("push", fields.get("push", False))
    if kind == "registry" and not _truth("push", fields.get("push", True)):
        raise InvalidArgument(f"{FLAG}: type=registry with push=false: {_shown(said)}", "write type=image")
    stored = kind in ("image", "registry") or (kind == "docker" and dest is None)
    return Output("image" if stored else kind, _names(fields.get("name")), dest, push, is_folder, annotations)


def _dest(value: Any, kind: str, said: str) -> Dest | None:
    if value is not None and not isinstance(value, str | os.PathLike | Sink):
        raise InvalidArgument(f"{FLAG}: dest is neither a path nor something to write to: {_shown(value)}", "name a file")
    if value == "" or (value is None and kind == "local"):
        raise InvalidArgument(f"{FLAG}: dest is missing: {_shown(said)}", "name a folder by dest=" if kind == "local" else "name a file")
    if kind == "local" and (value == "-" or not isinstance(value, str | os.PathLike)):
        raise InvalidArgument(f"{FLAG}: type=local goes into a folder: {_shown(said)}", "use type=tar for standard output")
    if value is None and kind in ("oci", "tar"):
        return "-"
    return value


def _names(value: Any) -> tuple[str, ...]:
    """Names, separated by commas; raises InvalidArgument."""
    texts = value.split(",") if isinstance(value, str) else list(value or ())
    names = tuple(str(text).strip() for text in texts if str(text).strip())
    for name in names:
        try:
            reference = parse_reference(name)
        except InvalidArgument as error:
            raise InvalidArgument(f"{FLAG}: name: {error.message}", error.hint) from None
        if reference.digest:
            raise InvalidArgument(f"{FLAG}: name: an image cannot be named by a digest: {name}", "use a name with a tag")
    return names


def _annotation(key: str, value: Any) -> str:
    """`annotation[-TYPE].KEY` of an output as `--annotation` has it: TYPE:KEY=VALUE."""
    kind, separator, name = key.partition(".")
    if not separator or not name:
        raise InvalidArgument(f"{FLAG}: not an annotation: {_shown(key)}", "write annotation.KEY=VALUE, or annotation-index.KEY=VALUE")
    level = kind.removeprefix("annotation").removeprefix("-") or "manifest"
    return f"{level}:{name}={value}"


def _unknown(key: str, kind: str, said: str) -> InvalidArgument | Unsupported:
    if key in _LATER:
        return Unsupported(f"{FLAG}: {key} is not supported: {_LATER[key]}", "leave it out")
    if any(key in taken for taken in _TAKEN.values()):
        return InvalidArgument(f"{FLAG}: type={kind} has no {key}: {_shown(said)}", "leave it out")
    near = difflib.get_close_matches(key, _TAKEN[kind], n=1)
    hint = f"did you mean {near[0]}?" if near else f"type={kind} takes {', '.join(_TAKEN[kind])}"
    return InvalidArgument(f"{FLAG}: unknown option {key} in {_shown(said)}", hint)


def _truth(key: str, value: Any) -> bool:
    text = str(value).lower()
    if text not in _TRUE + _FALSE:
        raise InvalidArgument(f"{FLAG}: {key} is true or false, not {_shown(value)}", f"write {key}=true, or leave it out")
    return text in _TRUE


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
