"""Images that an attacker made: a layer above the base image whose files and config are whatever the test says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from labcontainers import Engine
from labcontainers.images.image import Image
from labcontainers.oci.digest import chain_id
from labcontainers.store.snapshots import Layer

BASE = "lab/base"


def make_image(engine: Engine, fill: Callable[[Path], object] = lambda tree: None, **config: Any) -> Image:
    """The base image with one more layer, filled by `fill` straight on disk, and with fields of its config replaced."""
    base = engine.images.get(BASE)
    store = engine.store
    scratch = store.snapshots.new_tree()
    (scratch / "fs" / "mark-of-this-image").write_text("")
    fill(scratch / "fs")
    top = store.snapshots.commit(scratch, base.diff_ids)
    layers = []
    for count in range(1, len(base.diff_ids) + 1):
        row = store.records.find_layer(chain_id(base.diff_ids[:count]))
        assert row is not None
        layers.append(Layer(row.diff_id, row.chain_id, row.size_bytes))
    made = replace(
        base.config, config=replace(base.config.config, **config), diff_ids=(*base.diff_ids, top.diff_id), history=base.config.history
    )
    return engine._catalog.put(made, [*layers, top], ["hostile/image"])


def put(tree: Path, path: str, text: str = "", mode: int = 0o644) -> Path:
    """A file of the layer, with its folders."""
    file = tree / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file


def link(tree: Path, path: str, target: str) -> None:
    """A symbolic link of the layer, with its folders."""
    file = tree / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.symlink_to(target)
