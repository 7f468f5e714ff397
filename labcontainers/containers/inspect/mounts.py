"""The fields of `docker inspect` on what was asked to be mounted.

It must not read anything: all it needs is given. Source: the Docker Engine API's HostConfig and Mount (version 1.51).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.mount import Mount

_RECURSIVE = {"disabled": "NonRecursive", "writable": "ReadOnlyNonRecursive", "readonly": "ReadOnlyForceRecursive"}


def asked_mounts(options: ContainerOptions) -> dict[str, Any]:
    """Fields of HostConfig."""
    binds = [":".join(filter(None, (mount.source, mount.target, mount.mode))) for mount in options.volumes if mount.source]
    return {
        "Binds": binds or None,
        **({"Mounts": [_mount(mount) for mount in options.mounts]} if options.mounts else {}),
        **({"Tmpfs": dict(options.tmpfs)} if options.tmpfs else {}),
        "VolumesFrom": [f"{name}:ro" if mode == "ro" else name for name, mode in options.volumes_from] or None,
        "VolumeDriver": "",
    }


def volume_paths(options: ContainerOptions, of_image: Sequence[str]) -> dict[str, dict[str, Any]] | None:
    """Config.Volumes: the places of anonymous volumes, those of the image first."""
    paths = (*of_image, *(mount.target for mount in options.volumes if not mount.source))
    return {path: {} for path in paths} or None


def _mount(mount: Mount) -> dict[str, Any]:
    document: dict[str, Any] = {"Type": mount.type}
    if mount.source:
        document["Source"] = mount.source
    document["Target"] = mount.target
    if mount.read_only:
        document["ReadOnly"] = True
    bind = {"Propagation": mount.propagation} if mount.propagation else {}
    recursive = {_RECURSIVE[mount.recursive]: True} if mount.recursive in _RECURSIVE else {}
    below = {"Subpath": mount.subpath} if mount.subpath else {}
    options: dict[str, dict[str, Any]] = {
        "BindOptions": {**bind, **recursive},
        "VolumeOptions": _volume(mount) if mount.type == "volume" else {},
        "ImageOptions": below if mount.type == "image" else {},
        "TmpfsOptions": _tmpfs(mount.tmpfs) if mount.type == "tmpfs" else {},
    }
    return {**document, **{key: value for key, value in options.items() if value}}


def _volume(mount: Mount) -> dict[str, Any]:
    below = {"Subpath": mount.subpath} if mount.subpath else {}
    if not (mount.no_copy or mount.labels or mount.driver_opts or below):
        return {}
    return {
        **({"NoCopy": True} if mount.no_copy else {}),
        **({"Labels": dict(mount.labels)} if mount.labels else {}),
        # Docker's command line has it beside any other option, with nothing in it.
        "DriverConfig": {"Name": "local", "Options": dict(mount.driver_opts)} if mount.driver_opts else {},
        **below,
    }


def _tmpfs(text: str) -> dict[str, Any]:
    words = [word.split("=", 1) for word in text.split(",") if word and word != "ro"]
    size = next((int(word[1]) for word in words if word[0] == "size" and word[1].isdigit()), 0)
    mode = next((int(word[1], 8) for word in words if word[0] == "mode"), 0)
    others = [word for word in words if word[0] not in ("size", "mode")]
    fields = {"SizeBytes": size, "Mode": mode, "Options": others}
    return {key: value for key, value in fields.items() if value}
