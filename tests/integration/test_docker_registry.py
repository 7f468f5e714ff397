"""The registry client and Debian's docker-registry: open, with a password, with tokens, and by TLS; all on loopback."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from labcontainers.errors import Denied, DigestMismatch, NotFound, Unavailable
from labcontainers.oci.manifest import MEDIA_TYPE_INDEX, MEDIA_TYPE_LAYER_GZIP, MEDIA_TYPE_MANIFEST
from labcontainers.registry.auth import Credential
from labcontainers.registry.client import Registry
from labcontainers.registry.credentials import Credentials
from labcontainers.registry.progress import Patience
from labcontainers.registry.registries import Registries
from labcontainers.registry.settings import Settings
from labcontainers.registry.transport import Transport
from tests.conftest import SYSTEM_PATH
from tests.fakes.certificates import Authority
from tests.waiting import until

PROGRAM = shutil.which("docker-registry", path=SYSTEM_PATH)
pytestmark = [pytest.mark.needs("docker-registry"), pytest.mark.alike("ordinary users")]
# what `htpasswd -Bbn ann secret` writes
HTPASSWD = "ann:$2b$05$b49balNjvPzSVYMgR0skcOudiG6XBeAukcWZDe.ng4HLkoSRo2Uxe\n"
LAYER = os.urandom(3 << 20)
CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@contextmanager
def running(folder: Path, **sections: Any) -> Iterator[str]:
    """A docker-registry with these sections in its configuration; HOST:PORT."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    folder.mkdir(parents=True, exist_ok=True)
    configuration = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        **sections,
        "http": {"addr": address, "secret": "of the test", **sections.get("http", {})},
    }
    # JSON is YAML
    (folder / "config.yml").write_text(json.dumps(configuration))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(PROGRAM), "serve", str(folder / "config.yml")], stdout=log, stderr=log, env={"PATH": SYSTEM_PATH})
    try:

        def listens() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            try:
                socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), 1).close()
            except OSError:
                return False
            return True

        until(listens, "docker-registry listens")
        yield address
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def make(place: Path) -> Iterator[Callable[..., Registries]]:
    made: list[Registries] = []

    def make(**settings: Any) -> Registries:
        chosen = Settings(proxies={}, **settings)
        made.append(Registries(chosen, Credentials(place / "own", others=list), transport=Transport(chosen, patience=Patience())))
        return made[-1]

    yield make
    for registries in made:
        registries.close()


def push(client: Registry, repository: str, tag: str = "v1", *, chunk_bytes: int = 0) -> bytes:
    """An image of one layer."""
    for data in (CONFIG, LAYER):
        client.upload_blob(repository, sha256(data), len(data), lambda data=data: iter([data[:1000], data[1000:]]), chunk_bytes=chunk_bytes)
    manifest = {
        "schemaVersion": 2, "mediaType": MEDIA_TYPE_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha256(CONFIG), "size": len(CONFIG)},
        "layers": [{"mediaType": MEDIA_TYPE_LAYER_GZIP, "digest": sha256(LAYER), "size": len(LAYER)}],
    }  # fmt: skip
    data = json.dumps(manifest).encode()
    assert client.put_manifest(repository, tag, data, MEDIA_TYPE_MANIFEST) == sha256(data)
    return data


def read(client: Registry, repository: str, digest: str, offset: int = 0) -> bytes:
    found, buffer = bytearray(), memoryview(bytearray(1 << 20))
    with client.open_blob(repository, digest, offset) as body:
        assert body.offset == offset
        while count := body.readinto(buffer):
            found += buffer[:count]
    return bytes(found)


