"""Control files: paragraphs of fields, and relations between packages. It must not know where they come from.

Source: deb822(5); Debian Policy 7.1, "Syntax of relationship fields".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from urllib.parse import quote

from labcontainers.errors import InvalidArgument

_RELATION = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9+.-]*)(?::(?P<architecture>[a-z0-9-]+))?"
    r"\s*(?:\(\s*(?P<operator><<|<=|=|>=|>>|<|>)\s*(?P<version>[^\s()]+)\s*\))?\s*(?:\[[^\]]*\])?\s*(?:<[^>]*>)?"
)


def parse_paragraph(text: str) -> dict[str, str]:
    """The fields of one paragraph; lines that go on with a field stay lines, without the blank at their beginning."""
    fields: dict[str, str] = {}
    name = ""
    for line in text.split("\n"):
        if not line.strip() or line.startswith("#"):
            continue
        if line[0] in " \t":
            if not name:
                raise InvalidArgument(f"not a control file: a line goes on with no field: {line[:60]!r}")
            fields[name] += "\n" + line[1:]
            continue
        name, colon, value = line.partition(":")
        if not colon or not name or " " in name:
            raise InvalidArgument(f"not a control file: a line without a field: {line[:60]!r}")
        fields[name] = value.strip()
    return fields


def paragraphs(text: str) -> Iterator[dict[str, str]]:
    """All paragraphs that have a field."""
    for part in re.split(r"\n[ \t]*\n", text):
        fields = parse_paragraph(part)
        if fields:
            yield fields


@dataclass(frozen=True, slots=True)
class Relation:
    """One package of a relation, such as `libc6:any (>= 2.36)`; what is not said is ""."""

    name: str
    architecture: str = ""
    operator: str = ""
    version: str = ""

    def __str__(self) -> str:
        qualifier = f":{self.architecture}" if self.architecture else ""
        return f"{self.name}{qualifier}" + (f" ({self.operator} {self.version})" if self.operator else "")


@lru_cache(8192)
def parse_relations(text: str) -> tuple[tuple[Relation, ...], ...]:
    """All groups of a relationship field, each with its alternatives; raises InvalidArgument."""
    groups = []
    for group in text.replace("\n", " ").split(","):
        if group.strip():
            groups.append(tuple(_relation(alternative.strip()) for alternative in group.split("|")))
    return tuple(groups)


def _relation(text: str) -> Relation:
    match = _RELATION.fullmatch(text)
    if match is None:
        raise InvalidArgument(f"not a relation between packages: {text[:80]!r}")
    return Relation(*(match[key] or "" for key in ("name", "architecture", "operator", "version")))


@dataclass(frozen=True)
class Package:
    """One binary package as an index has it; `uri` is that of its file."""

    fields: Mapping[str, str]
    base_uri: str = ""

    @cached_property
    def name(self) -> str:
        return self.fields["Package"]

    @cached_property
    def version(self) -> str:
        return self.fields["Version"]

    @cached_property
    def architecture(self) -> str:
        return self.fields["Architecture"]

    @property
    def multi_arch(self) -> str:
        return self.fields.get("Multi-Arch", "no")

    @property
    def priority(self) -> str:
        return self.fields.get("Priority", "optional")

    @property
    def is_essential(self) -> bool:
        return self.fields.get("Essential") == "yes"

    @property
    def uri(self) -> str:
        return f"{self.base_uri.rstrip('/')}/{quote(self.fields['Filename'].removeprefix('./'), safe='/+~:,=@')}"

    def relations(self, *names: str) -> tuple[tuple[Relation, ...], ...]:
        """The groups of these relationship fields together."""
        return tuple(group for name in names for group in parse_relations(self.fields.get(name, "")))

    @cached_property
    def provides(self) -> Mapping[str, str]:
        """Names that this package provides besides its own, each with the version for it or ""."""
        return {relation.name: relation.version for group in self.relations("Provides") for relation in group}
