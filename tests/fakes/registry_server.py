"""A registry on loopback, in this process: it keeps blobs and manifests as the spec says, and misbehaves as a test wishes.

Every request is noted with its headers. `rules` are asked first: one that answers takes the request, one that gives None leaves it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass
class Asked:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)


@dataclass
class Answer:
    """What is sent back. `stop_after`: that many bytes of the body, then the connection breaks; `drip`: gaps in seconds between bytes."""

    status: int = 200
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    length: int | None = None
    stop_after: int | None = None
    raw: Callable[[Any], None] | None = None


Rule = Callable[[Asked], Answer | None]


class _Server(ThreadingHTTPServer):
    def handle_error(self, *words: Any) -> None:
        """Clients that go away are part of the tests."""


class RegistryServer:
    """One registry; `address` is HOST:PORT."""

    def __init__(self, host: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.rules: list[Rule] = []
        # asked before a body is read: an answer ends the connection
        self.early: Rule = lambda asked: None
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.uploads: dict[str, bytearray] = {}
        self._sessions = itertools.count()
        # where requests for a tunnel lead, as HOST:PORT
        self.tunnel: str | None = None
        self.ranges = True
        self.mounts = True
        self.referrers = True
        self.page = 1000
        self._lock = threading.Lock()
        self.ended = threading.Event()
        self.connections = 0
        self._server = _Server((host, 0), _handler(self))
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.address = f"{host}:{self._server.server_port}"
        self.scheme = "http" if context is None else "https"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.address}"

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> RegistryServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- what tests put in and look at

    def put_blob(self, repository: str, data: bytes) -> str:
        self.blobs[repository, sha256(data)] = data
        return sha256(data)

    def put_manifest(self, repository: str, tag: str, data: bytes, media_type: str = MANIFEST) -> str:
        for name in (tag, sha256(data)):
            self.manifests[repository, name] = (media_type, data)
        return sha256(data)

    def requests(self, method: str = "", path: str = "") -> list[Asked]:
        """Those with this method, whose path matches."""
        return [asked for asked in self.asked if method in ("", asked.method) and re.search(path, asked.path)]

    def answer(self, asked: Asked) -> Answer:
        for rule in list(self.rules):
            if (found := rule(asked)) is not None:
                return found
        with self._lock:
            return self._speak(asked)

    # --- the spec

    def _speak(self, asked: Asked) -> Answer:
        path = asked.path
        if path == "/v2/":
            return Answer(200, b"{}")
        if path == "/v2/_catalog":
            return self._paged(asked, "repositories", sorted({name for name, _ in self.manifests}))
        for pattern, verb in (
            (r"/v2/(.+)/tags/list", self._tags),
            (r"/v2/(.+)/referrers/(.+)", self._referrers),
            (r"/v2/(.+)/manifests/(.+)", self._manifest),
            (r"/v2/(.+)/blobs/uploads/(.*)", self._upload),
            (r"/v2/(.+)/blobs/(.+)", self._blob),
        ):
            if match := re.fullmatch(pattern, path):
                return verb(asked, *match.groups())
        return Answer(404)

    def _tags(self, asked: Asked, name: str) -> Answer:
        return self._paged(asked, "tags", sorted(tag for of, tag in self.manifests if of == name and ":" not in tag))

    def _paged(self, asked: Asked, key: str, names: list[str]) -> Answer:
        last = asked.query.get("last", [""])[0]
        rest = [name for name in names if name > last]
        page, headers = rest[: self.page], []
        if len(rest) > len(page):
            headers.append(("Link", f'<{asked.path}?n={self.page}&last={page[-1]}>; rel="next"'))
        return Answer(200, json.dumps({key: page}).encode(), headers)

    def _referrers(self, asked: Asked, name: str, digest: str) -> Answer:
        if not self.referrers:
            return Answer(404)
        found = []
        for (of, key), (kind, data) in self.manifests.items():
            value = json.loads(data)
            if of == name and ":" in key and (value.get("subject") or {}).get("digest") == digest:
                found.append({"mediaType": kind, "digest": key, "size": len(data), "artifactType": value.get("artifactType", "")})
        return Answer(200, json.dumps({"schemaVersion": 2, "manifests": found}).encode())

    def _manifest(self, asked: Asked, name: str, reference: str) -> Answer:
        if asked.method == "PUT":
            digest = self.put_manifest(name, reference, asked.body, asked.headers.get("content-type", ""))
            headers = [("Docker-Content-Digest", digest)]
            if self.referrers and (subject := json.loads(asked.body).get("subject")):
                headers.append(("OCI-Subject", subject["digest"]))
            return Answer(201, b"", headers)
        if (name, reference) not in self.manifests:
            return refusal(404, "MANIFEST_UNKNOWN", "manifest unknown")
        if asked.method == "DELETE":
            del self.manifests[name, reference]
            return Answer(202)
        kind, data = self.manifests[name, reference]
        return Answer(200, data, [("Content-Type", kind), ("Docker-Content-Digest", sha256(data))])

    def _blob(self, asked: Asked, name: str, digest: str) -> Answer:
        if (name, digest) not in self.blobs:
            return refusal(404, "BLOB_UNKNOWN", "blob unknown to registry")
        if asked.method == "DELETE":
            del self.blobs[name, digest]
            return Answer(202)
        data = self.blobs[name, digest]
        wanted = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
        if wanted is None or not self.ranges:
            return Answer(200, data)
        start = int(wanted[1])
        if start >= len(data):
            return Answer(416)
        return Answer(206, data[start:], [("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")])

    def _upload(self, asked: Asked, name: str, session: str) -> Answer:
        if asked.method == "POST":
            digest, source = asked.query.get("mount", [""])[0], asked.query.get("from", [""])[0]
            if self.mounts and (source, digest) in self.blobs:
                self.blobs[name, digest] = self.blobs[source, digest]
                return Answer(201, b"", [("Location", f"/v2/{name}/blobs/{digest}")])
            session = f"u{next(self._sessions)}"
            self.uploads[session] = bytearray()
            return Answer(202, b"", [("Location", f"/v2/{name}/blobs/uploads/{session}?state=1"), ("Range", "0-0")])
        if session not in self.uploads:
            return refusal(404, "BLOB_UPLOAD_UNKNOWN", "no such upload")
        data = self.uploads[session]
        if asked.method == "DELETE":
            del self.uploads[session]
            return Answer(204)
        where = [("Location", f"/v2/{name}/blobs/uploads/{session}?state={len(data) + 2}")]
        if asked.method == "PATCH":
            start = int(asked.headers.get("content-range", f"{len(data)}-").partition("-")[0])
            if start != len(data):
                return Answer(416, b"", [*where, ("Range", f"0-{max(0, len(data) - 1)}")])
            data += asked.body
        if asked.method in ("PATCH", "GET"):
            return Answer(202 if asked.method == "PATCH" else 204, b"", [*where, ("Range", f"0-{max(0, len(data) - 1)}")])
        data += asked.body
        digest = asked.query["digest"][0]
        if sha256(bytes(data)) != digest:
            return refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        self.blobs[name, digest] = bytes(data)
        del self.uploads[session]
        return Answer(201, b"", [("Docker-Content-Digest", digest)])


def refusal(status: int, code: str, message: str = "", headers: list[tuple[str, str]] | None = None) -> Answer:
    return Answer(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), headers or [])


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on until one side ends."""
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def _handler(registry: RegistryServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def setup(self) -> None:
            registry.connections += 1
            super().setup()

        def _serve(self) -> None:
            asked = Asked(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
            registry.asked.append(asked)
            if (answer := registry.early(asked)) is not None:
                self.close_connection = True
                self._say(answer)
                return
            try:
                asked.body = self.rfile.read(int(asked.headers.get("content-length", 0)))
                whole = len(asked.body) == int(asked.headers.get("content-length", 0))
            except OSError:
                whole = False
            if not whole:
                self.close_connection = True
                return
            answer = registry.answer(asked)
            try:
                self._say(answer)
            except OSError:
                self.close_connection = True

        def _say(self, answer: Answer) -> None:
            if answer.raw is not None:
                self.close_connection = True
                answer.raw(self)
                return
            self.send_response(answer.status)
            length = len(answer.body) if answer.length is None else answer.length
            for name, value in answer.headers:
                self.send_header(name, value)
            chunked = ("Transfer-Encoding", "chunked") in answer.headers
            if not chunked and answer.status != 204:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command != "HEAD":
                body = answer.body if answer.stop_after is None else answer.body[: answer.stop_after]
                self.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n" if chunked else body)
                if answer.stop_after is not None or length != len(answer.body):
                    self.close_connection = True

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

        def do_CONNECT(self) -> None:
            registry.asked.append(Asked("CONNECT", self.path, {name.lower(): value for name, value in self.headers.items()}))
            self.close_connection = True
            if registry.tunnel is None:
                self.send_error(403)
                return
            host, _, port = registry.tunnel.rpartition(":")
            with socket.create_connection((host, int(port))) as far:
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                copying = threading.Thread(target=_copy, args=(far, self.connection), daemon=True)
                copying.start()
                _copy(self.connection, far)
                copying.join()

        def log_message(self, *words: object) -> None:
            pass

    return Handler


@dataclass
class Tokens:
    """A token server's rule, and the rule of a registry that wants its tokens. Users are names with passwords."""

    realm: str
    users: dict[str, str] = field(default_factory=dict)
    refresh: dict[str, str] = field(default_factory=dict)
    public: bool = True
    expires_in: int | None = 300
    issued: list[Asked] = field(default_factory=list)
    valid: dict[str, set[str]] = field(default_factory=dict)

    def serve(self, asked: Asked) -> Answer | None:
        """The token server."""
        if asked.path != "/token":
            return None
        user = ""
        if asked.method == "POST":
            form = parse_qs(asked.body.decode())
            user = next((name for name, secret in self.refresh.items() if form.get("refresh_token") == [secret]), "")
            scopes = form.get("scope", [""])[0].split()
            allowed = bool(user)
        else:
            scopes = asked.query.get("scope", [])
            if asked.headers.get("authorization"):
                user, _, password = base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode().partition(":")
                allowed = self.users.get(user) == password
            else:
                allowed = self.public
        if not allowed:
            return refusal(401, "UNAUTHORIZED", "incorrect username or password")
        self.issued.append(asked)
        token = f"t{len(self.issued)}"
        self.valid[token] = set(scopes)
        value: dict[str, Any] = {"token" if asked.method == "GET" else "access_token": token}
        if self.expires_in is not None:
            value["expires_in"] = self.expires_in
        if "offline_token" in asked.query and user in self.refresh:
            value["refresh_token"] = self.refresh[user]
        return Answer(200, json.dumps(value).encode())

    def guard(self, asked: Asked) -> Answer | None:
        """The registry: None lets a request through."""
        if not asked.path.startswith("/v2/") or asked.headers.get("authorization", "").removeprefix("Bearer ") in self.valid:
            return None
        match = re.match(r"/v2/(.+)/(?:manifests|blobs|tags)/", asked.path)
        actions = "pull" if asked.method in ("GET", "HEAD") else "pull,push"
        scope = f',scope="repository:{match[1]}:{actions}"' if match else ""
        challenge = f'Bearer realm="{self.realm}",service="fake"{scope}'
        return refusal(401, "UNAUTHORIZED", "authentication required", [("WWW-Authenticate", challenge)])


@contextmanager
def registries(*hosts: str) -> Iterator[list[RegistryServer]]:
    """Several, each on its own address of loopback."""
    servers = [RegistryServer(host) for host in hosts]
    try:
        yield servers
    finally:
        for server in servers:
            server.close()
