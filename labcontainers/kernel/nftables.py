"""The way out of a bridge: addresses of its subnet are masqueraded by the kernel's packet filter (nftables), through pyroute2.

It must not know networks or containers. One table for each bridge, so that taking it away is one message. Nobody calls it for a
bridge in a user's private namespace, which has no way out of its own.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any, TypeVar

from labcontainers.errors import KernelFailed, Unsupported
from labcontainers.kernel.netlink import Netlink

Result = TypeVar("Result")

_IPV4 = 2
_CHAIN = "postrouting"
_SOURCE_NAT_PRIORITY = 100
_ACCEPT = 1
# nft_meta_keys and nft_cmp_ops of linux/netfilter/nf_tables.h
_OUTPUT_INTERFACE = 7
_NOT_EQUAL = 1
_INTERFACE_BYTES = 16
_FORWARD = "/proc/sys/net/ipv4/ip_forward"


def table_of(bridge: str) -> str:
    """The name of a bridge's table, as `nft list tables` shows it."""
    return f"labcontainers_{bridge}"


def ensure_masquerade(netlink: Netlink, bridge: str, subnet: str) -> None:
    """Let packets from `subnet` leave by any other interface than `bridge` with the machine's own address. Idempotent; about 4 ms.

    Acts in this process' network namespace; needs CAP_NET_ADMIN. Raises Unsupported where the kernel has no nftables, KernelFailed.
    Source: nft(8), MASQUERADE STATEMENT.
    """

    def work(filter: Any) -> None:
        from pyroute2.nftables.expressions import genex, ipv4addr, masq

        table = table_of(bridge)
        filter.table("add", name=table)
        filter.chain("add", table=table, name=_CHAIN, type="nat", hook=_CHAIN, priority=_SOURCE_NAT_PRIORITY, policy=_ACCEPT)
        if any(dict(rule["attrs"]).get("NFTA_RULE_TABLE") == table for rule in filter.get_rules()):
            return
        name = bridge.encode().ljust(_INTERFACE_BYTES, b"\0")
        elsewhere = [
            genex("meta", {"key": _OUTPUT_INTERFACE, "dreg": 1}),
            genex("cmp", {"sreg": 1, "op": _NOT_EQUAL, "data": {"attrs": [("NFTA_DATA_VALUE", name)]}}),
        ]
        filter.rule("add", table=table, chain=_CHAIN, expressions=(ipv4addr(src=subnet), elsewhere, masq()))

    _do(netlink, table_of(bridge), work)


def remove_masquerade(netlink: Netlink, bridge: str) -> None:
    """Take the bridge's table away; absent is fine. Raises KernelFailed."""

    def work(filter: Any) -> None:
        from pyroute2.netlink.exceptions import NetlinkError

        try:
            filter.table("del", name=table_of(bridge))
        except NetlinkError as error:
            if error.code != errno.ENOENT:
                raise

    _do(netlink, table_of(bridge), work)


def enable_forwarding() -> bool:
    """Let the machine pass packets on between its interfaces (ip(7), ip_forward); True when it did not before. Raises KernelFailed."""
    try:
        fd = os.open(_FORWARD, os.O_RDWR | os.O_CLOEXEC)
        try:
            if os.read(fd, 16).strip() != b"0":
                return False
            os.pwrite(fd, b"1", 0)
            return True
        finally:
            os.close(fd)
    except OSError as error:
        raise KernelFailed("write", error.errno or 0, _FORWARD, "only root may let this machine forward packets") from error


def _do(netlink: Netlink, table: str, work: Callable[[Any], Result]) -> Result:
    def job() -> Result:
        from pyroute2.netlink.exceptions import NetlinkError
        from pyroute2.nftables.main import NFTables

        try:
            with NFTables(nfgen_family=_IPV4) as opened:
                return work(opened)
        except (NetlinkError, OSError) as error:
            code = getattr(error, "code", None) or getattr(error, "errno", None) or errno.EIO
            if code in (errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT):
                raise Unsupported("this kernel has no nftables with masquerading", "load nf_tables, nft_masq and nft_chain_nat") from error
            raise KernelFailed("nftables", code, table) from error

    return netlink.run(job)
