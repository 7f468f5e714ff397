"""Where packages are to be had: the host's own apt configuration, or mirrors that somebody names. It must not fetch anything.

Source: sources.list(5), apt.conf(5), apt-transport-http(1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from labcontainers.errors import InvalidArgument, NotFound, Unsupported
from labcontainers.images.debs.control import paragraphs

_SCHEMES = ("http", "https", "file")
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_SUITE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_COMPONENTS = {"debian": ("main",), "ubuntu": ("main", "universe")}
# whose archive has the suite of security updates, too
_SECURITY_BESIDE = frozenset(("ubuntu",))
_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s*(?P<components>[^#]*)(?:#.*)?")
_CONF_TOKEN = re.compile(r'\s+|//[^\n]*|#[^\n]*|/\*.*?\*/|"(?P<text>[^"\n]*)"|(?P<sign>[{};])|(?P<word>[^\s{};"]+)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Distribution:
    """What an image is to be of, such as debian:bookworm."""

    name: str
    suite: str

    def __str__(self) -> str:
        return f"{self.name}:{self.suite}"


@dataclass(frozen=True, slots=True)
class Source:
    """One suite of one archive. `keys` are keyring files or whole armored keys; none means the keyrings that all archives share.

    `origin` is what its Release file must say of itself, or "" for anything; one that is `optional` may be missing.
    """

    uri: str
    suite: str
    components: tuple[str, ...]
    keys: tuple[str, ...] = ()
    origin: str = ""
    optional: bool = False


def parse_distribution(text: str) -> Distribution:
    """NAME:SUITE; raises InvalidArgument."""
    name, colon, suite = text.partition(":")
    if not colon or not _NAME.fullmatch(name) or not _SUITE.fullmatch(suite):
        raise InvalidArgument(f"bootstrap: not a distribution and its suite: {text!r}", "write such as debian:bookworm or ubuntu:noble")
    return Distribution(name, suite)


def find_sources(wanted: Distribution, mirrors: Sequence[str], keyring: str | None, root: Path) -> tuple[Source, ...]:
    """The sources of a distribution: these mirrors, or else what the host at `root` has in /etc/apt.

    Raises InvalidArgument, NotFound when the host has none, Unsupported for a scheme that is not spoken.
    """
    found = _of_mirrors(wanted, mirrors, root) if mirrors else _of_host(wanted, root)
    if keyring is not None:
        if not Path(keyring).is_file():
            raise NotFound(f"--keyring: no such file: {keyring}", "name a keyring, such as /usr/share/keyrings/debian-archive-keyring.gpg")
        found = [replace(source, keys=(keyring,)) for source in found]
    return tuple(found)


def _of_mirrors(wanted: Distribution, mirrors: Sequence[str], root: Path) -> list[Source]:
    archive = root / f"usr/share/keyrings/{wanted.name}-archive-keyring.gpg"
    keys = (str(archive),) if archive.is_file() else ()
    components = _COMPONENTS.get(wanted.name, ("main",))
    found = []
    for mirror in mirrors:
        scheme, separator, rest = mirror.partition(":")
        if not separator or scheme not in _SCHEMES or not rest.strip("/"):
            raise InvalidArgument(f"--mirror: not a mirror: {mirror!r}", "write such as http://deb.debian.org/debian")
        if mirror.rstrip("/").endswith("-security"):
            found.append(Source(mirror, f"{wanted.suite}-security", components, keys))
            continue
        found += [
            Source(mirror, wanted.suite, components, keys),
            Source(mirror, f"{wanted.suite}-updates", components, keys, optional=True),
        ]
        if wanted.name in _SECURITY_BESIDE:
            found.append(Source(mirror, f"{wanted.suite}-security", components, keys, optional=True))
    return found


def _of_host(wanted: Distribution, root: Path) -> list[Source]:
    listed = list(_listed(root))
    own = _os_release(root)
    hint = "name a mirror: --mirror http://…"
    if wanted.name != own.get("ID"):
        raise NotFound(f"bootstrap: this host's apt knows no mirror of {wanted.name}", hint)
    found = [source for source in listed if _belongs(source.suite, wanted.suite)]
    codename = own.get("VERSION_CODENAME", "")
    if not found and codename:
        # another suite of the same archives
        found = [
            replace(source, suite=wanted.suite + source.suite[len(codename) :]) for source in listed if _belongs(source.suite, codename)
        ]
    if not found:
        raise NotFound(f"bootstrap: this host's apt knows no mirror of {wanted}", hint)
    return [replace(source, origin=wanted.name, optional=source.suite != wanted.suite) for source in dict.fromkeys(found)]


def _belongs(suite: str, codename: str) -> bool:
    return suite in (codename, f"{codename}-updates", f"{codename}-security", f"{codename}/updates")


def _os_release(root: Path) -> dict[str, str]:
    for place in ("etc/os-release", "usr/lib/os-release"):
        try:
            lines = (root / place).read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        return {key: value.strip("\"'") for key, _, value in (line.partition("=") for line in lines)}
    return {}


def _listed(root: Path) -> Iterator[Source]:
    """Every source of binary packages in the configuration whose scheme is spoken."""
    folder = root / "etc/apt"
    lists = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))]
    for path in lists:
        if path.is_file():
            yield from _one_line_style(path.read_text(encoding="utf-8", errors="replace"))
    for path in sorted((folder / "sources.list.d").glob("*.sources")):
        yield from _deb822_style(path.read_text(encoding="utf-8", errors="replace"))


def _one_line_style(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        match = _ONE_LINE.fullmatch(line.strip())
        if match is not None:
            options = dict(option.partition("=")[::2] for option in (match["options"] or "").split())
            yield from _spoken(match["uri"], match["suite"], tuple(match["components"].split()), _keys(options.get("signed-by", "")))


def _deb822_style(text: str) -> Iterator[Source]:
    for fields in paragraphs(text):
        lower = {name.lower(): value for name, value in fields.items()}
        if "deb" not in lower.get("types", "").split() or lower.get("enabled", "yes").lower() in ("no", "false", "0", "off"):
            continue
        keys = _keys(lower.get("signed-by", ""))
        for uri in lower.get("uris", "").split():
            for suite in lower.get("suites", "").split():
                yield from _spoken(uri, suite, tuple(lower.get("components", "").split()), keys)


def _keys(text: str) -> tuple[str, ...]:
    if "BEGIN PGP" in text:
        # a key itself; a lone dot stands for an empty line (deb822(5))
        return ("\n".join("" if line.strip() == "." else line for line in text.split("\n")),)
    return tuple(key for key in re.split(r"[\s,]+", text) if key.startswith("/"))


def _spoken(uri: str, suite: str, components: tuple[str, ...], keys: tuple[str, ...]) -> Iterator[Source]:
    # a suite that ends in a slash is a flat archive, which no distribution is
    if uri.partition(":")[0] in _SCHEMES and not suite.endswith("/") and components:
        yield Source(uri, suite.strip("/"), components, keys)


def shared_keyrings(root: Path) -> tuple[str, ...]:
    """The keyrings that apt trusts for every archive, and those of the distributions."""
    places = [root / "etc/apt/trusted.gpg", *sorted((root / "etc/apt/trusted.gpg.d").glob("*"))]
    places += [root / f"usr/share/keyrings/{name}-archive-keyring.gpg" for name in _COMPONENTS]
    return tuple(str(path) for path in places if path.suffix in (".gpg", ".asc") and path.is_file())


def apt_settings(root: Path) -> Mapping[str, str]:
    """What apt.conf and its parts say, by names in lower case such as acquire::http::proxy; the last one counts."""
    folder = root / "etc/apt"
    settings: dict[str, str] = {}
    parts = [path for path in sorted((folder / "apt.conf.d").glob("*")) if re.fullmatch(r"[\w-]+(\.conf)?", path.name)]
    for path in [*parts, folder / "apt.conf"]:
        if path.is_file():
            settings |= _conf(path.read_text(encoding="utf-8", errors="replace"))
    return settings


def _conf(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    scopes: list[str] = []
    name = ""
    for match in _CONF_TOKEN.finditer(text):
        if match["word"]:
            name = match["word"].lower().strip(":")
        elif match["text"] is not None and name:
            found["::".join((*scopes, name))] = match["text"]
        elif match["sign"] == "{":
            scopes.append(name)
            name = ""
        elif match["sign"] == "}":
            scopes = scopes[:-1]
            name = ""
        elif match["sign"] == ";":
            name = ""
    return found


def proxy_for(scheme: str, host: str, settings: Mapping[str, str], environment: Mapping[str, str]) -> str:
    """The proxy that apt, or else this process' environment, has for a host; "" for none. Raises Unsupported for one of SOCKS."""
    own = settings.get(f"acquire::{scheme}::proxy::{host}".lower())
    said = own or settings.get(f"acquire::{scheme}::proxy") or (settings.get("acquire::http::proxy", "") if scheme == "https" else "")
    if said.upper() == "DIRECT":
        return ""
    proxy = said or environment.get(f"{scheme}_proxy") or environment.get(f"{scheme.upper()}_PROXY") or ""
    if proxy.startswith("socks"):
        raise Unsupported(f"bootstrap: a proxy that speaks SOCKS is not supported: {proxy}", "name another one in http_proxy")
    return proxy if "://" in proxy or not proxy else f"http://{proxy}"
