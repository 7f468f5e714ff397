"""The build cache: from what a step really depends on to the layer that it made, and why a step was not found.

It must not know Dockerfiles, nor how a step is carried out.

A key is a digest of the chain_id that the step builds on and of its inputs. The record's result is JSON with `chain_id` and
`diff_id` of the layer, both "" for a step that changed no file. What a step depended on is kept for its position in a build, too, so
that the next miss can be explained.

The same step, asked for by two builds at once, in one process or in several, is done once: who does it holds a lock of its key
(flock, so that it ends with its holder), and the others have what came of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from labcontainers.build.caching.reasons import NEVER, PRUNED, Inputs, Subject, remembered, why
from labcontainers.build.waiting import Waiting
from labcontainers.oci.digest import chain_id
from labcontainers.store.layout import Store
from labcontainers.store.snapshots import Layer

STEP, POSITION = "step:", "position:"
_VERSION = 3
# A position that is met again gets a new date after this time, since nothing is written for steps that are found.
_DATED_S = 86400.0
_MOST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Hit:
    """A step that was done before: its layer, or None when it changed no file."""

    layer: Layer | None


@dataclass(frozen=True, slots=True)
class Seen:
    """A step of a build as it ended, done or found: what it made above the layers `below`, None for nothing."""

    key: str
    below: tuple[str, ...]
    layer: Layer | None

    @property
    def parent(self) -> str:
        """The chain_id that it builds on."""
        return chain_id(self.below)


class Elsewhere(Protocol):
    """A cache outside of the store."""

    def find(self, key: str, below: Sequence[str]) -> tuple[Layer | None] | None:
        """What the step made, brought into the store; None where it is not known."""
        ...


@dataclass(frozen=True)
class Asked:
    """A step as the cache is asked for it: what it builds on, from the bottom up, and what it depends on.

    `position` is where it stands in which build, so that it can be compared with the last time.
    """

    position: str
    below: tuple[str, ...]
    inputs: Inputs
    subject: Subject = field(default_factory=lambda: Subject("RUN"))

    @cached_property
    def parent(self) -> str:
        """The chain_id that the step builds on."""
        return chain_id(self.below)

    @cached_property
    def key(self) -> str:
        """The step's key."""
        text = json.dumps([_VERSION, self.parent, self.inputs], sort_keys=True)
        return STEP + hashlib.sha256(text.encode()).hexdigest()


class BuildCache:
    """The cache in a store's records, for one build. Thread-safe.

    With `anew` (--no-cache) nothing is found, or with `anew_stages` nothing in the stages of these names; it still remembers.
    `name` is what others call the build who wait for its steps.
    """

    def __init__(
        self, store: Store, *, anew: bool = False, anew_stages: tuple[str, ...] = (), sources: Sequence[Elsewhere] = (), name: str = ""
    ) -> None:
        self._store = store
        self._name = name
        self._sources = sources
        self._seen: dict[str, Seen] = {}
        self._anew = anew
        self._anew_stages = frozenset(name.lower() for name in anew_stages)

    def of_stage(self, title: str) -> StageCache:
        """The cache for the steps of a stage."""
        anew = "--no-cache" if self._anew else "--no-cache-filter" if title.lower() in self._anew_stages else ""
        return StageCache(self._store, anew, self._sources, self._seen, self._name)

    @property
    def seen(self) -> tuple[Seen, ...]:
        """The steps of this build that are done."""
        return tuple(self._seen.values())


