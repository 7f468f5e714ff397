"""What a registry tries against whoever pulls from it: to get credentials, to pass one document off as another, to be too much.

The same at the level of single requests is in tests/unit/registry.
"""

from __future__ import annotations

import base64
import gzip
import json
import resource
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.errors import InvalidArgument, LabError
from labcontainers.oci.manifest import MEDIA_TYPE_INDEX
from labcontainers.store.tar_reader import Limits, TarReader
from tests.fakes.layer_source import FakeLayer, digest_of, gzipped, tar_of
from tests.fakes.registry_server import MANIFEST, Answer, Asked, RegistryServer, Tokens
from tests.integration.test_install import config_of

pytestmark = pytest.mark.alike("ordinary users")

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
MEBIBYTE = 1 << 20


@pytest.fixture(autouse=True)
def pulls_what_is_missing(settings_of_nobody: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCONTAINERS_PULL", "missing")


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        yield server


@pytest.fixture
def elsewhere() -> Iterator[RegistryServer]:
    with RegistryServer("127.0.0.2") as elsewhere:
        yield elsewhere


def document(of: list[FakeLayer], config: bytes, **more: Any) -> dict[str, Any]:
    described = [{"mediaType": LAYER, "digest": digest_of(layer.stored), "size": len(layer.stored)} for layer in of]
    kind = "application/vnd.oci.image.config.v1+json"
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": kind, "digest": digest_of(config), "size": len(config)},
        "layers": described,
        **more,
    }


def offer(server: RegistryServer, of: list[FakeLayer], *, kind: str = MANIFEST, config: bytes = b"", **more: Any) -> None:
    """An image `a/b`, whose manifest says `more` besides or instead."""
    config = config or config_of(of)
    for blob in (config, *(layer.stored for layer in of)):
        server.put_blob("a/b", blob)
    server.put_manifest("a/b", "latest", json.dumps(document(of, config, **more)).encode(), kind)


def refused(engine: Engine, server: RegistryServer) -> LabError:
    """The error of a pull, after which nothing of the image is in the store."""
    with pytest.raises(LabError) as caught:
        engine.images.pull(f"{server.address}/a/b")
    own = engine.images.get("lab/base")
    assert engine.images.list(all=True) == [own]
    assert {row.diff_id for row in engine.store.records.list_layers()} == set(own.diff_ids)
    assert engine.store.leftovers() == []
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 1000
    return caught.value


# --- containerd CVE-2020-15157: a layer that lies elsewhere, and a redirect, get no credentials


@pytest.fixture
def tokens(server: RegistryServer, place: Path) -> Tokens:
    """The registry wants credentials, which this user has."""
    tokens = Tokens(f"{server.url}/token", {"ann": "secret"}, public=False)
    server.rules += [tokens.serve, tokens.guard]
    (place / "docker").mkdir()
    auth = {"auth": base64.b64encode(b"ann:secret").decode()}
    (place / "docker" / "config.json").write_text(json.dumps({"auths": {server.address: auth}}))
    return tokens


def spoken_to(server: RegistryServer) -> set[str]:
    return {name for asked in server.asked for name in asked.headers if name in ("authorization", "cookie", "proxy-authorization")}


@pytest.mark.parametrize("kind", [LAYER, FOREIGN])
def test_a_layer_elsewhere_gets_no_credentials_of_the_registry(
    engine: Engine, server: RegistryServer, elsewhere: RegistryServer, tokens: Tokens, kind: str
) -> None:
    layer = gzipped(tar_of({"a": b"1"}))
    offer(server, [layer])
    described = {"mediaType": kind, "digest": digest_of(layer.stored), "size": len(layer.stored), "urls": [f"{elsewhere.url}/layer"]}
    manifest = document([layer], config_of([layer]), layers=[described])
    server.put_manifest("a/b", "latest", json.dumps(manifest).encode())
    del server.blobs["a/b", digest_of(layer.stored)]
    challenge = [("WWW-Authenticate", f'Basic realm="{elsewhere.url}"')]
    elsewhere.rules.append(lambda asked: Answer(401, b"", challenge))
    refused(engine, server)
    assert tokens.issued, "the registry itself was spoken to with the credentials"
    assert spoken_to(elsewhere) == set()


@pytest.mark.parametrize("what", ["manifests", "blobs"])
def test_a_redirect_to_another_host_gets_no_credentials_of_the_registry(
    engine: Engine, server: RegistryServer, elsewhere: RegistryServer, tokens: Tokens, what: str
) -> None:
    offer(server, [gzipped(tar_of({"a": b"1"}))])

    def away(asked: Asked) -> Answer | None:
        return Answer(307, b"", [("Location", f"{elsewhere.url}{asked.target}")]) if f"/{what}/" in asked.path else None

    server.rules.append(away)
    challenge = [("WWW-Authenticate", f'Bearer realm="{elsewhere.url}/token",service="x"')]
    elsewhere.rules.append(lambda asked: Answer(401, b"", challenge))
    refused(engine, server)
    assert elsewhere.asked
    assert spoken_to(elsewhere) == set()


# --- image-spec CVE-2021-41190: a document that is two kinds at once means something else to each reader