class TestAnOpenRegistry:
    @pytest.fixture
    def client(self, make: Callable[..., Registries], place: Path) -> Iterator[Registry]:
        with running(place / "r") as address:
            yield make().registry(address)

    @pytest.mark.parametrize("chunk_bytes", [0, 1 << 20], ids=["at once", "in pieces"])
    def test_gives_back_what_it_was_sent(self, client: Registry, chunk_bytes: int) -> None:
        manifest = push(client, "team/web", chunk_bytes=chunk_bytes)
        for reference in ("v1", sha256(manifest)):
            document = client.get_manifest("team/web", reference)
            assert (document.data, document.digest, document.media_type) == (manifest, sha256(manifest), MEDIA_TYPE_MANIFEST)
        assert client.head_manifest("team/web", "v1").size == len(manifest)
        assert read(client, "team/web", sha256(LAYER)) == LAYER
        assert read(client, "team/web", sha256(LAYER), 1_000_000) == LAYER[1_000_000:]
        assert read(client, "team/web", sha256(CONFIG)) == CONFIG

    def test_lists_tags_and_repositories_page_by_page(self, client: Registry) -> None:
        for number in range(3):
            push(client, f"team/n{number}")
        push(client, "team/n0", "v2")
        assert client.list_tags("team/n0") == ["v1", "v2"]
        assert client.list_repositories() == ["team/n0", "team/n1", "team/n2"]
        with pytest.raises(NotFound):
            client.list_tags("team/none")

    def test_mounts_a_blob_of_another_repository(self, client: Registry) -> None:
        push(client, "team/web")
        assert client.mount_blob("team/copy", sha256(LAYER), "team/web")
        assert read(client, "team/copy", sha256(LAYER)) == LAYER
        assert not client.mount_blob("team/copy", sha256(b"nothing"), "team/web")

    def test_deletes_manifests_and_blobs(self, client: Registry) -> None:
        manifest = push(client, "team/web")
        client.delete_manifest("team/web", sha256(manifest))
        with pytest.raises(NotFound, match="manifest unknown"):
            client.get_manifest("team/web", "v1")
        client.delete_blob("team/web", sha256(LAYER))
        assert not client.has_blob("team/web", sha256(LAYER))

    def test_refuses_what_is_not_its_digest(self, client: Registry) -> None:
        with pytest.raises(DigestMismatch):
            client.upload_blob("team/web", sha256(b"else"), 3, lambda: [b"abc"])

    def test_takes_the_rest_of_an_upload_that_broke(self, client: Registry) -> None:
        broken = []

        def read_layer() -> Iterator[bytes]:
            yield LAYER[: 2 << 20]
            if not broken:
                broken.append(True)
                raise ConnectionResetError("the cable")
            yield LAYER[2 << 20 :]

        client.upload_blob("team/web", sha256(LAYER), len(LAYER), read_layer)
        assert read(client, "team/web", sha256(LAYER)) == LAYER

    def test_keeps_a_list_of_referrers_under_a_tag(self, client: Registry) -> None:
        manifest = push(client, "team/web")
        subject = {"mediaType": MEDIA_TYPE_MANIFEST, "digest": sha256(manifest), "size": len(manifest)}
        value = {**json.loads(manifest), "subject": subject, "artifactType": "application/x.signature"}
        data = json.dumps(value).encode()
        client.put_manifest("team/web", sha256(data), data, MEDIA_TYPE_MANIFEST)
        found = client.list_referrers("team/web", sha256(manifest), "application/x.signature")
        assert [(one.descriptor.digest, one.artifact_type) for one in found] == [(sha256(data), "application/x.signature")]
        assert client.list_referrers("team/web", sha256(manifest), "application/x.other") == []

    def test_takes_an_index(self, client: Registry) -> None:
        manifest = push(client, "team/web")
        entry = {"mediaType": MEDIA_TYPE_MANIFEST, "digest": sha256(manifest), "size": len(manifest)}
        entry["platform"] = {"os": "linux", "architecture": "amd64"}
        index = json.dumps({"schemaVersion": 2, "mediaType": MEDIA_TYPE_INDEX, "manifests": [entry]}).encode()
        client.put_manifest("team/web", "all", index, MEDIA_TYPE_INDEX)
        assert client.get_manifest("team/web", "all").media_type == MEDIA_TYPE_INDEX


def test_a_registry_with_a_password_lets_in_who_logs_in(make: Callable[..., Registries], place: Path) -> None:
    (place / "htpasswd").write_text(HTPASSWD)
    with running(place / "r", auth={"htpasswd": {"realm": "test", "path": str(place / "htpasswd")}}) as address:
        registries = make()
        with pytest.raises(Denied) as caught:
            registries.registry(address).get_manifest("team/web", "v1")
        assert caught.value.hint == f"login {address}"
        with pytest.raises(Denied):
            registries.login(address, "ann", "wrong")
        registries.login(address, "ann", "secret")
        manifest = push(registries.registry(address), "team/web")
        assert registries.registry(address).get_manifest("team/web", "v1").data == manifest
        assert [found.name for found in registries.search(f"{address}/web")] == [f"{address}/team/web"]
        registries.logout(address)
        with pytest.raises(Denied):
            registries.registry(address).get_manifest("team/web", "v1")


