"""`--mount` and docker-py's `mounts=`: texts of KEY=VALUE, and objects of Docker's API, to mounts; it must not make anything.

Source: docker/cli's opts/mount.go and moby's volume/mounts/linux_parser.go.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping
from typing import Any

from labcontainers.containers.options.forms import shown
from labcontainers.containers.options.mount import PROPAGATIONS, RECURSIONS, TYPES, Mount, checked_subpath, checked_target
from labcontainers.containers.options.tmpfs import parse_tmpfs
from labcontainers.errors import InvalidArgument
from labcontainers.units import parse_memory_bytes
from labcontainers.volumes.driver import backing_of, check_driver, check_name

_ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_FORM = "write type=bind,source=FOLDER,target=PATH"
_SWITCHES = ("readonly", "volume-nocopy", "bind-nonrecursive")
_REPEATED = ("volume-label", "volume-opt")
_KEYS = (
    "type", "source", "target", "readonly", "consistency", "bind-propagation", "bind-recursive", "bind-nonrecursive", "volume-nocopy",
    "volume-subpath", "volume-label", "volume-driver", "volume-opt", "tmpfs-size", "tmpfs-mode", "tmpfs-options", "image-subpath",
)  # fmt: skip
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")


def parse_mounts(value: object) -> tuple[Mount, ...]:
    """A list of texts as for --mount, or of objects as docker-py's types.Mount; raises InvalidArgument and Unsupported."""
    if isinstance(value, str | Mapping):
        value = [value]
    if not isinstance(value, list | tuple):
        raise InvalidArgument(f"mounts is a list of Mount objects or texts: {shown(value)}", _FORM)
    return tuple(_one(item) for item in value)


def _one(item: object) -> Mount:
    if isinstance(item, Mount):
        return item
    if isinstance(item, str):
        return parse_mount(item)
    if isinstance(item, Mapping):
        return _of_object(item)
    raise InvalidArgument(f"not a mount: {shown(item)}", _FORM)


def parse_mount(text: str, folder: str = "") -> Mount:
    """One text of KEY=VALUE fields, in CSV; a source that begins with a dot is meant from `folder`, or else from the process'."""
    text = text.strip()
    if not text:
        raise InvalidArgument("--mount: value is empty", _FORM)
    try:
        fields = next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration) as error:
        raise InvalidArgument(
            f"--mount: not comma-separated: {shown(text)}: {error}", "put a field with a comma in double quotes"
        ) from None
    given: dict[str, Any] = {}
    for field in fields:
        key, value = _field(field, text)
        if key in _REPEATED:
            given.setdefault(key, []).append(value)
        else:
            given[key] = value
    source = given.get("source", "")
    if source.startswith("."):
        given["source"] = os.path.abspath(os.path.join(folder, source))
    return _checked(given, f"--mount {text}")


def _field(field: str, text: str) -> tuple[str, Any]:
    key, separator, value = field.partition("=")
    if key.strip() != key:
        raise InvalidArgument(f"--mount: invalid option {key!r} in {field!r}: option should not have whitespace", _FORM)
    if separator and not value.strip():
        raise InvalidArgument(f"--mount: invalid value for {key!r} in {field!r}: value is empty", _FORM)
    if value.strip() != value:
        raise InvalidArgument(f"--mount: invalid value for {key!r} in {field!r}: value should not have whitespace", _FORM)
    name = _ALIASES.get(key.lower(), key.lower())
    if name not in _KEYS or name == "tmpfs-options":
        raise InvalidArgument(f"--mount: unexpected key {key!r} in {text!r}", f"keys are {', '.join(_KEYS)}")
    if not separator and name not in _SWITCHES:
        raise InvalidArgument(f"--mount: invalid field {field!r} must be a key=value pair", _FORM)
    if name in _SWITCHES:
        if separator and value not in _TRUE + _FALSE:
            raise InvalidArgument(f"--mount: invalid value for {key}: {value!r}", "it is true or false")
        return name, value not in _FALSE
    return name, value


def _of_object(item: Mapping[str, Any]) -> Mount:
    """An object of Docker's API: Target, Source, Type, ReadOnly, Consistency, and one of the …Options."""
    known = ("Target", "Source", "Type", "ReadOnly", "Consistency", "BindOptions", "VolumeOptions", "TmpfsOptions", "ImageOptions")
    unknown = next((key for key in item if key not in known), None)
    if unknown is not None:
        raise InvalidArgument(f"unknown key {shown(unknown)}", f"keys are {', '.join(known)}")
    bind, volume, tmpfs, image = (_mapping(item, f"{kind}Options") for kind in ("Bind", "Volume", "Tmpfs", "Image"))
    driver = _mapping(volume, "DriverConfig")
    recursive = next((word for key, word in _RECURSIVE.items() if bind.get(key)), None)
    given: dict[str, Any] = {
        "type": item.get("Type", "volume"),
        "source": item.get("Source") or "",
        "target": item.get("Target") or "",
        "readonly": bool(item.get("ReadOnly")),
        "bind-propagation": bind.get("Propagation"),
        "bind-recursive": recursive,
        "volume-nocopy": volume.get("NoCopy"),
        "volume-subpath": volume.get("Subpath"),
        "volume-label": [f"{key}={value}" for key, value in _mapping(volume, "Labels").items()],
        "volume-driver": driver.get("Name"),
        "volume-opt": [f"{key}={value}" for key, value in _mapping(driver, "Options").items()],
        "tmpfs-size": tmpfs.get("SizeBytes"),
        "tmpfs-mode": tmpfs.get("Mode"),
        "tmpfs-options": ",".join("=".join(map(str, words)) for words in tmpfs.get("Options") or ()),
        "image-subpath": image.get("Subpath"),
    }
    return _checked({key: value for key, value in given.items() if value not in (None, "", [], False)}, "mounts")


