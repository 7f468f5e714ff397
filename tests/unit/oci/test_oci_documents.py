"""Descriptors, manifests, indexes and configs: read, checked, and written as the same bytes everywhere."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainers.errors import InvalidArgument
from labcontainers.oci.descriptor import Descriptor, Platform, host_platform
from labcontainers.oci.digest import sha256
from labcontainers.oci.image_config import HistoryEntry, ImageConfig, ProcessConfig
from labcontainers.oci.manifest import (
    MEDIA_TYPE_CONFIG,
    MEDIA_TYPE_DOCKER_CONFIG,
    MEDIA_TYPE_DOCKER_LAYER_GZIP,
    MEDIA_TYPE_DOCKER_LIST,
    MEDIA_TYPE_DOCKER_MANIFEST,
    MEDIA_TYPE_LAYER,
    MEDIA_TYPE_MANIFEST,
    Index,
    Manifest,
    canonical_json,
)

A, B = sha256(b"a"), sha256(b"b")
CONFIG = Descriptor(MEDIA_TYPE_CONFIG, A, 10)
LAYER = Descriptor(MEDIA_TYPE_LAYER, B, 20, {"k": "v"})

MACHINES = (
    ("x86_64", "linux/amd64"),
    ("aarch64", "linux/arm64"),
    ("armv7l", "linux/arm/v7"),
    ("i686", "linux/386"),
    ("riscv64", "linux/riscv64"),
)

# what Docker writes of an image with everything, shortened
FOREIGN: dict[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2024-01-01T00:00:00Z",
    "author": "someone",
    "variant": "v2",
    "os.features": ["x"],
    "config": {
        "User": "1000:1000",
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Env": ["PATH=/bin", "EMPTY="],
        "Entrypoint": ["/entry"],
        "Cmd": ["a", "b c"],
        "Volumes": {"/data": {}},
        "WorkingDir": "/w",
        "Labels": {"ü": "ß"},
        "StopSignal": "SIGQUIT",
        "Shell": ["/bin/bash", "-c"],
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 30000000000},
        "OnBuild": ["RUN true"],
        "ArgsEscaped": True,
    },
    "rootfs": {"type": "layers", "diff_ids": [A, B]},
    "history": [
        {"created": "2024-01-01T00:00:00Z", "created_by": "COPY a b # buildkit", "comment": "buildkit.dockerfile.v0"},
        {"created": "2024-01-01T00:00:00Z", "created_by": 'CMD ["a"]', "empty_layer": True, "author": "someone"},
    ],
}

NO_CONFIGS: tuple[Any, ...] = (
    [],
    {},
    {"architecture": "amd64", "os": "linux"},
    {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": ["../../etc"]}},
    {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": A}, "config": {"Env": {"A": "b"}}},
    {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [A]}, "config": {"Cmd": [1]}},
    {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [A]}, "history": [1]},
)

NO_MANIFESTS: tuple[Any, ...] = (
    None,
    [],
    {"schemaVersion": 1},
    {"schemaVersion": 2, "layers": []},
    {"schemaVersion": 2, "config": CONFIG.to_json(), "layers": {}},
    {"schemaVersion": 2, "config": CONFIG.to_json(), "layers": [], "manifests": []},
    {"schemaVersion": 2, "config": CONFIG.to_json(), "layers": [], "mediaType": "text/plain"},
    {"schemaVersion": 2, "config": {**CONFIG.to_json(), "digest": "x"}, "layers": []},
    {"schemaVersion": 2, "config": {**CONFIG.to_json(), "size": -1}, "layers": []},
    {"schemaVersion": 2, "config": {**CONFIG.to_json(), "size": True}, "layers": []},
    {"schemaVersion": 2, "config": {"digest": A, "size": 1}, "layers": []},
    {"schemaVersion": 2, "config": "x", "layers": []},
)


@pytest.mark.parametrize(("machine", "platform"), MACHINES)
def test_a_machine_has_its_name_of_go(machine: str, platform: str) -> None:
    assert str(host_platform(machine)) == platform


def test_this_machine_is_linux() -> None:
    assert host_platform().os == "linux"


def test_descriptor_comes_back_the_same_with_platform_and_annotations() -> None:
    descriptor = Descriptor(MEDIA_TYPE_MANIFEST, A, 7, {"a": "b"}, Platform("linux", "arm", "v7"))
    assert Descriptor.from_json(json.loads(json.dumps(descriptor.to_json()))) == descriptor


def test_manifest_comes_back_the_same_and_has_canonical_bytes() -> None:
    manifest = Manifest(CONFIG, (LAYER,), {"z": "1", "a": "2"})
    data = manifest.to_bytes()
    assert Manifest.from_bytes(data) == manifest
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode()
    assert json.loads(data)["mediaType"] == MEDIA_TYPE_MANIFEST


def test_dockers_manifest_is_read() -> None:
    document = {
        "schemaVersion": 2,
        "mediaType": MEDIA_TYPE_DOCKER_MANIFEST,
        "config": {"mediaType": MEDIA_TYPE_DOCKER_CONFIG, "digest": A, "size": 1},
        "layers": [{"mediaType": MEDIA_TYPE_DOCKER_LAYER_GZIP, "digest": B, "size": 2}],
    }
    assert Manifest.from_bytes(json.dumps(document).encode()).layers[0].digest == B


@pytest.mark.parametrize("value", NO_MANIFESTS)
def test_what_is_no_manifest_is_refused(value: Any) -> None:
    with pytest.raises(InvalidArgument):
        Manifest.from_bytes(json.dumps(value).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    for read in (Manifest.from_bytes, Index.from_bytes, ImageConfig.from_bytes):
        with pytest.raises(InvalidArgument):
            read(data)


def test_index_comes_back_the_same_and_dockers_list_is_read() -> None:
    index = Index((replace(CONFIG, media_type=MEDIA_TYPE_MANIFEST, platform=Platform("linux", "arm64")),))
    assert Index.from_bytes(index.to_bytes()) == index
    document = {**json.loads(index.to_bytes()), "mediaType": MEDIA_TYPE_DOCKER_LIST}
    assert Index.from_bytes(json.dumps(document).encode()) == index


def test_a_manifest_is_no_index_and_an_index_no_manifest() -> None:
    with pytest.raises(InvalidArgument):
        Index.from_bytes(Manifest(CONFIG, ()).to_bytes())
    with pytest.raises(InvalidArgument):
        Manifest.from_bytes(Index(()).to_bytes())


def test_a_foreign_config_is_read_and_written_back_whole() -> None:
    config = ImageConfig.from_bytes(json.dumps(FOREIGN).encode())
    assert config.config.entrypoint == ("/entry",)
    assert config.config.exposed_ports == ("80/tcp", "53/udp")
    assert config.config.extra["OnBuild"] == ["RUN true"]
    assert config.history[1].empty_layer
    assert json.loads(config.to_bytes()) == FOREIGN
    assert ImageConfig.from_bytes(config.to_bytes()).to_bytes() == config.to_bytes()


def test_nulls_of_a_foreign_config_mean_nothing_set() -> None:
    document = {**FOREIGN, "config": dict.fromkeys(FOREIGN["config"]), "history": None, "author": None}
    config = ImageConfig.from_bytes(json.dumps(document).encode())
    assert replace(config.config, extra={}) == ProcessConfig()
    assert config.history == ()


def test_an_entrypoint_that_is_set_to_nothing_is_not_one_that_is_unset() -> None:
    assert ProcessConfig.from_json({"Entrypoint": []}).entrypoint == ()
    assert ProcessConfig.from_json({}).entrypoint is None


def test_old_images_may_have_one_text_for_a_command() -> None:
    assert ProcessConfig.from_json({"Cmd": "sh"}).cmd == ("sh",)


@pytest.mark.parametrize("value", NO_CONFIGS)
def test_what_is_no_config_is_refused(value: Any) -> None:
    with pytest.raises(InvalidArgument):
        ImageConfig.from_bytes(json.dumps(value).encode())


def test_equal_configs_have_equal_bytes_whatever_the_order_of_their_keys() -> None:
    first = ImageConfig("amd64", "linux", ProcessConfig(labels={"a": "1", "b": "2"}), (A,), (HistoryEntry("", "x"),))
    second = replace(first, config=ProcessConfig(labels={"b": "2", "a": "1"}))
    assert first.to_bytes() == second.to_bytes()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(JSON_VALUES)
def test_canonical_json_is_json_without_blanks_that_comes_back_the_same(value: Any) -> None:
    data = canonical_json(value)
    assert json.loads(data) == value
    assert canonical_json(json.loads(data)) == data


def test_an_argument_that_is_no_utf8_survives() -> None:
    config = ImageConfig("amd64", "linux", ProcessConfig(env=("A=\udcff",)), (A,))
    assert ImageConfig.from_bytes(config.to_bytes()) == config
