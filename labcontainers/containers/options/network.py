"""Options on the network: which one, ports, name servers and names of hosts; it must not open sockets.

Source: docs.docker.com "docker run", networking; opts/opts.go of Docker's command line for what an address or a domain is.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from labcontainers.containers.options.forms import Converters, flag, shown
from labcontainers.containers.options.namespaces import join_mode
from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.networks.ports import PortBinding, parse_ports

if TYPE_CHECKING:
    from labcontainers.containers.options.container import ContainerOptions

NETWORKS = ("bridge", "none", "host")
HOST_GATEWAY = "host-gateway"
_LABEL = r"[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?"
_DOMAIN = re.compile(rf"(?=.{{1,253}}\.?\Z){_LABEL}(\.{_LABEL})*\.?")
_HOST = re.compile(r"[^\s#:=\[\]\0]{1,253}")
_RESOLVER_OPTION = re.compile(r"[^\s\0]{1,200}")
_EXPOSED = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/([a-zA-Z]+))?")
_MAC = re.compile(r"[0-9a-f]{2}([:-][0-9a-f]{2}){5}")


def _ports(value: object) -> tuple[PortBinding, ...]:
    if isinstance(value, Mapping):
        texts = []
        for inside, outside in value.items():
            wanted = outside if isinstance(outside, list) else [outside]
            for item in wanted:
                host = ":".join(map(str, item)) if isinstance(item, tuple) else ("" if item is None else str(item))
                texts.append(f"{host}:{inside}" if host else str(inside))
        value = texts
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple):
        raise InvalidArgument(f"ports is a list of HOST:CONTAINER: {shown(value)}", "write such as ['8080:80']")
    return tuple(binding for text in value for binding in parse_ports(str(text)))


def _network(value: object) -> str:
    if isinstance(value, str) and value.startswith("container:"):
        return join_mode(value)
    if value == "default":
        return "bridge"
    if value not in NETWORKS:
        raise Unsupported(f"{shown(value)} is not supported yet", f"use one of {', '.join(NETWORKS)}, or container:NAME")
    return str(value)


def _texts(name: str, value: object) -> list[str]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise InvalidArgument(f"{name} is a list of texts: {shown(value)}", f"write {name}=['…']")
    return list(items)


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _dns(value: object) -> tuple[str, ...]:
    """Addresses of name servers; a zone as in fe80::1%eth0 is kept."""
    addresses = []
    for text in _texts("dns", value):
        address = _address(text.strip())
        if address is None:
            raise InvalidArgument(f"not an ip address: {shown(text)}", "give the address of a name server, such as 9.9.9.9")
        addresses.append(address)
    return tuple(addresses)


def _dns_search(value: object) -> tuple[str, ...]:
    """Domains to look names up in; "." alone is none at all."""
    domains = _texts("dns_search", value)
    for text in domains:
        if text != "." and not _DOMAIN.fullmatch(text):
            raise InvalidArgument(f"not a valid domain: {shown(text)}", "write a domain, or . for none")
    return tuple(domains)


def _dns_options(value: object) -> tuple[str, ...]:
    for text in (options := _texts("dns_opt", value)):
        if not _RESOLVER_OPTION.fullmatch(text):
            raise InvalidArgument(f"not an option of resolv.conf: {shown(text)}", "write such as ndots:2 (resolv.conf(5))")
    return tuple(options)


def _extra_hosts(value: object) -> tuple[str, ...]:
    """`NAME:ADDRESS`, also with "=" and with brackets around IPv6; as "NAME:ADDRESS", where host-gateway is an address too."""
    if isinstance(value, Mapping):
        value = [f"{name}={address}" for name, many in value.items() for address in (many if isinstance(many, list) else [many])]
    hosts = []
    for text in _texts("extra_hosts", value):
        name, separator, address = text.partition("=") if "=" in text else text.partition(":")
        if not separator or not _HOST.fullmatch(name):
            raise InvalidArgument(f"bad format: {shown(text)}", "write NAME:ADDRESS, such as db:10.0.0.5 or me:host-gateway")
        if address.startswith("[") and address.endswith("]"):
            address = address[1:-1]
        if address != HOST_GATEWAY and _address(address) is None:
            raise InvalidArgument(f"invalid IP address {shown(address)} in {shown(text)}", "write NAME:ADDRESS, or NAME:host-gateway")
        hosts.append(f"{name}:{address}")
    return tuple(hosts)


def _expose(value: object) -> tuple[str, ...]:
    """Ports or ranges with a protocol, each as "80/tcp"."""
    items = value if isinstance(value, list | tuple) else [value]
    found: list[str] = []
    for item in items:
        match = _EXPOSED.fullmatch(str(item))
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        protocol = (match[3] or "tcp").lower() if match else ""
        if not 1 <= first <= last <= 65535 or protocol not in ("tcp", "udp", "sctp"):
            raise InvalidArgument(f"invalid range format: {shown(item)}", "write PORT[-PORT][/PROTOCOL], such as 7000-7010/udp")
        found += [f"{port}/{protocol}" for port in range(first, last + 1)]
    return tuple(dict.fromkeys(found))


def _mac_address(value: object) -> str:
    text = str(value).lower()
    if not _MAC.fullmatch(text):
        raise InvalidArgument(f"not a valid mac address: {shown(value)}", "write such as 02:42:ac:11:00:02")
    if int(text[:2], 16) & 1 or text.replace("-", ":") == "00:00:00:00:00:00":
        raise InvalidArgument(f"an interface cannot have {shown(value)}", "the first byte is even, such as 02")
    return text.replace("-", ":")


def check(options: ContainerOptions) -> None:
    """Raises InvalidArgument for what contradicts the network."""
    if options.ports and options.network == "none":
        problem = "conflicting options: --publish and --network none: ports cannot be published with that"
        raise InvalidArgument(problem, "use --network bridge, or leave the ports out")
    if options.mac_address and options.network in ("none", "host"):
        problem = f"conflicting options: mac-address and the network mode (--mac-address and --network {options.network})"
        raise InvalidArgument(problem, "use --network bridge, or leave it out")


def published(options: ContainerOptions, exposed: tuple[str, ...]) -> tuple[tuple[PortBinding, ...], tuple[str, ...]]:
    """The ports to be published, with --publish-all also what is exposed, on free ports; and warnings for what cannot be."""
    if options.network == "host":
        return (), ("published ports are discarded when using host network mode",) if options.ports else ()
    bindings, warnings = list(options.ports), []
    if options.publish_all_ports and options.network == "bridge":
        given = {f"{binding.container_port}/{binding.protocol}" for binding in bindings}
        for port in dict.fromkeys((*exposed, *options.exposed_ports)):
            number, _, protocol = port.partition("/")
            if (protocol or "tcp") != "tcp":
                warnings.append(f"port {port} is not published: only tcp ports are")
            elif f"{number}/tcp" not in given:
                bindings.append(PortBinding("0.0.0.0", 0, int(number)))
    return tuple(bindings), tuple(warnings)


CONVERTERS: Converters = {
    "ports": ("ports", _ports),
    "network": ("network", _network),
    "network_mode": ("network", _network),
    "dns": ("dns", _dns),
    "dns_search": ("dns_search", _dns_search),
    "dns_opt": ("dns_options", _dns_options),
    "extra_hosts": ("extra_hosts", _extra_hosts),
    "expose": ("exposed_ports", _expose),
    "publish_all_ports": ("publish_all_ports", flag("publish_all_ports")),
    "mac_address": ("mac_address", _mac_address),
}
