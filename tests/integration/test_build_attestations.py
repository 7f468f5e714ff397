"""Annotations, metadata, provenance and bills of built images: in archives, in registries, and as objects."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.build.result import Build
from labcontainers.commands.table import execute, understand
from labcontainers.errors import Conflict, InvalidArgument, LabError
from labcontainers.oci.digest import sha256
from labcontainers.oci.manifest import Index, Manifest
from tests.fakes.registry_server import RegistryServer
from tests.integration.test_docker_registry import running

pytestmark = [pytest.mark.usefixtures("settings_of_nobody"), pytest.mark.alike("ordinary users")]

CANARY = "canary-7f3a"
TEXT = """
ARG VERSION=1
FROM lab/base
ARG VERSION
RUN --mount=type=secret,id=key mkdir -p /opt/lib/tool-1.dist-info && echo "$VERSION" > /opt/version \\
    && printf 'Name: tool\\nVersion: 1\\n' > /opt/lib/tool-1.dist-info/METADATA
RUN mkdir -p /var/lib/dpkg && printf 'Package: one\\nStatus: install ok installed\\nVersion: 1\\n\\n' > /var/lib/dpkg/status
RUN printf 'Package: two\\nStatus: install ok installed\\nVersion: 2\\n' >> /var/lib/dpkg/status
"""


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        yield server


@pytest.fixture
def folder(place: Path) -> Path:
    """A context with a Dockerfile, and where outputs go."""
    folder = place / "work"
    (folder / "context").mkdir(parents=True)
    (folder / "context/Dockerfile").write_text(TEXT)
    (folder / "key").write_text(CANARY)
    return folder


def build(engine: Engine, folder: Path, **more: Any) -> Build:
    return engine.images.build(folder / "context", folder=folder, network="none", secrets="id=key,src=key", **more)


def documents_of(archive: Path) -> dict[str, bytes]:
    """The small files of an archive by their names."""
    with tarfile.open(archive) as tar:
        return {
            member.name: file.read() for member in tar if member.isfile() and member.size < 1 << 20 and (file := tar.extractfile(member))
        }


def blob(documents: dict[str, bytes], digest: str) -> bytes:
    data = documents[f"blobs/{digest.replace(':', '/', 1)}"]
    assert sha256(data) == digest
    return data


def statements_of(documents: dict[str, bytes], index: Index) -> dict[str, dict[str, Any]]:
    """The statements beside an image by their types."""
    image, beside = index.manifests
    assert beside.annotations["vnd.docker.reference.type"] == "attestation-manifest"
    assert beside.annotations["vnd.docker.reference.digest"] == image.digest
    found = {}
    for layer in Manifest.from_bytes(blob(documents, beside.digest)).layers:
        statement = json.loads(blob(documents, layer.digest))
        assert statement["subject"][0]["digest"] == {"sha256": image.digest.partition(":")[2]}
        found[statement["predicateType"]] = statement["predicate"]
    return found


# --- as objects


def test_a_build_tells_where_it_comes_from_and_what_is_in_it(engine: Engine, folder: Path) -> None:
    built = build(engine, folder, build_args={"VERSION": "2"})
    (material,) = built.provenance.materials
    assert material["uri"].startswith("pkg:docker/lab/base@latest")
    assert f"sha256:{material['digest']['sha256']}" == engine.images.get("lab/base").id
    request = built.provenance.to_json()["buildDefinition"]["externalParameters"]["request"]
    assert request["args"]["build-arg:VERSION"] == "2"
    assert CANARY not in json.dumps(built.provenance.to_json())
    assert {package.name: built.image.diff_ids.index(package.layer) for package in built.sbom} == {
        "tool": len(built.image.diff_ids) - 3,
        "one": len(built.image.diff_ids) - 2,
        "two": len(built.image.diff_ids) - 1,
    }
    assert engine.images.get(built.image.id).sbom().to_spdx() == built.sbom.to_spdx()


# --- in archives


def test_an_oci_archive_has_attestations_in_its_index_and_the_image_is_the_same(engine: Engine, folder: Path) -> None:
    plain = build(engine, folder)
    wishes = {"outputs": "type=oci,dest=x.tar", "tag": "team/tool:1", "sbom": True, "provenance": "max"}
    built = build(engine, folder, **wishes)
    assert built.image.id == plain.image.id
    documents = documents_of(folder / "x.tar")
    (entry,) = Index.from_bytes(documents["index.json"]).manifests
    assert entry.annotations["io.containerd.image.name"] == "docker.io/team/tool:1"
    index = Index.from_bytes(blob(documents, entry.digest))
    statements = statements_of(documents, index)
    assert set(statements) == {"https://slsa.dev/provenance/v1", "https://spdx.dev/Document"}
    assert {package["name"] for package in statements["https://spdx.dev/Document"]["packages"]} >= {"one", "two", "tool"}
    assert CANARY.encode() not in (folder / "x.tar").read_bytes()
    # equal images give equal archives, whenever they are made
    build(engine, folder, **{**wishes, "outputs": "type=oci,dest=y.tar"})
    assert (folder / "x.tar").read_bytes() == (folder / "y.tar").read_bytes()
    engine.images.remove(built.image.id)
    (loaded,) = engine.images.load(folder / "x.tar").images
    assert (loaded.id, loaded.tags) == (built.image.id, ("team/tool:1",))


@pytest.mark.needs("skopeo")
def test_skopeo_reads_an_archive_with_attestations(engine: Engine, folder: Path) -> None:
    built = build(engine, folder, outputs="type=oci,dest=x.tar", tag="team/tool:1", sbom=True, provenance=True)
    command = ["skopeo", "inspect", "--config", "--raw", f"oci-archive:{folder}/x.tar"]
    assert sha256(subprocess.run(command, capture_output=True, check=True).stdout) == built.image.id


def test_annotations_stand_where_they_are_said_to(engine: Engine, folder: Path) -> None:
    annotations = ["a=1", "index:b=2", "manifest-descriptor:c=3", "index-descriptor:d=4"]
    built = build(engine, folder, outputs="type=oci,dest=x.tar,annotation.e=5", annotations=annotations, provenance=True)
    documents = documents_of(folder / "x.tar")
    (entry,) = Index.from_bytes(documents["index.json"]).manifests
    assert entry.annotations == {"d": "4"}
    index = blob(documents, entry.digest)
    assert json.loads(index)["annotations"] == {"b": "2"}
    image = Index.from_bytes(index).manifests[0]
    assert image.annotations == {"c": "3"}
    assert Manifest.from_bytes(blob(documents, image.digest)).annotations == {"a": "1", "e": "5"}
    assert built.image.id == build(engine, folder).image.id
    with pytest.raises(InvalidArgument, match="--annotation: index:b has no place"):
        build(engine, folder, annotations="index:b=2")
    with pytest.raises(InvalidArgument, match="--sbom: attestations have no place"):
        build(engine, folder, sbom=True)


def test_annotations_survive_saving(engine: Engine, folder: Path) -> None:
    build(engine, folder, tag="team/tool:1", annotations={"org.opencontainers.image.title": "tool"})
    with engine.images.save("team/tool:1") as archive:
        (folder / "x.tar").write_bytes(b"".join(archive))
    documents = documents_of(folder / "x.tar")
    (entry,) = Index.from_bytes(documents["index.json"]).manifests
    assert Manifest.from_bytes(blob(documents, entry.digest)).annotations == {"org.opencontainers.image.title": "tool"}
    engine.images.remove("team/tool:1")
    engine.images.load(folder / "x.tar")
    with engine.images.save("team/tool:1") as archive:
        assert b"".join(archive) == (folder / "x.tar").read_bytes()


# --- in registries


def test_a_push_sends_attestations_and_the_image_comes_back(engine: Engine, folder: Path, server: RegistryServer) -> None:
    name = f"{server.address}/team/tool:1"
    built = build(
        engine, folder, tag=name, push=True, sbom=True, provenance=True, annotations=["a=1", "index:b=2"], metadata_file="meta.json"
    )
    tagged = server.manifests["team/tool", "1"][1]
    assert json.loads(tagged)["annotations"] == {"b": "2"}
    image, beside = Index.from_bytes(tagged).manifests
    manifest = Manifest.from_bytes(server.manifests["team/tool", image.digest][1])
    assert (manifest.config.digest, manifest.annotations) == (built.image.id, {"a": "1"})
    attached = Manifest.from_bytes(server.manifests["team/tool", beside.digest][1])
    assert len(attached.layers) == 2
    metadata = json.loads((folder / "meta.json").read_bytes())
    assert metadata["containerimage.digest"] == sha256(tagged)
    assert metadata["image.name"] == name
    assert built.image.repo_digests == (f"{server.address}/team/tool@{sha256(tagged)}",)
    shown = execute(lambda: engine, understand(["manifest", "inspect", name]), live=True)
    assert json.loads(str(shown))["manifests"][1]["annotations"]["vnd.docker.reference.type"] == "attestation-manifest"
    engine.images.remove(name)
    pulled = engine.images.pull(name)
    assert getattr(pulled, "id", "") == built.image.id


def test_annotations_survive_a_push(engine: Engine, folder: Path, server: RegistryServer) -> None:
    name = f"{server.address}/team/tool:1"
    build(engine, folder, tag=name, annotations="a=1")
    engine.images.push(name)
    shown = execute(lambda: engine, understand(["manifest", "inspect", name]), live=True)
    assert json.loads(str(shown))["annotations"] == {"a": "1"}


@pytest.mark.needs("docker-registry", "skopeo")
def test_debians_registry_takes_them_and_skopeo_finds_the_image(engine: Engine, folder: Path, place: Path) -> None:
    with running(place / "registry") as address:
        name = f"{address}/team/tool:1"
        built = build(engine, folder, tag=name, push=True, sbom=True, provenance="max")
        command = ["skopeo", "inspect", "--tls-verify=false", "--config", "--raw", f"docker://{name}"]
        assert sha256(subprocess.run(command, capture_output=True, check=True).stdout) == built.image.id
        engine.images.remove(name)
        assert getattr(engine.images.pull(name), "id", "") == built.image.id


# --- metadata


def test_metadata_tell_what_was_made_and_an_old_file_does_not_stay_after_a_failure(engine: Engine, folder: Path) -> None:
    path = folder / "meta.json"
    built = build(engine, folder, tag=("a:1", "b:1"), metadata_file=path)
    found = json.loads(path.read_bytes())
    assert found["containerimage.config.digest"] == built.image.id
    assert found["containerimage.digest"] == built.image.manifest_digest
    assert found["image.name"] == "docker.io/library/a:1,docker.io/library/b:1"
    assert found["buildx.build.provenance"]["buildDefinition"]["resolvedDependencies"]
    execute(
        lambda: engine,
        understand(["build", "-q", "--metadata-file", "-x", "-o", "type=oci,dest=o.tar", "context"]),
        folder=folder,
        live=True,
    )
    assert (folder / "-x").exists()
    with pytest.raises(LabError):
        engine.images.build(folder, dockerfile_text="FROM lab/base\nRUN false\n", metadata_file=path, network="none")
    assert not path.exists()
    with pytest.raises(Conflict, match=r"--metadata-file: .* is a directory"):
        build(engine, folder, metadata_file=folder)
    with pytest.raises(InvalidArgument, match=r"--metadata-file: .*no such folder"):
        build(engine, folder, metadata_file="none/x")
    assert sorted(os.listdir(folder)) == ["-x", "context", "key", "o.tar"]