class TokenServer:
    """Signs tokens of the distribution project (JWT, ES256) with openssl."""

    def __init__(self, authority: Authority) -> None:
        from tests.fakes.registry_server import Answer, Asked, RegistryServer

        self.certificate, self._key = authority.issue("tokens")
        self.scopes: list[list[str]] = []

        def serve(asked: Asked) -> Answer:
            if asked.headers.get("authorization") != Credential("ann", "secret").basic:
                return Answer(401)
            self.scopes.append(asked.query.get("scope", []))
            return Answer(200, json.dumps({"token": self._token(self.scopes[-1]), "expires_in": 60}).encode())

        self.server = RegistryServer()
        self.server.rules.append(serve)

    def _token(self, scopes: list[str]) -> str:
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        der = subprocess.run(["openssl", "x509", "-in", self.certificate, "-outform", "DER"], capture_output=True, check=True).stdout
        now = int(time.time())
        claims = {
            "iss": "test",
            "sub": "ann",
            "aud": "registry",
            "exp": now + 60,
            "nbf": now - 60,
            "iat": now,
            "jti": "1",
            "access": access,
        }
        header = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(der).decode()]}
        signed = b".".join(coded(json.dumps(part).encode()) for part in (header, claims))
        return (signed + b"." + coded(self._signature(signed))).decode()

    def _signature(self, data: bytes) -> bytes:
        """r and s, 32 bytes each, out of the DER that openssl writes."""
        der = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self._key], input=data, capture_output=True, check=True).stdout
        found, position = [], 2
        for _ in range(2):
            length = der[position + 1]
            found.append(int.from_bytes(der[position + 2 : position + 2 + length], "big").to_bytes(32, "big"))
            position += 2 + length
        return b"".join(found)


def coded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def test_a_registry_that_wants_tokens_gets_them_with_their_scopes(make: Callable[..., Registries], place: Path) -> None:
    authority = Authority(place / "ca")
    tokens = TokenServer(authority)
    wanted = {
        "realm": f"{tokens.server.url}/token", "service": "registry", "issuer": "test", "rootcertbundle": str(authority.certificate),
    }  # fmt: skip
    try:
        with running(place / "r", auth={"token": wanted}) as address:
            registries = make()
            with pytest.raises(Denied):
                registries.registry(address).list_tags("team/web")
            registries.login(address, "ann", "secret")
            client = registries.registry(address)
            manifest = push(client, "team/web")
            assert client.get_manifest("team/web", "v1").data == manifest
            assert client.mount_blob("team/copy", sha256(LAYER), "team/web")
            assert "team/web" in client.list_repositories()
            assert ["repository:team/copy:pull,push", "repository:team/web:pull"] in tokens.scopes
            assert ["registry:catalog:*"] in tokens.scopes
            client.delete_manifest("team/web", sha256(manifest))
    finally:
        tokens.server.close()


def test_a_registry_by_tls_is_known_by_its_authority(make: Callable[..., Registries], place: Path) -> None:
    authority, stranger = Authority(place / "ca"), Authority(place / "stranger")
    certificate, key = authority.issue("server")
    client_certificate, client_key = authority.issue("client", "DNS:client")
    tls = {"certificate": str(certificate), "key": str(key), "clientcas": [str(authority.certificate)]}
    with running(place / "r", http={"tls": tls}) as address:
        folder = place / "certs.d" / address
        folder.mkdir(parents=True)
        shutil.copy(authority.certificate, folder / "ca.crt")
        with pytest.raises(Unavailable):
            make(certs=(place / "certs.d",)).registry(address).ping()
        shutil.copy(client_certificate, folder / "client.cert")
        shutil.copy(client_key, folder / "client.key")
        client = make(certs=(place / "certs.d",)).registry(address)
        manifest = push(client, "team/web")
        assert client.get_manifest("team/web", "v1").data == manifest
        assert read(client, "team/web", sha256(LAYER), 5) == LAYER[5:]
        shutil.copy(stranger.certificate, folder / "ca.crt")
        with pytest.raises(Unavailable, match="TLS failed"):
            make(certs=(place / "certs.d",)).registry(address).ping()


def test_a_registry_is_a_mirror_of_another(make: Callable[..., Registries], place: Path) -> None:
    with running(place / "a") as first, running(place / "b") as second:
        registries = make(mirrors={first: (f"http://{second}",)})
        manifest = push(registries.registry(second), "team/web")
        client = registries.registry(first)
        assert client.get_manifest("team/web", "v1").data == manifest
        assert read(client, "team/web", sha256(LAYER)) == LAYER
        assert not client.has_blob("team/web", sha256(LAYER))
