"""The layer that stands for this machine's own root: an empty tree in the store, and `/` wherever layers are put together.

Its diff_id is no digest of a tar: half of it is always the same, by which it is known, and half tells the state of the machine, so
that what was built on another state of it is not taken for the same. A tar of such a digest cannot be made on purpose (128 bits).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

HOST_ROOT = "/"
_DIGITS = 32
_MARK = hashlib.sha256(b"labcontainers: the root of this machine").hexdigest()[:_DIGITS]


def host_diff_id(state: bytes) -> str:
    """The diff_id of the machine's root in this state."""
    return f"sha256:{hashlib.sha256(state).hexdigest()[:_DIGITS]}{_MARK}"


def is_host(diff_id: str) -> bool:
    """Whether this is the layer of a machine's root."""
    return diff_id.endswith(_MARK)


def stands_on_host(diff_ids: Iterable[str]) -> bool:
    """Whether one of these layers is that of a machine's root."""
    return any(map(is_host, diff_ids))
