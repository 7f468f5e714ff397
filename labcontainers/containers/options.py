"""How a container is to be run: every option checked and with its unit, before anything is made.

It must not know images, records or the kernel. Keywords follow docker-py, texts follow `docker run`.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.networks.ports import PortBinding, parse_ports
from labcontainers.units import parse_cpus, parse_memory_bytes

NETWORKS = ("bridge", "none", "host")
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_HOSTNAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]{0,62})")
_LEAST_MEMORY_BYTES = 6 << 20


@dataclass(frozen=True, slots=True)
class VolumeMount:
    """A folder or file of the host (`source`, absolute) at `target` in the container."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class ContainerOptions:
    """All options of one container; None means "as the image says" or "no limit"."""

    name: str | None = None
    remove: bool = False
    environment: tuple[str, ...] = ()
    volumes: tuple[VolumeMount, ...] = ()
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

    @classmethod
    def from_keywords(cls, **keywords: Any) -> ContainerOptions:
        """Check and convert docker-py's keywords; raises InvalidArgument naming the keyword and the value, or Unsupported."""
        values: dict[str, Any] = {}
        for key, value in keywords.items():
            if value is None:
                continue
            convert = _CONVERTERS.get(key)
            if convert is None:
                raise _unknown(key)
            values[_FIELDS.get(key, key)] = convert(value)
        options = cls(**values)
        targets = [*(volume.target for volume in options.volumes), *(os.path.normpath(target) for target, _ in options.tmpfs)]
        twice = next((target for target in targets if targets.count(target) > 1), None)
        if twice is not None:
            raise InvalidArgument(f"duplicate mount point: {twice}", "mount one thing there")
        if options.ports and options.network != "bridge":
            problem = f"ports cannot be published with network {options.network!r}"
            raise InvalidArgument(problem, "use network bridge, or leave the ports out")
        return options

    def to_json(self) -> dict[str, Any]:
        """Plain values for the record."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ContainerOptions:
        """The options of a record; keys of a newer version are left out."""
        known = {field.name for field in fields(cls)}
        kept = {key: _frozen(value) for key, value in values.items() if key in known}
        kept["volumes"] = tuple(VolumeMount(**volume) for volume in values.get("volumes", ()))
        kept["ports"] = tuple(PortBinding(**port) for port in values.get("ports", ()))
        return cls(**kept)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _unknown(key: str) -> InvalidArgument | Unsupported:
    if key in _LATER:
        return Unsupported(f"the option {key!r} is not supported yet", "leave it out")
    near = difflib.get_close_matches(key, _CONVERTERS, n=1)
    return InvalidArgument(
        f"unknown option {key!r}", f"did you mean {near[0]}?" if near else f"options are {', '.join(sorted(_CONVERTERS))}"
    )


# The keywords of docker-py's run and create that have no meaning here yet.
_LATER = frozenset(
    "blkio_weight blkio_weight_device cap_add cap_drop cgroup_parent cgroupns cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period "
    "cpu_rt_runtime cpu_shares cpuset_cpus cpuset_mems device_cgroup_rules device_read_bps device_read_iops device_requests "
    "device_write_bps device_write_iops devices dns dns_opt dns_search domainname extra_hosts group_add healthcheck init init_path "
    "ipc_mode isolation kernel_memory links log_config lxc_conf mac_address mem_reservation mem_swappiness memswap_limit mounts "
    "network_disabled networking_config oom_kill_disable oom_score_adj pid_mode platform privileged publish_all_ports restart_policy "
    "runtime shm_size stderr stdin_open stdout stop_timeout storage_opt stream sysctls tty ulimits use_config_proxy userns_mode uts_mode "
    "volume_driver volumes_from".split()
)


def split_command(command: str | Sequence[str] | None) -> tuple[str, ...]:
    """A command as separate arguments; a text is split as a shell would, as docker-py does. Raises InvalidArgument."""
    if command is None:
        return ()
    if isinstance(command, str):
        try:
            return tuple(shlex.split(command))
        except ValueError as error:
            raise InvalidArgument(f"command cannot be split into words: {command!r}: {error}", "give a list of words") from None
    words = tuple(command)
    if any(not isinstance(word, str) or "\0" in word for word in words):
        raise InvalidArgument(f"a command is a list of texts without NUL: {words!r}")
    return words


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InvalidArgument(f"invalid container name {value!r}", "only [a-zA-Z0-9][a-zA-Z0-9_.-]+ is allowed")
    return value


def _environment(value: object) -> tuple[str, ...]:
    """`["A=1", "B"]` or `{"A": 1}`; a name without value is taken from this process' environment, as Docker does."""
    if isinstance(value, Mapping):
        entries = [f"{key}={'' if item is None else item}" for key, item in value.items()]
    elif isinstance(value, list | tuple):
        entries = [str(item) for item in value]
    else:
        raise InvalidArgument(f"environment is a dict or a list of NAME=VALUE: {value!r}")
    result = []
    for entry in entries:
        name, separator, _ = entry.partition("=")
        if not name or "\0" in entry:
            raise InvalidArgument(f"invalid environment variable: {entry!r}", "write NAME=VALUE")
        if separator:
            result.append(entry)
        elif name in os.environ:
            result.append(f"{name}={os.environ[name]}")
    return tuple(result)


