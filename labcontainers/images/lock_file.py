"""`labcontainers.lock`: which images notebooks were written with, so that others, or years later, can tell whether theirs are the same.

It must not know stores or registries: images come through a function, and nothing is changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from labcontainers.errors import InvalidArgument, NotFound
from labcontainers.images.image import Image
from labcontainers.oci.digest import parse_digest, short
from labcontainers.oci.reference import parse_reference

FILE: Final = "labcontainers.lock"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Locked:
    """An image as it was: its id, the digests of its layers' tars from the bottom up, and a digest by which a registry has it, or ""."""

    name: str
    id: str
    platform: str
    layers: tuple[str, ...]
    digest: str = ""

    @property
    def short_id(self) -> str:
        """The first 12 hexadecimal digits of the id."""
        return short(self.id)

    @property
    def source(self) -> str:
        """What to pull to have it again, or "" where no registry was known to have it."""
        return f"{parse_reference(self.name).repository}@{self.digest}" if self.digest else ""


@dataclass(frozen=True, slots=True)
class Compared:
    """What is there now under a locked name: `image` is None for nothing, `difference` is "" for the same."""

    locked: Locked
    image: Image | None
    difference: str

    def __bool__(self) -> bool:
        return not self.difference


def lock(image: Image, name: str) -> list[Locked]:
    """The image under this name, or under all its own where `name` is an id. Raises InvalidArgument for one without a name."""
    wanted = _familiar(name)
    names = [wanted] if wanted in image.tags else list(image.tags)
    if not names:
        raise InvalidArgument(f"lock: image {image.short_id} has no name by which it can be looked for", "give it one: `tag`")
    return [Locked(tag, image.id, image.platform, image.diff_ids, _digest_of(image, tag)) for tag in names]


def compare(locked: Locked, find: Callable[[str], Image | None]) -> Compared:
    """The image that has the name now, beside the one that had it."""
    image = find(locked.name)
    return Compared(locked, image, "not there" if image is None else _difference(locked, image))


def _difference(locked: Locked, image: Image) -> str:
    if image.id == locked.id:
        return ""
    if image.platform != locked.platform:
        return f"for {image.platform}, not {locked.platform}"
    same = 0
    for ours, theirs in zip(image.diff_ids, locked.layers, strict=False):
        if ours != theirs:
            break
        same += 1
    if same == len(image.diff_ids) == len(locked.layers):
        return "the same files, another configuration"
    return f"other files from layer {same + 1} on"


def to_text(entries: Iterable[Locked]) -> str:
    """The file's text, the same for the same images: JSON with sorted names."""
    images = {entry.name: _to_json(entry) for entry in entries}
    return json.dumps({"version": _VERSION, "images": images}, indent=2, sort_keys=True) + "\n"


def _to_json(entry: Locked) -> dict[str, Any]:
    value: dict[str, Any] = {"id": entry.id, "platform": entry.platform, "layers": list(entry.layers)}
    return {**value, "digest": entry.digest} if entry.digest else value


def from_text(text: str, shown: str = FILE) -> dict[str, Locked]:
    """What a file holds, by name; raises InvalidArgument, which names the file as `shown`, for what is no such file."""
    try:
        value = json.loads(text)
        if value["version"] != _VERSION:
            raise InvalidArgument(f"{shown}: version {value['version']!r} is not {_VERSION}", "a newer labcontainers may read it")
        return {name: _from_json(name, entry) for name, entry in value["images"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidArgument(f"{shown} is no lock of images: {type(error).__name__}: {error}", "make it again: `lock NAME …`") from None


def _from_json(name: str, entry: Mapping[str, Any]) -> Locked:
    found = Locked(_familiar(name), entry["id"], entry["platform"], tuple(entry["layers"]), entry.get("digest", ""))
    if not all(isinstance(text, str) for text in (found.platform, found.digest)):
        raise ValueError(f"{name}: neither platform nor digest may be anything but text")
    for digest in (found.id, *found.layers, *filter(None, [found.digest])):
        parse_digest(digest)
    return found


def named(entries: Mapping[str, Locked], names: Sequence[str], shown: str) -> list[Locked]:
    """Those of these names, or all; raises NotFound."""
    wanted = [_familiar(name) for name in names] or list(entries)
    for name in wanted:
        if name not in entries:
            raise NotFound(f"{shown} has no image {name}", f"it has {', '.join(sorted(entries)) or 'none'}; `lock {name}` adds it")
    return [entries[name] for name in wanted]


def _familiar(name: str) -> str:
    return parse_reference(name).familiar


def _digest_of(image: Image, name: str) -> str:
    repository = parse_reference(name).repository
    return next((digest for found, _, digest in (text.partition("@") for text in image.repo_digests) if found == repository), "")
