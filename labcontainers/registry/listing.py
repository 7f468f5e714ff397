"""What a registry has: tags, repositories, referrers, and names that are searched for; pages are followed, but not in circles.

Source: OCI distribution spec, "Content Discovery"; Docker's v1 search.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from labcontainers.errors import InvalidArgument, Unavailable
from labcontainers.oci.descriptor import Descriptor
from labcontainers.oci.digest import parse_digest
from labcontainers.oci.manifest import MEDIA_TYPE_INDEX
from labcontainers.registry.documents import MOST_BYTES, parse_json
from labcontainers.registry.endpoint import Endpoint
from labcontainers.registry.faults import one_line
from labcontainers.registry.transport import Request, Transport

_PAGE = 1000
_PAGES = 10_000
_MOST_PAGE_BYTES = 16 << 20
_NEXT = re.compile(r'<([^<>]{1,4000})>\s*;(?:[^,<]*;)?\s*rel="?next"?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Referrer:
    """A manifest that says that it belongs to another: a signature, an SBOM."""

    descriptor: Descriptor
    artifact_type: str = ""

    def to_json(self) -> dict[str, Any]:
        """The descriptor object of a list of referrers."""
        return {**self.descriptor.to_json(), **({"artifactType": self.artifact_type} if self.artifact_type else {})}


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A repository that was found, in Docker's words."""

    name: str
    description: str = ""
    stars: int = 0
    official: bool = False
    automated: bool = False
    registry: str = field(default="docker.io")


def pages(endpoint: Endpoint, where: str, what: str, scopes: Sequence[str], expected: Sequence[int] = ()) -> Iterator[Mapping[str, Any]]:
    """The objects of all pages of a list, as far as it goes; an `expected` status ends it. Raises Unavailable for circles."""
    seen = set()
    for _ in range(_PAGES):
        seen.add(where)
        with endpoint.send("GET", where, what, scopes=scopes, expected=expected) as response:
            if response.status >= 400:
                response.discard()
                return
            value = parse_json(response.read(_MOST_PAGE_BYTES, what), what)
            filters = response.headers.get("OCI-Filters-Applied", "")
            link = _NEXT.search(response.headers.get("Link", "")[: 1 << 14])
        yield {**value, "filters applied": filters}
        if link is None:
            return
        where = endpoint.local(link[1], where)
        if where in seen:
            raise Unavailable(f"{what}: {endpoint.name} sends its pages in a circle", "ask who runs the registry")
    raise Unavailable(f"{what}: {endpoint.name} has more than {_PAGES} pages", "ask who runs the registry")


def texts(value: Mapping[str, Any], name: str, what: str) -> list[str]:
    """The list of texts under a name; none is an empty one. Raises InvalidArgument."""
    found = value.get(name) or []
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise InvalidArgument(f"{what}: {name} is no list of names", "is it a registry?")
    return [each for each in found if each.isprintable()]


def list_tags(endpoint: Endpoint, repository: str, scopes: Sequence[str]) -> list[str]:
    """All tags of a repository, sorted."""
    what = f"tags of {repository}"
    found: set[str] = set()
    for page in pages(endpoint, f"v2/{repository}/tags/list?n={_PAGE}", what, scopes):
        found.update(texts(page, "tags", what))
    return sorted(found)


def list_repositories(endpoint: Endpoint) -> list[str]:
    """All repositories that the user may list, sorted."""
    what = f"repositories of {endpoint.name}"
    found: set[str] = set()
    for page in pages(endpoint, f"v2/_catalog?n={_PAGE}", what, ("registry:catalog:*",)):
        found.update(texts(page, "repositories", what))
    return sorted(found)


def list_referrers(endpoint: Endpoint, repository: str, digest: str, artifact_type: str, scopes: Sequence[str]) -> list[Referrer]:
    """What refers to a manifest; from the tag that stands for the list where the registry has no such list."""
    what = f"referrers of {digest} in {repository}"
    query = f"?{urlencode({'artifactType': artifact_type})}" if artifact_type else ""
    found, answered = [], False
    for page in pages(endpoint, f"v2/{repository}/referrers/{digest}{query}", what, scopes, expected=(404,)):
        answered = True
        found += _referrers(page, what)
    if not answered:
        found = _referrers(fallback_index(endpoint, repository, digest, scopes), what)
    return [referrer for referrer in found if not artifact_type or referrer.artifact_type == artifact_type]


def _referrers(value: Mapping[str, Any], what: str) -> list[Referrer]:
    entries = value.get("manifests") or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidArgument(f"{what}: this is no list", "is it a registry?")
    return [Referrer(Descriptor.from_json(entry), str(entry.get("artifactType") or "")) for entry in entries]


def fallback_tag(digest: str) -> str:
    """The tag under which the list is kept where a registry has none. Source: OCI distribution spec, "Referrers Tag Schema"."""
    algorithm, digits = parse_digest(digest)
    return f"{algorithm[:32]}-{digits[:64]}"


def fallback_index(endpoint: Endpoint, repository: str, digest: str, scopes: Sequence[str]) -> dict[str, Any]:
    """The index under that tag, or an empty one."""
    where = f"v2/{repository}/manifests/{fallback_tag(digest)}"
    what = f"referrers of {digest} in {repository}"
    with endpoint.send("GET", where, what, scopes=scopes, headers={"Accept": MEDIA_TYPE_INDEX}, expected=(404,)) as response:
        if response.status == 404:
            response.discard()
            return {"schemaVersion": 2, "mediaType": MEDIA_TYPE_INDEX, "manifests": []}
        return parse_json(response.read(MOST_BYTES, what), what)


def add_to_fallback(endpoint: Endpoint, repository: str, subject: str, referrer: Referrer, scopes: Sequence[str]) -> None:
    """Name a manifest in the list of its subject, as clients have to where the registry does not."""
    index = fallback_index(endpoint, repository, subject, scopes)
    entries = [entry for entry in index.get("manifests") or [] if entry.get("digest") != referrer.descriptor.digest]
    index["manifests"] = [*entries, referrer.to_json()]
    where, body = f"v2/{repository}/manifests/{fallback_tag(subject)}", json.dumps(index).encode()
    with endpoint.send(
        "PUT", where, f"referrers of {subject}", scopes=scopes, headers={"Content-Type": MEDIA_TYPE_INDEX}, body=body
    ) as answer:
        answer.discard()


def search_hub(transport: Transport, hub: str, term: str, limit: int) -> list[SearchResult]:
    """Repositories of docker.io by Docker's search; nobody needs to be known for it."""
    what = f"search for {term!r}"
    address = f"{hub.rstrip('/')}/v1/search?q={quote(term, safe='')}&n={limit}"
    with transport.send(Request("GET", address)) as response:
        if response.status >= 400:
            raise Unavailable(f"{what}: status {response.status}", "try again later")
        value = parse_json(response.read(_MOST_PAGE_BYTES, what), what)
    entries = value.get("results") or []
    if not isinstance(entries, list):
        raise InvalidArgument(f"{what}: results is no list", "is it a registry?")
    return [
        SearchResult(
            one_line(entry.get("name", "")),
            one_line(entry.get("description") or ""),
            stars if isinstance(stars := entry.get("star_count"), int) else 0,
            entry.get("is_official") is True,
            entry.get("is_automated") is True,
        )
        for entry in entries[:limit]
        if isinstance(entry, dict)
    ]
