"""Archives of images that an attacker made: each is refused with a clear error, and nothing of it is kept."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labcontainers import Engine
from labcontainers.errors import LabError
from labcontainers.images.archive.contents import open_contents
from labcontainers.images.archive.loading import read_images
from tests.fakes.image_archive import (
    CONFIG,
    INDEX,
    LAYER,
    MANIFEST,
    Entry,
    blob_name,
    config_of,
    descriptor,
    digest_of,
    docker,
    index_of,
    layout,
    link,
    manifest_of,
    oci,
    pack,
    replaced,
)
from tests.fakes.layer_source import FakeLayer, gzipped, tar_of

GOOD = gzipped(tar_of({"a": b"1"}))
WRONG = gzipped(tar_of({"other": b"content"}))
CONFIG_NAME = f"{digest_of(config_of([GOOD]))[7:]}.json"
FIRST_LAYER = f"{0:064x}/layer.tar"


def listed(**entry: object) -> list[Entry]:
    """A Docker archive whose manifest.json says something else."""
    told = {"Config": CONFIG_NAME, "RepoTags": ["it:latest"], "Layers": [FIRST_LAYER], **entry}
    return replaced(docker([GOOD]), {"manifest.json": json.dumps([told]).encode()})


def indexed(value: object) -> list[Entry]:
    """A layout whose index.json is something else."""
    return replaced(oci([GOOD]), {"index.json": value if isinstance(value, bytes) else json.dumps(value).encode()})


def with_manifest(**changes: object) -> list[Entry]:
    """A layout whose manifest says something else."""
    config = config_of([GOOD])
    manifest = json.dumps({**json.loads(manifest_of(config, [GOOD])), **changes}).encode()
    return layout(index_of(descriptor(manifest, MANIFEST)), manifest, config, GOOD.stored)


def nested(depth: int) -> list[Entry]:
    """Indexes in indexes."""
    inner = index_of()
    blobs = []
    for _ in range(depth):
        blobs.append(inner)
        inner = index_of(descriptor(inner, INDEX))
    return layout(inner, *blobs)


def crowded(depth: int) -> list[Entry]:
    """Indexes that name the next one a hundred times, so that the last is reached by 100 ** depth ways: containerd CVE-2026-53493."""
    inner = index_of()
    blobs = []
    for _ in range(depth):
        blobs.append(inner)
        inner = index_of(*[descriptor(inner, INDEX)] * 100)
    return layout(inner, *blobs)


def device(name: str) -> Entry:
    member = tarfile.TarInfo(name)
    member.type, member.devmajor, member.devminor = tarfile.CHRTYPE, 1, 5
    return name, member


def as_layer(stored: bytes) -> list[Entry]:
    """A layout with a layer of which only the stored bytes are as they say."""
    return oci([FakeLayer(b"not what comes out", stored)])


HOSTILE: dict[str, Callable[[], list[Entry]]] = {
    "an entry with dots": lambda: [*oci([GOOD]), ("../outside", b"x")],
    "an absolute entry": lambda: [*oci([GOOD]), ("/outside", b"x")],
    "a link out": lambda: [*docker([GOOD]), link("x/layer.tar", "../../etc/passwd")],
    "an absolute link": lambda: [*docker([GOOD]), link("x", "/etc/passwd")],
    "a hard link out": lambda: [*docker([GOOD]), link("x", "../etc/passwd", tarfile.LNKTYPE)],
    "links in a circle": lambda: [*replaced(docker([GOOD]), {FIRST_LAYER: None}), link(FIRST_LAYER, "b"), link(f"{0:064x}/b", "layer.tar")],
    "a layer that is a device": lambda: [*replaced(docker([GOOD]), {FIRST_LAYER: None}), device(FIRST_LAYER)],
    "two files of one name": lambda: [*oci([GOOD]), ("index.json", index_of())],
    "two names of one file": lambda: [*oci([GOOD]), ("./index.json", index_of())],
    "a config outside": lambda: listed(Config="../../../etc/passwd"),
    "an absolute config": lambda: listed(Config="/etc/passwd"),
    "a layer outside": lambda: listed(Layers=["../../etc/passwd"]),
    "a layer too many": lambda: listed(Layers=[FIRST_LAYER, FIRST_LAYER]),
    "a layer too few": lambda: listed(Layers=[]),
    "layers that are no texts": lambda: listed(Layers=[1]),
    "a name that is none": lambda: listed(RepoTags=["../../x"]),
    "a name with a digest": lambda: listed(RepoTags=[f"it@{digest_of(b'')}"]),
    "no images": lambda: replaced(docker([GOOD]), {"manifest.json": b"[]"}),
    "a deep manifest.json": lambda: replaced(docker([GOOD]), {"manifest.json": b"[" * 100_000}),
    "a large manifest.json": lambda: replaced(docker([GOOD]), {"manifest.json": b" " * (9 << 20)}),
    "another config than its name says": lambda: replaced(docker([GOOD]), {CONFIG_NAME: config_of([WRONG])}),
    "another layer than the config says": lambda: replaced(docker([GOOD]), {FIRST_LAYER: WRONG.stored}),
    "a digest with dots": lambda: indexed({"schemaVersion": 2, "manifests": [descriptor(b"", MANIFEST) | {"digest": "sha256:../../x"}]}),
    "an index that is a manifest, too": lambda: indexed({"schemaVersion": 2, "manifests": [], "layers": [], "config": {}}),
    "an index that names nothing": lambda: indexed({"schemaVersion": 2, "manifests": []}),
    "a deep index.json": lambda: indexed(b'{"a":' * 100_000),
    "an index.json that is none": lambda: indexed([]),
    "annotations that are no texts": lambda: indexed(
        {"schemaVersion": 2, "manifests": [descriptor(b"", MANIFEST) | {"annotations": {"io.containerd.image.name": [1]}}]}
    ),
    "indexes in indexes": lambda: nested(40),
    "indexes that name each other a hundred times": lambda: crowded(7),
    "a manifest that is not there": lambda: replaced(oci([GOOD]), {blob_name(manifest_of(config_of([GOOD]), [GOOD])): None}),
    "a manifest that is another one": lambda: replaced(
        oci([GOOD]), {blob_name(manifest_of(config_of([GOOD]), [GOOD])): manifest_of(config_of([GOOD]), [GOOD])[:-1] + b" "}
    ),
    "a manifest with manifests": lambda: with_manifest(manifests=[]),
    "a manifest of another type": lambda: with_manifest(mediaType=INDEX),
    "a manifest without its layer": lambda: with_manifest(layers=[]),
    "a layer of another size": lambda: with_manifest(layers=[descriptor(GOOD.stored, LAYER) | {"size": 5}]),
    "a layer of a negative size": lambda: with_manifest(layers=[descriptor(GOOD.stored, LAYER) | {"size": -5}]),
    "a config of a huge size": lambda: with_manifest(config=descriptor(config_of([GOOD]), CONFIG) | {"size": 1 << 60}),
    "a layer of another content": lambda: replaced(oci([GOOD]), {blob_name(GOOD.stored): WRONG.stored.ljust(len(GOOD.stored), b"\0")}),
    "a layer that is not its diff_id": lambda: as_layer(WRONG.stored),
    "a layer that is no archive": lambda: as_layer(b"x" * 3000),
    "a layer that ends too early": lambda: as_layer(GOOD.stored[:-9]),
    "two forms that differ": lambda: [*oci([GOOD]), *docker([WRONG])],
}


def nothing_is_kept(engine: Engine) -> bool:
    own = engine.images.get("lab/base")
    layers = {row.diff_id for row in engine.store.records.list_layers()}
    blobs = set(engine.store.blobs.list())
    return (
        [image.id for image in engine.images.list(all=True)] == [own.id]
        and layers == set(own.diff_ids)
        and blobs == {own.id, own.manifest_digest}
        and engine.store.leftovers() == []
    )


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_is_refused_and_nothing_of_it_is_kept(engine: Engine, place: Path, make: Callable[[], list[Entry]]) -> None:
    data = pack(make())
    path = place / "hostile.tar"
    path.write_bytes(data)
    for source in (path, io.BytesIO(data), gzip.compress(data, 1)):
        with pytest.raises(LabError) as caught:
            engine.images.load(source)
        assert "\n" not in caught.value.message
        assert len(caught.value.message) < 1000
    assert nothing_is_kept(engine)


# podman CVE-2026-94603, containerd CVE-2026-53492: what restores a checkpoint took its settings from the image
def test_annotations_of_an_image_change_nothing_of_how_it_runs(engine: Engine) -> None:
    annotations = {
        "io.podman.annotations.checkpoint.runtime.name": "crun",
        "io.podman.annotations.privileged": "TRUE",
        "cdi.k8s.io/x": "vendor.com/device=all",
        "run.oci.handler": "krun",
    }
    plans = []
    for more in ({}, {"annotations": annotations}):
        (image,) = engine.images.load(pack(with_manifest(**more)))
        plan = engine.containers.plan(image, ["true"], network="none", name="one", hostname="one")
        plans.append(re.sub("[0-9a-f]{12,}", "ID", str(plan)))
    assert plans[0] == plans[1]
    assert plans[0].count("\n") > 20


def test_an_archive_of_ever_more_entries_is_given_up(engine: Engine) -> None:
    entries = (tarfile.TarInfo(f"{number}").tobuf(tarfile.USTAR_FORMAT) for number in range(200_000))
    with pytest.raises(LabError, match="more than 100000 entries"):
        engine.images.load(entries)
    assert nothing_is_kept(engine)


def test_a_fifo_with_nothing_in_it_is_no_image(engine: Engine) -> None:
    ours, theirs = os.pipe()
    os.close(theirs)
    with open(ours, "rb", buffering=0) as pipe, pytest.raises(LabError):
        engine.images.load(pipe)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_archive_is_refused_in_our_words_or_is_the_image_that_it_says(tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(pack(data.draw(st.sampled_from((oci([GOOD]), docker([GOOD]), [*oci([GOOD]), *docker([GOOD])])))))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(whole) - 1))
        whole[position : position + 1] = data.draw(st.binary(max_size=3))
    try:
        with open_contents(bytes(whole), tmp_path) as contents:
            found = read_images(contents, None)
    except LabError:
        return
    assert all(layer.diff_id == GOOD.diff_id for image in found for layer in image.layers)
