"""The images of an OCI layout in an archive: its index, the indexes below that, and the image that suits this machine.

It must not know the store. Source: OCI image spec, image-layout.md and image-index.md; names as containerd and Docker write them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from labcontainers.errors import InvalidArgument, LabError, NotFound, Unsupported
from labcontainers.images.archive.archived import MOST_IMAGES, Archived, check_digest, described_by, opener, parse_document, platform_of
from labcontainers.images.archive.contents import MOST_DOCUMENT_BYTES, Contents
from labcontainers.images.layer_source import LayerSource
from labcontainers.oci.descriptor import Descriptor, Platform
from labcontainers.oci.digest import parse_digest
from labcontainers.oci.layout import INDEX, LAYOUT, TAG
from labcontainers.oci.manifest import (
    MEDIA_TYPE_DOCKER_LIST,
    MEDIA_TYPE_DOCKER_MANIFEST,
    MEDIA_TYPE_INDEX,
    MEDIA_TYPE_MANIFEST,
    Index,
    Manifest,
)
from labcontainers.oci.platforms import choose, normalized
from labcontainers.oci.reference import parse_reference

NAME = "io.containerd.image.name"
_INDEXES = (MEDIA_TYPE_INDEX, MEDIA_TYPE_DOCKER_LIST)
_MANIFESTS = (MEDIA_TYPE_MANIFEST, MEDIA_TYPE_DOCKER_MANIFEST)
_DEEPEST = 8
_MOST_STEPS = 20 * MOST_IMAGES


class NotWhole(NotFound):
    """A layout that refers to what the archive does not have; the images may be there in another form."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One image manifest that an index leads to, for a platform if that is said."""

    descriptor: Descriptor
    platform: Platform | None


def is_layout(contents: Contents) -> bool:
    """Whether the archive has an OCI layout at its root."""
    return contents.has(INDEX)


def read_layout(contents: Contents, wanted: Platform | None) -> list[Archived]:
    """The images of the layout, each once, with all their names; of several platforms that for `wanted`, or for this machine.

    Raises NotWhole, InvalidArgument, DigestMismatch, NotFound for a platform that is not there, Unsupported for a later layout.
    """
    if contents.has(LAYOUT):
        told = parse_document(contents.document(LAYOUT), LAYOUT)
        version = told.get("imageLayoutVersion") if isinstance(told, dict) else None
        if not isinstance(version, str) or not version.startswith("1."):
            raise Unsupported(f"the archive is an OCI layout of version {version!r}", "versions 1.x are supported")
    top = Index.from_bytes(contents.document(INDEX)).manifests
    if len(top) > MOST_IMAGES:
        raise InvalidArgument(f"{INDEX} of the archive names {len(top)} images", f"at most {MOST_IMAGES} are read")
    found: dict[str, Archived] = {}
    walk = _Walk(contents)
    for name, descriptors in _groups(top):
        candidates = walk.candidates(descriptors)
        if not candidates:
            continue
        if len(candidates) > MOST_IMAGES:
            raise InvalidArgument(f"an index of the archive names {len(candidates)} images", f"at most {MOST_IMAGES} are read")
        chosen = _chosen(candidates, wanted, name)
        image = found.setdefault(chosen.descriptor.digest, _image(contents, chosen, candidates, wanted))
        image.names += [name] if name and name not in image.names else []
    if not found:
        raise InvalidArgument(f"{INDEX} of the archive names no image of a container", "is it another kind of artifact?")
    return list(found.values())


def read_one(contents: Contents, *, tag: str = "", digest: str = "") -> Archived:
    """One image of the layout: by the digest of its manifest or index, by its tag, or else `latest` or the only one; for this machine.

    Raises NotFound, NotWhole, InvalidArgument, DigestMismatch.
    """
    top = Index.from_bytes(contents.document(INDEX)).manifests
    if digest:
        found = [descriptor for descriptor in top if descriptor.digest == digest][:1]
    else:
        found = [descriptor for descriptor in top if _tag_of(descriptor) == (tag or "latest")]
        if not found and not tag and len(top) == 1:
            found = list(top)
    if not found:
        there = ", ".join(sorted({_tag_of(descriptor) or descriptor.digest for descriptor in top})[:10]) or "nothing"
        raise NotFound(f"the OCI layout has no image {digest or tag or 'latest'}", f"it has {there}")
    candidates = _Walk(contents).candidates(found)
    if not candidates:
        raise InvalidArgument(f"{digest or tag or INDEX} of the OCI layout is no image of a container", "is it another kind of artifact?")
    return _image(contents, _chosen(candidates, None, tag or digest), candidates, None)


def _tag_of(descriptor: Descriptor) -> str:
    """The tag alone, of a name or of what stands in its place."""
    text = descriptor.annotations.get(TAG) or descriptor.annotations.get(NAME) or ""
    return text.rpartition("/")[2].rpartition(":")[2] if isinstance(text, str) else ""


