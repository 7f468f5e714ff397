"""What each keyword is called on the command line, and errors that say so; it must not know what any option means.

Every front says the flag's name, so that a message can be looked up in Docker's pages, whoever gave the value.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from labcontainers.errors import DockerfileError, InvalidArgument, NotFound, Unsupported

# docker-py's keyword -> the flag of `docker run`, by its long name; a keyword without a flag stands for itself.
FLAGS: Mapping[str, str] = {
    "auto_remove": "--rm",
    "annotations": "--annotation",
    "cidfile": "--cidfile",
    "device_cgroup_rules": "--device-cgroup-rule",
    "device_requests": "--gpus",
    "devices": "--device",
    "dns_opt": "--dns-option",
    "environment": "--env",
    "extra_hosts": "--add-host",
    "healthcheck": "--health-cmd",
    "ipc_mode": "--ipc",
    "labels": "--label",
    "log_config": "--log-driver",
    "mem_limit": "--memory",
    "mem_reservation": "--memory-reservation",
    "mem_swappiness": "--memory-swappiness",
    "memswap_limit": "--memory-swap",
    "mounts": "--mount",
    "nano_cpus": "nano_cpus",
    "network_mode": "--network",
    "no_new_privileges": "no_new_privileges",
    "pid_mode": "--pid",
    "ports": "--publish",
    "publish_all_ports": "--publish-all",
    "remove": "--rm",
    "restart_policy": "--restart",
    "stdin_open": "--interactive",
    "sysctls": "--sysctl",
    "ulimits": "--ulimit",
    "userns_mode": "--userns",
    "uts_mode": "--uts",
    "volumes": "--volume",
    "working_dir": "--workdir",
}


def flag_of(keyword: str) -> str:
    """The flag that a keyword stands for: that of the table, or the keyword with dashes."""
    return FLAGS.get(keyword) or "--" + keyword.replace("_", "-")


Refusal = InvalidArgument | Unsupported | NotFound


def named(flag: str, error: Refusal) -> Refusal:
    """The error with the flag's name before its message, unless that begins with the name of a flag already."""
    if error.message.startswith(("--", f"{flag}:", "conflicting options: ")) or isinstance(error, DockerfileError):
        return error
    return type(error)(f"{flag}: {error.message}", error.hint)


@contextlib.contextmanager
def about(flag: str) -> Iterator[None]:
    """What is refused within is told of this flag."""
    try:
        yield
    except (InvalidArgument, Unsupported, NotFound) as error:
        raise named(flag, error) from None