_RECURSIVE = {"NonRecursive": "disabled", "ReadOnlyNonRecursive": "writable", "ReadOnlyForceRecursive": "readonly"}


def _mapping(item: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = item.get(key) or {}
    if not isinstance(value, Mapping):
        raise InvalidArgument(f"{key} is an object, not {shown(value)}", "write such as {}")
    return value


def _checked(given: Mapping[str, Any], where: str) -> Mount:
    kind = str(given.get("type", "volume")).lower()
    if kind not in TYPES:
        raise InvalidArgument(f"{where}: mount type unknown: {kind!r}", f"types are {', '.join(TYPES)}")
    for key in given:
        owner = key.partition("-")[0]
        if owner in TYPES and owner != kind:
            raise InvalidArgument(f"{where}: cannot mix '{owner}-*' options with mount type {kind!r}", f"leave {key} out")
    if not given.get("target"):
        raise InvalidArgument(f"{where}: target is required", "write target=PATH")
    target = checked_target(str(given["target"]), "mount")
    make: Callable[..., Mount] = {"bind": _bind, "volume": _volume, "tmpfs": _tmpfs, "image": _image}[kind]
    return make(given, where, str(given.get("source", "")), target, bool(given.get("readonly")))


def _bind(given: Mapping[str, Any], where: str, source: str, target: str, read_only: bool) -> Mount:
    if not source:
        raise InvalidArgument(f"{where}: a bind needs a source", "write source=FOLDER")
    path = os.path.expanduser(source)
    if not os.path.isabs(path):
        raise InvalidArgument(f"{where}: invalid mount path: {source!r} mount path must be absolute", "write ./ before a relative one")
    path = os.path.normpath(path)
    if not os.path.lexists(path):
        raise InvalidArgument(f"{where}: bind source path does not exist: {path}", "make it first")
    propagation = str(given.get("bind-propagation", ""))
    if propagation and propagation not in PROPAGATIONS:
        raise InvalidArgument(f"{where}: invalid propagation mode: {propagation!r}", f"use {', '.join(PROPAGATIONS)}")
    recursive = "disabled" if given.get("bind-nonrecursive") else str(given.get("bind-recursive", "enabled"))
    if recursive not in RECURSIONS:
        raise InvalidArgument(f"{where}: invalid value for bind-recursive: {recursive!r}", f"use {', '.join(RECURSIONS)}")
    if recursive in ("writable", "readonly") and not read_only:
        raise InvalidArgument(f"{where}: bind-recursive={recursive} requires readonly", "write readonly, too")
    if recursive == "readonly" and propagation != "rprivate":
        raise InvalidArgument(f"{where}: bind-recursive=readonly requires bind-propagation=rprivate", "write that, too")
    return Mount(path, target, read_only, propagation=propagation, recursive=recursive)


def _volume(given: Mapping[str, Any], where: str, source: str, target: str, read_only: bool) -> Mount:
    check_driver(str(given.get("volume-driver", "")))
    options = dict(text.partition("=")[::2] for text in given.get("volume-opt", ()))
    backing_of(options)
    subpath = str(given.get("volume-subpath", ""))
    if source:
        check_name(source)
    elif read_only:
        raise InvalidArgument(f"{where}: must not set readonly when using anonymous volumes", "give it a name by source=NAME")
    elif subpath:
        raise InvalidArgument(f"{where}: must not set volume-subpath when using anonymous volumes", "give it a name by source=NAME")
    return Mount(
        source,
        target,
        read_only,
        "volume",
        no_copy=bool(given.get("volume-nocopy")),
        subpath=checked_subpath(subpath, "volume-subpath"),
        labels=tuple(text.partition("=")[::2] for text in given.get("volume-label", ())),
        driver_opts=tuple(options.items()),
    )


def _tmpfs(given: Mapping[str, Any], where: str, source: str, target: str, read_only: bool) -> Mount:
    if source:
        raise InvalidArgument(f"{where}: a tmpfs has no source: {source!r}", "leave source out")
    words = [given["tmpfs-options"]] if "tmpfs-options" in given else []
    if "tmpfs-size" in given:
        words.append(f"size={parse_memory_bytes(given['tmpfs-size'])}")
    if "tmpfs-mode" in given:
        words.append(f"mode={_mode(given['tmpfs-mode'], where):o}")
    text = ",".join(words + ["ro"] * read_only)
    parse_tmpfs(text, target)
    return Mount("", target, read_only, "tmpfs", tmpfs=text)


def _mode(value: object, where: str) -> int:
    """docker-py gives a number, the command line octal digits."""
    if isinstance(value, int) and 0 <= value <= 0o7777:
        return value
    try:
        mode = int(str(value), 8)
    except ValueError:
        mode = -1
    if isinstance(value, int) or not 0 <= mode <= 0o7777:
        raise InvalidArgument(f"{where}: invalid value for tmpfs-mode: {value!r}", "write octal digits, such as 1777")
    return mode


def _image(given: Mapping[str, Any], where: str, source: str, target: str, read_only: bool) -> Mount:
    if not source:
        raise InvalidArgument(f"{where}: a mount of type image needs a source", "write source=IMAGE")
    subpath = checked_subpath(str(given.get("image-subpath", "")), "image-subpath")
    return Mount(source, target, True, "image", subpath=subpath)
