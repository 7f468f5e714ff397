"""A registry by the verbs of the OCI distribution spec 1.1; it must not know where images are stored, nor what is in them.

Repositories are paths without the registry's name ("library/busybox"). All methods block; what they raise is told by `faults`:
Denied, NotFound, Unavailable, DigestMismatch, InvalidArgument.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TypeVar

from labcontainers.errors import Denied, DigestMismatch, InvalidArgument, LabError, NotFound, Unavailable
from labcontainers.oci.descriptor import Descriptor
from labcontainers.oci.digest import parse_digest, sha256
from labcontainers.registry import listing, uploads
from labcontainers.registry.blobs import BlobReader
from labcontainers.registry.documents import MANIFEST_TYPES, MOST_BYTES, Document, checked, digest_of, parse_json
from labcontainers.registry.endpoint import Endpoint
from labcontainers.registry.listing import Referrer
from labcontainers.registry.names import check_repository, check_tag_or_digest, host_and_port, is_loopback, origin
from labcontainers.registry.response import Response
from labcontainers.registry.transport import Request, Transport

_ACCEPT = {"Accept": ", ".join(MANIFEST_TYPES)}
_Answer = TypeVar("_Answer")


def _pull(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull",)


def _push(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull,push",)


def _delete(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:delete,pull",)


class Registry:
    """One registry, and the mirrors that are asked before it when something is read. Thread-safe."""

    def __init__(self, domain: str, transport: Transport, main: Endpoint, mirrors: tuple[Endpoint, ...] = ()) -> None:
        self.domain = domain
        self._transport = transport
        self._main = main
        self._mirrors = mirrors

    def __repr__(self) -> str:
        return f"Registry({self.domain!r})"

    def ping(self) -> str:
        """Whether it answers and lets the user in; the identity token that it gave for a password, or ""."""
        return self._main.ping()

    # --- manifests

    def get_manifest(self, repository: str, reference: str) -> Document:
        """The manifest or index that a tag or digest names, checked against its digest."""
        what, where = self._manifest(repository, reference)
        wanted = reference if ":" in reference else ""

        def ask(endpoint: Endpoint) -> Document:
            with endpoint.send("GET", where, what, scopes=_pull(repository), headers=_ACCEPT) as response:
                data = response.read(MOST_BYTES, what)
                headers = response.headers
            return checked(data, headers.get("Content-Type", ""), wanted, headers.get("Docker-Content-Digest", ""), what)

        return self._from_any(ask)

    def head_manifest(self, repository: str, reference: str) -> Descriptor:
        """What a tag or digest names, without fetching it where the registry tells (not all do). The media type may be ""."""
        what, where = self._manifest(repository, reference)

        def ask(endpoint: Endpoint) -> Descriptor | None:
            with endpoint.send("HEAD", where, what, scopes=_pull(repository), headers=_ACCEPT) as response:
                digest, length = response.headers.get("Docker-Content-Digest", ""), response.headers.get("Content-Length", "")
                kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
                response.close()
            try:
                parse_digest(digest)
            except InvalidArgument:
                return None
            if ":" in reference and digest != reference:
                raise DigestMismatch(f"{what}: the registry has {digest} there", "try again, or ask who runs the registry")
            return Descriptor(kind, digest, int(length)) if length.isascii() and length.isdigit() and len(length) < 19 else None

        found = self._from_any(ask)
        if found is not None:
            return found
        document = self.get_manifest(repository, reference)
        return Descriptor(document.media_type, document.digest, document.size)

    def put_manifest(self, repository: str, reference: str, data: bytes, media_type: str) -> str:
        """Send a manifest or index under a tag or its digest; its digest. One with a subject is named in the list of that, too."""
        what, where = self._manifest(repository, reference)
        if ":" in reference and digest_of(data, reference) != reference:
            raise DigestMismatch(f"{what}: what is sent is not that", "send it by its own digest")
        headers = {"Content-Type": media_type}
        with self._main.send("PUT", where, what, scopes=_push(repository), headers=headers, body=data) as response:
            response.discard()
            told, listed = response.headers.get("Docker-Content-Digest", ""), response.headers.get("OCI-Subject", "")
        digest = reference if ":" in reference else sha256(data)
        if told and told.startswith("sha256:") and told != sha256(data):
            raise DigestMismatch(f"{what}: the registry took it for {told[:80]}, not {digest}", "ask who runs the registry")
        subject = parse_json(data, what).get("subject")
        if isinstance(subject, dict) and not listed:
            self._list_below(repository, Descriptor.from_json(subject).digest, Descriptor(media_type, digest, len(data)), data)
        return digest

    def delete_manifest(self, repository: str, reference: str) -> None:
        """Delete a manifest by its digest, or untag it (which not all registries can)."""
        what, where = self._manifest(repository, reference)
        with self._main.send("DELETE", where, what, scopes=_delete(repository)) as response:
            response.discard()

    # --- blobs

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the registry itself (no mirror) has it in this repository."""
        return self.head_blob(repository, digest) is not None

    def head_blob(self, repository: str, digest: str) -> int | None:
        """The size of a blob in the registry itself, -1 where it is not told; None when it is not there."""
        what, where = self._blob(repository, digest)
        with self._main.send("HEAD", where, what, scopes=_pull(repository), expected=(404,)) as response:
            length = response.headers.get("Content-Length", "")
            response.close()
            if response.status == 404:
                return None
            return int(length) if length.isascii() and length.isdigit() and len(length) < 19 else -1

    def open_blob(self, repository: str, digest: str, offset: int = 0, *, size: int | None = None) -> BlobReader:
        """Read a blob from `offset`, or from 0 where that cannot be: see BlobReader. Who reads it verifies it.

        With `size`, by the descriptor, a registry that has another is refused at once by DigestMismatch.
        """
        what, where = self._blob(repository, digest)

        def ask(endpoint: Endpoint) -> BlobReader:
            def open_at(start: int) -> Response:
                headers = {"Range": f"bytes={start}-"} if start else {}
                expected = (416,) if start else ()
                return endpoint.send("GET", where, what, scopes=_pull(repository), headers=headers, expected=expected)

            return BlobReader(open_at, offset, size, what)

        return self._from_any(ask)

    def open_url(self, url: str, offset: int = 0, *, size: int | None = None) -> BlobReader:
        """Read a layer from an address in its descriptor: without credentials, and by HTTPS.

        Only a registry on this machine may name addresses on it, which may be plain HTTP.
        """
        scheme, _, _ = origin(url)
        host = host_and_port(url)
        here = is_loopback(host)
        if here and not is_loopback(self.domain):
            raise Denied(f"{host}: a layer of {self.domain} is not fetched from this machine", "ask who made the image")
        if scheme != "https" and not here:
            raise Denied(f"{host}: a layer at an address of plain HTTP is not fetched", "ask who made the image")
        what = f"a layer at {host}"

        def open_at(start: int) -> Response:
            response = self._transport.send(Request("GET", url, {"Range": f"bytes={start}-"} if start else {}))
            if response.status >= 400 and not (start and response.status == 416):
                response.close()
                kind = NotFound if response.status in (404, 410) else Unavailable
                raise kind(f"{what}: status {response.status}", "ask who made the image")
            return response

        return BlobReader(open_at, offset, size, what)

    def delete_blob(self, repository: str, digest: str) -> None:
        """Delete a blob; not all registries can."""
        what, where = self._blob(repository, digest)
        with self._main.send("DELETE", where, what, scopes=_delete(repository)) as response:
            response.discard()

    def mount_blob(self, repository: str, digest: str, source: str) -> bool:
        """Have a blob of another repository of this registry here, too; False when it has to be sent."""
        what, _ = self._blob(repository, digest)
        check_repository(self.domain, source)
        where = f"v2/{repository}/blobs/uploads/?mount={digest}&from={source}"
        scopes = (*_push(repository), *_pull(source))
        headers = {"Content-Length": "0"}
        try:
            with self._main.send("POST", where, what, scopes=scopes, headers=headers, again=True, expected=(400, 404, 405)) as response:
                response.discard()
        except Denied:
            return False
        if response.status == 202 and (location := response.headers.get("Location")):
            with contextlib.suppress(LabError, ValueError), self._main.send("DELETE", location, what, scopes=scopes, again=False) as answer:
                answer.discard()
        return response.status == 201

    def upload_blob(
        self,
        repository: str,
        digest: str,
        size: int,
        read: uploads.Read,
        *,
        on_bytes: uploads.OnBytes | None = None,
        chunk_bytes: int = 0,
    ) -> None:
        """Send a blob of `size` bytes, unless it is there: in one request, or in pieces of `chunk_bytes`.

        `read` gives its bytes, as an open file or piece by piece, each time from the beginning; `on_bytes` is told how many were sent.
        """
        self._blob(repository, digest)
        if not self.has_blob(repository, digest):
            uploads.Upload(self._main, repository, digest, size, read, _push(repository), on_bytes).run(chunk_bytes)

    def upload_growing(
        self, repository: str, read: uploads.Read, grown: Callable[[int], tuple[int, str]], *, on_bytes: uploads.OnBytes | None = None
    ) -> None:
        """Send a blob while it is made, of which neither digest nor size are known: see Upload.run_growing().

        `read` gives what there is as a file, each time from the beginning. Raises what the registry says; upload_blob() may help then.
        """
        check_repository(self.domain, repository)
        uploads.Upload(self._main, repository, "", -1, read, _push(repository), on_bytes).run_growing(grown)

    # --- what there is

    def list_tags(self, repository: str) -> list[str]:
        """All tags of a repository, sorted."""
        check_repository(self.domain, repository)
        return listing.list_tags(self._main, repository, _pull(repository))

    def list_repositories(self) -> list[str]:
        """All repositories that the user may list, sorted; not all registries tell."""
        return listing.list_repositories(self._main)

    def list_referrers(self, repository: str, digest: str, artifact_type: str = "") -> list[Referrer]:
        """The manifests whose subject this one is, all or those of one type."""
        check_repository(self.domain, repository)
        parse_digest(digest)
        return listing.list_referrers(self._main, repository, digest, artifact_type, _pull(repository))

    # ---

    def _list_below(self, repository: str, subject: str, descriptor: Descriptor, data: bytes) -> None:
        value = parse_json(data, "the manifest")
        config = value.get("config")
        kind = value.get("artifactType") or (config.get("mediaType") if isinstance(config, dict) else "") or ""
        listing.add_to_fallback(self._main, repository, subject, Referrer(descriptor, str(kind)), _push(repository))

    def _manifest(self, repository: str, reference: str) -> tuple[str, str]:
        """What errors call it, and where it is."""
        check_repository(self.domain, repository)
        check_tag_or_digest(reference)
        mark = "@" if ":" in reference else ":"
        return f"manifest for {self.domain}/{repository}{mark}{reference}", f"v2/{repository}/manifests/{reference}"

    def _blob(self, repository: str, digest: str) -> tuple[str, str]:
        check_repository(self.domain, repository)
        parse_digest(digest)
        return f"blob {digest} of {self.domain}/{repository}", f"v2/{repository}/blobs/{digest}"

    def _from_any(self, ask: Callable[[Endpoint], _Answer]) -> _Answer:
        """The answer of the first mirror that has one, else of the registry."""
        for mirror in self._mirrors:
            try:
                return ask(mirror)
            except LabError:
                continue
        return ask(self._main)
