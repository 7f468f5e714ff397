"""Images that come from elsewhere: the measured root file system as an OCI archive of as many layers as are wanted.

It must not know engines.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import tarfile
from contextlib import ExitStack
from pathlib import Path

_LEVEL = 6
_MEDIA = "application/vnd.oci.image"


def make_archive(rootfs: Path, count: int, target: Path) -> None:
    """Deal the entries of the tar `rootfs` out to `count` layers of about equal size, and write the image to `target`."""
    documents: dict[str, bytes] = {}
    layers, diff_ids = [], []
    for tar in _dealt(rootfs, count):
        diff_ids.append(_digest(tar))
        layers.append(_put(documents, gzip.compress(tar, _LEVEL, mtime=0), f"{_MEDIA}.layer.v1.tar+gzip"))
    described = {"architecture": _architecture(), "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    config = _put(documents, json.dumps(described).encode(), f"{_MEDIA}.config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": f"{_MEDIA}.manifest.v1+json", "config": config, "layers": layers}
    named = _put(documents, json.dumps(manifest).encode(), f"{_MEDIA}.manifest.v1+json")
    with tarfile.open(target, "w") as archive:
        for name, data in {
            "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
            "index.json": json.dumps({"schemaVersion": 2, "manifests": [named]}).encode(),
            **{f"blobs/sha256/{name}": data for name, data in documents.items()},
        }.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def _dealt(rootfs: Path, count: int) -> list[bytes]:
    """The layers as tars; neighbours stay together."""
    buffers = [io.BytesIO() for _ in range(count)]
    done, whole = 0, rootfs.stat().st_size
    with ExitStack() as opened:
        source = opened.enter_context(tarfile.open(rootfs))
        archives = [opened.enter_context(tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT)) for buffer in buffers]
        where: dict[str, int] = {}
        for entry in source:
            # a hard link goes where its file is
            number = where[entry.linkname] if entry.islnk() else done * count // whole
            where[entry.name] = number
            archives[number].addfile(entry, source.extractfile(entry) if entry.isreg() else None)
            done += entry.size + 512
    return [buffer.getvalue() for buffer in buffers]


def _put(documents: dict[str, bytes], data: bytes, media_type: str) -> dict[str, str | int]:
    digest = _digest(data)
    documents[digest.partition(":")[2]] = data
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
