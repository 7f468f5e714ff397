"""The files of a container's `/etc` that depend on its network: hostname, hosts and resolv.conf.

It must not start anything or ask the network: addresses are given to it. Sources: hosts(5), resolv.conf(5), and what Docker's
libnetwork makes of --dns, --dns-search, --dns-option and --add-host.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.network import HOST_GATEWAY
from labcontainers.kernel.notes import Notes
from labcontainers.runtime.spec import BindMount, UserMount

NAMES = ("hostname", "hosts", "resolv.conf")
_NO_DNS = "# no name server: this network has none\n"
_LOCALHOST = ("127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback")


@dataclass(frozen=True, slots=True)
class NameOptions:
    """What the user says of names: name servers, domains and options of the resolver, and `hosts` as NAME:ADDRESS."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    domain: str = ""


_NOTHING = NameOptions()


def names_of(options: ContainerOptions, gateway: str) -> NameOptions:
    """Those of a container, with `gateway` in the place of host-gateway."""
    hosts = tuple(
        f"{name}:{gateway if address == HOST_GATEWAY else address}" for name, _, address in (h.partition(":") for h in options.extra_hosts)
    )
    return NameOptions(options.dns, options.dns_search, options.dns_options, hosts, options.domainname or "")


def write_etc(
    directory: Path, hostname: str, network: str, address: str = "", names: NameOptions = _NOTHING, notes: Notes | None = None
) -> None:
    """Write the files to the folder `etc`, in place so that files already bound into a container change too; `notes` are told."""
    told = notes or Notes()
    texts = {"hostname": hostname + "\n", "hosts": _hosts(hostname, network, address, names), "resolv.conf": _resolv_conf(network, names)}
    for name, text in texts.items():
        path = f"{directory}/etc/{name}"
        with told.timed("etc_file", path=path), open(path, "w", encoding="utf-8") as file:
            file.write(text)


def _hosts(hostname: str, network: str, address: str, names: NameOptions) -> str:
    """On the host's network the host's own names count, too; a container's own line comes last, as in Docker."""
    lines = list(_LOCALHOST)
    if network == "host":
        lines = (_read("/etc/hosts") or "\n".join(_LOCALHOST)).splitlines()
    lines += [f"{address}\t{name}" for name, _, address in (host.partition(":") for host in names.hosts)]
    if network != "host" or not any(hostname in line.split("#")[0].split()[1:] for line in lines):
        own = f"{hostname}.{names.domain} {hostname}" if names.domain else hostname
        lines.append(f"{(network != 'host' and address) or '127.0.1.1'}\t{own}")
    return "\n".join(lines) + "\n"


def _resolv_conf(network: str, names: NameOptions) -> str:
    """The host's file with the user's servers, domains and options in the place of its own.

    For a network of one's own its loopback servers are left out, which are not reachable from there.
    """
    text = None if network == "none" else _read("/etc/resolv.conf")
    if names == replace(_NOTHING, hosts=names.hosts, domain=names.domain):
        if text is None:
            return _NO_DNS
        return text if network == "host" else "\n".join(line for line in text.splitlines() if not _loopback(line)) + "\n"
    lines = (text or "").splitlines()
    servers = [f"nameserver {server}" for server in names.servers]
    search = [] if names.search == (".",) else [f"search {' '.join(names.search)}"] if names.search else _kept(lines, ("search", "domain"))
    options = [f"options {' '.join(names.options)}"] if names.options else _kept(lines, ("options",))
    if not servers:
        servers = [line for line in _kept(lines, ("nameserver",)) if network == "host" or not _loopback(line)]
    return "\n".join([*servers, *search, *options]) + "\n"


def _kept(lines: Iterable[str], keywords: tuple[str, ...]) -> list[str]:
    return [line for line in lines if line.split()[:1] and line.split()[0] in keywords]


def _loopback(line: str) -> bool:
    words = line.split()
    return len(words) > 1 and words[0] == "nameserver" and (words[1].startswith("127.") or words[1] == "::1")


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def taken_from(mounts: Iterable[UserMount], own: Path, other: Path) -> tuple[UserMount, ...]:
    """The mounts with another container's files in the place of one's own."""
    sources = {str(own / "etc" / name): str(other / "etc" / name) for name in NAMES}
    return tuple(
        replace(mount, source=sources[mount.source]) if isinstance(mount, BindMount) and mount.source in sources else mount
        for mount in mounts
    )
