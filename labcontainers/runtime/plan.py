"""A container's spec -> the list of kernel operations that make it, as plain values: pure, so that it can be printed before it is done.

It must not make any system call. Each operation is `[name, arguments]`, carried out by runtime.init and runtime.rootfs.
"""

from __future__ import annotations

from typing import Any

from labcontainers.kernel import mounts, syscalls
from labcontainers.kernel.mounts import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_STRICTATIME
from labcontainers.runtime.spec import BindMount, ContainerSpec, ExecSpec, HostTraits

Operation = list[Any]
Plan = list[Operation]

_HARD = MS_NOSUID | MS_NODEV | MS_NOEXEC

# (name, major, minor) from Linux' Documentation/admin-guide/devices.txt; the set is the OCI runtime spec's default devices.
_DEVICES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))
_LINKS = (
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
)
MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
    "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
)  # fmt: skip
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def clone_flags(spec: ContainerSpec) -> int:
    """The CLONE_NEW* flags that init is cloned with; the cgroup namespace follows once its cgroups are joined."""
    flags = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS
    return flags if spec.network == "host" else flags | syscalls.CLONE_NEWNET


def exec_namespaces(network: str) -> int:
    """The namespaces of init that an exec joins by setns(2); of a container on the host's network there is none to join."""
    flags = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWCGROUP
    return flags if network == "host" else flags | syscalls.CLONE_NEWNET


def plan_container(spec: ContainerSpec, host: HostTraits) -> list[Operation]:
    """All operations of init, in order; the last one is `exec`."""
    return [
        *_enter(spec),
        *_root(spec, host),
        *_dev(spec, host),
        *_kernel_file_systems(spec, host),
        *_user_mounts(spec),
        *(["mask", {"path": path}] for path in MASKED),
        # Namespaced kernel parameters are written before /proc/sys becomes read-only for the workload.
        ["pivot", {}],
        ["finish", {"readonly": spec.read_only}],
        *([["hostname", {"name": spec.hostname}]] if spec.hostname else []),
        *(["sysctl", {"name": name, "value": value}] for name, value in _sysctls(spec, host).items()),
        *(["readonly", {"path": path}] for path in READ_ONLY),
        *(["rlimit", {"kind": kind, "soft": soft, "hard": hard}] for kind, soft, hard in spec.rlimits),
        ["keyring", {}],
        *([["network_wait", {}]] if spec.network == "bridge" else []),
        *_become(spec.user, spec.capabilities, spec.seccomp, spec.no_new_privileges, host, spec.working_dir),
        ["exec", {"arguments": list(spec.arguments), "environment": list(spec.environment)}],
    ]


def plan_exec(spec: ExecSpec, host: HostTraits) -> list[Operation]:
    """The operations of an exec's process, after it has joined the namespaces."""
    return [
        ["keyring", {}],
        *_become(spec.user, spec.capabilities, spec.seccomp, spec.no_new_privileges, host, spec.working_dir),
        ["exec", {"arguments": list(spec.arguments), "environment": list(spec.environment)}],
    ]


def _enter(spec: ContainerSpec) -> list[Operation]:
    steps: list[Operation] = []
    if spec.procs:
        steps.append(["join_cgroups", {"procs": list(spec.procs)}])
    steps.append(["unshare", {"flags": syscalls.CLONE_NEWCGROUP}])
    if spec.network == "bridge":
        steps.append(["network_offer", {}])
    if spec.network != "host":
        steps.append(["loopback", {}])
    return steps


def _root(spec: ContainerSpec, host: HostTraits) -> list[Operation]:
    private: Operation = ["private", {}]
    if not spec.lower:
        return [private, ["bind_root", {"source": spec.upper, "target": spec.root, "flags": mounts.MOUNT_ATTR_NODEV}]]
    overlay = {
        "lower": list(spec.lower),
        "upper": spec.upper,
        "work": spec.work,
        "target": spec.root,
        "userxattr": host.rootless,
        "volatile": spec.volatile,
        # No device node of a layer works: the devices that a container needs are in /dev, a file system of its own.
        "flags": mounts.MOUNT_ATTR_NODEV,
    }
    return [private, ["overlay", overlay]]