class StageCache:
    """The cache for the steps of one stage. `anew` is the flag for which nothing is found, or ""."""

    def __init__(self, store: Store, anew: str, sources: Sequence[Elsewhere], seen: dict[str, Seen], name: str = "") -> None:
        self._name = name
        self._store = store
        self._anew = anew
        self._sources = sources
        self._seen = seen

    def find(self, asked: Asked) -> Hit | None:
        """What the step made, if it was done and its layer is still here."""
        row = None if self._anew else self._store.records.find_cache(asked.key)
        if row is None:
            return None
        try:
            result = json.loads(row.result)
            diff_id, chain = result["diff_id"], result["chain_id"]
        except (ValueError, KeyError, TypeError):
            return None
        if not diff_id:
            self._store.records.touch(asked.key, time.time())
            return self._hit(asked, None)
        layer = self._store.records.find_layer(chain)
        if layer is None or chain != chain_id([*asked.below, diff_id]) or not self._store.snapshots.has(chain):
            return None
        self._store.records.touch(asked.key, time.time())
        return self._hit(asked, Layer(diff_id, chain, layer.size_bytes))

    def _hit(self, asked: Asked, layer: Layer | None) -> Hit:
        self._seen[asked.key] = Seen(asked.key, asked.below, layer)
        return Hit(layer)

    def _from_elsewhere(self, asked: Asked) -> Hit | None:
        """What the step made according to a cache outside of the store, kept in this one from now on."""
        for source in self._sources:
            found = source.find(asked.key, asked.below)
            if found is not None:
                self.put(asked, found[0])
                return Hit(found[0])
        return None

    @contextlib.contextmanager
    def turn(
        self, asked: Asked, check: Callable[[], object] = lambda: None, waits: Callable[[str], object] = lambda holder: None
    ) -> Iterator[Hit | None]:
        """What the step made, or None: then it is to be done and put() in this context, in which nobody else does it.

        Blocks while another build does it; `check` is called meanwhile, and raises to end that; `waits` hears once whose build that is.
        """
        hit = self.find(asked)
        if hit is not None or self._anew:
            yield hit
            return
        lock = asked.key.replace(":", "-")
        waiting = Waiting(check, lambda: waits(_holder(self._store.locks.note_of(lock))))
        note = json.dumps({"pid": os.getpid(), "build": self._name})
        with self._store.locks.hold(lock, meanwhile=waiting, note=note):
            yield self.find(asked) or self._from_elsewhere(asked)

    def put(self, asked: Asked, layer: Layer | None) -> None:
        """Remember what a step made."""
        result = {"diff_id": layer.diff_id, "chain_id": layer.chain_id} if layer else {"diff_id": "", "chain_id": ""}
        self._store.records.put_cache(asked.key, json.dumps(result), time.time(), asked.subject.text[:_MOST_TEXT])
        self._seen[asked.key] = Seen(asked.key, asked.below, layer)

    def why(self, asked: Asked) -> str:
        """Why the step was not found, compared with the last time that a build came to its position."""
        if self._anew:
            return self._anew
        row = self._store.records.find_cache(_position_key(asked))
        if row is None:
            return NEVER
        try:
            return why(json.loads(row.result), asked.parent, asked.inputs, asked.subject) or PRUNED
        except (ValueError, KeyError, TypeError, AttributeError):
            return NEVER

    def remember(self, asked: Asked) -> None:
        """Keep what the step at this position depended on, for the next answer of why()."""
        key, now = _position_key(asked), time.time()
        mark = f'{{"mark": {json.dumps([asked.key, *asked.subject.base])}, '
        row = self._store.records.find_cache(key)
        if row is not None and row.result.startswith(mark):
            if now - row.used_at > _DATED_S:
                self._store.records.touch(key, now)
            return
        value = {"diff_id": "", "chain_id": "", **remembered(asked.parent, asked.inputs, asked.subject)}
        self._store.records.put_cache(key, mark + json.dumps(value, sort_keys=True)[1:], now)


def _holder(note: str) -> str:
    """Whose build it is, in words."""
    try:
        noted = json.loads(note)
        pid, name = int(noted["pid"]), str(noted["build"])
    except (ValueError, KeyError, TypeError):
        return "another build"
    build = f"the build of {name}" if name else "another build"
    return f"{build} in this process" if pid == os.getpid() else f"{build} in process {pid}"


def _position_key(asked: Asked) -> str:
    return POSITION + hashlib.sha256(asked.position.encode("utf-8", "surrogateescape")).hexdigest()
