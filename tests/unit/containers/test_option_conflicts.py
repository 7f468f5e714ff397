"""Options that do not go together: the refusal names every flag of the pair, and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.policy import health_keywords
from labcontainers.containers.options.streams import stream_keywords
from labcontainers.errors import InvalidArgument, Unsupported

JOINED = {"network": "container:db"}
# (keywords, the flags that must be named)
CONFLICTS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"memswap_limit": "64m"}, ("--memory-swap", "--memory")),
    ({"memswap_limit": "64m", "mem_limit": "65m"}, ("--memory-swap", "--memory")),
    ({"mem_reservation": "65m", "mem_limit": "64m"}, ("--memory-reservation", "--memory")),
    ({"cpus": 0.5, "cpu_period": 1000}, ("--cpus", "--cpu-period")),
    ({"cpus": 0.5, "cpu_quota": 1000}, ("--cpus", "--cpu-quota")),
    ({"sysctls": {"net.core.somaxconn": 5}, "network": "host"}, ("--sysctl", "--network")),
    ({"sysctls": {"kernel.shmmax": 5}, "ipc_mode": "host"}, ("--sysctl", "--ipc")),
    ({"sysctls": {"fs.mqueue.msg_max": 5}, "ipc_mode": "host"}, ("--sysctl", "--ipc")),
    ({"uts_mode": "host", "hostname": "a"}, ("--uts", "--hostname")),
    ({"uts_mode": "host", "domainname": "a"}, ("--uts", "--domainname")),
    ({"ipc_mode": "host", "shm_size": "1m"}, ("--ipc", "--shm-size")),
    ({"ipc_mode": "none", "shm_size": "1m"}, ("--ipc", "--shm-size")),
    ({"ipc_mode": "container:db", "shm_size": "1m"}, ("--ipc", "--shm-size")),
    ({"ports": ["80:80"], "network": "none"}, ("--publish", "--network none")),
    ({"mac_address": "02:42:ac:11:00:02", "network": "none"}, ("--mac-address", "--network none")),
    ({"mac_address": "02:42:ac:11:00:02", "network": "host"}, ("--mac-address", "--network host")),
    ({**JOINED, "hostname": "a"}, ("--network", "--hostname")),
    ({**JOINED, "mac_address": "02:42:ac:11:00:02"}, ("--network", "--mac-address")),
    ({**JOINED, "dns": "1.1.1.1"}, ("--network", "--dns")),
    ({**JOINED, "dns_search": "a.b"}, ("--network", "--dns-search")),
    ({**JOINED, "dns_opt": "ndots:1"}, ("--network", "--dns-option")),
    ({**JOINED, "extra_hosts": ["a:1.1.1.1"]}, ("--network", "--add-host")),
    ({**JOINED, "ports": "80:80"}, ("--network", "--publish")),
    ({**JOINED, "publish_all_ports": True}, ("--network", "--publish-all")),
    ({**JOINED, "expose": 80}, ("--network", "--expose")),
    ({"remove": True, "restart": "always"}, ("--rm", "--restart")),
    ({"remove": True, "restart": "on-failure:3"}, ("--rm", "--restart")),
    ({"log_config": {"type": "none", "config": {"max-size": "1m"}}}, ("--log-driver none", "--log-opt")),
    ({"log_config": {"config": {"max-file": "3"}}}, ("--log-opt max-file=3", "--log-opt max-size")),
    ({"volumes": ["a1:/x", "b1:/x"]}, ("/x", "--volume and --volume")),
    ({"volumes": ["a1:/x"], "tmpfs": ["/x/"]}, ("/x", "--volume and --tmpfs")),
    ({"volumes": ["a1:/x"], "mounts": ["type=tmpfs,target=/x"]}, ("/x", "--volume and --mount")),
]


@pytest.mark.parametrize(("keywords", "flags"), CONFLICTS, ids=lambda value: str(value)[:60])
def test_conflicting_options_are_named_together(keywords: dict[str, Any], flags: tuple[str, ...]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        ContainerOptions.from_keywords(**keywords)
    assert caught.value.message.startswith("conflicting options: ")
    assert [flag for flag in flags if flag not in caught.value.message] == []
    assert caught.value.hint
    for key, value in keywords.items():
        if key not in ("memswap_limit", "log_config", "volumes"):
            ContainerOptions.from_keywords(**{key: value})


def test_conflicting_options_of_a_run_are_named_together() -> None:
    with pytest.raises(InvalidArgument, match=r"^conflicting options: --attach and --detach"):
        stream_keywords(True, None, {"attach": ["stdout"]})
    with pytest.raises(Unsupported, match=r"^conflicting options: --tty and --interactive without --detach"):
        stream_keywords(False, None, {"tty": True, "stdin_open": True})
    with pytest.raises(InvalidArgument, match=r"^conflicting options: --no-healthcheck and --health-cmd, --health-interval"):
        health_keywords("true", {"interval": "1s"}, None, off=True)
