"""A container's spec -> the list of kernel operations that make it, as plain values: pure, so that it can be printed before it is done.

It must not make any system call. Each operation is `[name, arguments]`, carried out by runtime.init and runtime.rootfs.
"""

from __future__ import annotations

from typing import Any

from labcontainers.kernel import defaults, mounts, syscalls
from labcontainers.kernel.mounts import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_STRICTATIME
from labcontainers.runtime.spec import (
    OWN_NAMESPACES,
    BindMount,
    ContainerSpec,
    DeviceNode,
    ExecSpec,
    HostTraits,
    ImageMount,
    Namespaces,
    SecretMount,
)

Operation = list[Any]
Plan = list[Operation]

_HARD = MS_NOSUID | MS_NODEV | MS_NOEXEC

_LINKS = (
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
)
MASKED, READ_ONLY = tuple(defaults.MASKED), tuple(defaults.READ_ONLY)


# Networks whose namespace is the container's own.
_OWN_NETWORK = ("bridge", "none")


def clone_flags(spec: ContainerSpec) -> int:
    """The CLONE_NEW* flags that init is cloned with; the cgroup namespace follows once its cgroups are joined."""
    kinds = spec.namespaces
    return (
        syscalls.CLONE_NEWNS
        | (syscalls.CLONE_NEWPID if kinds.pid == "private" else 0)
        | (syscalls.CLONE_NEWIPC if kinds.ipc in ("private", "none") else 0)
        | (syscalls.CLONE_NEWUTS if kinds.uts == "private" else 0)
        | (syscalls.CLONE_NEWNET if spec.network in _OWN_NETWORK else 0)
    )


def exec_namespaces(network: str, kinds: Namespaces = OWN_NAMESPACES) -> int:
    """The namespaces of init that an exec joins by setns(2); of those that are the host's there is none to join."""
    return (
        syscalls.CLONE_NEWNS
        | (0 if kinds.pid == "host" else syscalls.CLONE_NEWPID)
        | (0 if kinds.ipc == "host" else syscalls.CLONE_NEWIPC)
        | (0 if kinds.uts == "host" else syscalls.CLONE_NEWUTS)
        | (0 if kinds.cgroup == "host" else syscalls.CLONE_NEWCGROUP)
        | (0 if network == "host" else syscalls.CLONE_NEWNET)
    )


def plan_container(spec: ContainerSpec, host: HostTraits) -> list[Operation]:
    """All operations of init, in order; the last one is `exec`."""
    return [
        *_enter(spec),
        *_join(spec),
        *_root(spec, host),
        *_dev(spec, host),
        *_terminal(spec.terminal, console=True),
        *_kernel_file_systems(spec, host),
        *_user_mounts(spec, host),
        *(["mask", {"path": path}] for path in (*spec.hidden, *(MASKED if not spec.system_paths else ()))),
        # Namespaced kernel parameters are written before /proc/sys becomes read-only for the workload.
        ["pivot", {}],
        ["finish", {"readonly": spec.read_only}],
        *([["hostname", {"name": spec.hostname}]] if spec.hostname else []),
        *([["domainname", {"name": spec.domainname}]] if spec.domainname else []),
        *_parameters(spec, host),
        *(["readonly", {"path": path}] for path in READ_ONLY if not spec.system_paths),
        ["keyring", {}],
        *([["network_wait", {}]] if spec.network == "bridge" else []),
        *([["oom_score", {"value": spec.oom_score_adj}]] if spec.oom_score_adj is not None else []),
        *(["rlimit", {"kind": kind, "soft": soft, "hard": hard}] for kind, soft, hard in spec.rlimits),
        *_become(spec, host, init=spec.init),
        ["exec", {"arguments": list(spec.arguments), "environment": list(spec.environment), **({"init": True} if spec.init else {})}],
    ]


def plan_exec(spec: ExecSpec, host: HostTraits) -> list[Operation]:
    """The operations of an exec's process, after it has joined the namespaces."""
    return [
        *_terminal(spec.terminal, console=False),
        ["keyring", {}],
        *_become(spec, host),
        ["exec", {"arguments": list(spec.arguments), "environment": list(spec.environment)}],
    ]


