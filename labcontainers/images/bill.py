"""What an image is made of: its packages, as the databases in it tell, each with the layer that brought it in.

It must not know how the files are read (images.package_files), nor the forms of exchange (images.bill_forms). Sources: deb822(5) for
dpkg; Alpine's apk-tools, installed database; packaging.python.org, core metadata; purl-spec.
"""

from __future__ import annotations

import html
import json
import re
import urllib.parse
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

from labcontainers.errors import Failed, InvalidArgument
from labcontainers.markup import TABLE
from labcontainers.oci.digest import short

_GZIP = 31
_SHOWN = 40
_DISTRIBUTION = {"deb": "debian", "apk": "alpine"}
_OS_ID = re.compile(r"""^ID=["']?([a-z0-9._-]+)["']?\s*$""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A file in the image that tells of packages; `layer` is the diff_id of the layer that has it."""

    path: str
    layer: str
    sha1: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Package:
    """One package; `kind` is deb, apk or pypi, `layer` the diff_id of the layer that brought this version in. What is not told is ""."""

    name: str
    version: str
    kind: str
    layer: str
    evidence: Evidence
    architecture: str = ""
    license: str = ""
    supplier: str = ""
    homepage: str = ""
    source: str = ""
    distribution: str = ""

    @property
    def purl(self) -> str:
        """The package URL."""
        name, version = (urllib.parse.quote(text, safe="") for text in (self.name, self.version))
        if self.kind == "pypi":
            return f"pkg:pypi/{urllib.parse.quote(re.sub(r'[-_.]+', '-', self.name).lower(), safe='')}@{version}"
        architecture = f"?arch={urllib.parse.quote(self.architecture, safe='')}" if self.architecture else ""
        return f"pkg:{self.kind}/{self.distribution or _DISTRIBUTION[self.kind]}/{name}@{version}{architecture}"

    def __repr__(self) -> str:
        return f"<Package {self.purl} in layer {short(self.layer)}>"


class Bill(Sequence[Package]):
    """The packages of an image by kind and name. `unread` are databases that are there and were not read.

    `image_id`, `name` and `created` are the image's. As a dict it is SPDX 2.3 (`to_json`, `to_spdx`) or CycloneDX 1.5 (`to_cyclonedx`).
    """

    def __init__(self, packages: Sequence[Package], unread: Sequence[str], image_id: str, name: str, created: str) -> None:
        self._packages = tuple(sorted(packages, key=lambda package: (package.kind, package.name, package.version, package.evidence.path)))
        self.unread = tuple(unread)
        self.image_id = image_id
        self.name = name
        self.created = created

    def __len__(self) -> int:
        return len(self._packages)

    @overload
    def __getitem__(self, key: int) -> Package: ...
    @overload
    def __getitem__(self, key: slice) -> Sequence[Package]: ...
    def __getitem__(self, key: int | slice) -> Package | Sequence[Package]:
        return self._packages[key]

    def find(self, name: str) -> Package | None:
        """The first package of this name, or None."""
        return next((package for package in self._packages if package.name == name), None)

    def to_spdx(self) -> dict[str, Any]:
        """SPDX 2.3, equal for equal images."""
        from labcontainers.images.bill_forms import spdx

        return spdx(self)

    def to_json(self) -> dict[str, Any]:
        """As to_spdx()."""
        return self.to_spdx()

    def to_cyclonedx(self) -> dict[str, Any]:
        """CycloneDX 1.5."""
        from labcontainers.images.bill_forms import cyclonedx

        return cyclonedx(self)

    def _headline(self) -> str:
        kinds = {kind: sum(package.kind == kind for package in self) for kind in sorted({package.kind for package in self})}
        told = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        return f"{len(self)} packages of {self.name}{f' ({told})' if told else ''}"

    def _notes(self) -> list[str]:
        more = len(self) - _SHOWN
        unread = [f"not read: the package database in /{path}" for path in self.unread]
        return [*([f"… {more:,} more: iterate, or find(NAME)"] if more > 0 else []), *unread]

    def __repr__(self) -> str:
        rows = [f"  {one.kind:<5} {one.name:<32} {one.version:<28} {short(one.layer)}" for one in self._packages[:_SHOWN]]
        return "\n".join([self._headline(), *(row.rstrip() for row in rows), *self._notes()])

    def _repr_html_(self) -> str:
        cell = 'style="text-align:left;padding:1px 12px 1px 0"'
        rows = "".join(
            f"<tr><td {cell}>{one.kind}</td><td {cell}>{html.escape(one.name)}</td><td {cell}>{html.escape(one.version)}</td>"
            f'<td {cell} title="/{html.escape(one.evidence.path)}">{short(one.layer)}</td></tr>'
            for one in self._packages[:_SHOWN]
        )
        head = "".join(f"<th {cell}>{name}</th>" for name in ("kind", "package", "version", "layer"))
        notes = "".join(f"<div style='opacity:.7'>{html.escape(note)}</div>" for note in self._notes())
        return f"<b>{html.escape(self._headline())}</b>{TABLE}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{notes}"


Line = tuple[str, str, int, str, str, str]


def read_lines(compressed: bytes) -> list[Line]:
    """What a worker has written; raises Failed for what is damaged."""
    try:
        return [tuple(json.loads(line)) for line in zlib.decompress(compressed, _GZIP).splitlines()]
    except (ValueError, zlib.error) as error:
        raise Failed(f"the list of package files is damaged: {error}") from None


def packages_of(lines: Sequence[Line], diff_ids: Sequence[str]) -> tuple[list[Package], list[str]]:
    """The packages that files tell of, and the databases that are not read; what is no database is passed over."""
    found: list[Package] = []
    for kind, read in (("dpkg", _deb_paragraphs), ("apk", _apk_paragraphs)):
        for path in dict.fromkeys(line[1] for line in lines if line[0] == kind):
            versions = [(Evidence(path, diff_ids[line[2]], line[3], line[4]), line[5]) for line in lines if line[:2] == (kind, path)]
            found += _of_database([(evidence, list(read(text, evidence))) for evidence, text in versions])
    for kind, path, layer, sha1, sha256, text in lines:
        evidence = Evidence(path, diff_ids[layer], sha1, sha256)
        if kind == "status.d":
            found += _deb_paragraphs(text, evidence)
        elif kind == "dist-info":
            found += _distribution(text, evidence)
    ids = [match[1] for line in lines if line[0] == "os-release" and (match := _OS_ID.search(line[5]))]
    if ids:
        found = [package if package.kind == "pypi" else replace(package, distribution=ids[0]) for package in found]
    return found, [line[1] for line in lines if line[0] == "unread"]


def _of_database(versions: Sequence[tuple[Evidence, list[Package]]]) -> Iterator[Package]:
    """The packages of the last version, each with the first layer since which it has been there as it is."""
    since: dict[tuple[str, str, str], str] = {}
    for evidence, packages in versions:
        there = {_key(package) for package in packages}
        since = {key: layer for key, layer in since.items() if key in there}
        for key in there:
            since.setdefault(key, evidence.layer)
    for package in versions[-1][1] if versions else ():
        yield replace(package, layer=since[_key(package)])


def _key(package: Package) -> tuple[str, str, str]:
    return package.name, package.version, package.architecture


def _deb_paragraphs(text: str, evidence: Evidence) -> Iterator[Package]:
    from labcontainers.images.debs.control import parse_paragraph

    for part in re.split(r"\n[ \t]*\n", text):
        try:
            fields = parse_paragraph(part)
        except InvalidArgument:
            continue
        status = fields.get("Status", "install ok installed").split()
        if fields.get("Package") and fields.get("Version") and status[-1:] == ["installed"]:
            source = fields.get("Source", "").partition(" ")[0]
            yield Package(
                fields["Package"], fields["Version"], "deb", evidence.layer, evidence, fields.get("Architecture", ""), "",
                fields.get("Maintainer", ""), fields.get("Homepage", ""), source,
            )  # fmt: skip


def _apk_paragraphs(text: str, evidence: Evidence) -> Iterator[Package]:
    for part in text.split("\n\n"):
        fields: dict[str, str] = {}
        for line in part.splitlines():
            key, colon, value = line.partition(":")
            if colon and len(key) == 1:
                fields.setdefault(key, value)
        if fields.get("P") and fields.get("V"):
            yield Package(
                fields["P"], fields["V"], "apk", evidence.layer, evidence, fields.get("A", ""), fields.get("L", ""),
                fields.get("m", ""), fields.get("U", ""), fields.get("o", ""),
            )  # fmt: skip


def _distribution(text: str, evidence: Evidence) -> Iterator[Package]:
    from email.parser import HeaderParser

    fields = HeaderParser().parsestr(text)
    name, version = (str(fields.get(key) or "").strip() for key in ("Name", "Version"))
    if name and version:
        supplier = str(fields.get("Author-email") or fields.get("Author") or "").strip()
        license_ = str(fields.get("License-Expression") or "").strip()
        yield Package(name, version, "pypi", evidence.layer, evidence, "", license_, supplier, str(fields.get("Home-page") or "").strip())