def _dev(spec: ContainerSpec, host: HostTraits) -> list[Operation]:
    def mount(source: str, target: str, fstype: str, flags: int, data: str = "") -> Operation:
        return ["mount", {"source": source, "target": target, "fstype": fstype, "flags": flags, "data": data, "strict": True}]

    pts = "newinstance,ptmxmode=0666,mode=0620" + ("" if host.ids == "single" else ",gid=5")
    devices = [
        ["device", {"path": f"/dev/{name}", "major": major, "minor": minor, "mode": 0o666, "bind": host.rootless}]
        for name, major, minor in _DEVICES
    ]
    return [
        mount("proc", "/proc", "proc", _HARD),
        mount("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"),
        *devices,
        mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, pts),
        mount("shm", "/dev/shm", "tmpfs", _HARD, f"mode=1777,size={spec.shm_bytes}"),
        mount("mqueue", "/dev/mqueue", "mqueue", _HARD),
        *(["symlink", {"target": target, "path": path}] for target, path in _LINKS),
    ]


def _kernel_file_systems(spec: ContainerSpec, host: HostTraits) -> list[Operation]:
    if spec.network == "host" and host.rootless:
        # A user namespace may mount sysfs only for a network namespace of its own.
        attributes = mounts.MOUNT_ATTR_RDONLY | mounts.MOUNT_ATTR_NOSUID | mounts.MOUNT_ATTR_NODEV | mounts.MOUNT_ATTR_NOEXEC
        return [["bind", {"source": "/sys", "target": "/sys", "attributes": attributes}]]
    hard = _HARD | MS_RDONLY

    def mount(source: str, target: str, fstype: str, data: str = "") -> Operation:
        return ["mount", {"source": source, "target": target, "fstype": fstype, "flags": hard, "data": data, "strict": True}]

    steps = [mount("sysfs", "/sys", "sysfs")]
    if host.cgroup_mode == "v2":
        steps.append(mount("cgroup", "/sys/fs/cgroup", "cgroup2"))
    return steps


def _user_mounts(spec: ContainerSpec) -> list[Operation]:
    steps: list[Operation] = []
    for wanted in spec.mounts:
        if isinstance(wanted, BindMount):
            attributes = mounts.MOUNT_ATTR_RDONLY if wanted.read_only else 0
            steps.append(["bind", {"source": wanted.source, "target": wanted.target, "attributes": attributes}])
        else:
            arguments = {"source": "tmpfs", "target": wanted.target, "fstype": "tmpfs", "flags": _HARD, "data": wanted.data}
            steps.append(["mount", arguments])
    if spec.working_dir not in ("", "/"):
        steps.append(["make_directory", {"path": spec.working_dir, "mode": 0o755}])
    return steps


def _sysctls(spec: ContainerSpec, host: HostTraits) -> dict[str, str]:
    """Docker's defaults for a network namespace of one's own: ping and low ports without capabilities; then the user's."""
    own = {} if spec.network == "host" else {"net.ipv4.ip_unprivileged_port_start": "0"}
    if own and host.ids == "host":
        # the kernel refuses ids that a user namespace does not have
        own["net.ipv4.ping_group_range"] = "0 2147483647"
    return {**own, **spec.sysctls}


def _become(user: str, capabilities: int, seccomp: bytes, no_new_privileges: bool, host: HostTraits, directory: str) -> list[Operation]:
    """Turn into the user with all that it may keep. Without no_new_privs the filter is loaded while CAP_SYS_ADMIN is left (seccomp(2))."""
    load: list[Operation] = [["seccomp", {"program": seccomp.hex()}]] if seccomp else []
    identity: Operation = ["identity", {"keep": capabilities, "single_id": host.ids == "single"}]
    chdir: Operation = ["chdir", {"path": directory or "/"}]
    steps: list[Operation] = [["account", {"user": user}], ["bounding", {"keep": capabilities}]]
    if no_new_privileges:
        return [*steps, identity, chdir, ["no_new_privs", {}], *load]
    return [*steps, *load, identity, chdir]
