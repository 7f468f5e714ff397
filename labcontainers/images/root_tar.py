"""The whole root of an image as one canonical tar, from its layers' trees: equal roots give equal bytes; it must not know the store.

Its entries are in the order of a layer's tar (store.tar_writer), so that the tar of an image of one layer is that layer's. Nothing in
it means a deletion: what a layer removes is not there. A worker runs this.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

from labcontainers.images.merged_tree import Merged, Node, allow_many_descriptors, walk
from labcontainers.store.tar_writer import TarWriter
from labcontainers.store.trees import stream


def stream_root(fd: int, trees: Sequence[str]) -> dict[str, Any]:
    """Write the tar of what `trees` (top first) are together to the descriptor, which is closed; its digest and its size in bytes."""
    allow_many_descriptors()
    with contextlib.closing(Merged.root(trees)) as top:
        digest, size = stream(fd, lambda take: RootTarWriter(take).write_root(top), "the root file system")
    return {"digest": digest, "size_bytes": size}


class RootTarWriter(TarWriter):
    """Streams the tar of several trees together."""

    def write_root(self, top: Merged) -> int:
        """Write all that is seen below `top`, which stays open; the size in bytes."""
        for name, node in walk(top, _ordered):
            path, records = os.fsencode(name), node.attributes().records
            if node.is_directory:
                self._header(path + b"/", node.status, b"5", records=records)
            else:
                self._leaf(path, node.status, (node.parent, os.fsencode(node.name)), records)
        return self._end()


def _ordered(directory: Merged) -> Iterator[Node]:
    """What is in a directory, by the bytes that the tar has for the names: those of directories end with a slash."""
    return iter(sorted(directory.nodes(), key=lambda node: os.fsencode(node.name) + (b"/" if node.is_directory else b"")))
