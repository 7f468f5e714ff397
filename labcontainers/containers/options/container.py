"""How a container is to be run, as one value: every option checked and with its unit, before anything is made.

It must not know images, records or the kernel. Keywords follow docker-py, texts follow `docker run`; the modules
beside this one hold each topic's checks.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from operator import attrgetter
from typing import Any

from labcontainers.containers.options import devices as device_options
from labcontainers.containers.options import kernel as kernel_options
from labcontainers.containers.options import logs as log_options
from labcontainers.containers.options import mounts as mount_options
from labcontainers.containers.options import namespaces as namespace_options
from labcontainers.containers.options import network as network_options
from labcontainers.containers.options import policy as policy_options
from labcontainers.containers.options import process as process_options
from labcontainers.containers.options import resources as resource_options
from labcontainers.containers.options import security as security_options
from labcontainers.containers.options import streams as stream_options
from labcontainers.containers.options.devices import DeviceMapping
from labcontainers.containers.options.flags import flag_of, named
from labcontainers.containers.options.forms import Converters
from labcontainers.containers.options.mount import Mount, one_target_each
from labcontainers.containers.options.policy import Healthcheck
from labcontainers.containers.options.resources import DeviceValues
from labcontainers.containers.options.security import SecurityOptions
from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.networks.ports import PortBinding


@dataclass(frozen=True, slots=True)
class ContainerOptions:
    """All options of one container; None means "as the image says" or "no limit"."""

    name: str | None = None
    remove: bool = False
    environment: tuple[str, ...] = ()
    volumes: tuple[Mount, ...] = ()
    mounts: tuple[Mount, ...] = ()
    volumes_from: tuple[tuple[str, str], ...] = ()
    tmpfs: tuple[tuple[str, str], ...] = ()
    working_dir: str | None = None
    user: str | None = None
    memory_bytes: int | None = None
    cpus: float | None = None
    pids_limit: int | None = None
    ports: tuple[PortBinding, ...] = ()
    network: str = "bridge"
    entrypoint: tuple[str, ...] | None = None
    labels: tuple[tuple[str, str], ...] = ()
    hostname: str | None = None
    no_new_privileges: bool = False
    read_only: bool = False
    stop_signal: str | None = None
    stop_timeout_s: int | None = None
    domainname: str | None = None
    groups: tuple[str, ...] = ()
    init: bool = False
    annotations: tuple[tuple[str, str], ...] = ()
    platform: str | None = None
    isolation: str = ""
    cidfile: str | None = None
    log_driver: str = log_options.DRIVER
    log_max_bytes: int | None = None
    log_max_files: int | None = None
    memory_swap_bytes: int | None = None
    memory_reservation_bytes: int | None = None
    memory_swappiness: int | None = None
    kernel_memory_bytes: int | None = None
    oom_kill_disable: bool = False
    cpu_period_us: int | None = None
    cpu_quota_us: int | None = None
    cpu_shares: int | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    blkio_weight: int | None = None
    blkio_weight_devices: DeviceValues = ()
    device_read_bps: DeviceValues = ()
    device_write_bps: DeviceValues = ()
    device_read_iops: DeviceValues = ()
    device_write_iops: DeviceValues = ()
    ulimits: tuple[kernel_options.Ulimit, ...] = ()
    oom_score_adj: int | None = None
    shm_bytes: int | None = None
    sysctls: tuple[tuple[str, str], ...] = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    privileged: bool = False
    security: SecurityOptions = field(default_factory=SecurityOptions)
    pid_mode: str = ""
    ipc_mode: str = ""
    uts_mode: str = ""
    userns_mode: str = ""
    cgroupns: str = ""
    devices: tuple[DeviceMapping, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    exposed_ports: tuple[str, ...] = ()
    publish_all_ports: bool = False
    mac_address: str = ""
    tty: bool = False
    stdin_open: bool = False
    attach: tuple[str, ...] | None = None
    restart: str = "no"
    healthcheck: Healthcheck | None = None
    rootfs: str | None = None
    # How the folder of --rootfs is given, which no user says (containers.planning.host_root).
    rootfs_parts: bool = False

    @classmethod
    def from_keywords(cls, **keywords: Any) -> ContainerOptions:
        """Check and convert docker-py's keywords; raises InvalidArgument naming the flag and the value, or Unsupported."""
        options = cls(**converted(keywords))
        options.check()
        return options

    def check(self) -> None:
        """See that the options go together; raises InvalidArgument that names those that do not."""
        options = self
        resource_options.check(self)
        kernel_options.check(self)
        namespace_options.check(self)
        network_options.check(self)
        policy_options.check(options.restart, options.remove)
        one_target_each(
            [
                *(("--volume", mount.target) for mount in options.volumes),
                *(("--mount", mount.target) for mount in options.mounts),
                *(("--tmpfs", os.path.normpath(target)) for target, _ in options.tmpfs),
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values for the record: of the options that were chosen."""
        values = zip(_DEFAULTS.items(), _VALUES(self), strict=True)
        return {name: _plain(value) for (name, default), value in values if value is not default and value != default}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ContainerOptions:
        """The options of a record; keys of a newer version are left out."""
        return cls(**{key: _BUILDERS.get(key, _frozen)(value) for key, value in values.items() if key in _DEFAULTS})


def converted(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that docker-py's keywords stand for, each checked for itself; a keyword without a field is only checked."""
    values: dict[str, Any] = {}
    for key, value in keywords.items():
        if value is None:
            continue
        if key not in _CONVERTERS:
            raise _unknown(key)
        meant, convert = _CONVERTERS[key]
        try:
            given = convert(value)
        except (InvalidArgument, Unsupported) as error:
            raise named(flag_of(key), error) from None
        if isinstance(meant, str):
            if meant:
                values[meant] = given
        else:
            values.update(zip(meant, given, strict=True))
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _each(made: Callable[..., Any]) -> Callable[[list[dict[str, Any]]], tuple[Any, ...]]:
    return lambda rows: tuple(made(**{name: _frozen(item) for name, item in row.items()}) for row in rows)


_DEFAULTS: dict[str, Any] = {one.name: getattr(ContainerOptions(), one.name) for one in fields(ContainerOptions)}
_VALUES = attrgetter(*_DEFAULTS)
# How the values of a record that are no plain texts, numbers or tuples of these become what they were.
_BUILDERS: dict[str, Callable[[Any], Any]] = {
    "volumes": _each(Mount),
    "mounts": _each(Mount),
    "ports": _each(PortBinding),
    "devices": _each(DeviceMapping),
    "healthcheck": Healthcheck.from_json,
    "security": SecurityOptions.from_json,
}


def _unknown(key: str) -> InvalidArgument | Unsupported:
    if key in _LATER:
        return Unsupported(f"the option {key!r} is not supported yet", "leave it out")
    near = difflib.get_close_matches(key, _CONVERTERS, n=1)
    return InvalidArgument(
        f"unknown option {key!r}", f"did you mean {near[0]}?" if near else f"options are {', '.join(sorted(_CONVERTERS))}"
    )


# The keywords of docker-py's run and create that have no meaning here yet.
_LATER = frozenset("init_path links lxc_conf network_disabled networking_config stderr stdout stream use_config_proxy".split())

_CONVERTERS: Converters = {
    **process_options.CONVERTERS,
    **mount_options.CONVERTERS,
    **resource_options.CONVERTERS,
    **kernel_options.CONVERTERS,
    **log_options.CONVERTERS,
    **security_options.CONVERTERS,
    **namespace_options.CONVERTERS,
    **device_options.CONVERTERS,
    **network_options.CONVERTERS,
    **policy_options.CONVERTERS,
    **stream_options.CONVERTERS,
}
