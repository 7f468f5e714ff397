"""`--build-context NAME=…`: what each name means, by its text alone.

It must not read, fetch or load anything.

Source: docs.docker.com "docker buildx build", --build-context; names are those of images, as BuildKit normalizes them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labcontainers.build.remotes.addresses import Address, parse_context
from labcontainers.build.stages import Origin
from labcontainers.errors import InvalidArgument, InvalidReference, NotFound, Unsupported
from labcontainers.oci.digest import parse_digest
from labcontainers.oci.layout import INDEX
from labcontainers.oci.reference import parse_reference

FLAG = "--build-context"
IMAGE, LAYOUT = "docker-image://", "oci-layout://"
_OF_BAKE = ("target:", "input:")
_HINT = "write NAME=FOLDER, or a URL, a git repository, docker-image://REFERENCE or oci-layout://FOLDER"
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class FolderContext:
    """A folder of this machine."""

    path: Path


@dataclass(frozen=True, slots=True)
class ImageContext:
    """An image, as FROM names it."""

    reference: str

    @property
    def origin(self) -> Origin:
        """What a stage that begins with it begins with: nothing for scratch."""
        return Origin() if self.reference == "scratch" else Origin(image=self.reference)


@dataclass(frozen=True, slots=True)
class LayoutContext:
    """An image in an OCI layout: by `digest`, or else by `tag`, or else the only one."""

    path: Path
    tag: str
    digest: str

    @property
    def shown(self) -> str:
        """As it was given."""
        return f"{LAYOUT}{self.path}{f'@{self.digest}' if self.digest else f':{self.tag}' if self.tag else ''}"


NamedContext = FolderContext | ImageContext | LayoutContext | Address


def normalized(name: str) -> str:
    """A name such that equal ones are the same image: `alpine` for docker.io/library/alpine:latest. Raises InvalidReference."""
    return parse_reference(name).familiar.removesuffix(":latest")


def split_contexts(texts: Sequence[str]) -> dict[str, str]:
    """The values of flags `NAME=VALUE` by their names, the last one counts. Raises InvalidArgument."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise InvalidArgument(f"{FLAG}: not NAME=VALUE: {text!r}", _HINT)
        found[name] = value
    return found


def read_contexts(values: Mapping[str, str], folder: Path) -> dict[str, NamedContext]:
    """What the names mean, by their normalized form; folders are found from `folder`. Raises LabError naming the flag."""
    found: dict[str, NamedContext] = {}
    for name, value in values.items():
        if name == "scratch":
            raise InvalidArgument(f"{FLAG}: scratch is no name for a context: it is the empty image", "use another name")
        try:
            key = normalized(name)
        except InvalidReference as error:
            raise InvalidArgument(
                f"{FLAG}: {name}={value}: invalid context name: {error.message}", "use a name that an image could have"
            ) from None
        found[key] = _read(name, value, folder)
    return found


def _read(name: str, value: str, folder: Path) -> NamedContext:
    if value.startswith(_OF_BAKE):
        raise Unsupported(f"{FLAG}: {name}={value}: {value.partition(':')[0]}: exists in bake files only", "name the stage in FROM")
    if value.startswith(IMAGE):
        reference = value.removeprefix(IMAGE)
        try:
            parse_reference(reference)
        except InvalidReference as error:
            raise InvalidArgument(f"{FLAG}: {name}: {error.message}", "write docker-image://NAME[:TAG]") from None
        return ImageContext(reference)
    if value.startswith(LAYOUT):
        return _layout(name, value.removeprefix(LAYOUT), folder)
    try:
        address = parse_context(value)
    except InvalidArgument as error:
        raise InvalidArgument(f"{FLAG}: {name}: {error.message}", error.hint) from None
    path = folder / Path(value.removeprefix("local:")).expanduser()
    if address is not None and not (value.startswith("github.com/") and path.is_dir()):
        return address
    if "://" in value and not path.exists():
        raise Unsupported(f"{FLAG}: {name}: no such kind of context: {value.partition('://')[0]}://", _HINT)
    if not path.is_dir():
        kind = "not a folder" if path.exists() else "no such folder"
        raise NotFound(f"{FLAG}: {name}: {kind}: {value}", _HINT)
    return FolderContext(path.absolute())


def _layout(name: str, text: str, folder: Path) -> LayoutContext:
    place, at, digest = text.partition("@")
    tag = ""
    if at:
        try:
            parse_digest(digest)
        except InvalidArgument as error:
            raise InvalidArgument(f"{FLAG}: {name}: {error.message}", "write oci-layout://FOLDER@sha256:…") from None
    path = folder / Path(place).expanduser()
    head, colon, last = place.rpartition(":")
    if colon and "/" not in last and not path.is_dir():
        place, tag = head, last
        path = folder / Path(place).expanduser()
        if not _TAG.fullmatch(tag):
            raise InvalidArgument(f"{FLAG}: {name}: not a tag: {tag!r}", "write oci-layout://FOLDER:TAG")
    if not (path / INDEX).is_file():
        raise NotFound(f"{FLAG}: {name}: no OCI layout: {place}", "name the folder in which its index.json lies")
    return LayoutContext(path.absolute(), tag, digest)