def _enter(spec: ContainerSpec) -> list[Operation]:
    steps: list[Operation] = []
    if spec.procs:
        steps.append(["join_cgroups", {"procs": list(spec.procs)}])
    if spec.namespaces.cgroup == "private":
        steps.append(["unshare", {"flags": syscalls.CLONE_NEWCGROUP}])
    if spec.network == "bridge":
        steps.append(["network_offer", {}])
    if spec.network in _OWN_NETWORK:
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
        for name, (major, minor, _) in defaults.DEVICES.items()
    ]
    return [
        _proc(spec, host),
        mount("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"),
        *devices,
        mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, pts),
        *_ipc(spec, host),
        *(["symlink", {"target": target, "path": path}] for target, path in _LINKS),
        *(_device(device, host) for device in spec.devices),
    ]


def _terminal(size: tuple[int, int] | None, *, console: bool) -> list[Operation]:
    """Made as soon as there is a devpts of the container's own, before anything of the user's is mounted over it."""
    return [] if size is None else [["terminal", {"rows": size[0], "columns": size[1], "console": console}]]


def _proc(spec: ContainerSpec, host: HostTraits) -> Operation:
    if spec.namespaces.pid == "host" and host.rootless:
        # A user namespace may mount proc only for a pid namespace of its own.
        return ["bind_kernel", {"source": "/proc", "target": "/proc"}]
    return _of_kernel("proc", "/proc", _HARD, host)


def _of_kernel(fstype: str, target: str, flags: int, host: HostTraits) -> Operation:
    """A file system that shows the kernel; an ordinary user may have to do with that of an outer container."""
    values = {"source": fstype, "target": target, "fstype": fstype, "flags": flags, "data": "", "strict": True}
    return ["mount", {**values, "or_bind": True} if host.rootless else values]


def _ipc(spec: ContainerSpec, host: HostTraits) -> list[Operation]:
    """What shows the ipc namespace as files: /dev/shm and /dev/mqueue."""
    data = f"mode=1777,size={spec.shm_bytes}"
    shm: Operation = ["mount", {"source": "shm", "target": "/dev/shm", "fstype": "tmpfs", "flags": _HARD, "data": data, "strict": True}]
    queues: Operation = [
        "mount",
        {"source": "mqueue", "target": "/dev/mqueue", "fstype": "mqueue", "flags": _HARD, "data": "", "strict": True},
    ]
    if spec.namespaces.ipc == "none":
        return [queues]
    if spec.namespaces.ipc == "joined":
        return [["attach_shared", {"name": "shm", "target": "/dev/shm"}], queues]
    if spec.namespaces.ipc == "host":
        if host.rootless:
            queues = ["bind_kernel", {"source": "/dev/mqueue", "target": "/dev/mqueue"}]
        return [["bind_kernel", {"source": "/dev/shm", "target": "/dev/shm"}], queues]
    return [shm, queues]


def _device(device: DeviceNode, host: HostTraits) -> Operation:
    if host.rootless:
        return ["bind_device", {"source": device.source, "target": device.path}]
    values = {"path": device.path, "kind": device.kind, "major": device.major, "minor": device.minor, "mode": device.mode}
    return ["device_node", {**values, "uid": device.uid, "gid": device.gid}]


def _kernel_file_systems(spec: ContainerSpec, host: HostTraits) -> list[Operation]:
    read_only = 0 if spec.writable_sys else MS_RDONLY
    bound = mounts.MOUNT_ATTR_NOSUID | mounts.MOUNT_ATTR_NODEV | mounts.MOUNT_ATTR_NOEXEC | (mounts.MOUNT_ATTR_RDONLY if read_only else 0)

    def mount(source: str, target: str, fstype: str, flags: int) -> Operation:
        return ["mount", {"source": source, "target": target, "fstype": fstype, "flags": flags, "data": "", "strict": True}]

    if spec.network == "host" and host.rootless:
        # A user namespace may mount sysfs only for a network namespace of its own.
        return [["bind", {"source": "/sys", "target": "/sys", "attributes": bound}]]
    steps = [_of_kernel("sysfs", "/sys", _HARD | read_only, host)]
    if host.cgroup_mode == "v2":
        writable = spec.writable_cgroups or spec.writable_sys
        if spec.namespaces.cgroup == "host" and host.rootless:
            steps.append(["bind", {"source": "/sys/fs/cgroup", "target": "/sys/fs/cgroup", "attributes": bound | mounts.MOUNT_ATTR_RDONLY}])
        else:
            steps.append(mount("cgroup", "/sys/fs/cgroup", "cgroup2", _HARD | (0 if writable else MS_RDONLY)))
    return steps


