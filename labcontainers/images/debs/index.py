"""Which packages a suite has: its Release file, verified, and its Packages files, by their digests in that.

It must not know which packages are wanted. A Packages file has 60,000 paragraphs, of which a few dozens are looked at: only their names,
and what is essential, required or provided, are searched for in the whole. Source: Debian wiki, DebianRepository/Format.
"""

from __future__ import annotations

import bisect
import contextlib
import email.utils
import hashlib
import mmap
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

from labcontainers.errors import DigestMismatch, Failed, InvalidArgument, NotFound
from labcontainers.images.debs import verify
from labcontainers.images.debs.control import Package, parse_paragraph
from labcontainers.images.debs.fetching import Fetcher
from labcontainers.images.debs.sources import Source

_RELEASE_BYTES = 32 << 20
_FORMS = (("xz", ".xz"), ("zstd", ".zst"), ("gzip", ".gz"), ("", ""))
# gzip is inflated several times as fast as xz: worth a third more bytes of the index, which are a few in a hundred of all.
_WORTH = 1.5
_HEX = re.compile(r"[0-9a-f]{64}")
# A literal beginning is looked for several times as fast as the beginning of a line.
_FIRST = b"Package: "
_NAMES = re.compile(rb"\nPackage: ([^\n]+)")
_PROVIDES = re.compile(rb"\nProvides: ([^\n]+)")
_ESSENTIAL = re.compile(rb"\nEssential: yes\n")
_REQUIRED = re.compile(rb"\nPriority: required\n")


class Packages:
    """One Packages file."""

    def __init__(self, path: Path, base_uri: str) -> None:
        self._base_uri = base_uri
        with open(path, "rb") as file:
            empty = not path.stat().st_size
            self._data: bytes | mmap.mmap = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    @cached_property
    def _names(self) -> dict[bytes, list[int]]:
        """Where the paragraphs of a name begin."""
        found: dict[bytes, list[int]] = {}
        if self._data[: len(_FIRST)] == _FIRST:
            found[self._data[len(_FIRST) : self._data.find(b"\n")].strip()] = [0]
        for match in _NAMES.finditer(self._data):
            found.setdefault(match[1].strip(), []).append(match.start() + 1)
        return found

    @cached_property
    def _starts(self) -> list[int]:
        return sorted(start for starts in self._names.values() for start in starts)

    @cached_property
    def _providers(self) -> dict[bytes, list[int]]:
        found: dict[bytes, list[int]] = {}
        for match in _PROVIDES.finditer(self._data):
            start = self._start_of(match.start())
            for provided in match[1].split(b","):
                found.setdefault(provided.strip().partition(b" ")[0], []).append(start)
        return found

    def _start_of(self, position: int) -> int:
        return self._starts[bisect.bisect_right(self._starts, position) - 1]

    def _at(self, start: int) -> Package:
        end = self._data.find(b"\n\n", start)
        text = self._data[start : end if end >= 0 else len(self._data)].decode("utf-8", "replace")
        fields = parse_paragraph(text)
        for name in ("Package", "Version", "Architecture", "Filename", "Size", "SHA256"):
            if name not in fields:
                raise InvalidArgument(f"a package of {self._base_uri} has no {name}: {fields.get('Package', '?')}", "use another mirror")
        if not _HEX.fullmatch(fields["SHA256"]) or not fields["Size"].isdigit() or ".." in fields["Filename"].split("/"):
            raise InvalidArgument(f"a package of {self._base_uri} has a field that cannot be: {fields['Package']}", "use another mirror")
        return Package(fields, self._base_uri)

    def named(self, name: str) -> list[Package]:
        """All versions of the package."""
        return [self._at(start) for start in self._names.get(name.encode(), ())]

    def providing(self, name: str) -> list[Package]:
        """All packages that provide this name."""
        return [self._at(start) for start in self._providers.get(name.encode(), ())]

    def names_of(self, *, essential: bool) -> list[str]:
        """The essential packages, or those of the priority "required"."""
        pattern = _ESSENTIAL if essential else _REQUIRED
        return sorted({self._at(self._start_of(match.start())).name for match in pattern.finditer(self._data)})


class Index:
    """All Packages files of an image's sources together."""

    def __init__(self, files: Sequence[Packages]) -> None:
        self._files = files

    def named(self, name: str) -> list[Package]:
        """All versions of the package."""
        return [package for file in self._files for package in file.named(name)]

    def providing(self, name: str) -> list[Package]:
        """All packages that provide this name."""
        return [package for file in self._files for package in file.providing(name)]

    def names_of(self, *, essential: bool) -> list[str]:
        """The names of all essential packages, or of all that are required; in order."""
        return sorted({name for file in self._files for name in file.names_of(essential=essential)})