def _volumes(value: object) -> tuple[VolumeMount, ...]:
    if isinstance(value, str):
        value = [value]
    if isinstance(value, Mapping):
        return tuple(_volume_entry(str(source), item) for source, item in value.items())
    if not isinstance(value, list | tuple):
        raise InvalidArgument(f"volumes is a list of SOURCE:TARGET[:ro]: {value!r}")
    return tuple(_volume_text(str(item)) for item in value)


def _volume_entry(source: str, item: object) -> VolumeMount:
    """docker-py's `{SOURCE: {"bind": TARGET, "mode": "ro"}}`."""
    if not isinstance(item, Mapping) or "bind" not in item:
        raise InvalidArgument(f"volume {source!r} has no target: {item!r}", 'write {SOURCE: {"bind": TARGET, "mode": "ro"}}')
    return _volume(source, str(item["bind"]), str(item.get("mode", "rw")))


def _volume_text(text: str) -> VolumeMount:
    parts = text.split(":")
    if len(parts) == 1:
        raise Unsupported(f"anonymous volumes are not supported yet: {text!r}", "write SOURCE:TARGET with a folder of this machine")
    if len(parts) > 3 or not parts[0] or not parts[1]:
        raise InvalidArgument(f"invalid volume: {text!r}", "write SOURCE:TARGET or SOURCE:TARGET:ro")
    return _volume(parts[0], parts[1], parts[2] if len(parts) == 3 else "rw")


def _volume(source: str, target: str, mode: str) -> VolumeMount:
    if mode not in ("rw", "ro"):
        raise InvalidArgument(f"invalid volume mode {mode!r} for {target}", "use rw or ro")
    if not target.startswith("/") or ".." in target.split("/") or target == "/":
        raise InvalidArgument(f"the target of a volume must be an absolute path below /: {target!r}")
    if not source.startswith(("/", ".", "~")):
        raise Unsupported(f"named volumes are not supported yet: {source!r}", "use a folder, such as ./data:/data")
    path = os.path.abspath(os.path.expanduser(source))
    if not os.path.lexists(path):
        raise InvalidArgument(f"volume source does not exist: {path!r}", "make it first")
    return VolumeMount(path, os.path.normpath(target), mode == "ro")


def _tmpfs(value: object) -> tuple[tuple[str, str], ...]:
    if isinstance(value, Mapping):
        items = [(str(target), str(data or "")) for target, data in value.items()]
    elif isinstance(value, list | tuple):
        items = [(text.partition(":")[0], text.partition(":")[2]) for text in map(str, value)]
    else:
        raise InvalidArgument(f"tmpfs is a list of TARGET[:OPTIONS]: {value!r}")
    for target, data in items:
        if not target.startswith("/") or ".." in target.split("/") or target == "/":
            raise InvalidArgument(f"the target of a tmpfs must be an absolute path below /: {target!r}")
        for option in filter(None, data.split(",")):
            if not re.fullmatch(r"(size|mode|nr_inodes|uid|gid)=[0-9]+[kKmMgG%]?", option):
                raise InvalidArgument(f"invalid tmpfs option {option!r} for {target}", "use size=, mode=, nr_inodes=, uid= or gid=")
    return tuple(items)


def _working_dir(value: object) -> str:
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise InvalidArgument(f"the working directory must be an absolute path: {value!r}")
    return value


def _memory(value: object) -> int:
    size = parse_memory_bytes(value if isinstance(value, int) else str(value))
    if size < _LEAST_MEMORY_BYTES:
        raise InvalidArgument(f"memory limit {value!r} is too small", "the least is 6m")
    return size


def _cpus(value: object) -> float:
    cpus = parse_cpus(value if isinstance(value, int | float) else str(value))
    if not 0.01 <= cpus <= (os.cpu_count() or 1):
        raise InvalidArgument(f"cpus {value!r} is out of range", f"this machine has {os.cpu_count()}: use 0.01 to {os.cpu_count()}")
    return cpus