def _groups(descriptors: Sequence[Descriptor]) -> list[tuple[str, list[Descriptor]]]:
    """Descriptors by the name that they are given. Those without are one image only if each is for a platform of its own."""
    named: dict[str, list[Descriptor]] = {}
    for descriptor in descriptors:
        named.setdefault(name_of(descriptor), []).append(descriptor)
    nameless = named.pop("", [])
    platforms = {normalized(descriptor.platform) for descriptor in nameless if descriptor.platform is not None}
    alone = [("", nameless)] if len(platforms) == len(nameless) else [("", [descriptor]) for descriptor in nameless]
    return [*named.items(), *(group for group in alone if group[1])]


def name_of(descriptor: Descriptor) -> str:
    """The image's full name; "" when there is none, or a tag alone."""
    text = descriptor.annotations.get(NAME) or descriptor.annotations.get(TAG) or ""
    if not isinstance(text, str):
        raise InvalidArgument(f"{INDEX} of the archive names an image {text!r}", "a name is a text")
    if not text or (not descriptor.annotations.get(NAME) and not set(text) & {":", "/"}):
        return ""
    reference = parse_reference(text)
    return "" if reference.digest else reference.familiar


class _Walk:
    """The way through the indexes of one archive: few of them can lead to more images than anybody could read, so it ends somewhere."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._left = _MOST_STEPS

    def candidates(self, descriptors: Sequence[Descriptor]) -> list[_Candidate]:
        """The image manifests to which the descriptors lead; not those that only tell of another one."""
        return [candidate for descriptor in descriptors for candidate in self._below(descriptor, _DEEPEST)]

    def _below(self, descriptor: Descriptor, depth: int) -> Iterator[_Candidate]:
        self._left -= 1
        if self._left < 0:
            raise InvalidArgument(f"the indexes of the archive name more than {_MOST_STEPS} images", "do not trust whoever made it")
        if descriptor.media_type in _MANIFESTS:
            attached = "vnd.docker.reference.type" in descriptor.annotations
            if not attached and (descriptor.platform is None or descriptor.platform.os != "unknown"):
                yield _Candidate(descriptor, descriptor.platform)
        elif descriptor.media_type in _INDEXES:
            if not depth:
                raise InvalidArgument(f"the archive has indexes within indexes, more than {_DEEPEST} deep", "do not trust whoever made it")
            inner = Index.from_bytes(_document(self._contents, descriptor)).manifests
            if len(inner) > MOST_IMAGES:
                raise InvalidArgument(f"an index of the archive names {len(inner)} images", f"at most {MOST_IMAGES} are read")
            for below in inner:
                yield from self._below(below, depth - 1)


def _chosen(candidates: Sequence[_Candidate], wanted: Platform | None, name: str) -> _Candidate:
    if len({candidate.descriptor.digest for candidate in candidates}) == 1 and wanted is None:
        return candidates[0]
    index = choose([candidate.platform for candidate in candidates], wanted)
    if index is None:
        there = ", ".join(sorted({str(candidate.platform) for candidate in candidates if candidate.platform is not None}))
        what = f"image {name}" if name else "the image"
        raise NotFound(f"{what} is not there for the wanted platform", f"use --platform with one of {there}")
    return candidates[index]


def _image(contents: Contents, chosen: _Candidate, candidates: Sequence[_Candidate], wanted: Platform | None) -> Archived:
    data = _document(contents, chosen.descriptor)
    manifest = Manifest.from_bytes(data)
    config = _document(contents, manifest.config)
    described = described_by(config, len(manifest.layers), f"manifest {chosen.descriptor.digest}")
    if wanted is not None and chosen.platform is None and choose([platform_of(described)], wanted) is None:
        raise NotFound(f"the image is not there for {wanted}", f"it is for {platform_of(described)}")
    layers = []
    for diff_id, layer in zip(described.diff_ids, manifest.layers, strict=True):
        name = _check(contents, layer)
        layers.append(LayerSource(diff_id, opener(contents, name), layer.digest, layer.size, layer.media_type))
    return Archived(data, config, platform_of(described), layers, [], frozenset(_ids(contents, candidates)))


def _ids(contents: Contents, candidates: Sequence[_Candidate]) -> Iterator[str]:
    """The ids of all the images of which one was chosen, as far as the archive tells."""
    for candidate in candidates:
        try:
            yield Manifest.from_bytes(_document(contents, candidate.descriptor)).config.digest
        except LabError:
            # images of other platforms need not be there
            yield ""


def _check(contents: Contents, descriptor: Descriptor) -> str:
    """The name of the blob; raises NotWhole when it is not there, DigestMismatch when it is of another size."""
    algorithm, digits = parse_digest(descriptor.digest)
    name = f"blobs/{algorithm}/{digits}"
    if not contents.has(name):
        raise NotWhole(f"the archive lacks the blob {descriptor.digest}", "it is not complete: save or copy the image again")
    size = contents.size(name)
    if size != descriptor.size:
        raise InvalidArgument(f"blob {descriptor.digest} of the archive has {size} bytes, not {descriptor.size}", "it is damaged")
    return name


def _document(contents: Contents, descriptor: Descriptor) -> bytes:
    if descriptor.size > MOST_DOCUMENT_BYTES:
        raise InvalidArgument(f"document {descriptor.digest} has {descriptor.size} bytes", f"a document may have {MOST_DOCUMENT_BYTES}")
    name = _check(contents, descriptor)
    data = contents.document(name)
    check_digest(data, descriptor.digest, name)
    return data
