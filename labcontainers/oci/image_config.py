"""An image's config: how its process is to be run, its layers and its history; it must not know where content is stored.

Source: OCI image spec, config.md. Keys of a foreign config that have no field here are kept in `extra` and written back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labcontainers.errors import InvalidArgument
from labcontainers.oci.digest import parse_digest
from labcontainers.oci.manifest import canonical_json

_PROCESS_KEYS = frozenset(("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal", "Shell"))
_CONFIG_KEYS = frozenset(("architecture", "os", "config", "rootfs", "history", "created", "author"))


_HISTORY_KEYS = frozenset(("created", "created_by", "comment", "empty_layer"))


def _words(value: object) -> tuple[str, ...] | None:
    """A list of texts, or None; old images have a single text where there should be a list."""
    if value is None or isinstance(value, str):
        return None if value is None else (value,)
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise TypeError(f"not a list of texts: {value!r}")
    return tuple(value)


def _text(value: object) -> str:
    """A text; null is an empty one, as in Go."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]} is no text")
    return value or ""


def _keys(value: object) -> tuple[str, ...]:
    """The keys of an object whose values mean nothing; some builders write a list."""
    return tuple(value) if isinstance(value, Mapping) else _words(value) or ()


@dataclass(frozen=True, slots=True)
class ProcessConfig:
    """How a container of the image runs, unless its options say otherwise."""

    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    shell: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The `config` object; empty fields are left out."""
        value: dict[str, Any] = {
            **self.extra,
            "User": self.user,
            "ExposedPorts": {port: {} for port in self.exposed_ports},
            "Env": list(self.env),
            "Entrypoint": None if self.entrypoint is None else list(self.entrypoint),
            "Cmd": None if self.cmd is None else list(self.cmd),
            "Volumes": {volume: {} for volume in self.volumes},
            "WorkingDir": self.working_dir,
            "Labels": dict(self.labels),
            "StopSignal": self.stop_signal,
            "Shell": list(self.shell),
        }
        return {key: item for key, item in value.items() if item not in (None, "", {}, []) or key in self.extra}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ProcessConfig:
        """From the `config` object of an OCI or Docker image config."""
        return cls(
            user=_text(value.get("User")),
            exposed_ports=_keys(value.get("ExposedPorts")),
            env=_words(value.get("Env")) or (),
            entrypoint=_words(value.get("Entrypoint")),
            cmd=_words(value.get("Cmd")),
            volumes=_keys(value.get("Volumes")),
            working_dir=_text(value.get("WorkingDir")),
            labels={name: _text(text) for name, text in dict(value.get("Labels") or {}).items()},
            stop_signal=_text(value.get("StopSignal")),
            shell=_words(value.get("Shell")) or (),
            extra={key: item for key, item in value.items() if key not in _PROCESS_KEYS},
        )


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """What made a layer, or (`empty_layer`) only changed the config."""

    created: str
    created_by: str
    comment: str = ""
    empty_layer: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The history object."""
        value: dict[str, Any] = {"created": self.created, "created_by": self.created_by, "comment": self.comment}
        kept = {key: item for key, item in value.items() if item}
        return {**self.extra, **kept, **({"empty_layer": True} if self.empty_layer else {})}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> HistoryEntry:
        """From the history object."""
        return cls(
            created=_text(value.get("created")),
            created_by=_text(value.get("created_by")),
            comment=_text(value.get("comment")),
            empty_layer=bool(value.get("empty_layer")),
            extra={key: item for key, item in value.items() if key not in _HISTORY_KEYS},
        )


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The whole config; its digest is the image's id. `diff_ids` are from the bottom up."""

    architecture: str
    os: str
    config: ProcessConfig
    diff_ids: tuple[str, ...]
    history: tuple[HistoryEntry, ...] = ()
    created: str = ""
    author: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        value: dict[str, Any] = {
            **self.extra,
            "architecture": self.architecture,
            "os": self.os,
            "config": self.config.to_json(),
            "rootfs": {"type": "layers", "diff_ids": list(self.diff_ids)},
            "history": [entry.to_json() for entry in self.history],
        }
        value.update({key: item for key, item in (("created", self.created), ("author", self.author)) if item})
        return canonical_json(value)

    @classmethod
    def from_bytes(cls, data: bytes) -> ImageConfig:
        """Parse JSON; raises InvalidArgument."""
        try:
            value = json.loads(data)
            diff_ids = _words(value["rootfs"]["diff_ids"]) or ()
            for diff_id in diff_ids:
                parse_digest(diff_id)
            return cls(
                architecture=_text(value["architecture"]),
                os=_text(value["os"]),
                config=ProcessConfig.from_json(value.get("config") or {}),
                diff_ids=diff_ids,
                history=tuple(HistoryEntry.from_json(entry) for entry in value.get("history") or ()),
                created=_text(value.get("created")),
                author=_text(value.get("author")),
                extra={key: item for key, item in value.items() if key not in _CONFIG_KEYS},
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InvalidArgument(f"not an image config: {error!r}") from None
