"""Annotations, attestations and metadata: what is said on the command line, and the documents that come of it."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from labcontainers.build.outputs.annotations import Annotations, parse_annotations
from labcontainers.build.outputs.attests import Attests, parse_attests
from labcontainers.build.outputs.inputs import Base, BuildInputs, Remote
from labcontainers.build.outputs.metadata import metadata_of
from labcontainers.build.outputs.provenance import PREDICATE, Provenance, package_url
from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.images.attestations import Attestations
from labcontainers.oci.descriptor import Descriptor, Platform
from labcontainers.oci.digest import sha256
from labcontainers.oci.manifest import Index, Manifest
from labcontainers.oci.reference import parse_reference

PLATFORM = Platform("linux", "amd64")
ID = "sha256:" + "ab" * 32

# --- annotations


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["a=b"], Annotations({"a": "b"})),
        (["a=b=c:d"], Annotations({"a": "b=c:d"})),
        (["org.x.url=http://a:1/b"], Annotations({"org.x.url": "http://a:1/b"})),
        (["a:b=c"], None),
        (["org.x:y=c"], Annotations({"org.x:y": "c"})),
        (["manifest:a=", "a=2"], Annotations({"a": "2"})),
        (["index,manifest:a=b"], Annotations({"a": "b"}, {"a": "b"})),
        (["manifest-descriptor:a=b", "index-descriptor:c=d"], Annotations({}, {}, {"a": "b"}, {"c": "d"})),
        ({"index:a": "b", "c": "d"}, Annotations({"c": "d"}, {"a": "b"})),
    ],
)
def test_an_annotation_says_what_it_stands_on(texts: Any, found: Annotations | None) -> None:
    if found is None:
        with pytest.raises(InvalidArgument, match="unknown type 'a'"):
            parse_annotations(texts)
    else:
        assert parse_annotations(texts) == found


@pytest.mark.parametrize("text", ["", "a", "=b", " a=b", "manifest:=b", "index:", "papre:a=b", "a=\0"])
def test_what_is_no_annotation_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^--annotation: "):
        parse_annotations([text])


def test_an_annotation_of_another_platform_is_told_as_that() -> None:
    with pytest.raises(Unsupported, match="one platform"):
        parse_annotations(["manifest[linux/arm64]:a=b"])


@pytest.mark.parametrize(
    ("level", "index", "archive", "fits"),
    [
        ("manifest", False, False, True),
        ("index", False, True, False),
        ("index", True, False, True),
        ("index-descriptor", True, False, False),
        ("index-descriptor", True, True, True),
        ("manifest-descriptor", False, False, False),
        ("manifest-descriptor", False, True, True),
    ],
)
def test_an_annotation_without_a_place_is_refused(level: str, index: bool, archive: bool, fits: bool) -> None:
    annotations = parse_annotations([f"{level}:a=b"])
    if fits:
        annotations.check(has_index=index, has_archive=archive)
    else:
        with pytest.raises(InvalidArgument, match=f"--annotation: {level}:a has no place"):
            annotations.check(has_index=index, has_archive=archive)


# --- what is asked for


@pytest.mark.parametrize(
    ("attest", "provenance", "sbom", "found"),
    [
        ((), None, None, Attests()),
        (("type=sbom",), None, None, Attests(sbom=True)),
        (("type=provenance,mode=max", "type=sbom"), None, None, Attests(True, "max")),
        ((), "true", "true", Attests(True, "min")),
        ((), "false", "false", Attests()),
        ((), True, True, Attests(True, "min")),
        ((), "max", False, Attests(False, "max")),
        ((), "mode=max,builder-id=https://ci", None, Attests(False, "max", "https://ci")),
        (("type=provenance,disabled=true,mode=max",), None, None, Attests()),
        ("type=provenance,version=v1", None, None, Attests(False, "min")),
    ],
)
def test_attestations_are_asked_for_by_three_flags(attest: Any, provenance: Any, sbom: Any, found: Attests) -> None:
    assert parse_attests(attest, provenance, sbom) == found


@pytest.mark.parametrize(
    ("attest", "provenance", "sbom", "told"),
    [
        (("type=paper",), None, None, "--attest: unknown type 'paper'"),
        (("mode=max",), None, None, "--attest: unknown type ''"),
        (("sbom",), None, None, "--attest: not KEY=VALUE"),
        (("type=sbom,mode=max",), None, None, "unknown option 'mode'"),
        (("type=sbom",), None, "true", "--sbom: sbom is asked for twice"),
        ((), "mode=half", None, "--provenance: unknown mode 'half'"),
        ((), "perhaps", None, "--provenance: not KEY=VALUE"),
        ((), "disabled=perhaps", None, "disabled is true or false"),
    ],
)
def test_what_is_no_attestation_is_refused_by_its_flag(attest: Any, provenance: Any, sbom: Any, told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        parse_attests(attest, provenance, sbom)


@pytest.mark.parametrize(("provenance", "sbom"), [("version=v0.2", None), (None, "generator=image")])
def test_what_only_buildkit_has_is_told_as_that(provenance: Any, sbom: Any) -> None:
    with pytest.raises(Unsupported, match="not supported"):
        parse_attests((), provenance, sbom)


# --- the documents

INPUTS = BuildInputs(
    "Dockerfile",
    "FROM lab/base\nRUN --mount=type=secret,id=key true\n",
    {"B": "2", "A": "1"},
    "last",
    "none",
    1_600_000_000,
    {},
    ("key",),
    (),
    (Base("lab/base", "", ID), Base("registry.example/x:1", "sha256:" + "cd" * 32, ID)),
    (Remote("https://host/file", "sha256", "ef" * 32), Remote("https://host/x.git#main", "sha1", "12" * 20)),
)


def test_provenance_is_slsas_and_tells_materials_and_the_times_of_the_epoch() -> None:
    found = Provenance(INPUTS, "linux/amd64", [("", "FROM lab/base", 1)], mode="min").to_json()
    assert found["buildDefinition"]["resolvedDependencies"] == [
        {"uri": "pkg:docker/lab/base@latest?platform=linux%2Famd64", "digest": {"sha256": "ab" * 32}},
        {"uri": "pkg:docker/registry.example/x@1?platform=linux%2Famd64", "digest": {"sha256": "cd" * 32}},
        {"uri": "https://host/file", "digest": {"sha256": "ef" * 32}},
        {"uri": "https://host/x.git#main", "digest": {"sha1": "12" * 20}},
    ]
    metadata = found["runDetails"]["metadata"]
    assert metadata["startedOn"] == metadata["finishedOn"] == "2020-09-13T12:26:40Z"
    assert "buildkit_metadata" not in metadata
    assert found["buildDefinition"]["externalParameters"]["request"]["args"] == {"target": "last"}
    assert found["runDetails"]["builder"]["id"].startswith("pkg:pypi/labcontainers@")


def test_the_mode_max_has_the_dockerfile_the_arguments_and_the_steps() -> None:
    made = Provenance(INPUTS, "linux/amd64", [("build", "RUN make", 2)], builder_id="https://ci")
    found = made.to_json()
    request = found["buildDefinition"]["externalParameters"]["request"]
    assert request["args"] == {"build-arg:A": "1", "build-arg:B": "2", "target": "last", "force-network-mode": "none"}
    assert request["secrets"] == [{"id": "key", "optional": True}]
    (info,) = found["runDetails"]["metadata"]["buildkit_metadata"]["source"]["infos"]
    assert base64.b64decode(info["data"]).decode() == INPUTS.text
    steps = found["buildDefinition"]["internalParameters"]["buildConfig"]["steps"]
    assert steps == [{"stage": "build", "instruction": "RUN make", "line": 2}]
    assert found["runDetails"]["builder"]["id"] == "https://ci"
    assert "registry.example/x" in repr(made)
    assert "registry.example/x" in made._repr_html_()
    assert "https://host/x.git#main  sha1:121212121212" in repr(made)


def test_a_context_with_an_address_is_told_and_a_layout_by_its_context() -> None:
    inputs = replace(
        INPUTS, context=INPUTS.remotes[1], is_complete=True, is_hermetic=True, required=frozenset({"key"}), agents=("default",),
        bases=(Base("foo", "sha256:" + "cd" * 32, ID, is_of_layout=True), Base(ID, "", ID)),
    )  # fmt: skip
    found = Provenance(inputs, "linux/amd64").to_json()
    asked, metadata = found["buildDefinition"]["externalParameters"], found["runDetails"]["metadata"]
    assert asked["configSource"] == {"uri": "https://host/x.git#main", "digest": {"sha1": "12" * 20}, "path": "Dockerfile"}
    assert "locals" not in asked["request"]
    assert (asked["request"]["secrets"], asked["request"]["ssh"]) == ([{"id": "key"}], [{"id": "default", "optional": True}])
    assert metadata["buildkit_completeness"] == {"request": True, "resolvedDependencies": True}
    assert metadata["buildkit_hermetic"] is True
    assert found["buildDefinition"]["resolvedDependencies"][:2] == [
        {"uri": f"pkg:oci/foo@sha256%3A{'cd' * 32}?platform=linux%2Famd64", "digest": {"sha256": "cd" * 32}},
        {"uri": ID, "digest": {"sha256": "ab" * 32}},
    ]


def test_names_are_package_urls() -> None:
    assert package_url(parse_reference("busybox"), "linux/arm64") == "pkg:docker/busybox@latest?platform=linux%2Farm64"
    assert package_url(parse_reference("h:5/a/b:1"), "linux/amd64") == "pkg:docker/h%3A5/a/b@1?platform=linux%2Famd64"


def test_attestations_stand_in_an_index_beside_the_image() -> None:
    manifest = Manifest(Descriptor("application/vnd.oci.image.config.v1+json", ID, 3), ()).to_bytes()
    made = Attestations([(PREDICATE, {"a": 1})], PLATFORM, ["pkg:docker/x"], {"i": "1"}, {"d": "2"})
    attached = made.attach(manifest)
    assert attached == made.attach(manifest)
    image, beside = Index.from_bytes(attached.index).manifests
    assert (image.digest, image.platform, image.annotations) == (sha256(manifest), PLATFORM, {"d": "2"})
    assert json.loads(attached.index)["annotations"] == {"i": "1"}
    assert (beside.digest, beside.platform) == (sha256(attached.manifest), Platform("unknown", "unknown"))
    assert beside.annotations == {
        "vnd.docker.reference.digest": sha256(manifest),
        "vnd.docker.reference.type": "attestation-manifest",
    }
    (layer,) = Manifest.from_bytes(attached.manifest).layers
    assert layer.annotations == {"in-toto.io/predicate-type": PREDICATE}
    blobs = {sha256(blob): blob for blob in attached.blobs}
    statement = json.loads(blobs[layer.digest])
    assert statement["subject"] == [{"name": "pkg:docker/x", "digest": {"sha256": hashlib.sha256(manifest).hexdigest()}}]
    assert statement["predicate"] == {"a": 1}
    config = json.loads(blobs[Manifest.from_bytes(attached.manifest).config.digest])
    assert config["rootfs"]["diff_ids"] == [layer.digest]


def test_metadata_are_buildxs() -> None:
    descriptor = Descriptor("application/vnd.oci.image.manifest.v1+json", "sha256:" + "12" * 32, 5, {}, PLATFORM)
    found = metadata_of(descriptor, ID, ["docker.io/library/a:1", "docker.io/library/b:1"], {"p": 1})
    assert found["image.name"] == "docker.io/library/a:1,docker.io/library/b:1"
    assert found["containerimage.descriptor"]["platform"] == {"os": "linux", "architecture": "amd64"}
    assert found["containerimage.digest"] == descriptor.digest
    assert found["containerimage.config.digest"] == ID
    assert found["buildx.build.provenance"] == {"p": 1}
    assert found["buildx.build.ref"] == metadata_of(descriptor, ID, [], {})["buildx.build.ref"]
    assert "image.name" not in metadata_of(descriptor, ID, [], {})
