"""Addresses of things that a build takes from elsewhere: what the text means, and which of it may be shown.

It must not ask anybody: all that is told here is told by the text alone. A user and a password in an address are not shown,
and stay out of every record.

Sources: docs.docker.com "Dockerfile reference", ADD; "Build context", "URL fragments" and "URL queries"; git-check-ref-format(1).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from labcontainers.errors import InvalidArgument

_SCHEME = re.compile(r"(https?|ssh|git)://")
# user@host:path, as scp(1) has it
_SHORT = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]*)@([A-Za-z0-9][A-Za-z0-9.-]*):(?!//)([^?#]+)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)
_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.~-]*")
_COMMIT = re.compile(r"[0-9a-fA-F]{1,64}")
_FULL_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NOT_IN_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)|[/.]$|^[-/.]")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_SWITCHES = {"": True, "true": True, "1": True, "t": True, "false": False, "0": False, "f": False}


@dataclass(frozen=True, slots=True)
class WebAddress:
    """A file by HTTP. `shown` is without user and password; `name` is the last part of the path, or "". `checksum` is "sha256:…" or ""."""

    url: str = field(repr=False)
    shown: str
    name: str
    checksum: str = ""

    @property
    def is_private(self) -> bool:
        """Whether a user or a password stands in it."""
        return self.url.partition("#")[0] != self.shown

    def with_checksum(self, text: str) -> WebAddress:
        """The same with the digest that the file must have; raises InvalidArgument."""
        if not _SHA256.fullmatch(text):
            raise InvalidArgument(f"invalid checksum for a file: {text!r}", "write sha256: and 64 hexadecimal digits")
        return replace(self, checksum=text)


@dataclass(frozen=True, slots=True)
class GitAddress:
    """A tree of a git repository. `remote` is what git is told, `login` a user and a password for HTTP; `shown` is without both.

    `ref` is "" for the default branch; `commit` is how its commit must begin; None says that nobody decided.
    """

    remote: str
    shown: str
    ref: str = ""
    subdir: str = ""
    commit: str = ""
    keep_git_dir: bool | None = None
    submodules: bool = True
    login: str = field(default="", repr=False)

    @property
    def whole_commit(self) -> str:
        """The commit where the address tells all of it, else ""."""
        return next((text.lower() for text in (self.ref, self.commit) if _FULL_COMMIT.fullmatch(text.lower())), "")

    def with_checksum(self, text: str) -> GitAddress:
        """The same with the beginning of the commit that it must be; raises InvalidArgument, also for another one than the address has."""
        found = _commit(text, "checksum")
        if self.commit and not (self.commit.startswith(found) or found.startswith(self.commit)):
            raise InvalidArgument(f"the checksum {text} is another commit than that of the address: {self.commit}", "leave one of them out")
        return replace(self, commit=max(found, self.commit, key=len))


Address = WebAddress | GitAddress


def is_remote(text: str) -> bool:
    """Whether a source of ADD, or a context, is an address and no path."""
    return bool(_SCHEME.match(text) or _SHORT.fullmatch(text))


def parse_address(text: str) -> Address | None:
    """What an address means; None for a path. An address of HTTP is one of git if its path ends in .git. Raises InvalidArgument."""
    short = _SHORT.fullmatch(text)
    if _SCHEME.match(text):
        parts = _split(text)
        if parts.scheme in ("http", "https") and not parts.path.endswith(".git"):
            return _web(text, parts)
        return _git_of_url(parts)
    if short is not None:
        user, host, path, query, fragment = short.groups()
        if path.startswith("-"):
            raise InvalidArgument(f"not an address of git: {text!r}", "write git@HOST:PATH")
        remote = f"{user}@{host}:{path}"
        return _completed(GitAddress(remote, remote), query or "", fragment or "")
    return None


def parse_context(text: str) -> Address | None:
    """As parse_address(), for a context: `github.com/OWNER/REPOSITORY` is one of git, too."""
    if text.startswith("github.com/"):
        parts = _split(f"https://{text}")
        return _git_of_url(parts)
    return parse_address(text)


def shown(text: str) -> str:
    """An address without a user and a password of HTTP, for people and for records; any other text as it is."""
    match = _SCHEME.match(text)
    if match is None:
        return text
    rest = text[match.end() :]
    end = min((index for index in map(rest.find, "/?#") if index >= 0), default=len(rest))
    return match[0] + (rest[:end].rpartition("@")[2] if match[1].startswith("http") else rest[:end]) + rest[end:]


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        host = parts.netloc.rpartition("@")[2]
        if not _HOST.fullmatch(host) or (parts.port or 1) > 65535 or not text.isprintable() or " " in text:
            raise ValueError(text)
    except ValueError:
        raise InvalidArgument(f"not an address: {shown(text)[:200]!r}", "write https://HOST/PATH") from None
    return parts


def _web(text: str, parts: SplitResult) -> WebAddress:
    if not text.isascii():
        raise InvalidArgument(f"not an address of HTTP: {shown(text)[:200]!r}", "write letters beyond ASCII by %XX")
    name = posixpath.basename(unquote(parts.path))
    if name in (".", "..") or "\0" in name:
        name = ""
    return WebAddress(text, shown(text).partition("#")[0], name)


def _git_of_url(parts: SplitResult) -> GitAddress:
    user, _, host = parts.netloc.rpartition("@")
    login = ""
    if parts.scheme in ("http", "https"):
        login = user
    elif parts.scheme == "git" and user:
        raise InvalidArgument("an address of git:// has no user", "leave it out, or use ssh://")
    elif user and not _USER.fullmatch(user):
        # also one with a password, which ssh(1) takes from nobody
        raise InvalidArgument("the user in an address of ssh is not one", "write ssh://git@HOST/PATH")
    if parts.path in ("", "/"):
        raise InvalidArgument(f"{parts.scheme}://{host} names no repository", "write its path behind the host")
    prefix = f"{user}@" if user and not login else ""
    remote = f"{parts.scheme}://{prefix}{host}{parts.path}"
    return _completed(GitAddress(remote, remote, login=login), parts.query, parts.fragment)


def _completed(address: GitAddress, query: str, fragment: str) -> GitAddress:
    """With what stands behind the repository: `?…` and `#ref:subdir`."""
    ref, _, subdir = fragment.partition(":")
    found = replace(address, ref=_ref(unquote(ref)), subdir=_folder(unquote(subdir)))
    values: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in _QUERY:
            raise InvalidArgument(f"{address.shown}: unexpected query {name!r}", "there is " + ", ".join(_QUERY))
        if name in values:
            raise InvalidArgument(f"{address.shown}: the query {name} has two values", "give one")
        if not value and name not in ("keep-git-dir", "submodules"):
            raise InvalidArgument(f"{address.shown}: the query {name} has no value", f"write {name}=…")
        values[name] = value
    if "tag" in values and "branch" in values:
        raise InvalidArgument(f"{address.shown}: branch and tag stand beside each other", "leave one of them out")
    for name, value in values.items():
        found = _QUERY[name](found, value)
    return replace(found, shown=_with_ref(found))


def _with_ref(address: GitAddress) -> str:
    behind = address.ref + (f":{address.subdir}" if address.subdir else "")
    return f"{address.shown}#{behind}" if behind else address.shown


def _set_ref(address: GitAddress, value: str, prefix: str = "") -> GitAddress:
    ref = _ref(value if value.startswith(prefix) else prefix + value)
    if address.ref not in ("", ref, value):
        raise InvalidArgument(f"{address.shown}: it names two refs: {address.ref} and {value}", "leave one of them out")
    return replace(address, ref=ref)


def _set_subdir(address: GitAddress, value: str) -> GitAddress:
    if address.subdir not in ("", _folder(value)):
        raise InvalidArgument(f"{address.shown}: it names two folders: {address.subdir} and {value}", "leave one of them out")
    return replace(address, subdir=_folder(value))


def _set_commit(address: GitAddress, value: str) -> GitAddress:
    return address.with_checksum(value)


def _switch(value: str, name: str) -> bool:
    if value.lower() not in _SWITCHES:
        raise InvalidArgument(f"the query {name} is neither true nor false: {value!r}", "write true or false")
    return _SWITCHES[value.lower()]


_QUERY: Mapping[str, Callable[[GitAddress, str], GitAddress]] = {
    "ref": _set_ref,
    "branch": lambda address, value: _set_ref(address, value, "refs/heads/"),
    "tag": lambda address, value: _set_ref(address, value, "refs/tags/"),
    "subdir": _set_subdir,
    "commit": _set_commit,
    "checksum": _set_commit,
    "keep-git-dir": lambda address, value: replace(address, keep_git_dir=_switch(value, "keep-git-dir")),
    "submodules": lambda address, value: replace(address, submodules=_switch(value, "submodules")),
}


def _ref(text: str) -> str:
    if text and (_NOT_IN_REF.search(text) or text == "@"):
        raise InvalidArgument(f"not the name of a branch, a tag or a commit: {text!r}", "see git-check-ref-format(1)")
    return text


def _commit(text: str, what: str) -> str:
    if not _COMMIT.fullmatch(text):
        raise InvalidArgument(
            f"invalid {what} for a tree of git: {text!r}", "write the hexadecimal digits of the commit, or the first of them"
        )
    return text.lower()


def _folder(text: str) -> str:
    """Relative to the repository's top, "" for the top; a `..` never leads above it."""
    if "\0" in text:
        raise InvalidArgument("a folder of a repository has a zero byte in its name")
    return posixpath.normpath("/" + text).strip("/")
