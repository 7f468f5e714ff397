"""Which hosts and addresses names of images mean; it must not know HTTP."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from labcontainers.errors import InvalidArgument, InvalidReference
from labcontainers.oci.digest import parse_digest
from labcontainers.oci.reference import DEFAULT_DOMAIN, Reference, parse_reference

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
# docker.io is the name of a registry that answers elsewhere.
_API_HOSTS = {DEFAULT_DOMAIN: "registry-1.docker.io"}
_PORTS = {"http": 80, "https": 443}


def is_host(text: str) -> bool:
    """Whether this is HOST or HOST:PORT."""
    return _HOST.fullmatch(text) is not None


def api_host(domain: str) -> str:
    """HOST[:PORT] where the registry of this name answers."""
    return _API_HOSTS.get(domain, domain)


def origin(url: str) -> tuple[str, str, int]:
    """(scheme, host, port) of an address; raises InvalidArgument for one that is not of HTTP."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in _PORTS or parts.username is not None or not re.fullmatch(r"[!-~]+", url):
        raise InvalidArgument(f"not an address of HTTP: {url[:200]!r}", "it begins with https:// and a host, without a user")
    return parts.scheme, host.lower(), port or _PORTS[parts.scheme]


def host_and_port(url: str) -> str:
    """HOST[:PORT] as it is written in an address, without a port that goes without saying."""
    scheme, host, port = origin(url)
    host = f"[{host}]" if ":" in host else host
    return host if port == _PORTS[scheme] else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether HOST[:PORT] is this machine: localhost, 127.0.0.0/8 or ::1."""
    bare = host[1 : host.index("]")] if host.startswith("[") and "]" in host else host
    bare = bare.rpartition(":")[0] if bare.count(":") == 1 else bare
    if bare.lower() == "localhost" or bare.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False


def bypasses_proxy(url: str, exceptions: str) -> bool:
    """Whether an address is reached directly, by the words of NO_PROXY; this machine always is.

    Source: golang.org/x/net/http/httpproxy: hosts, domains with or without a leading dot, networks in CIDR form, ports, and *.
    """
    _, host, port = origin(url)
    if is_loopback(f"[{host}]" if ":" in host else host):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    for word in filter(None, (word.strip().lower() for word in exceptions.split(","))):
        if word == "*":
            return True
        if "/" in word:
            try:
                network = ipaddress.ip_network(word, strict=False)
            except ValueError:
                continue
            if address is not None and address in network:
                return True
            continue
        name, colon, wanted = word.rpartition(":") if word.count(":") == 1 else (word, "", "")
        if colon and wanted != str(port):
            continue
        name = name.strip("[]").removeprefix("*")
        if (host == name.removeprefix(".") and not name.startswith(".")) or host.endswith("." + name.removeprefix(".")):
            return True
    return False


def candidates(name: str, search: Sequence[str]) -> list[Reference]:
    """What a name may mean: itself when it has a host, else that name in each of the registries that are searched.

    Raises InvalidReference.
    """
    reference = parse_reference(name)
    first = name.partition("/")[0]
    said = "/" in name and ("." in first or ":" in first or first == "localhost" or first.lower() != first)
    if said or not search:
        return [reference]
    return [parse_reference(name if domain == DEFAULT_DOMAIN else f"{domain}/{name}") for domain in search]


def check_repository(domain: str, path: str) -> str:
    """The path of a repository, that can stand in an address; raises InvalidReference."""
    found = parse_reference(f"{domain}/{path}")
    if found.path != path:
        raise InvalidReference(f"invalid repository {path!r}", "a repository is lower-case words with slashes between them")
    return path


def check_tag_or_digest(text: str) -> str:
    """A tag or a digest, that can stand in an address; raises InvalidArgument."""
    if ":" in text:
        parse_digest(text)
    elif not _TAG.fullmatch(text):
        raise InvalidArgument(f"not a tag: {text!r}", "letters, digits, '_', '.' and '-', at most 128")
    return text