def _nano_cpus(value: object) -> float:
    try:
        return _cpus(int(str(value)) / 1e9)
    except ValueError:
        raise InvalidArgument(f"nano_cpus is a whole number of billionths: {value!r}", "use cpus, such as 0.5") from None


def _pids(value: object) -> int | None:
    try:
        count = int(str(value))
    except ValueError:
        count = -2
    if count < -1:
        raise InvalidArgument(f"pids limit is a number above 0, or -1 for none: {value!r}")
    return count if count > 0 else None


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
        raise InvalidArgument(f"ports is a list of HOST:CONTAINER: {value!r}")
    return tuple(binding for text in value for binding in parse_ports(str(text)))


def _network(value: object) -> str:
    if value not in NETWORKS:
        raise Unsupported(f"network {value!r} is not supported yet", f"use one of {', '.join(NETWORKS)}")
    return str(value)


def _entrypoint(value: object) -> tuple[str, ...]:
    """A text is one word, as `docker run --entrypoint`; an empty one takes the image's entrypoint away."""
    if isinstance(value, str):
        return (value,) if value else ()
    if isinstance(value, list | tuple):
        return split_command(value)
    raise InvalidArgument(f"entrypoint is a text or a list of words: {value!r}")


def _labels(value: object) -> tuple[tuple[str, str], ...]:
    if isinstance(value, Mapping):
        return tuple((str(key), str(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple((text.partition("=")[0], text.partition("=")[2]) for text in map(str, value))
    raise InvalidArgument(f"labels is a dict or a list of KEY=VALUE: {value!r}")


def _hostname(value: object) -> str:
    if not isinstance(value, str) or not _HOSTNAME.fullmatch(value):
        raise InvalidArgument(f"invalid hostname {value!r}", "use letters, digits, '-' and '.', at most 63")
    return value


def _user(value: object) -> str:
    text = str(value)
    user = text.partition(":")[0]
    if not user or any(character in text for character in " \0\n/") or user.startswith("-"):
        raise InvalidArgument(f"invalid user {text!r}", "write USER, UID, USER:GROUP or UID:GID")
    return text


def _security_opt(value: object) -> bool:
    for item in value if isinstance(value, list | tuple) else [value]:
        if item not in ("no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"):
            raise Unsupported(f"security option {item!r} is not supported yet", "only no-new-privileges is")
    return True


def _flag(key: str) -> Callable[[object], bool]:
    def convert(value: object) -> bool:
        if not isinstance(value, bool):
            raise InvalidArgument(f"{key} is True or False, not {value!r}")
        return value

    return convert


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "name": _name,
    "remove": _flag("remove"),
    "auto_remove": _flag("auto_remove"),
    "environment": _environment,
    "volumes": _volumes,
    "tmpfs": _tmpfs,
    "working_dir": _working_dir,
    "user": _user,
    "mem_limit": _memory,
    "cpus": _cpus,
    "nano_cpus": _nano_cpus,
    "pids_limit": _pids,
    "ports": _ports,
    "network": _network,
    "network_mode": _network,
    "entrypoint": _entrypoint,
    "labels": _labels,
    "hostname": _hostname,
    "no_new_privileges": _flag("no_new_privileges"),
    "security_opt": _security_opt,
    "read_only": _flag("read_only"),
    "stop_signal": lambda value: signal_name(value),
}
_FIELDS = {
    "auto_remove": "remove",
    "mem_limit": "memory_bytes",
    "nano_cpus": "cpus",
    "network_mode": "network",
    "security_opt": "no_new_privileges",
}


def signal_number(value: str | int) -> int:
    """A signal's number, from its name with or without SIG (also RTMIN+3), or its number; raises InvalidArgument."""
    import signal

    text = str(value).upper().removeprefix("SIG")
    real_time = re.fullmatch(r"(RTMIN|RTMAX)(?:([+-])([0-9]{1,2}))?", text)
    number = 0
    if re.fullmatch(r"[0-9]{1,3}", text):
        number = int(text)
    elif real_time is not None:
        number = int(signal.Signals["SIG" + real_time[1]]) + int((real_time[2] or "+") + (real_time[3] or "0"))
    elif "SIG" + text in signal.Signals.__members__:
        number = int(signal.Signals["SIG" + text])
    if number not in signal.valid_signals():
        raise InvalidArgument(f"invalid signal {value!r}", "use a name such as TERM, or a number of signal(7)")
    return number


def signal_name(value: str | int) -> str:
    """A signal as "SIGTERM", or as its number where it has no name; raises InvalidArgument."""
    import signal

    number = signal_number(value)
    return signal.Signals(number).name if number in list(signal.Signals) else str(number)
