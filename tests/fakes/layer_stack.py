"""Layers that are unpacked one on the other by the engine's own workers, and told by the canonical tar of what became of them."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import Any

from labcontainers import Engine
from labcontainers.store.tar_reader import Member
from tests.fakes.tar_maker import archive, members_of


class LayerStack:
    """Trees that lie on each other, from the bottom up."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._launcher = engine._launcher
        self.is_single = self._launcher.start() == "single"
        self._scratches: list[Path] = []

    @property
    def trees(self) -> list[str]:
        return [str(scratch / "fs") for scratch in self._scratches]

    def add(self, *entries: bytes) -> dict[str, Any]:
        """Unpack a layer of these entries above the others; what the worker answered."""
        return self.add_tar(archive(*entries))

    def add_tar(self, data: bytes) -> dict[str, Any]:
        scratch = self._engine.store.snapshots.new_tree()
        try:
            answer = self._unpack(data, scratch / "fs")
            self._launcher.call(
                "labcontainers.store.unpack:finish",
                target=str(scratch / "fs"),
                lowers=self.trees[::-1],
                implied=answer["implied"],
                links=answer["links"],
                userxattr=self._launcher.rootless,
            )
        except BaseException:
            self._engine.store.snapshots.discard(scratch)
            raise
        self._scratches.append(scratch)
        return answer

    def unpack_only(self, data: bytes) -> dict[str, Any]:
        """What the worker answers that unpacks this layer, which is dropped again."""
        scratch = self._engine.store.snapshots.new_tree()
        try:
            return self._unpack(data, scratch / "fs")
        finally:
            self._engine.store.snapshots.discard(scratch)

    def _unpack(self, data: bytes, target: Path) -> dict[str, Any]:
        ours, theirs = os.pipe()
        try:
            begin = self._launcher.begin
            options = {"target": str(target), "userxattr": self._launcher.rootless, "single_id": self.is_single}
            errand = begin("labcontainers.store.unpack:unpack", (ours,), **options)
        finally:
            os.close(ours)
        # a worker that has refused the archive reads no more
        with contextlib.suppress(BrokenPipeError), open(theirs, "wb") as pipe:
            pipe.write(data)
        answer: dict[str, Any] = errand.result()
        return answer

    def tar(self) -> bytes:
        """The canonical tar of the top layer."""
        ours, theirs = os.pipe()
        try:
            errand = self._launcher.begin("labcontainers.store.trees:stream_tar", (theirs,), tree=self.trees[-1])
        finally:
            os.close(theirs)
        parts: list[bytes] = []
        with open(ours, "rb") as pipe:
            reader = threading.Thread(target=lambda: parts.append(pipe.read()))
            reader.start()
            errand.result()
            reader.join()
        return b"".join(parts)

    def members(self) -> dict[bytes, Member]:
        """The entries of the top layer."""
        return {member.name: member for member, _ in members_of(self.tar())}

    def look(self) -> dict[bytes, object]:
        """What is in the top layer: content of files, None for directories, what links lead to, or the kind of anything else."""
        found: dict[bytes, object] = {}
        for member, content in members_of(self.tar()):
            kinds: dict[bytes, object] = {b"0": content, b"1": ("=", member.link), b"2": ("->", member.link), b"5": None}
            found[member.name] = kinds.get(member.kind, member.kind)
        return found

    def close(self) -> None:
        while self._scratches:
            self._engine.store.snapshots.discard(self._scratches.pop())
