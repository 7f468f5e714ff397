"""What the files that a step takes from other stages and images are, so that it is found again though the stage is another one.

It must not know steps, nor what they do with the files. Trees never change, so that each question is asked of a worker once; the answers
are in the records of the cache, and their loss costs only time.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import time
from collections.abc import Mapping, Sequence
from typing import Any

from labcontainers.kernel import id_maps
from labcontainers.oci.digest import chain_id
from labcontainers.store.host_layer import is_host
from labcontainers.store.layout import Store
from labcontainers.store.snapshots import TreeWorker

# What tells files from others: by their names, or in one for all.
Content = Mapping[str, str] | str

TREE = "tree:"
_VERSION = 1
# Of more files than these only that they changed is told, and not which.
_MOST_NAMED = 2000


class TreeContents:
    """The files of a store's trees. Thread-safe, if `worker` is."""

    def __init__(self, store: Store, worker: TreeWorker) -> None:
        self._store = store
        self._worker = worker

    def of(self, diff_ids: Sequence[str], patterns: Sequence[str], *, whole: bool = False, **how: Any) -> Content:
        """What the files that `patterns` name are; blocks while they are read. Raises NotFound for a file that is not there.

        `how` says what counts, as build.tree_digests.digests() takes it. Of a whole tree unless `whole` is said, and of the machine's own
        files, the answer is what their layers are: to read them all would cost more than it spares.
        """
        chain = chain_id(diff_ids)
        if not diff_ids or any(map(is_host, diff_ids)) or (not whole and any(map(_is_whole, patterns))):
            return chain
        asked = json.dumps([_VERSION, chain, list(patterns), how], sort_keys=True)
        key = TREE + hashlib.sha256(asked.encode("utf-8", "surrogateescape")).hexdigest()
        known = self._known(key)
        if known is not None:
            return known
        found = self._read(diff_ids, patterns, how)
        self._store.records.put_cache(key, json.dumps({"content": found}), time.time())
        return found

    def _known(self, key: str) -> Content | None:
        row = self._store.records.find_cache(key)
        if row is None:
            return None
        try:
            content: Content = json.loads(row.result)["content"]
        except (ValueError, KeyError, TypeError):
            return None
        self._store.records.touch(key, time.time())
        return content

    def _read(self, diff_ids: Sequence[str], patterns: Sequence[str], how: Mapping[str, Any]) -> Content:
        # as long as the scratch is there, nobody removes the layers
        scratch = self._store.snapshots.new_tree(diff_ids)
        try:
            lower = self._store.snapshots.lower_paths(diff_ids)
            source = {"lower": lower, "mount": str(scratch / "source"), "patterns": list(patterns)}
            asked = {"source": source, "userxattr": not id_maps.is_root_of_host(), "most": _MOST_NAMED, **how}
            found: Content = self._worker.call("labcontainers.build.tree_digests:digests", **asked)
            return found
        finally:
            self._store.snapshots.discard(scratch)


def _is_whole(pattern: str) -> bool:
    return posixpath.normpath("/" + pattern).strip("/") == ""