def _user_mounts(spec: ContainerSpec, host: HostTraits) -> list[Operation]:
    steps: list[Operation] = []
    for wanted in spec.mounts:
        if isinstance(wanted, BindMount):
            steps.append(_bind(wanted))
        elif isinstance(wanted, ImageMount):
            steps += _image(wanted, host)
        elif isinstance(wanted, SecretMount):
            steps.append(_secret(wanted))
        else:
            steps.append(["tmpfs", {"target": wanted.target, "flags": wanted.flags, "data": wanted.data}])
    if spec.working_dir not in ("", "/"):
        steps.append(["make_directory", {"path": spec.working_dir, "mode": 0o755}])
    return steps


def _bind(wanted: BindMount) -> Operation:
    arguments: dict[str, Any] = {
        "source": wanted.source,
        "target": wanted.target,
        "attributes": mounts.MOUNT_ATTR_RDONLY if wanted.read_only else 0,
    }
    if not wanted.recursive:
        arguments["recursive"] = False
    if not wanted.read_only_below:
        arguments["below"] = False
    if wanted.subpath:
        arguments["subpath"] = wanted.subpath
    if wanted.propagation:
        arguments["joined"] = True
    return ["bind", arguments]


def _image(wanted: ImageMount, host: HostTraits) -> list[Operation]:
    """Several layers are put together first; one alone is bound as it is, since an overlay needs two."""
    steps: list[Operation] = []
    source = wanted.lower[0]
    if len(wanted.lower) > 1 or wanted.upper:
        source = wanted.at
        layers: dict[str, Any] = {"lower": list(wanted.lower), "target": wanted.at, "userxattr": host.rootless}
        steps.append(["layers", {**layers, **({"upper": wanted.upper, "work": wanted.work} if wanted.upper else {})}])
    name, arguments = _bind(BindMount(source, wanted.target, recursive=False, subpath=wanted.subpath))
    arguments["attributes"] = mounts.MOUNT_ATTR_NODEV | (0 if wanted.upper else mounts.MOUNT_ATTR_RDONLY)
    return [*steps, [name, {**arguments, **({"follows": True} if wanted.follows else {})}]]


def _secret(wanted: SecretMount) -> Operation:
    values = {"at": wanted.at, "content": wanted.content, "mode": wanted.mode, "uid": wanted.uid, "gid": wanted.gid}
    return ["secret", {"target": wanted.target, **values}]


def _join(spec: ContainerSpec) -> list[Operation]:
    """Mounts that are to hear of the host's are taken before this mount namespace is made deaf to it."""
    return [
        ["join", {"source": wanted.source, "target": wanted.target, "propagation": wanted.propagation, "recursive": wanted.recursive}]
        for wanted in spec.mounts
        if isinstance(wanted, BindMount) and wanted.propagation
    ]


def _parameters(spec: ContainerSpec, host: HostTraits) -> list[Operation]:
    """What is usual and not asked for is left out where an ordinary user has only a /proc that cannot be written."""
    usual = {"usual": True} if host.rootless else {}
    wanted = _sysctls(spec, host).items()
    return [["sysctl", {"name": name, "value": value, **({} if name in spec.sysctls else usual)}] for name, value in wanted]


def _sysctls(spec: ContainerSpec, host: HostTraits) -> dict[str, str]:
    """Docker's defaults for a network namespace of one's own: ping and low ports without capabilities; then the user's."""
    if spec.network not in _OWN_NETWORK:
        return dict(spec.sysctls)
    # the kernel refuses ids that a user namespace does not have, but it has at least one
    groups = "0 0" if host.rootless else "0 2147483647"
    return {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": groups, **spec.sysctls}


def _become(spec: ContainerSpec | ExecSpec, host: HostTraits, *, init: bool = False) -> list[Operation]:
    """Turn into the user with all that it may keep. Without no_new_privs the filter is loaded while CAP_SYS_ADMIN is left (seccomp(2))."""
    program: dict[str, Any] = {"program": spec.seccomp.hex(), **({"flags": spec.seccomp_flags} if spec.seccomp_flags else {})}
    load: list[Operation] = [["seccomp", program]] if spec.seccomp else []
    keep = {"keep": spec.capabilities, "single_id": host.ids == "single", **({"init": True} if init else {})}
    identity: Operation = ["identity", keep]
    chdir: Operation = ["chdir", {"path": spec.working_dir or "/"}]
    who = {"user": spec.user, **({"groups": list(spec.groups)} if spec.groups else {})}
    steps: list[Operation] = [["account", who], ["bounding", {"keep": spec.capabilities}]]
    if spec.apparmor:
        steps.append(["apparmor", {"name": spec.apparmor}])
    if spec.no_new_privileges:
        return [*steps, identity, chdir, ["no_new_privs", {}], *load]
    return [*steps, *load, identity, chdir]
