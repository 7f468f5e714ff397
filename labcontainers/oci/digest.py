"""Digests of content and of chains of layers, as texts; it must not know where content is stored."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from labcontainers.errors import InvalidArgument

_DIGEST = re.compile(r"(sha256|sha384|sha512):([0-9a-f]+)")
_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}


def sha256(data: bytes) -> str:
    """The digest "sha256:<hex>" of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def parse_digest(text: str) -> tuple[str, str]:
    """(algorithm, hexadecimal digits); raises InvalidArgument. Source: OCI image spec, descriptor.md, "Digests"."""
    match = _DIGEST.fullmatch(text)
    if match is None or len(match[2]) != _LENGTHS[match[1]]:
        raise InvalidArgument(f"not a digest: {text!r}", "a digest is sha256: and 64 hexadecimal digits")
    return match[1], match[2]


def chain_id(diff_ids: Sequence[str]) -> str:
    """The ChainID of layers from the bottom up; "" for none. Source: OCI image spec, config.md, "Layer ChainID"."""
    result = ""
    for diff_id in diff_ids:
        result = sha256(f"{result} {diff_id}".encode()) if result else diff_id
    return result


def short(digest: str) -> str:
    """The first 12 hexadecimal digits, as Docker prints ids."""
    return digest.partition(":")[2][:12] or digest[:12]
