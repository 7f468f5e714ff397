"""`image.diff(other)`: layers that two images share, how their configs differ, and the files that differ between what they show.

It must not know where files come from; an image is anything with `name`, `id`, `config`, `layers` and `diff_ids`.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from labcontainers.images.files import Files
from labcontainers.images.layers import Contents, ImageLayer
from labcontainers.markup import TABLE
from labcontainers.oci.digest import short
from labcontainers.oci.image_config import ImageConfig
from labcontainers.units import format_bytes

# Fields of a config that are maps, or that people read as maps: each key is told by itself.
_ASSIGNMENTS = "Env"
_LINES = 40


class Side(Protocol):
    """An image, as far as it is compared."""

    @property
    def id(self) -> str: ...
    @property
    def config(self) -> ImageConfig: ...
    @property
    def name(self) -> str: ...
    @property
    def diff_ids(self) -> tuple[str, ...]: ...
    @property
    def layers(self) -> tuple[ImageLayer, ...]: ...


@dataclass(frozen=True, slots=True)
class ConfigDifference:
    """One field of the configs, such as Cmd, Env.PATH or Labels.version; None where an image has it not."""

    field: str
    before: Any
    after: Any

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"field": self.field, "before": self.before, "after": self.after}

    def __str__(self) -> str:
        return f"{self.field}: {_words(self.before)} -> {_words(self.after)}"


class ImageDiff:
    """What has to be done to `before` to make `after` of it. The files are compared when they are first asked for."""

    def __init__(self, before: Side, after: Side, contents: Contents, *, content: bool = False) -> None:
        self.before = before
        self.after = after
        self.content = content
        self._contents = contents

    @property
    def shared(self) -> tuple[ImageLayer, ...]:
        """The layers at the bottom that both have."""
        both = zip(self.before.layers, self.after.layers, strict=False)
        shared = 0
        for one, other in both:
            if one.chain_id != other.chain_id:
                break
            shared += 1
        return self.before.layers[:shared]

    @property
    def config(self) -> tuple[ConfigDifference, ...]:
        """How the configs differ, field by field."""
        return config_differences(self.before.config, self.after.config)

    @property
    def files(self) -> Files:
        """The files that were added, modified and removed; blocks. Raises NotFound when a layer of either is missing."""
        table = self._contents.difference(self.before.diff_ids, self.after.diff_ids, self.content)
        return Files(table, title="the difference").changed()

    @property
    def added(self) -> Files:
        """The files that only `after` has."""
        return self.files.changed("added")

    @property
    def modified(self) -> Files:
        """The files that both have, and that differ."""
        return self.files.changed("modified")

    @property
    def removed(self) -> Files:
        """The files that only `before` has."""
        return self.files.changed("removed")

    @property
    def size_bytes(self) -> int:
        """By how much the files of `after` are larger than those of `before`."""
        return sum((0 if file.change == "removed" else file.size_bytes) - file.replaced_bytes for file in self.files)

    def to_json(self) -> dict[str, Any]:
        """Plain values, all files included."""
        return {
            "before": {"name": self.before.name, "id": self.before.id},
            "after": {"name": self.after.name, "id": self.after.id},
            "content_compared": self.content,
            "shared_layers": [layer.to_json() for layer in self.shared],
            "config": [difference.to_json() for difference in self.config],
            "files": self.files.to_json(),
        }

    def _headlines(self) -> list[str]:
        shared = self.shared
        counts = f"{len(shared)} of {len(self.before.layers)} and {len(self.after.layers)}"
        together = format_bytes(sum(layer.size_bytes for layer in shared))
        added, modified, removed = self._contents.difference(self.before.diff_ids, self.after.diff_ids, self.content).changes(-1)
        change = self.size_bytes
        return [
            f"{self.before.name} ({short(self.before.id)}) -> {self.after.name} ({short(self.after.id)})",
            f"layers: {counts} are shared, {together}",
            f"files: {added:,} added, {modified:,} modified, {removed:,} removed, {'-' if change < 0 else '+'}{format_bytes(abs(change))}",
        ]

    def __repr__(self) -> str:
        config = [f"config: {difference}" for difference in self.config] or ["config: equal"]
        files = self.files
        return "\n".join([*self._headlines(), *config, *([files.tree(most=_LINES)] if len(files) else [])])

    def _repr_html_(self) -> str:
        left = 'style="text-align:left;padding:1px 12px 1px 0"'
        title, *lines = self._headlines()
        config = "".join(
            f"<tr><td {left}>{html.escape(found.field)}</td><td {left}>{html.escape(_words(found.before))}</td>"
            f"<td {left}>→ {html.escape(_words(found.after))}</td></tr>"
            for found in self.config
        )
        files = self.files
        return (
            f"<b>{html.escape(title)}</b>{''.join(f'<div>{html.escape(line)}</div>' for line in lines)}"
            + (f"{TABLE}{config}</table>" if config else "<div>config: equal</div>")
            + (files._repr_html_() if len(files) else "")
        )


def config_differences(before: ImageConfig, after: ImageConfig) -> tuple[ConfigDifference, ...]:
    """The fields of two configs that differ: of maps, and of the environment, each key by itself."""
    found = []
    one, other = _flat(before), _flat(after)
    for name in [*one, *(name for name in other if name not in one)]:
        if one.get(name) != other.get(name):
            found.append(ConfigDifference(name, one.get(name), other.get(name)))
    return tuple(found)


def _flat(config: ImageConfig) -> dict[str, Any]:
    flat: dict[str, Any] = {"architecture": config.architecture, "os": config.os, "author": config.author or None}
    for name, value in config.config.to_json().items():
        if name == _ASSIGNMENTS:
            flat.update({f"{name}.{text.partition('=')[0]}": text.partition("=")[2] for text in value})
        elif isinstance(value, Mapping) and name in ("Labels", "ExposedPorts", "Volumes", "Healthcheck"):
            flat.update({f"{name}.{key}": item for key, item in value.items()})
        else:
            flat[name] = value
    return flat


def _words(value: Any) -> str:
    """A value of a config for a reader."""
    import json

    if value is None:
        return "(none)"
    if value == {}:
        return "yes"
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value, ensure_ascii=False)