class Release:
    """A Release file that was verified."""

    def __init__(self, text: str, where: str) -> None:
        self._where = where
        self.fields = parse_paragraph(text)
        self._digests: dict[str, tuple[str, int]] = {}
        for line in self.fields.get("SHA256", "").split("\n"):
            words = line.split()
            if len(words) == 3 and _HEX.fullmatch(words[0]) and words[1].isdigit():
                self._digests[words[2]] = (words[0], int(words[1]))
        if not self._digests:
            raise InvalidArgument(f"the Release file of {where} has no SHA-256 digests", "use another mirror")

    def check(self, source: Source, now: float) -> None:
        """Raise InvalidArgument when it is of another suite, and Failed when it is too old to be trusted."""
        names = {self.fields.get("Suite"), self.fields.get("Codename")}
        if source.suite not in names:
            raise InvalidArgument(f"the Release file of {self._where} is of {self.fields.get('Codename')}", "use another mirror")
        until = self.fields.get("Valid-Until")
        if until and email.utils.parsedate_to_datetime(until.replace("UTC", "GMT")).timestamp() < now:
            raise Failed(f"the Release file of {self._where} was valid until {until}", "use a mirror that is kept up to date")

    def find(self, path: str) -> tuple[str, int] | None:
        """SHA-256 and size of a file, or None when there is no such file."""
        return self._digests.get(path)

    @property
    def has_by_hash(self) -> bool:
        return self.fields.get("Acquire-By-Hash") == "yes"


def load(
    sources: Sequence[Source],
    architecture: str,
    fetcher: Fetcher,
    *,
    shared_keys: Sequence[str],
    verifies: bool,
    tell: Callable[[str], None],
) -> Index:
    """The packages of all sources for an architecture; blocks.

    Raises Denied for a Release file without a good signature, NotFound, Unavailable, DigestMismatch, InvalidArgument.
    """

    def one(source: Source) -> list[Packages]:
        release = _release(source, fetcher, shared_keys, verifies)
        if release is None or (source.origin and release.fields.get("Origin", "").lower() != source.origin):
            return []
        tell(f"{source.uri} {source.suite} {'verified' if verifies else 'not verified'}")
        return list(_packages(source, release, architecture, fetcher))

    with ThreadPoolExecutor(4, thread_name_prefix="lab-index") as pool:
        return Index([packages for found in pool.map(one, sources) for packages in found])


def _release(source: Source, fetcher: Fetcher, shared_keys: Sequence[str], verifies: bool) -> Release | None:
    base = f"{source.uri.rstrip('/')}/dists/{source.suite}"
    where = f"{source.uri} {source.suite}"
    try:
        text, signature = verify.split_signed(fetcher.read(f"{base}/InRelease", _RELEASE_BYTES).decode("utf-8", "replace"))
        data, signed = text.encode(), signature.encode()
    except NotFound:
        try:
            data = fetcher.read(f"{base}/Release", _RELEASE_BYTES)
        except NotFound:
            if source.optional:
                return None
            raise
        signed = b""
        if verifies:
            with contextlib.suppress(NotFound):
                signed = fetcher.read(f"{base}/Release.gpg", _RELEASE_BYTES)
    if verifies:
        verify.verify(data, signed, source.keys or shared_keys, where)
    release = Release(data.decode("utf-8", "replace"), where)
    release.check(source, time.time())
    return release


def _packages(source: Source, release: Release, architecture: str, fetcher: Fetcher) -> Iterator[Packages]:
    for component in source.components:
        name = f"{component}/binary-{architecture}/Packages"
        plain = release.find(name)
        kept = fetcher.kept(plain[0]) if plain is not None else None
        yield Packages(kept or _fetched(source, release, name, fetcher), source.uri)


def _fetched(source: Source, release: Release, name: str, fetcher: Fetcher) -> Path:
    """The Packages file of this name, inflated, in the cache."""
    from labcontainers.store.compression import Decompressor

    base = f"{source.uri.rstrip('/')}/dists/{source.suite}"
    kind, ending, sha256, size = _form(source, release, name)
    folder, _, _ = name.rpartition("/")
    uri = f"{base}/{folder}/by-hash/SHA256/{sha256}" if release.has_by_hash else f"{base}/{name}{ending}"
    if not kind:
        return fetcher.fetch(uri, sha256, size)
    plain = release.find(name)
    decompressor = Decompressor(kind, most_bytes=plain[1] if plain is not None else 1 << 30)
    digest = hashlib.sha256()
    wanted = plain[0] if plain is not None else hashlib.sha256(sha256.encode()).hexdigest()
    # inflated while it comes; it gets its name only when both digests are right
    with fetcher.writing(wanted) as target:
        pieces = fetcher.pieces(uri, sha256, size)
        try:
            for piece in pieces:
                for inflated in decompressor.feed(piece):
                    digest.update(inflated)
                    target.write(inflated)
            for inflated in decompressor.finish():
                digest.update(inflated)
                target.write(inflated)
        except InvalidArgument:
            # most likely it is not what it should be, which its digest tells at its end
            deque(pieces, maxlen=0)
            raise
        if plain is not None and digest.hexdigest() != wanted:
            raise DigestMismatch(f"{uri} is not what the Release file says when it is inflated", "use another mirror")
    return fetcher.path(wanted)


def _form(source: Source, release: Release, name: str) -> tuple[str, str, str, int]:
    """In which form to fetch a Packages file: kind of compression, ending, SHA-256, size."""
    listed = {kind: (kind, ending, *found) for kind, ending in _FORMS if (found := release.find(name + ending)) is not None}
    if not listed:
        raise NotFound(f"{source.uri} {source.suite} has no {name}", "choose another architecture, component or mirror")
    best = next(iter(listed.values()))
    quick = listed.get("gzip", best)
    return quick if best[0] == "xz" and quick[3] <= _WORTH * best[3] else best
