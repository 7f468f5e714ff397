"""The column PORTS of `ps`; it must not know containers. Source: docker/cli's formatter of containers (version 28.5)."""

from __future__ import annotations

from collections.abc import Iterable

from labcontainers.networks.ports import PortBinding


def ports_shown(bindings: Iterable[PortBinding], exposed: Iterable[str]) -> str:
    """Published and exposed ports; those that follow each other on one address with the same number on both sides as one range."""
    found = [(each.container_port, each.host_ip, each.host_port, each.protocol) for each in bindings]
    published = {(port, protocol) for port, _, _, protocol in found}
    for text in exposed:
        number, _, protocol = text.partition("/")
        if number.isdigit() and (int(number), protocol or "tcp") not in published:
            found.append((int(number), "", 0, protocol or "tcp"))
    done: list[str] = []
    mappings: list[str] = []
    ranges: dict[tuple[str, str], tuple[int, int]] = {}
    for port, address, host_port, protocol in sorted(found):
        if address and host_port != port:
            mappings.append(f"{_bracketed(address)}:{host_port}->{port}/{protocol}")
            continue
        key = (address, protocol)
        first, last = ranges.get(key, (port, port - 1))
        if port != last + 1:
            done.append(_range(key, first, last))
            first = port
        ranges[key] = (first, port)
    return ", ".join([*done, *(_range(key, first, last) for key, (first, last) in ranges.items()), *mappings])


def _range(key: tuple[str, str], first: int, last: int) -> str:
    address, protocol = key
    ports = str(first) if first == last else f"{first}-{last}"
    return f"{_bracketed(address)}:{ports}->{ports}/{protocol}" if address else f"{ports}/{protocol}"


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
