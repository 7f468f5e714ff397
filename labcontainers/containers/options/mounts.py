"""Options on what is mounted: -v, --mount, --tmpfs, --volumes-from and --read-only; it must not mount anything."""

from __future__ import annotations

import os
from collections.abc import Mapping

from labcontainers.containers.options.forms import Converters, flag, shown
from labcontainers.containers.options.mount import PROPAGATIONS, Mount, checked_target
from labcontainers.containers.options.mount_flag import parse_mounts
from labcontainers.containers.options.tmpfs import parse_tmpfs
from labcontainers.errors import InvalidArgument
from labcontainers.volumes.driver import check_driver, check_name

# Each kind of word of a -v's mode; one of a kind may be said (moby's volume/mounts/linux_parser.go).
_MODES = {
    "access": ("rw", "ro"),
    "propagation": PROPAGATIONS,
    "label": ("z", "Z"),
    "copy": ("nocopy",),
    "consistency": ("default", "consistent", "cached", "delegated"),
}


def _volumes(value: object) -> tuple[Mount, ...]:
    if isinstance(value, str):
        value = [value]
    if isinstance(value, Mapping):
        return tuple(_volume_entry(str(source), item) for source, item in value.items())
    if not isinstance(value, list | tuple):
        raise InvalidArgument(f"volumes is a list of SOURCE:TARGET[:MODE]: {shown(value)}", "write such as ['data:/data']")
    return tuple(_volume_text(str(item)) for item in value)


def _volume_entry(source: str, item: object) -> Mount:
    """docker-py's `{SOURCE: {"bind": TARGET, "mode": "ro"}}`."""
    if not isinstance(item, Mapping) or "bind" not in item:
        raise InvalidArgument(f"volume {shown(source)} has no target: {shown(item)}", 'write {SOURCE: {"bind": TARGET, "mode": "ro"}}')
    return _volume(source, str(item["bind"]), str(item.get("mode", "rw")))


def _volume_text(text: str) -> Mount:
    parts = text.split(":")
    if len(parts) == 1 and text:
        return Mount("", checked_target(text, "volume"), type="volume")
    if len(parts) > 3 or not all(parts[:2]) or (len(parts) == 2 and _is_mode(parts[1])):
        raise InvalidArgument(f"invalid volume specification: {shown(text)}", "write SOURCE:TARGET, SOURCE:TARGET:ro, or TARGET alone")
    return _volume(parts[0], parts[1], parts[2] if len(parts) == 3 else "")


def _is_mode(text: str) -> bool:
    return any(text in words for words in _MODES.values())


def _volume(source: str, target: str, mode: str) -> Mount:
    words = _mode_words(mode, target)
    where = checked_target(target, "volume")
    if source.startswith(("/", ".", "~")):
        if "copy" in words:
            raise InvalidArgument(
                f"invalid volume mode {shown(mode)} for {shown(target)}: nocopy is for volumes, not for folders", "leave it out"
            )
        path = os.path.abspath(os.path.expanduser(source))
        if not os.path.lexists(path):
            raise InvalidArgument(f"volume source does not exist: {shown(path)}", "make it first")
        return Mount(path, where, words.get("access") == "ro", mode=mode, propagation=words.get("propagation", ""))
    check_name(source)
    if "propagation" in words:
        problem = f"invalid volume mode {shown(mode)} for {shown(target)}: propagation is for folders, not for volumes"
        raise InvalidArgument(problem, f"leave {words['propagation']} out")
    return Mount(source, where, words.get("access") == "ro", "volume", mode=mode, no_copy="copy" in words)


def _mode_words(mode: str, target: str) -> dict[str, str]:
    """The words of a mode by their kind; "z" and "Z" have no effect, since containers have no SELinux label here."""
    found: dict[str, str] = {}
    for word in mode.split(",") if mode else ():
        kind = next((kind for kind, words in _MODES.items() if word in words), None)
        if kind is None or kind in found:
            problem = f"invalid volume mode {shown(mode)} for {shown(target)}"
            raise InvalidArgument(problem, "use rw or ro, a propagation such as rslave, z, nocopy; one of each")
        found[kind] = word
    return found


def _tmpfs(value: object) -> tuple[tuple[str, str], ...]:
    if isinstance(value, Mapping):
        items = [(str(target), str(data or "")) for target, data in value.items()]
    elif isinstance(value, list | tuple):
        items = [(text.partition(":")[0], text.partition(":")[2]) for text in map(str, value)]
    else:
        raise InvalidArgument(f"tmpfs is a list of TARGET[:OPTIONS]: {shown(value)}", "write such as ['/scratch:size=64m']")
    for target, data in items:
        checked_target(target, "tmpfs")
        parse_tmpfs(data, target)
    return tuple(items)


def _volumes_from(value: object) -> tuple[tuple[str, str], ...]:
    """(container, "rw" or "ro") of each NAME[:MODE]."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple):
        raise InvalidArgument(f"volumes_from is a list of CONTAINER[:ro]: {shown(value)}", "write such as ['db']")
    found = []
    for text in map(str, value):
        name, separator, mode = text.partition(":")
        if not name or (separator and mode not in ("ro", "rw", "z", "Z")):
            raise InvalidArgument(f"not CONTAINER[:ro]: {shown(text)}", "write CONTAINER, CONTAINER:ro or CONTAINER:rw")
        found.append((name, "ro" if mode == "ro" else "rw"))
    return tuple(found)


def _driver(value: object) -> str:
    check_driver(str(value))
    return "local"


CONVERTERS: Converters = {
    "volumes": ("volumes", _volumes),
    "mounts": ("mounts", parse_mounts),
    "tmpfs": ("tmpfs", _tmpfs),
    "volumes_from": ("volumes_from", _volumes_from),
    "volume_driver": ("", _driver),
    "read_only": ("read_only", flag("read_only")),
}
