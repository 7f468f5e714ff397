"""`RUN --mount`: the text of a flag to what is to be mounted, with variables expanded and the origin of files found.

It must not know how anything is mounted, nor read secrets.

Source: docs.docker.com "Dockerfile reference", RUN --mount; the rules on what goes with what are BuildKit's.
"""

from __future__ import annotations

import csv
import posixpath

from labcontainers.build.dockerfile.argument_forms import Word
from labcontainers.build.dockerfile.instructions import Command
from labcontainers.build.dockerfile.source import Place, nearest
from labcontainers.build.origins import find_origin
from labcontainers.build.plan import RunMount
from labcontainers.build.scope import Scope
from labcontainers.build.stages import Origin
from labcontainers.build.wording import absolute
from labcontainers.errors import InvalidArgument
from labcontainers.units import parse_memory_bytes

_NAMES = {
    "src": "source", "dst": "target", "destination": "target", "ro": "readonly", "rw": "readwrite", "readonly": "readonly",
    "readwrite": "readwrite", "type": "type", "from": "from", "source": "source", "target": "target", "required": "required",
    "size": "size", "id": "id", "sharing": "sharing", "mode": "mode", "uid": "uid", "gid": "gid", "env": "env",
}  # fmt: skip
# What each type may be told beside its type.
MOUNT_KEYS: dict[str, frozenset[str]] = {
    "bind": frozenset({"target", "source", "from", "readonly", "readwrite"}),
    "cache": frozenset({"id", "target", "source", "from", "readonly", "readwrite", "sharing", "mode", "uid", "gid"}),
    "tmpfs": frozenset({"target", "size", "readonly", "readwrite"}),
    "secret": frozenset({"id", "source", "target", "env", "required", "mode", "uid", "gid", "readonly", "readwrite"}),
    "ssh": frozenset({"id", "target", "required", "mode", "uid", "gid", "readonly", "readwrite"}),
}
# BuildKit's name of a build argument
CACHE_MOUNT_NAMESPACE = "BUILDKIT_CACHE_MOUNT_NS"
_SWITCHES = ("readonly", "readwrite", "required")
_SHARING = ("shared", "private", "locked")
_LARGEST_ID = 2**32 - 2


def run_mounts(scope: Scope, instruction: Command) -> tuple[RunMount, ...]:
    """What the instruction's --mount flags ask for, in the order of their targets; raises DockerfileError."""
    offsets = [flag.offset for flag in instruction.node.flags if flag.name == "mount"]
    words = instruction.flags.get("mount", ())
    found: list[RunMount] = []
    for word, offset in zip(words, offsets, strict=True):
        place = instruction.node.place_at(offset)
        sockets = sum(mount.type == "ssh" for mount in found)
        found.append(_mount(scope, instruction, word, place, sockets))
    targets = [mount.target for mount in found if mount.target]
    double = next((target for target in targets if targets.count(target) > 1), "")
    if double:
        raise instruction.place_of_flag("mount").fault(f"two mounts of this step have the target {double}", "give each one its own")
    # what lies deeper comes later, and is not covered
    return tuple(sorted(found, key=lambda mount: mount.target))


def _mount(scope: Scope, instruction: Command, word: Word, place: Place, sockets: int) -> RunMount:
    values = _values(scope, instruction, word, place)
    kind = values.get("type", "bind")
    if kind not in MOUNT_KEYS:
        raise place.fault(f"unsupported mount type {kind!r}", nearest(kind, MOUNT_KEYS) or "types are " + ", ".join(MOUNT_KEYS))
    for key in values:
        if key != "type" and key not in MOUNT_KEYS[kind]:
            raise place.fault(f"unexpected key {key!r} for mount type {kind!r}", "its keys are " + ", ".join(sorted(MOUNT_KEYS[kind])))
    read_only = _flag(values, "readonly", place)
    writable = _flag(values, "readwrite", place)
    mount = RunMount(
        type=kind,
        target=_target(scope, values, kind, place, sockets),
        source=values.get("source", ""),
        origin=_origin(scope, values, kind, place),
        read_only=read_only if read_only is not None else not writable if writable is not None else kind not in ("cache", "tmpfs"),
        id=_id(values, kind, scope.options.build_args.get(CACHE_MOUNT_NAMESPACE, "")),
        sharing=values.get("sharing", "shared"),
        size_bytes=_size(values, place),
        mode=_number(values, "mode", 8, 0o7777, place),
        uid=_number(values, "uid", 10, _LARGEST_ID, place) or 0,
        gid=_number(values, "gid", 10, _LARGEST_ID, place) or 0,
        required=bool(_flag(values, "required", place)),
        env=values.get("env", ""),
    )
    if mount.sharing not in _SHARING:
        raise place.fault(
            f"unsupported sharing value {mount.sharing!r}", nearest(mount.sharing, _SHARING) or "use shared, private or locked"
        )
    if kind == "cache" and mount.source and mount.origin is None:
        raise place.fault("source of a cache mount needs from", "name the stage or image by from=, or leave source out")
    if "=" in mount.env or "\0" in mount.env:
        raise place.fault(f"env of a secret mount is no name of a variable: {mount.env!r}")
    return mount


