"""Lists of manifests for several platforms, put together here and then sent: one JSON file each in the store; it must not know HTTP.

Source: docs.docker.com "docker manifest"; OCI image spec, image-index.md.
"""

from __future__ import annotations

import json
import os
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labcontainers.errors import Conflict, InvalidArgument, NotFound
from labcontainers.oci.descriptor import Descriptor, Platform
from labcontainers.oci.manifest import MEDIA_TYPE_DOCKER_LIST, MEDIA_TYPE_INDEX, Index, Manifest
from labcontainers.oci.reference import Reference, parse_reference

if TYPE_CHECKING:
    from labcontainers.registry.client import Registry
    from labcontainers.registry.documents import Document

_INDEXES = (MEDIA_TYPE_INDEX, MEDIA_TYPE_DOCKER_LIST)
_MOST_CONFIG_BYTES = 8 << 20
Connect = Callable[[Reference], "Registry"]


@dataclass(frozen=True, slots=True)
class Member:
    """One manifest of a list, by the name under which it was taken in."""

    name: str
    descriptor: Descriptor


class ManifestLists:
    """All lists of a store that were not sent yet, or are kept. Not locked: two who change one list at once overwrite each other."""

    def __init__(self, folder: Path, connect: Connect) -> None:
        self._folder = folder
        self._connect = connect

    # --- what registries have

    def fetch(self, name: str) -> Document:
        """The manifest or index that a name means at its registry; raises NotFound, Denied, Unavailable."""
        reference = parse_reference(name)
        return self._connect(reference).get_manifest(reference.path, reference.digest or reference.tag)

    # --- lists of our own

    def create(self, name: str, members: Sequence[str], *, amend: bool = False) -> str:
        """Begin a list with these manifests, or with `amend` put them into one that is there; its canonical name.

        Raises Conflict when there is one already, NotFound for a manifest that no registry has.
        """
        reference = _listed(name)
        there = self._read(reference) if self._path(reference).exists() else []
        if there and not amend:
            raise Conflict(f"refusing to amend an existing manifest list with no --amend flag: {reference}", "give --amend, or remove it")
        found = {member.name: member for member in there}
        for text in members:
            member = self._member(text)
            found[member.name] = member
        self._write(reference, list(found.values()))
        return reference.canonical

    def annotate(self, name: str, member: str, platform: dict[str, str]) -> None:
        """Say another platform of a manifest of a list: `os`, `architecture`, `variant`. Raises NotFound, InvalidArgument."""
        reference, wanted = _listed(name), parse_reference(member).canonical
        members = self._read(reference)
        position = next((number for number, one in enumerate(members) if one.name == wanted), None)
        if position is None:
            raise NotFound(f"manifest for image {member} does not exist in {name}", "put it in with manifest create --amend")
        old = members[position].descriptor.platform or Platform("", "")
        said = replace(old, **platform)
        if not said.os or not said.architecture:
            raise InvalidArgument(f"manifest {member} has no platform", "say it with --os and --arch")
        members[position] = replace(members[position], descriptor=replace(members[position].descriptor, platform=said))
        self._write(reference, members)

    def index(self, name: str) -> Index:
        """A list as it would be sent; raises NotFound."""
        return Index(tuple(member.descriptor for member in self._read(_listed(name))))

    def has(self, name: str) -> bool:
        """Whether there is such a list here."""
        return self._path(_listed(name)).exists()

    def push(self, name: str, *, purge: bool = False) -> str:
        """Send a list, and what it names where that is in another repository; its digest. With `purge` it is forgotten afterwards."""
        reference = _listed(name)
        registry, members = self._connect(reference), self._read(reference)
        for member in members:
            if member.descriptor.platform is None:
                raise InvalidArgument(f"manifest {member.name} has no platform", "say it with manifest annotate")
            self._bring(registry, reference, member)
        data = Index(tuple(member.descriptor for member in members)).to_bytes()
        digest = registry.put_manifest(reference.path, reference.tag, data, MEDIA_TYPE_INDEX)
        if purge:
            self.remove(name)
        return digest

    def remove(self, name: str) -> None:
        """Forget a list; raises NotFound."""
        reference = _listed(name)
        try:
            self._path(reference).unlink()
        except FileNotFoundError:
            raise _no_list(reference) from None

    # ---

    def _member(self, text: str) -> Member:
        reference = parse_reference(text)
        document = self.fetch(text)
        if document.media_type in _INDEXES:
            raise InvalidArgument(f"cannot take a list of manifests into a list: {text}", "name the manifest of one platform")
        platform = self._platform(reference, Manifest.from_bytes(document.data).config)
        return Member(reference.canonical, Descriptor(document.media_type, document.digest, len(document.data), platform=platform))

    def _platform(self, reference: Reference, config: Descriptor) -> Platform | None:
        """What the config says; None for an artifact, which has none."""
        if config.size > _MOST_CONFIG_BYTES:
            raise InvalidArgument(f"{reference}: the config has {config.size} bytes", f"at most {_MOST_CONFIG_BYTES} are read")
        data, filled = memoryview(bytearray(config.size)), 0
        with self._connect(reference).open_blob(reference.path, config.digest, size=config.size) as body:
            while filled < config.size and (count := body.readinto(data[filled:])):
                filled += count
        try:
            value: Any = json.loads(bytes(data[:filled]))
            return Platform(value["os"], value["architecture"], value.get("variant") or "")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def _bring(self, registry: Registry, reference: Reference, member: Member) -> None:
        """Have a manifest of another repository of this registry in that of the list."""
        source = parse_reference(member.name)
        if source.domain != reference.domain:
            raise InvalidArgument(f"{member.name} is in another registry than {reference}", "push it to the same registry first")
        if source.path == reference.path:
            return
        document = self._connect(source).get_manifest(source.path, member.descriptor.digest)
        manifest = Manifest.from_bytes(document.data)
        for blob in (manifest.config, *manifest.layers):
            if not registry.has_blob(reference.path, blob.digest) and not registry.mount_blob(reference.path, blob.digest, source.path):
                raise Conflict(
                    f"{reference.domain} does not mount {blob.digest} from {source.path}", f"push the image to {reference.path} first"
                )
        registry.put_manifest(reference.path, document.digest, document.data, document.media_type)

    def _path(self, reference: Reference) -> Path:
        return self._folder / (urllib.parse.quote(reference.canonical, safe="") + ".json")

    def _read(self, reference: Reference) -> list[Member]:
        try:
            value = json.loads(self._path(reference).read_bytes())
        except FileNotFoundError:
            raise _no_list(reference) from None
        return [Member(entry["name"], Descriptor.from_json(entry["descriptor"])) for entry in value]

    def _write(self, reference: Reference, members: Sequence[Member]) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._path(reference)
        temporary = path.with_suffix(f".{os.getpid()}.new")
        temporary.write_text(json.dumps([{"name": member.name, "descriptor": member.descriptor.to_json()} for member in members]))
        temporary.replace(path)


def _listed(name: str) -> Reference:
    reference = parse_reference(name)
    if reference.digest:
        raise InvalidArgument(f"a list of manifests is named by a tag: {name}", "use NAME:TAG")
    return reference


def _no_list(reference: Reference) -> NotFound:
    return NotFound(f"no such manifest list: {reference}", "manifest create makes one")
