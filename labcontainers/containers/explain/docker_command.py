"""A container's options as the `docker run` that asks for the same; pure: it must not run anything.

Of what Docker's command line cannot say, the nearest is written: a health check without a shell (CMD) is one by the shell, and parts of a
CPU below a billionth are rounded, as Docker keeps them.
"""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.mount import Mount
from labcontainers.containers.options.policy import Healthcheck
from labcontainers.containers.options.security import BUILTIN, UNCONFINED, SecurityOptions
from labcontainers.containers.register import Record

Words = Iterable[str]

# Docker reads a seccomp profile from a file: the line gives it one by a here-document of its own, which leaves standard input alone.
PROFILE = "/dev/fd/3"
_END = "SECCOMP"


def docker_run(options: ContainerOptions, image: str, command: Sequence[str]) -> str:
    """A command for a shell; `command` is what was given after the image's name.

    It is one line, but for a seccomp profile, which follows as a here-document.
    """
    # Docker has no --rootfs, Podman has
    program, image = ("docker", image) if options.rootfs is None else ("podman", f"{image}:O")
    # a run that leaves its container alone attaches no stream
    words = [program, "run", *(["-d"] if options.attach == () else []), *flags(options)]
    entrypoint = options.entrypoint or ()
    # docker's flag takes one word: the rest of a longer entrypoint goes before the command.
    line = shlex.join([*words, image, *entrypoint[1:], *command])
    profile = options.security.seccomp
    return f"{line} 3<<'{_END}'\n{profile}\n{_END}" if _is_profile(profile) else line


def _is_profile(seccomp: str) -> bool:
    return seccomp not in ("", UNCONFINED, BUILTIN)


def docker_run_of(record: Record) -> str:
    """The same for a container that is there; what the image says anyway is left out."""
    entrypoint = record.options.entrypoint if record.options.entrypoint is not None else record.config.entrypoint or ()
    command = record.command[len(entrypoint) :]
    if record.options.entrypoint is None and command == tuple(record.config.cmd or ()):
        command = ()
    options = replace(record.options, name=record.row.name)
    return docker_run(options, record.row.image, command)


def flags(options: ContainerOptions) -> list[str]:
    """The flags for everything that is not as by default, in the order of the fields."""
    defaults = ContainerOptions()
    words: list[str] = []
    for one in fields(options):
        value = getattr(options, one.name)
        if value != getattr(defaults, one.name):
            words += _FORMS[one.name](value)
    return words


def _switch(flag: str) -> Callable[[Any], Words]:
    return lambda value: [flag] if value else []


def _one(flag: str) -> Callable[[Any], Words]:
    return lambda value: [flag, str(value)]


def _each(flag: str, form: Callable[[Any], str] = str) -> Callable[[Any], Words]:
    return lambda values: [word for value in values for word in (flag, form(value))]


def _pairs(flag: str, separator: str = "=") -> Callable[[Any], Words]:
    return _each(flag, lambda pair: f"{pair[0]}{separator}{pair[1]}" if pair[1] not in ("", None) or separator == "=" else pair[0])


def _entrypoint(words: Sequence[str]) -> Words:
    return ["--entrypoint", words[0] if words else ""]


def _port(port: Any) -> str:
    host = f"[{port.host_ip}]" if ":" in port.host_ip else port.host_ip
    outside = port.host_ports if port.host_port else ""
    return f"{host}:{outside}:{port.container_port}" + ("" if port.protocol == "tcp" else f"/{port.protocol}")


def _volume(mount: Mount) -> str:
    source = f"{mount.source}:" if mount.source else ""
    mode = mount.mode or ("ro" if mount.read_only else "")
    return f"{source}{mount.target}" + (f":{mode}" if mode else "")


def _mounts(mounts: Iterable[Mount]) -> Words:
    for mount in mounts:
        words = [word for word in mount.tmpfs.split(",") if word and not (word == "ro" and mount.read_only)]
        if all(word.startswith(("size=", "mode=")) for word in words):
            yield from ("--mount", _mount(mount, words))
        else:
            # docker-py alone gives further options to a mount of type tmpfs: the command line has them in another flag.
            yield from ("--tmpfs", f"{mount.target}:{mount.tmpfs}")


def _mount(mount: Mount, tmpfs: Sequence[str]) -> str:
    parts = [f"type={mount.type}", *([f"source={mount.source}"] if mount.source else []), f"target={mount.target}"]
    parts += ["readonly"] * (mount.read_only and mount.type != "image")
    parts += [f"bind-propagation={mount.propagation}"] * bool(mount.propagation)
    parts += [f"bind-recursive={mount.recursive}"] * (mount.recursive != "enabled")
    parts += ["volume-nocopy"] * mount.no_copy
    parts += [f"{mount.type}-subpath={mount.subpath}"] * bool(mount.subpath)
    parts += [f"volume-label={key}={value}" for key, value in mount.labels]
    parts += [f"volume-opt={key}={value}" for key, value in mount.driver_opts]
    parts += [f"tmpfs-{word}" for word in tmpfs]
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(parts)
    return line.getvalue()


def _cpus(cpus: float) -> Words:
    return ["--cpus", f"{cpus:.9f}".rstrip("0").rstrip(".")]


