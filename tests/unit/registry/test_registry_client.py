"""The verbs of a registry, and what a hostile one gets for its pains."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from labcontainers.errors import DigestMismatch, Failed, InvalidArgument, LabError, NotFound, Unavailable, Unsupported
from labcontainers.oci.manifest import MEDIA_TYPE_DOCKER_LIST, MEDIA_TYPE_DOCKER_MANIFEST, MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST
from labcontainers.registry.client import Registry
from labcontainers.registry.progress import Patience, Stalled
from labcontainers.registry.registries import Registries
from tests.fakes.registry_server import Answer, Asked, RegistryServer, refusal, sha256

DATA = bytes(range(256)) * 4096
DIGEST = sha256(DATA)
EMPTY = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2}


def manifest(**more: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": MEDIA_TYPE_MANIFEST, "config": EMPTY, "layers": [], **more}).encode()


def read_all(body: Any, piece: int = 1 << 16) -> bytes:
    buffer, found = memoryview(bytearray(piece)), b""
    while count := body.readinto(buffer):
        found += buffer[:count]
    return found


def once(rule: Callable[[Asked], Answer | None], times: int = 1) -> Callable[[Asked], Answer | None]:
    """The rule for so many requests that it takes."""
    left = [times]

    def limited(asked: Asked) -> Answer | None:
        found = rule(asked) if left[0] else None
        left[0] -= found is not None
        return found

    return limited


def get_of_blob(answer: Callable[[Asked], Answer]) -> Callable[[Asked], Answer | None]:
    return lambda asked: answer(asked) if asked.method == "GET" and "/blobs/sha256" in asked.path else None


class TestManifests:
    def test_comes_by_tag_with_its_type_and_digest(self, server: RegistryServer, client: Registry) -> None:
        digest = server.put_manifest("a/b", "v1", manifest())
        document = client.get_manifest("a/b", "v1")
        assert (document.media_type, document.digest, document.data) == (MEDIA_TYPE_MANIFEST, digest, manifest())
        accepted = server.requests("GET", "manifests")[0].headers["accept"]
        assert all(kind in accepted for kind in (MEDIA_TYPE_MANIFEST, MEDIA_TYPE_INDEX, MEDIA_TYPE_DOCKER_MANIFEST, MEDIA_TYPE_DOCKER_LIST))

    def test_comes_by_digest(self, server: RegistryServer, client: Registry) -> None:
        digest = server.put_manifest("a/b", "v1", manifest())
        assert client.get_manifest("a/b", digest).data == manifest()

    def test_is_described_without_being_fetched(self, server: RegistryServer, client: Registry) -> None:
        digest = server.put_manifest("a/b", "v1", manifest())
        found = client.head_manifest("a/b", "v1")
        assert (found.digest, found.size, found.media_type) == (digest, len(manifest()), MEDIA_TYPE_MANIFEST)
        assert not server.requests("GET", "manifests")

    def test_is_fetched_where_the_registry_does_not_describe_it(self, server: RegistryServer, client: Registry) -> None:
        digest = server.put_manifest("a/b", "v1", manifest())
        server.rules.append(lambda asked: Answer(200) if asked.method == "HEAD" else None)
        assert client.head_manifest("a/b", "v1").digest == digest

    def test_goes_under_a_tag_and_can_be_deleted(self, server: RegistryServer, client: Registry) -> None:
        digest = client.put_manifest("a/b", "v2", manifest(), MEDIA_TYPE_MANIFEST)
        assert server.manifests["a/b", "v2"] == (MEDIA_TYPE_MANIFEST, manifest())
        client.delete_manifest("a/b", digest)
        with pytest.raises(NotFound, match=digest):
            client.get_manifest("a/b", digest)

    def test_is_not_sent_under_a_digest_of_something_else(self, server: RegistryServer, client: Registry) -> None:
        with pytest.raises(DigestMismatch):
            client.put_manifest("a/b", DIGEST, manifest(), MEDIA_TYPE_MANIFEST)
        assert not server.requests("PUT")

    def test_that_is_not_there_is_named(self, server: RegistryServer, client: Registry) -> None:
        with pytest.raises(NotFound, match=rf"manifest for {server.address}/a/b:nope not found.*manifest unknown"):
            client.get_manifest("a/b", "nope")


# what the registry sends for a tag: type in the header, body, further headers; the error, and a word of it
DEEP = b'{"schemaVersion":2,"layers":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
HOSTILE: tuple[tuple[str, str, bytes, list[tuple[str, str]], type[LabError], str], ...] = (
    ("another digest", MEDIA_TYPE_MANIFEST, manifest(), [("Docker-Content-Digest", DIGEST)], DigestMismatch, "is not sha256"),
    (
        "a digest that is a path",
        MEDIA_TYPE_MANIFEST,
        manifest(),
        [("Docker-Content-Digest", "sha256:../../x")],
        DigestMismatch,
        "no digest",
    ),
    ("deep JSON", MEDIA_TYPE_MANIFEST, DEEP, [], InvalidArgument, "nested more than 64"),
    ("no JSON", MEDIA_TYPE_MANIFEST, b"<html>", [], InvalidArgument, "no JSON"),
    ("a list", MEDIA_TYPE_MANIFEST, b"[]", [], InvalidArgument, "no object"),
    ("two kinds at once", MEDIA_TYPE_MANIFEST, manifest(manifests=[]), [], InvalidArgument, "but has manifests"),
    ("an index with layers", "", manifest(mediaType=MEDIA_TYPE_INDEX), [], InvalidArgument, "but has layers"),
    ("two types", MEDIA_TYPE_INDEX, manifest(), [], InvalidArgument, "says that it is"),
    ("schema 1", "application/vnd.docker.distribution.manifest.v1+prettyjws", b'{"schemaVersion":1}', [], Unsupported, "schema 1"),
    ("another kind", "application/vnd.cncf.helm+json", b"{}", [], Unsupported, "helm"),
    ("a coding", MEDIA_TYPE_MANIFEST, manifest(), [("Content-Encoding", "gzip")], Unavailable, "coding"),
)


@pytest.mark.parametrize(("kind", "body", "headers", "error", "word"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_a_manifest_that_is_not_what_it_should_be_is_refused(
    server: RegistryServer, client: Registry, kind: str, body: bytes, headers: list[tuple[str, str]], error: type[LabError], word: str
) -> None:
    server.rules.append(lambda asked: Answer(200, body, [("Content-Type", kind), *headers]) if "/manifests/" in asked.path else None)
    with pytest.raises(error, match=word) as caught:
        client.get_manifest("a/b", "v1")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_manifest_of_100_megabytes_is_not_read(server: RegistryServer, client: Registry, chunked: bool) -> None:
    sent = [0]

    def flood(handler: Any) -> None:
        kind = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 104857600"
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + kind + b"\r\n\r\n")
        piece = b" " * (1 << 20)
        for _ in range(100):
            handler.wfile.write(b"100000\r\n" + piece + b"\r\n" if chunked else piece)
            sent[0] += 1

    server.rules.append(lambda asked: Answer(raw=flood) if "/manifests/" in asked.path else None)
    with pytest.raises(InvalidArgument, match="more than 4194304 bytes"):
        client.get_manifest("a/b", "v1")
    assert sent[0] < 100


# repository, tag or digest
NO_NAMES = (
    ("a/../b", "v1"),
    ("A/b", "v1"),
    ("a/b", "v 1"),
    ("a/b", "sha256:../../x"),
    ("a/b", ".."),
    ("a/b?x", "v1"),
    ("", "v1"),
    ("a/b", ""),
)


@pytest.mark.parametrize(("repository", "reference"), NO_NAMES)
def test_what_is_no_name_gets_into_no_address(server: RegistryServer, client: Registry, repository: str, reference: str) -> None:
    with pytest.raises(InvalidArgument):
        client.get_manifest(repository, reference)
    assert not server.asked


class TestBlobs:
    def test_is_read_from_its_beginning(self, server: RegistryServer, client: Registry) -> None:
        server.put_blob("a/b", DATA)
        with client.open_blob("a/b", DIGEST, size=len(DATA)) as body:
            assert (body.offset, body.size) == (0, len(DATA))
            assert read_all(body) == DATA
            assert body.readinto(memoryview(bytearray(10))) == 0

    def test_is_read_from_the_middle(self, server: RegistryServer, client: Registry) -> None:
        server.put_blob("a/b", DATA)
        with client.open_blob("a/b", DIGEST, 1000) as body:
            assert (body.offset, body.size) == (1000, len(DATA) - 1000)
            assert read_all(body) == DATA[1000:]
        assert server.requests("GET", "blobs")[-1].headers["range"] == "bytes=1000-"

    def test_is_read_whole_where_the_registry_has_no_ranges(self, server: RegistryServer, client: Registry) -> None:
        server.put_blob("a/b", DATA)
        server.ranges = False
        with client.open_blob("a/b", DIGEST, 1000) as body:
            assert body.offset == 0
            assert read_all(body) == DATA

    @pytest.mark.parametrize("said", ["bytes 5-1048575/1048576", "bytes 1000-2000/1048576", "nonsense", ""])
    def test_is_read_whole_where_a_range_comes_wrong(self, server: RegistryServer, client: Registry, said: str) -> None:
        server.put_blob("a/b", DATA)
        server.rules.append(once(get_of_blob(lambda asked: Answer(206, DATA[1000:], [("Content-Range", said)]))))
        with client.open_blob("a/b", DIGEST, 1000) as body:
            assert body.offset == 0
            assert read_all(body) == DATA

    def test_is_read_whole_where_the_offset_is_beyond_its_end(self, server: RegistryServer, client: Registry) -> None:
        server.put_blob("a/b", DATA)
        with client.open_blob("a/b", DIGEST, len(DATA) + 7) as body:
            assert body.offset == 0

    def test_comes_in_chunks_without_a_size(self, server: RegistryServer, client: Registry) -> None:
        server.rules.append(get_of_blob(lambda asked: Answer(200, DATA, [("Transfer-Encoding", "chunked")])))
        with client.open_blob("a/b", DIGEST) as body:
            assert body.size is None
            assert read_all(body) == DATA

    def test_goes_on_where_the_connection_broke(self, server: RegistryServer, client: Registry) -> None:
        server.put_blob("a/b", DATA)
        server.rules.append(once(get_of_blob(lambda asked: Answer(200, DATA, stop_after=300_000))))
        with client.open_blob("a/b", DIGEST) as body:
            assert read_all(body) == DATA
        assert server.requests("GET", "blobs")[-1].headers["range"] == "bytes=300000-"

    def test_goes_on_without_ranges_by_passing_over_what_it_has(self, server: RegistryServer, client: Registry) -> None:
        server.put_blob("a/b", DATA)
        server.ranges = False
        server.rules.append(once(get_of_blob(lambda asked: Answer(200, DATA, stop_after=300_000)), times=2))
        with client.open_blob("a/b", DIGEST) as body:
            assert read_all(body) == DATA

    def test_that_always_breaks_off_is_given_up(self, server: RegistryServer, client: Registry) -> None:
        server.rules.append(get_of_blob(lambda asked: Answer(200, DATA, stop_after=1000)))
        with pytest.raises(Unavailable, match="too early"), client.open_blob("a/b", DIGEST) as body:
            read_all(body)
        assert len(server.requests("GET", "blobs")) < 20

    @pytest.mark.parametrize("length", [5, 1 << 50])
    def test_of_another_size_than_its_descriptor_is_refused_at_once(self, server: RegistryServer, client: Registry, length: int) -> None:
        server.rules.append(get_of_blob(lambda asked: Answer(200, b"12345", length=length)))
        with pytest.raises(DigestMismatch, match=f"has {length} bytes at the registry, not 1048576"):
            client.open_blob("a/b", DIGEST, size=len(DATA))

    def test_that_is_endless_ends_at_its_size(self, server: RegistryServer, client: Registry) -> None:
        server.rules.append(get_of_blob(lambda asked: Answer(200, DATA, [("Transfer-Encoding", "chunked")])))
        with pytest.raises(DigestMismatch, match="more than 1000 bytes"), client.open_blob("a/b", DIGEST, size=1000) as body:
            read_all(body)

    def test_is_there_or_not(self, server: RegistryServer, client: Registry) -> None:
        assert not client.has_blob("a/b", DIGEST)
        server.put_blob("a/b", DATA)
        assert client.has_blob("a/b", DIGEST)
        assert client.head_blob("a/b", DIGEST) == len(DATA)
        client.delete_blob("a/b", DIGEST)
        assert not client.has_blob("a/b", DIGEST)

    def test_uses_one_connection_for_what_comes_after_each_other(self, server: RegistryServer, client: Registry) -> None:
        server.put_blob("a/b", DATA)
        client.ping()
        before = server.connections
        for _ in range(3):
            client.has_blob("a/b", DIGEST)
            with client.open_blob("a/b", DIGEST) as body:
                read_all(body)
        assert server.connections == before

    def test_may_be_left_in_the_middle(self, server: RegistryServer, client: Registry) -> None:
        server.put_blob("a/b", DATA)
        with client.open_blob("a/b", DIGEST) as body:
            body.readinto(memoryview(bytearray(10)))
        with client.open_blob("a/b", DIGEST) as body:
            assert read_all(body) == DATA


class TestAServerThatStalls:
    @pytest.fixture
    def hurried(self, make: Callable[..., Registries], server: RegistryServer) -> Registry:
        return make(Patience(silence_s=5, window_s=0.2, window_bytes=1000)).registry(server.address)

    @pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Slow: "])
    def test_is_left_though_a_byte_comes_now_and_then(self, server: RegistryServer, hurried: Registry, head: bytes) -> None:
        def drip(handler: Any) -> None:
            handler.wfile.write(head)
            while not server.ended.wait(0.02):
                handler.wfile.write(b"x")

        server.rules.append(get_of_blob(lambda asked: Answer(raw=drip)))
        with pytest.raises(Stalled, match="stalls"), hurried.open_blob("a/b", DIGEST) as body:
            read_all(body)

    def test_may_take_its_time_before_it_begins(self, server: RegistryServer, hurried: Registry) -> None:
        def late(handler: Any) -> None:
            server.ended.wait(0.4)
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        server.rules.append(get_of_blob(lambda asked: Answer(raw=late)))
        with hurried.open_blob("a/b", DIGEST) as body:
            assert read_all(body) == b"ok"

    def test_that_says_nothing_at_all_is_left(self, make: Callable[..., Registries], server: RegistryServer) -> None:
        client = make(Patience(silence_s=0.1)).registry(server.address)
        server.rules.append(get_of_blob(lambda asked: Answer(raw=lambda handler: server.ended.wait(0.5))))
        with pytest.raises(Unavailable, match=r"no answer in 0\.1 s"):
            client.open_blob("a/b", DIGEST)


class TestUploads:
    def test_goes_in_one_request(self, server: RegistryServer, client: Registry) -> None:
        told: list[int] = []
        client.upload_blob("a/b", DIGEST, len(DATA), lambda: iter([DATA[:1000], DATA[1000:]]), on_bytes=told.append)
        assert server.blobs["a/b", DIGEST] == DATA
        assert told == [1000, len(DATA)]
        assert [asked.method for asked in server.requests(path="uploads")] == ["POST", "PUT"]

    def test_goes_in_pieces(self, server: RegistryServer, client: Registry, tmp_path: Any) -> None:
        (tmp_path / "f").write_bytes(DATA)
        client.upload_blob("a/b", DIGEST, len(DATA), lambda: (tmp_path / "f").open("rb"), chunk_bytes=300_000)
        assert server.blobs["a/b", DIGEST] == DATA
        ranges = [asked.headers["content-range"] for asked in server.requests("PATCH")]
        assert ranges == ["0-299999", "300000-599999", "600000-899999", "900000-1048575"]

    def test_goes_while_it_is_made(self, server: RegistryServer, client: Registry, tmp_path: Any) -> None:
        data = DATA * 40
        steps = iter([(17 << 20, ""), (34 << 20, ""), (len(data), sha256(data))])

        def grown(count: int) -> tuple[int, str]:
            size, digest = next(steps)
            assert size >= count or digest
            (tmp_path / "f").write_bytes(data[:size])
            return size, digest

        client.upload_growing("a/b", lambda: (tmp_path / "f").open("rb"), grown)
        assert server.blobs["a/b", sha256(data)] == data
        assert [asked.method for asked in server.requests(path="uploads")] == ["POST", "PATCH", "PATCH", "PATCH", "PUT"]

    def test_that_is_small_when_it_is_made_goes_in_one_request(self, server: RegistryServer, client: Registry, tmp_path: Any) -> None:
        (tmp_path / "f").write_bytes(DATA)
        client.upload_growing("a/b", lambda: (tmp_path / "f").open("rb"), lambda count: (len(DATA), DIGEST))
        assert server.blobs["a/b", DIGEST] == DATA
        assert [asked.method for asked in server.requests(path="uploads")] == ["POST", "PUT"]

    def test_whose_making_fails_is_taken_back(self, server: RegistryServer, client: Registry, tmp_path: Any) -> None:
        def grown(count: int) -> tuple[int, str]:
            raise RuntimeError("no more")

        with pytest.raises(RuntimeError, match="no more"):
            client.upload_growing("a/b", lambda: (tmp_path / "f").open("rb"), grown)
        assert not server.uploads
        assert not server.blobs

    def test_of_nothing_and_of_one_byte_arrive(self, server: RegistryServer, client: Registry) -> None:
        client.upload_blob("a/b", sha256(b""), 0, lambda: iter(()))
        client.upload_blob("a/b", sha256(b"x"), 1, lambda: [b"x"], chunk_bytes=10)
        assert (server.blobs["a/b", sha256(b"")], server.blobs["a/b", sha256(b"x")]) == (b"", b"x")

    def test_is_left_out_where_the_blob_is_there(self, server: RegistryServer, client: Registry) -> None:
        server.put_blob("a/b", DATA)
        client.upload_blob("a/b", DIGEST, len(DATA), lambda: pytest.fail("the source was read"))
        assert not server.requests("POST")

    def test_goes_on_from_what_the_registry_has_when_it_failed(self, server: RegistryServer, client: Registry, slept: list[float]) -> None:
        def fail(asked: Asked) -> Answer | None:
            if asked.method != "PUT":
                return None
            server.uploads["u0"] += asked.body[:500_000]
            return Answer(503)

        server.rules.append(once(fail))
        client.upload_blob("a/b", DIGEST, len(DATA), lambda: iter([DATA]))
        assert server.blobs["a/b", DIGEST] == DATA
        assert server.requests("PATCH")[0].headers["content-range"] == f"500000-{len(DATA) - 1}"
        assert slept

    def test_in_pieces_recovers_from_416(self, server: RegistryServer, client: Registry) -> None:
        def lose(asked: Asked) -> Answer | None:
            if asked.method == "PATCH" and asked.headers["content-range"].startswith("600000-"):
                del server.uploads["u0"][400_000:]
                return Answer(416, b"", [("Range", "0-399999")])
            return None

        server.rules.append(once(lose))
        client.upload_blob("a/b", DIGEST, len(DATA), lambda: iter([DATA]), chunk_bytes=300_000)
        assert server.blobs["a/b", DIGEST] == DATA
        assert "400000-699999" in [asked.headers["content-range"] for asked in server.requests("PATCH")]

    def test_may_take_longer_than_connecting(self, server: RegistryServer, make: Callable[..., Registries]) -> None:
        def hold(asked: Asked) -> None:
            if asked.method == "PUT":
                server.ended.wait(1.5)

        server.early = hold
        data = bytes(32 << 20)
        client = make(Patience(connect_s=1.0, silence_s=20)).registry(server.address)
        client.upload_blob("a/b", sha256(data), len(data), lambda: [data])
        assert len(server.requests("PUT")) == 1

    def test_is_done_where_only_the_answer_was_lost(self, server: RegistryServer, client: Registry) -> None:
        def lose(asked: Asked) -> Answer | None:
            if asked.method != "PUT":
                return None
            server.blobs["a/b", DIGEST] = asked.body
            return Answer(raw=lambda handler: None)

        server.rules.append(once(lose))
        client.upload_blob("a/b", DIGEST, len(DATA), lambda: iter([DATA]))
        assert len(server.requests("PUT")) == 1

    def test_begins_again_where_the_registry_has_forgotten_it(self, server: RegistryServer, client: Registry) -> None:
        def forget(asked: Asked) -> Answer | None:
            if asked.method != "PUT":
                return None
            server.uploads["u0"] = bytearray()
            server.uploads["gone"] = server.uploads.pop("u0")
            return Answer(503)

        server.rules.append(once(forget))
        client.upload_blob("a/b", DIGEST, len(DATA), lambda: iter([DATA]))
        assert server.blobs["a/b", DIGEST] == DATA

    def test_of_what_is_not_its_digest_is_refused_by_the_registry(self, server: RegistryServer, client: Registry) -> None:
        with pytest.raises(DigestMismatch, match="did not match"):
            client.upload_blob("a/b", sha256(b"else"), 3, lambda: iter([b"abc"]))
        assert not server.uploads

    @pytest.mark.parametrize("pieces", [[b"ab"], [b"abcd"], []])
    def test_of_another_size_than_was_said_is_not_finished(self, server: RegistryServer, client: Registry, pieces: list[bytes]) -> None:
        with pytest.raises(LabError, match="source has"):
            client.upload_blob("a/b", sha256(b"abc"), 3, lambda: iter(pieces))
        assert not server.blobs

    def test_that_is_refused_in_the_middle_tells_why(self, server: RegistryServer, client: Registry) -> None:
        server.early = lambda asked: refusal(413, "", "too much") if asked.method == "PUT" else None
        piece = bytes(1 << 20)
        # the answer may be lost with the connection; then the registry is asked again, and again
        with pytest.raises((Failed, Unavailable)):
            client.upload_blob("a/b", DIGEST, 64 << 20, lambda: (piece for _ in range(64)))
        assert not server.blobs

    def test_to_a_registry_that_takes_nothing_ends(self, server: RegistryServer, client: Registry) -> None:
        where = [("Location", "/v2/a/b/blobs/uploads/u0"), ("Range", "0-0")]
        server.rules.append(lambda asked: Answer(202, b"", where) if asked.method == "PATCH" else None)
        with pytest.raises(Unavailable, match="says that it has 0"):
            client.upload_blob("a/b", DIGEST, len(DATA), lambda: iter([DATA]), chunk_bytes=300_000)

    def test_whose_place_is_not_told_is_unavailable(self, server: RegistryServer, client: Registry) -> None:
        server.rules.append(lambda asked: Answer(202) if asked.method == "POST" else None)
        with pytest.raises(Unavailable, match="where to send it"):
            client.upload_blob("a/b", DIGEST, len(DATA), lambda: iter([DATA]))

    def test_is_no_upload_where_another_repository_has_the_blob(self, server: RegistryServer, client: Registry) -> None:
        server.put_blob("c/d", DATA)
        assert client.mount_blob("a/b", DIGEST, "c/d")
        assert server.blobs["a/b", DIGEST] == DATA

    def test_that_cannot_be_mounted_is_told_and_nothing_stays_open(self, server: RegistryServer, client: Registry) -> None:
        server.put_blob("c/d", DATA)
        server.mounts = False
        assert not client.mount_blob("a/b", DIGEST, "c/d")
        assert not server.uploads

    def test_that_may_not_be_mounted_is_told(self, server: RegistryServer, client: Registry) -> None:
        server.rules.append(lambda asked: refusal(403, "DENIED") if asked.method == "POST" else None)
        assert not client.mount_blob("a/b", DIGEST, "c/d")


class TestLists:
    def test_tags_come_page_by_page(self, server: RegistryServer, client: Registry) -> None:
        server.page = 3
        for number in range(10):
            server.put_manifest("a/b", f"v{number}", manifest())
        assert client.list_tags("a/b") == [f"v{number}" for number in range(10)]
        assert len(server.requests("GET", "tags")) == 4

    def test_no_tags_are_an_empty_list(self, server: RegistryServer, client: Registry) -> None:
        server.rules.append(lambda asked: Answer(200, b'{"name":"a/b","tags":null}') if "tags" in asked.path else None)
        assert client.list_tags("a/b") == []

    def test_pages_in_a_circle_end(self, server: RegistryServer, client: Registry) -> None:
        link = [("Link", '</v2/a/b/tags/list?n=1000>; rel="next"')]
        server.rules.append(lambda asked: Answer(200, b'{"tags":["x"]}', link) if "tags" in asked.path else None)
        with pytest.raises(Unavailable, match="circle"):
            client.list_tags("a/b")

    def test_pages_of_another_host_are_not_fetched(self, server: RegistryServer, other: RegistryServer, client: Registry) -> None:
        link = [("Link", f'<{other.url}/v2/a/b/tags/list>; rel="next"')]
        server.rules.append(lambda asked: Answer(200, b'{"tags":["x"]}', link) if "tags" in asked.path else None)
        with pytest.raises(Unavailable, match="another host"):
            client.list_tags("a/b")
        assert not other.asked

    def test_repositories_are_listed_and_searched(self, server: RegistryServer, make: Callable[..., Registries]) -> None:
        for name in ("team/web", "team/db", "web"):
            server.put_manifest(name, "v1", manifest())
        registries = make()
        assert registries.registry(server.address).list_repositories() == ["team/db", "team/web", "web"]
        assert [found.name for found in registries.search(f"{server.address}/we")] == [
            f"{server.address}/team/web",
            f"{server.address}/web",
        ]

    def test_the_hub_is_searched_by_its_own_list(self, server: RegistryServer, make: Callable[..., Registries]) -> None:
        entry = {"name": "busybox", "description": "small\n\x1b[31m", "star_count": 7, "is_official": True}
        rule = lambda asked: Answer(200, json.dumps({"results": [entry, "x"]}).encode()) if asked.path == "/v1/search" else None  # noqa: E731 (a rule)
        server.rules.append(rule)
        found = make(hub=server.url).search("busy box")
        assert [(one.name, one.description, one.stars, one.official) for one in found] == [("busybox", "small [31m", 7, True)]
        assert server.asked[0].query == {"q": ["busy box"], "n": ["25"]}

    def test_a_registry_without_a_list_cannot_be_searched(self, server: RegistryServer, make: Callable[..., Registries]) -> None:
        server.rules.append(lambda asked: Answer(404) if "_catalog" in asked.path else None)
        with pytest.raises(Unsupported, match="does not list"):
            make().search(f"{server.address}/x")


class TestReferrers:
    def sign(self, client: Registry, kind: str) -> str:
        subject = {"mediaType": MEDIA_TYPE_MANIFEST, "digest": sha256(manifest()), "size": len(manifest())}
        data = manifest(subject=subject, artifactType=kind)
        return client.put_manifest("a/b", sha256(data), data, MEDIA_TYPE_MANIFEST)

    @pytest.mark.parametrize("listed", [True, False], ids=["listed by the registry", "listed under a tag"])
    def test_are_found_all_or_of_one_type(self, server: RegistryServer, client: Registry, listed: bool) -> None:
        server.referrers = listed
        client.put_manifest("a/b", "v1", manifest(), MEDIA_TYPE_MANIFEST)
        signature, bill = self.sign(client, "application/x.signature"), self.sign(client, "application/x.sbom")
        assert {found.descriptor.digest for found in client.list_referrers("a/b", sha256(manifest()))} == {signature, bill}
        assert [found.descriptor.digest for found in client.list_referrers("a/b", sha256(manifest()), "application/x.sbom")] == [bill]
        assert (("a/b", "sha256-" + sha256(manifest())[7:]) in server.manifests) is not listed

    def test_of_nothing_are_none(self, server: RegistryServer, client: Registry) -> None:
        server.referrers = False
        assert client.list_referrers("a/b", DIGEST) == []


def test_a_registry_that_does_not_run_is_told_in_one_line(make: Callable[..., Registries], slept: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Unavailable, match=rf"127\.0\.0\.1:{port}: cannot connect: connection refused") as caught:
        make().registry(f"127.0.0.1:{port}").get_manifest("a/b", "v1")
    assert "\n" not in str(caught.value)


def test_random_bytes_for_http_are_unavailable(server: RegistryServer, client: Registry) -> None:
    noise = os.urandom(4096)
    server.rules.append(lambda asked: Answer(raw=lambda handler: handler.wfile.write(noise)) if "manifests" in asked.path else None)
    with pytest.raises(Unavailable):
        client.get_manifest("a/b", "v1")
