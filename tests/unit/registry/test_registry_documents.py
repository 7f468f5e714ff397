"""Manifests and indexes that anybody may have made: whatever comes, it is read or refused by an error of ours."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from labcontainers.errors import LabError
from labcontainers.oci.digest import sha256
from labcontainers.oci.image_config import ImageConfig
from labcontainers.oci.manifest import MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST, Index, Manifest
from labcontainers.registry.documents import MANIFEST_TYPES, checked

DIGEST = "sha256:" + "0" * 64
TYPES = st.sampled_from([*MANIFEST_TYPES, "", "application/json", "text/html; charset=utf-8"])
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([DIGEST, MEDIA_TYPE_MANIFEST, "sha256:../../x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
DESCRIPTORS = st.fixed_dictionaries(
    {"mediaType": ANYTHING, "digest": st.just(DIGEST) | ANYTHING, "size": st.integers() | ANYTHING},
    optional={"annotations": ANYTHING, "platform": ANYTHING, "urls": ANYTHING},
)
DOCUMENTS = st.fixed_dictionaries(
    {"schemaVersion": st.just(2) | ANYTHING},
    optional={
        "mediaType": TYPES | ANYTHING,
        "config": DESCRIPTORS | ANYTHING,
        "layers": st.lists(DESCRIPTORS, max_size=3) | ANYTHING,
        "manifests": st.lists(DESCRIPTORS, max_size=3) | ANYTHING,
        "annotations": ANYTHING,
        "subject": DESCRIPTORS | ANYTHING,
    },
)
READERS = (Manifest.from_bytes, Index.from_bytes, ImageConfig.from_bytes)


def is_read_or_refused(data: bytes, kind: str) -> None:
    with contextlib.suppress(LabError):
        document = checked(data, kind, "", "", "a manifest")
        assert document.media_type in MANIFEST_TYPES
        assert document.digest == sha256(data)
    for read in READERS:
        with contextlib.suppress(LabError):
            read(data)


@given(DOCUMENTS, TYPES)
@example({"schemaVersion": 2, "mediaType": MEDIA_TYPE_INDEX, "manifests": [7]}, MEDIA_TYPE_INDEX)
def test_documents_that_are_nearly_right(value: Any, kind: str) -> None:
    is_read_or_refused(json.dumps(value).encode(), kind)


@given(st.binary(max_size=300), TYPES)
@example(b"\xff\xfe{", "")
@example(b"[" * 200_000, "")
@example(b'{"a":' * 200_000, MEDIA_TYPE_MANIFEST)
@example(b'{"schemaVersion":' + b"1" * 5000 + b"}", MEDIA_TYPE_MANIFEST)
def test_bytes_of_any_kind(data: bytes, kind: str) -> None:
    is_read_or_refused(data, kind)
