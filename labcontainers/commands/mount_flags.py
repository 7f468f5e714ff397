"""The flags of `run` and `create` on what is mounted; it must not execute anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labcontainers.commands.command import Invocation
from labcontainers.commands.parser import Flag
from labcontainers.containers.options.flags import about
from labcontainers.containers.options.mount_flag import parse_mount

MOUNT_FLAGS = (
    Flag(
        ("-v", "--volume"),
        "folder of this machine, or volume, SOURCE:TARGET[:MODE]; TARGET alone for an anonymous volume; repeatable",
        "list",
        "SOURCE:TARGET",
        completes="path volume",
    ),
    Flag(
        ("--mount",),
        "type=bind, volume, tmpfs or image, with source=, target=, readonly …; repeatable",
        "list",
        "KEY=VALUE,…",
        completes="mount",
    ),
    Flag(("--tmpfs",), "temporary file system TARGET[:size=…,exec …]; repeatable", "list", "TARGET"),
    Flag(("--volumes-from",), "the mounts of another container NAME[:ro]; repeatable", "list", "NAME", completes="container"),
    Flag(("--volume-driver",), "driver of the volumes: local", metavar="DRIVER", choices=("local",)),
    Flag(("--read-only",), "make the image's file system read-only", "switch"),
)


def mount_keywords(call: Invocation) -> dict[str, Any]:
    """These flags as keywords of the engine; raises InvalidArgument and Unsupported for a --mount that is wrong."""
    with about("--mount"):
        mounts = [parse_mount(text, str(call.folder)) for text in call.mount]
    return {
        "volumes": [_volume(text, call.folder) for text in call.volume] or None,
        "mounts": mounts or None,
        "tmpfs": call.tmpfs or None,
        "volumes_from": call.volumes_from or None,
        "volume_driver": call.volume_driver,
        "read_only": call.read_only or None,
    }


def _volume(text: str, folder: Path) -> str:
    """A relative source is meant from the folder that the command is given in."""
    source, colon, rest = text.partition(":")
    return f"{folder / source}{colon}{rest}" if colon and source.startswith(".") else text
