"""The build cache: from what a step really depends on to the layer that it made, and why a step was not found.

It must not know Dockerfiles, nor how a step is carried out.

A key is a digest of the chain_id that the step builds on and of its inputs. The record's result is JSON with `chain_id` and
`diff_id` of the layer, both "" for a step that changed no file.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

from labcontainers.oci.digest import chain_id
from labcontainers.store.layout import Store
from labcontainers.store.snapshots import Layer

_VERSION = 2
_MOST_FILES = 2000

Inputs = Mapping[str, str | Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Hit:
    """A step that was done before: its layer, or None when it changed no file."""

    layer: Layer | None


class BuildCache:
    """The cache in a store's records; `enabled` False never finds anything but still remembers."""

    def __init__(self, store: Store, *, enabled: bool = True) -> None:
        self._store = store
        self._enabled = enabled

    @staticmethod
    def key(parent_chain_id: str, inputs: Inputs) -> str:
        """The key of a step with these inputs on this chain."""
        text = json.dumps([_VERSION, parent_chain_id, inputs], sort_keys=True)
        return "step:" + hashlib.sha256(text.encode()).hexdigest()

    def find(self, key: str, parent_diff_ids: tuple[str, ...]) -> Hit | None:
        """What the step made, if it was done and its layer is still here."""
        row = self._store.records.find_cache(key) if self._enabled else None
        if row is None:
            return None
        try:
            result = json.loads(row.result)
            diff_id, chain = result["diff_id"], result["chain_id"]
        except (ValueError, KeyError, TypeError):
            return None
        if not diff_id:
            self._store.records.touch(key, time.time())
            return Hit(None)
        layer = self._store.records.find_layer(chain)
        if layer is None or chain != chain_id([*parent_diff_ids, diff_id]) or not self._store.snapshots.has(chain):
            return None
        self._store.records.touch(key, time.time())
        return Hit(Layer(diff_id, chain, layer.size_bytes))

    def put(self, key: str, layer: Layer | None) -> None:
        """Remember what a step made."""
        result = {"diff_id": layer.diff_id, "chain_id": layer.chain_id} if layer else {"diff_id": "", "chain_id": ""}
        self._store.records.put_cache(key, json.dumps(result), time.time())

    def why(self, position: str, parent_chain_id: str, inputs: Inputs) -> str:
        """Why the step at this position of a file was not found, compared with the last time it was done there."""
        if not self._enabled:
            return "the cache is off"
        row = self._store.records.find_cache(_position_key(position))
        if row is None:
            return "never done here before"
        try:
            before = json.loads(row.result)
            old = before["inputs"]
        except (ValueError, KeyError, TypeError):
            return "never done here before"
        now = _plain(inputs)
        changed = [name for name in sorted({*old, *now}) if old.get(name) != now.get(name)]
        if changed:
            return "; ".join(_difference(name, old.get(name), now.get(name)) for name in changed[:4])
        if before.get("parent") != parent_chain_id:
            return "a step before it changed the files it builds on"
        return "its layer is no longer in the store"

    def remember(self, position: str, parent_chain_id: str, inputs: Inputs) -> None:
        """Keep the inputs of the step at this position, for the next answer of why()."""
        value = {"diff_id": "", "chain_id": "", "parent": parent_chain_id, "inputs": _plain(inputs)}
        self._store.records.put_cache(_position_key(position), json.dumps(value, sort_keys=True), time.time())


def _position_key(position: str) -> str:
    return "position:" + hashlib.sha256(position.encode()).hexdigest()


def _plain(inputs: Inputs) -> dict[str, object]:
    """Inputs as they come back from JSON; a long list of files is replaced by its digest."""
    result: dict[str, object] = {}
    for name, value in inputs.items():
        if isinstance(value, str):
            result[name] = value
        elif len(value) <= _MOST_FILES:
            result[name] = dict(value)
        else:
            result[name] = hashlib.sha256(json.dumps(dict(value), sort_keys=True).encode()).hexdigest()
    return result


def _difference(name: str, old: object, new: object) -> str:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return f"{name} changed" if old is not None and new is not None else f"{name} is {'new' if old is None else 'gone'}"
    keys = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    shown = ", ".join(f"{key} {'added' if key not in old else 'removed' if key not in new else 'changed'}" for key in keys[:3])
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return f"{name}: {shown}{more}"
