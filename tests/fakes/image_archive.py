"""Archives of images, packed by the standard library as other tools pack them, and as an attacker would."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.fakes.layer_source import FakeLayer

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
Entry = tuple[str, bytes | tarfile.TarInfo]


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def blob_name(data: bytes) -> str:
    return f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"


def descriptor(data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data), **more}


def config_of(layers: Sequence[FakeLayer], architecture: str = "amd64", **more: Any) -> bytes:
    rootfs = {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}
    return json.dumps({"architecture": architecture, "os": "linux", "config": {}, "rootfs": rootfs, **more}).encode()


def manifest_of(config: bytes, layers: Sequence[FakeLayer]) -> bytes:
    listed = [descriptor(layer.stored, LAYER) for layer in layers]
    return json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config, CONFIG), "layers": listed}, indent=1
    ).encode()


def index_of(*descriptors: dict[str, Any]) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors}).encode()


def named(name: str) -> dict[str, Any]:
    return {"annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]}}


def layout(index: bytes, *blobs: bytes) -> list[Entry]:
    """The entries of an OCI layout."""
    return [*((blob_name(blob), blob) for blob in blobs), ("index.json", index), ("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')]


def oci(layers: Sequence[FakeLayer], name: str = "docker.io/library/it:latest", **more: Any) -> list[Entry]:
    """One image as an OCI layout."""
    config = config_of(layers, **more)
    manifest = manifest_of(config, layers)
    index = index_of(descriptor(manifest, MANIFEST, **(named(name) if name else {})))
    return layout(index, manifest, config, *dict.fromkeys(layer.stored for layer in layers))


def docker(layers: Sequence[FakeLayer], name: str = "it:latest", **more: Any) -> list[Entry]:
    """One image as docker save wrote it before version 25: a folder for each layer."""
    config = config_of(layers, **more)
    config_name = f"{digest_of(config)[7:]}.json"
    entries: list[Entry] = [(config_name, config)]
    for number, layer in enumerate(layers):
        entries += [(f"{number:064x}/VERSION", b"1.0"), (f"{number:064x}/json", b"{}"), (f"{number:064x}/layer.tar", layer.stored)]
    paths = [f"{number:064x}/layer.tar" for number in range(len(layers))]
    listed = [{"Config": config_name, "RepoTags": [name] if name else None, "Layers": paths}]
    return [*entries, ("manifest.json", json.dumps(listed).encode())]


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Entry:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return name, member


def pack(entries: Iterable[Entry]) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in entries:
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
            else:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return output.getvalue()


def replaced(entries: Iterable[Entry], changes: Mapping[str, bytes | None]) -> list[Entry]:
    """The entries with another content for some; None leaves one out."""
    found: list[Entry] = [(name, changes.get(name, content) or b"") for name, content in entries if changes.get(name, b"") is not None]
    return [*found, *((name, content) for name, content in changes.items() if content is not None and name not in dict(found))]