def _values(scope: Scope, instruction: Command, word: Word, place: Place) -> dict[str, str]:
    """The fields by their full names; `key` alone is "true" where that means something."""
    try:
        (fields,) = csv.reader([word.text], strict=True)
    except (csv.Error, ValueError) as error:
        raise place.fault(f"cannot read the fields of --mount: {error}", "write key=value, separated by commas") from None
    values: dict[str, str] = {}
    for field in fields:
        written, equals, value = field.partition("=")
        key = _NAMES.get(written.lower())
        if key is None:
            raise place.fault(f"unexpected key {written!r} in {field!r}", nearest(written.lower(), _NAMES) or "see RUN --mount")
        if not equals and key not in _SWITCHES:
            raise place.fault(f"invalid field {field!r} must be a key=value pair", f"write {written}=…")
        if key == "from" and "$" in value:
            raise place.fault("'from' doesn't support variable expansion", "define a stage with FROM and an ARG from the global scope")
        values[key] = scope.expand(instruction, Word(value, word.offset)) if equals else "true"
    return values


def _flag(values: dict[str, str], key: str, place: Place) -> bool | None:
    text = values.get(key)
    if text is None:
        return None
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if text in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise place.fault(f"invalid value for {key}: {text!r}", "use true or false")


def _number(values: dict[str, str], key: str, base: int, largest: int, place: Place) -> int | None:
    text = values.get(key)
    if text is None:
        return None
    digits = "01234567" if base == 8 else "0123456789"
    if not text or any(char not in digits for char in text) or int(text, base) > largest:
        raise place.fault(f"invalid value {text} for {key}", "write such as 0400" if base == 8 else "write a number")
    return int(text, base)


def _size(values: dict[str, str], place: Place) -> int:
    if "size" not in values:
        return 0
    try:
        return parse_memory_bytes(values["size"])
    except InvalidArgument as error:
        raise place.fault(f"invalid value for size: {error.message}", "write such as 64m") from None


def _id(values: dict[str, str], kind: str, namespace: str) -> str:
    if kind == "secret":
        return values.get("id") or values.get("source") or posixpath.basename(values.get("target", ""))
    if kind == "ssh":
        return values.get("id") or "default"
    name = values.get("id") or (posixpath.normpath(values["target"]) if values.get("target") else "")
    return f"{namespace}/{name}" if namespace and kind == "cache" else name


def _target(scope: Scope, values: dict[str, str], kind: str, place: Place, sockets: int) -> str:
    """Absolute; "" for a secret that is a variable only."""
    text = values.get("target", "")
    if kind == "secret":
        if not text and not values.get("id") and not values.get("source"):
            raise place.fault("invalid secret mount: one of source, target required", "write id=NAME")
        if values.get("id") and values.get("source"):
            raise place.fault("invalid secret mount: both source and id can't be set", "leave source out")
        if not text and values.get("env"):
            return ""
        text = text or "/run/secrets/" + posixpath.basename(values.get("id") or values["source"])
    elif kind == "ssh":
        text = text or f"/run/buildkit/ssh_agent.{sockets}"
    elif not text:
        raise place.fault(f"a {kind} mount needs a target", "write target=PATH")
    target = absolute(scope.state.working_dir, text)
    if target == "/":
        raise place.fault(f"invalid mount target {text!r}", "name a directory below /")
    return target


def _origin(scope: Scope, values: dict[str, str], kind: str, place: Place) -> Origin | None:
    if not values.get("from"):
        return None
    return find_origin(scope, values["from"], place, "cannot mount from")