def _security(security: SecurityOptions) -> Words:
    # What `inspect` shows is not all: Docker's command line turns systempaths into two lists of paths.
    texts = [*security.texts(), *(["systempaths=unconfined"] if security.system_paths else [])]
    if _is_profile(security.seccomp):
        texts = [f"seccomp={PROFILE}" if text.startswith("seccomp=") else text for text in texts]
    return [word for text in texts for word in ("--security-opt", text)]


def _health(check: Healthcheck) -> Words:
    if check.is_none:
        return ["--no-healthcheck"]
    words: list[str] = []
    if check.test:
        text = check.test[1] if check.test[0] == "CMD-SHELL" else shlex.join(check.test[1:])
        words += ["--health-cmd", text]
    for name in ("interval", "timeout", "start_period", "start_interval"):
        nanoseconds = getattr(check, f"{name}_ns")
        if nanoseconds:
            text = f"{nanoseconds}ns" if nanoseconds % 1_000_000 else f"{nanoseconds // 1_000_000}ms"
            words += [f"--health-{name.replace('_', '-')}", text]
    return [*words, *(["--health-retries", str(check.retries)] if check.retries else [])]


def _device(device: Any) -> str:
    return f"{device.source}:{device.path}:{device.permissions}"


def _ulimit(limit: tuple[str, int, int]) -> str:
    name, soft, hard = limit
    return f"{name}={soft}:{hard}"


_FORMS: Mapping[str, Callable[[Any], Words]] = {
    "name": _one("--name"),
    "remove": _switch("--rm"),
    "environment": _each("-e"),
    "volumes": _each("-v", _volume),
    "mounts": _mounts,
    "volumes_from": _pairs("--volumes-from", ":"),
    "tmpfs": _pairs("--tmpfs", ":"),
    "working_dir": _one("-w"),
    "user": _one("-u"),
    "memory_bytes": _one("-m"),
    "cpus": _cpus,
    "pids_limit": _one("--pids-limit"),
    "ports": _each("-p", _port),
    "network": _one("--network"),
    "entrypoint": _entrypoint,
    "labels": _pairs("-l"),
    "hostname": _one("-h"),
    "no_new_privileges": lambda value: ["--security-opt", "no-new-privileges"] if value else [],
    "read_only": _switch("--read-only"),
    "stop_signal": _one("--stop-signal"),
    "stop_timeout_s": _one("--stop-timeout"),
    "domainname": _one("--domainname"),
    "groups": _each("--group-add"),
    "init": _switch("--init"),
    "annotations": _pairs("--annotation"),
    "platform": _one("--platform"),
    "isolation": _one("--isolation"),
    "cidfile": _one("--cidfile"),
    "log_driver": _one("--log-driver"),
    "log_max_bytes": lambda value: ["--log-opt", f"max-size={value}"],
    "log_max_files": lambda value: ["--log-opt", f"max-file={value}"],
    "memory_swap_bytes": _one("--memory-swap"),
    "memory_reservation_bytes": _one("--memory-reservation"),
    "memory_swappiness": _one("--memory-swappiness"),
    "kernel_memory_bytes": _one("--kernel-memory"),
    "oom_kill_disable": _switch("--oom-kill-disable"),
    "cpu_period_us": _one("--cpu-period"),
    "cpu_quota_us": _one("--cpu-quota"),
    "cpu_shares": _one("--cpu-shares"),
    "cpuset_cpus": _one("--cpuset-cpus"),
    "cpuset_mems": _one("--cpuset-mems"),
    "blkio_weight": _one("--blkio-weight"),
    "blkio_weight_devices": _pairs("--blkio-weight-device", ":"),
    "device_read_bps": _pairs("--device-read-bps", ":"),
    "device_write_bps": _pairs("--device-write-bps", ":"),
    "device_read_iops": _pairs("--device-read-iops", ":"),
    "device_write_iops": _pairs("--device-write-iops", ":"),
    "ulimits": _each("--ulimit", _ulimit),
    "oom_score_adj": _one("--oom-score-adj"),
    "shm_bytes": _one("--shm-size"),
    "sysctls": _pairs("--sysctl"),
    "cap_add": _each("--cap-add"),
    "cap_drop": _each("--cap-drop"),
    "privileged": _switch("--privileged"),
    "security": _security,
    "pid_mode": _one("--pid"),
    "ipc_mode": _one("--ipc"),
    "uts_mode": _one("--uts"),
    "userns_mode": _one("--userns"),
    "cgroupns": _one("--cgroupns"),
    "devices": _each("--device", _device),
    "device_cgroup_rules": _each("--device-cgroup-rule"),
    "dns": _each("--dns"),
    "dns_search": _each("--dns-search"),
    "dns_options": _each("--dns-option"),
    "extra_hosts": _each("--add-host"),
    "exposed_ports": _each("--expose"),
    "publish_all_ports": _switch("-P"),
    "mac_address": _one("--mac-address"),
    "tty": _switch("-t"),
    "stdin_open": _switch("-i"),
    "attach": _each("-a"),
    "restart": _one("--restart"),
    "healthcheck": _health,
    "rootfs": lambda value: ["--rootfs"],
    "rootfs_parts": lambda value: [],
}
