"""What `build --annotation` says, by what it stands on; it must not know how manifests are made.

Source: docs.docker.com "docker buildx build", --annotation; OCI image spec, annotations.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from labcontainers.errors import InvalidArgument, Unsupported

LEVELS = ("manifest", "index", "manifest-descriptor", "index-descriptor")
FLAG = "--annotation"
_TYPES = re.compile(r"(?P<types>[a-z-]+(?:\[[^\]]*\])?(?:,[a-z-]+(?:\[[^\]]*\])?)*):(?P<rest>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Annotations:
    """Annotations of the image's manifest, of the index around it, and of what names these two."""

    manifest: Mapping[str, str] = field(default_factory=dict)
    index: Mapping[str, str] = field(default_factory=dict)
    manifest_descriptor: Mapping[str, str] = field(default_factory=dict)
    index_descriptor: Mapping[str, str] = field(default_factory=dict)

    def check(self, *, has_index: bool, has_archive: bool) -> None:
        """Raises InvalidArgument for one that has no place: an index is made for attestations, and archives alone name what they have."""
        for level, values, has_place, hint in (
            ("index", self.index, has_index, "an index is made by --provenance or --sbom"),
            ("index-descriptor", self.index_descriptor, has_index and has_archive, "use -o type=oci with --provenance or --sbom"),
            ("manifest-descriptor", self.manifest_descriptor, has_index or has_archive, "use -o type=oci,dest=FILE"),
        ):
            if values and not has_place:
                raise InvalidArgument(f"{FLAG}: {level}:{next(iter(values))} has no place in the outputs of this build", hint)


def parse_annotations(texts: Iterable[str] | Mapping[str, str]) -> Annotations:
    """`[TYPE[,TYPE…]:]KEY=VALUE`, or a mapping whose keys are such `[TYPE:]KEY`; raises InvalidArgument, Unsupported."""
    found: dict[str, dict[str, str]] = {level: {} for level in LEVELS}
    said = [f"{key}={value}" for key, value in texts.items()] if isinstance(texts, Mapping) else texts
    for text in said:
        types, key, value = _parts(str(text))
        for name in types:
            found[name][key] = value
    return Annotations(found["manifest"], found["index"], found["manifest-descriptor"], found["index-descriptor"])


def _parts(text: str) -> tuple[list[str], str, str]:
    match = _TYPES.fullmatch(text)
    # a key may have a colon, too, but none that looks like a type
    before = text.partition("=")[0]
    types, rest = (match["types"], match["rest"]) if match and ":" in before and "." not in match["types"].partition("[")[0] else ("", text)
    key, separator, value = rest.partition("=")
    if not separator or not key or key.strip() != key:
        raise InvalidArgument(
            f"{FLAG}: not KEY=VALUE: {text[:80]!r}", "write [TYPE:]KEY=VALUE, such as index:org.opencontainers.image.title=x"
        )
    if "\0" in value:
        raise InvalidArgument(f"{FLAG}: a NUL in the value of {key}", "leave it out")
    names = types.split(",") if types else ["manifest"]
    for name in names:
        plain, bracket, _ = name.partition("[")
        if bracket:
            raise Unsupported(f"{FLAG}: {name} is not supported: a build is for one platform", f"write {plain}:")
        if plain not in LEVELS:
            raise InvalidArgument(f"{FLAG}: unknown type {plain!r} in {text[:80]!r}", f"types are {', '.join(LEVELS)}")
    return names, key, value
