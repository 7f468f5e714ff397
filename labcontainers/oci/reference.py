"""Image names, as Docker reads and writes them; it must not know which images exist.

Source: distribution/reference grammar: [domain/]path[:tag][@digest]; docker.io and library/ are implied.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from labcontainers.errors import InvalidArgument, InvalidReference
from labcontainers.oci.digest import parse_digest

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_OFFICIAL = "library/"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_DOMAIN = re.compile(
    r"(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_LONGEST = 255


@dataclass(frozen=True, slots=True)
class Reference:
    """A complete name; `tag` is "" only when there is a `digest`."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def canonical(self) -> str:
        """With domain: docker.io/library/busybox:latest."""
        return f"{self.domain}/{self.path}{self._suffix}"

    @property
    def familiar(self) -> str:
        """As users write it, and read back as the same: busybox:latest."""
        return self.repository + self._suffix

    @property
    def repository(self) -> str:
        """The familiar name without tag and digest."""
        bare = self.path.removeprefix(_OFFICIAL)
        if self.domain == DEFAULT_DOMAIN and "/" not in bare and bare != self.path:
            return bare
        if self.domain != DEFAULT_DOMAIN or _is_domain(self.path.partition("/")[0]):
            return f"{self.domain}/{self.path}"
        return self.path

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.familiar


def _is_domain(first: str) -> bool:
    """Whether the first part of a name can only be a host."""
    return "." in first or ":" in first or first == "localhost" or first.lower() != first


def new_name(text: str) -> Reference:
    """The reference `text` as a name that an image may be given; raises InvalidReference, and InvalidArgument for one with a digest,
    or whose repository is `sha256`, which could not be told from an id.
    """
    reference = parse_reference(text)
    if reference.digest:
        raise InvalidArgument(f"an image cannot be named by a digest: {text}", "use a name with a tag")
    if reference.repository == "sha256":
        raise InvalidArgument(f"refusing to create an ambiguous tag using digest algorithm as name: {text}", "use another name")
    return reference


def parse_reference(text: str) -> Reference:
    """The reference that `text` means; raises InvalidReference naming the text and the rule it breaks."""

    def broken(rule: str, hint: str = "a name looks like lab/base:latest") -> InvalidReference:
        return InvalidReference(f"invalid image name {text!r}: {rule}", hint)

    rest, at, digest = text.partition("@")
    if at:
        try:
            parse_digest(digest)
        except InvalidArgument as error:
            raise broken(error.message) from None
    head, _, last = rest.rpartition("/")
    name, colon, tag = last.partition(":")
    name = f"{head}/{name}" if head else name
    if colon and not _TAG.fullmatch(tag):
        raise broken(f"tag {tag!r} must be letters, digits, '_', '.' and '-', at most 128, not beginning with '.' or '-'")
    first, slash, remainder = name.partition("/")
    if slash and _is_domain(first):
        domain, path = first, remainder
        if not _DOMAIN.fullmatch(domain):
            raise broken(f"{domain!r} is not a host name")
    else:
        domain, path = DEFAULT_DOMAIN, name
    if domain in ("index.docker.io", "docker.io"):
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = _OFFICIAL + path
    bare = path.removeprefix(_OFFICIAL)
    if bare.lower() != bare:
        raise broken("a repository name must be lower case", f"try {text.lower()!r}")
    if not bare or not _PATH.fullmatch(path):
        raise broken("a repository name is lower-case letters and digits, with single '.', '_' or '-' between them")
    if len(path) > _LONGEST:
        raise broken(f"a repository name has at most {_LONGEST} characters")
    return Reference(domain, path, tag or ("" if digest else DEFAULT_TAG), digest)