AMBIGUOUS: dict[str, tuple[str, dict[str, Any]]] = {
    "a manifest with manifests": (MANIFEST, {"manifests": []}),
    "a manifest with manifests, as an index": (MEDIA_TYPE_INDEX, {"manifests": []}),
    "a manifest that calls itself an index": (MANIFEST, {"mediaType": MEDIA_TYPE_INDEX}),
    "a manifest that is sent as an index": (MEDIA_TYPE_INDEX, {}),
    "no type of its own, sent as an index": (MEDIA_TYPE_INDEX, {"mediaType": ""}),
    "an index with layers": (MEDIA_TYPE_INDEX, {"mediaType": MEDIA_TYPE_INDEX, "manifests": []}),
    "the manifest of a signature scheme of old": ("application/vnd.docker.distribution.manifest.v1+json", {"fsLayers": []}),
}


@pytest.mark.parametrize(("kind", "more"), AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_a_document_of_two_kinds_is_refused(engine: Engine, server: RegistryServer, kind: str, more: dict[str, Any]) -> None:
    offer(server, [gzipped(tar_of({"a": b"1"}))], kind=kind, **more)
    refused(engine, server)
    assert server.requests("GET", "/blobs/") == []


# --- bombs


def zeros(size: int) -> FakeLayer:
    """A layer with a file of that many zeros, which the compressed bytes do not show."""
    member = tarfile.TarInfo("zeros")
    member.size = size
    tar = member.tobuf(tarfile.USTAR_FORMAT) + bytes(size + -size % 512) + bytes(1024)
    return FakeLayer(tar, gzip.compress(tar, 6))


def claimed(size: int) -> FakeLayer:
    """A layer whose file is said to be far larger than what comes."""
    member = tarfile.TarInfo("f")
    member.size = size
    tar = member.tobuf(tarfile.GNU_FORMAT) + b"short"
    return FakeLayer(tar, gzip.compress(tar))


def test_a_layer_that_inflates_a_thousandfold_takes_no_memory(engine: Engine, server: RegistryServer) -> None:
    layer = zeros(150 * MEBIBYTE)
    assert len(layer.tar) > 900 * len(layer.stored)
    offer(server, [layer], config=config_of([zeros(5)]))  # the config tells of another layer, so that it is refused in the end
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(engine, server)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


BOMBS: dict[str, Callable[[], list[FakeLayer]]] = {
    "a file of a size that does not come": lambda: [claimed(1 << 20)],
    "a file of an absurd size": lambda: [claimed(1 << 62)],
    "very many layers": lambda: [gzipped(tar_of({}))] * 10_000,
}


@pytest.mark.parametrize("make", BOMBS.values(), ids=BOMBS)
def test_a_layer_that_claims_what_is_not_so_is_refused(engine: Engine, server: RegistryServer, make: Callable[[], list[FakeLayer]]) -> None:
    offer(server, make())
    refused(engine, server)


def test_a_layer_that_is_larger_or_smaller_than_its_descriptor_is_refused(engine: Engine, server: RegistryServer) -> None:
    layer = gzipped(tar_of({"a": b"1"}))
    for size in (len(layer.stored) - 1, len(layer.stored) + 1, 1, 1 << 50):
        described = {"mediaType": LAYER, "digest": digest_of(layer.stored), "size": size}
        offer(server, [layer], layers=[described])
        refused(engine, server)


def test_a_layer_of_a_million_tiny_files_is_counted_as_it_comes() -> None:
    """The reader gives up at its limit, and holds no entry meanwhile; that of a real layer is ten million."""
    header = tarfile.TarInfo("f").tobuf(tarfile.USTAR_FORMAT)
    block = header * 2000
    left = [1_000_000 * len(header)]

    def read_into(view: memoryview) -> int:
        count = min(len(view), len(block), left[0])
        view[:count] = block[:count]
        left[0] -= count
        return count

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reader = TarReader(read_into, limits=Limits(entries=100_000))
    with pytest.raises(InvalidArgument, match="more than 100000 entries"):  # noqa: PT012  # which of them raises is not known
        while reader.next() is not None:
            pass
    assert left[0] > 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 << 10


DEEP = b'{"a":' * 200_000 + b"1" + b"}" * 200_000
LARGE = b'{"architecture":"amd64","os":"linux","pad":"' + b"x" * (100 * MEBIBYTE) + b'"}'


@pytest.mark.parametrize("body", [DEEP, LARGE], ids=["deep", "of 100 MB"])
@pytest.mark.parametrize("which", ["manifest", "config"])
def test_a_document_that_is_too_much_is_not_read(engine: Engine, server: RegistryServer, which: str, body: bytes) -> None:
    layer = gzipped(tar_of({"a": b"1"}))
    if which == "manifest":
        server.put_manifest("a/b", "latest", body)
    else:
        offer(server, [layer], config=body)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(engine, server)
    # the server is in this process, and holds the body already
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10


@pytest.mark.parametrize("digest", ["sha256:../../x", "sha256:", "sha256:" + "0" * 63 + "/", "../../../etc/passwd", "md5:" + "0" * 32])
def test_a_digest_that_is_a_path_gets_into_no_address_and_no_file(
    engine: Engine, server: RegistryServer, outside: Path, digest: str
) -> None:
    layer = gzipped(tar_of({"a": b"1"}))
    for part in ("layers", "config"):
        manifest = document([layer], config_of([layer]))
        described = manifest["layers"][0] if part == "layers" else manifest["config"]
        described["digest"] = digest
        offer(server, [layer])
        server.put_manifest("a/b", "latest", json.dumps(manifest).encode())
        refused(engine, server)
    assert not [asked for asked in server.asked if ".." in asked.target]
    assert sorted(path.name for path in outside.iterdir()) == ["canary"]
