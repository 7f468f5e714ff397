"""What a user or an administrator says of registries: mirrors, search registries, hosts to trust less, certificates, proxies.

It must not know HTTP. Values that cannot be right are refused when the settings are read, not when a pull fails.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from labcontainers.errors import InvalidArgument
from labcontainers.registry.insecure import network_of
from labcontainers.registry.names import is_host

HUB = "https://index.docker.io"
_PROXIES = ("http", "https", "no")


def proxies_of_environment() -> dict[str, str]:
    """`http`, `https` and `no` of HTTP_PROXY, HTTPS_PROXY and NO_PROXY; capitals win, as in Go.

    HTTP_PROXY counts for nothing where a CGI request could have set it (httpoxy, CVE-2016-5386).
    """
    found = {}
    for name in _PROXIES:
        value = os.environ.get(f"{name.upper()}_PROXY") or os.environ.get(f"{name}_proxy")
        if value and not (name == "http" and "REQUEST_METHOD" in os.environ):
            found[name] = value
    return found


@dataclass(frozen=True, slots=True)
class Settings:
    """How registries are reached.

    mirrors    for a registry the addresses that are asked first when something is read: "docker.io": ("https://mirror.example",)
    search     registries in which a short name may be, in this order
    insecure   HOST[:PORT] that may speak plain HTTP, or have a certificate that nobody knows; also networks, such as 10.1.0.0/16
    certs      folders with HOST[:PORT]/ca.crt, client.cert and client.key, the first that has one wins (Docker's certs.d)
    proxies    addresses for `http` and `https`, and `no` with hosts that are reached directly; by default those of the environment
    hub        where names are searched for in docker.io
    """

    mirrors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    search: tuple[str, ...] = ("docker.io",)
    insecure: tuple[str, ...] = ()
    certs: tuple[Path, ...] = ()
    proxies: Mapping[str, str] = field(default_factory=proxies_of_environment)
    hub: str = HUB

    def __post_init__(self) -> None:
        for text in self.insecure:
            if not is_host(text) and network_of(text) is None:
                raise InvalidArgument(f"registry settings: insecure: {text!r} is no host", "write HOST, HOST:PORT or ADDRESS/BITS")
        for host in (*self.search, *self.mirrors):
            if not is_host(host):
                raise InvalidArgument(f"registry settings: {host!r} is not a host", "write HOST or HOST:PORT")
        for address in (address for addresses in self.mirrors.values() for address in addresses):
            if not address.startswith(("https://", "http://")):
                raise InvalidArgument(f"registry settings: the mirror {address!r} is not an address", "write https://HOST[:PORT]")
        for name in self.proxies:
            if name not in _PROXIES:
                raise InvalidArgument(f"registry settings: proxies has no {name!r}", f"there is {', '.join(_PROXIES)}")

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Settings:
        """From an object with the names of the fields; raises InvalidArgument naming what is wrong."""
        known = {each.name for each in fields(cls)}
        for name in value:
            if name not in known:
                raise InvalidArgument(f"registry settings: there is no {name!r}", f"there is {', '.join(sorted(known))}")
        found: dict[str, Any] = {}
        for name in ("search", "insecure", "certs"):
            if name in value:
                found[name] = _texts(name, value[name])
        if "certs" in found:
            found["certs"] = tuple(Path(folder).expanduser() for folder in found["certs"])
        for name in ("mirrors", "proxies"):
            if name in value and not isinstance(value[name], Mapping):
                raise InvalidArgument(f"registry settings: {name} is no object: {value[name]!r}")
        if "mirrors" in value:
            found["mirrors"] = {host: _texts(f"mirrors of {host}", addresses) for host, addresses in value["mirrors"].items()}
        if "proxies" in value:
            found["proxies"] = {name: _text(f"the proxy {name}", address) for name, address in value["proxies"].items()}
        if "hub" in value:
            found["hub"] = _text("hub", value["hub"])
        return cls(**found)


def load_settings(path: Path) -> Settings:
    """From a file in JSON, or in TOML when its name ends so; the defaults when there is none. Raises InvalidArgument."""
    import json
    import tomllib

    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise InvalidArgument(f"registry settings: {path}: {(error.strerror or str(error)).lower()}", "make it readable") from None
    try:
        value = tomllib.loads(data.decode()) if path.suffix == ".toml" else json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"registry settings: {path}: {error}", "correct the file, or remove it") from None
    if not isinstance(value, dict):
        raise InvalidArgument(f"registry settings: {path} holds no object", "correct the file, or remove it")
    return Settings.from_json(value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidArgument(f"registry settings: {name} is no text: {value!r}")
    return value


def _texts(name: str, value: object) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise InvalidArgument(f"registry settings: {name} is no list of texts: {value!r}")
    return tuple(value)
