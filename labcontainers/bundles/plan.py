"""A bundle's checked config -> the operations by which init makes the container, as plain values: pure, so that it can be printed.

It must not make any system call. Each operation is `[name, arguments]`; most are those of the engine's own containers (runtime.rootfs,
runtime.init), the others are in bundles.inside and bundles.mounting.
"""

from __future__ import annotations

from labcontainers.bundles.mount_options import PROPAGATION, MountOptions
from labcontainers.kernel import syscalls
from labcontainers.kernel.capability_names import NAMES
from labcontainers.kernel.mounts import MS_PRIVATE, MS_RDONLY, MS_REC, MS_SLAVE
from labcontainers.oci.runtime_spec import RLIMITS, namespace_paths
from labcontainers.oci.shapes import fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from labcontainers.oci.runtime_spec import Document

    Operation = list[Any]

CLONE_FLAGS = {
    "user": syscalls.CLONE_NEWUSER,
    "mount": syscalls.CLONE_NEWNS,
    "pid": syscalls.CLONE_NEWPID,
    "network": syscalls.CLONE_NEWNET,
    "ipc": syscalls.CLONE_NEWIPC,
    "uts": syscalls.CLONE_NEWUTS,
    "cgroup": syscalls.CLONE_NEWCGROUP,
    "time": syscalls.CLONE_NEWTIME,
}
# (name, major, minor) from Linux' Documentation/admin-guide/devices.txt; the specification's default devices.
DEVICES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))
# Its default links.
LINKS = (
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
)
# Hooks before the program runs: the runtime's own are run, and the container's told their pid, before its root is entered.
CREATION_HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer")
_KINDS = {"c": "c", "u": "c", "b": "b", "p": "p"}


class Circumstances:
    """What of a host changes a plan: whether the ids of a user namespace are used, its groups, and the wishes of the command line."""

    __slots__ = ("cgroups", "devices", "keyring", "pivot", "preserve", "taken", "user_namespace")

    def __init__(
        self,
        *,
        user_namespace: bool = False,
        cgroups: list[dict[str, str]] | None = None,
        taken: dict[int, int] | None = None,
        devices: dict[str, int] | None = None,
        preserve: list[int] | None = None,
        pivot: bool = True,
        keyring: bool = True,
    ) -> None:
        """`cgroups` are the hierarchies (groups.Hierarchy.to_json); `taken` are detached mounts by number of mount, `devices` by path."""
        self.user_namespace = user_namespace
        self.cgroups = cgroups or []
        self.taken = taken or {}
        self.devices = devices or {}
        self.preserve = preserve or []
        self.pivot = pivot
        self.keyring = keyring


def plan_container(config: Document, host: Circumstances) -> list[Operation]:
    """All operations of init, in order; the last one is `exec`."""
    linux, spaces, process = config["linux"], namespace_paths(config), config["process"]
    propagation = linux["rootfsPropagation"] or ""
    pivots = host.pivot and spaces.get("mount") == ""
    return [
        *([["unshare", {"flags": syscalls.CLONE_NEWCGROUP}]] if spaces.get("cgroup") == "" else []),
        *([["loopback", {}]] if spaces.get("network") == "" else []),
        *([["hostname", {"name": config["hostname"]}]] if config["hostname"] else []),
        *([["domainname", {"name": config["domainname"]}]] if config["domainname"] else []),
        # Written by the host's /proc, which the image cannot have put something else in place of.
        *(["sysctl", {"name": name.replace("/", "."), "value": value}] for name, value in linux["sysctl"].items()),
        ["bundle_root", {"propagation": _first_propagation(propagation) | MS_REC}],
        *_mounts(config, host),
        *_devices(config, host),
        *_terminal(process, console=True),
        *(["read_only_mount", {"target": _target(mount)}] for mount in config["mounts"] if _late(mount, config)),
        *([["directory", {"path": process["cwd"]}]] if process["cwd"].strip("/") else []),
        *([["runtime_hooks", {}]] if any(config["hooks"][kind] for kind in CREATION_HOOKS) else []),
        *_hooks(config, "createContainer", "creating"),
        *(["mask", {"path": path}] for path in linux["maskedPaths"]),
        *(["readonly", {"path": path}] for path in linux["readonlyPaths"]),
        ["pivot", {}] if pivots else ["move_root", {"move": spaces.get("mount") == ""}],
        *([["root_propagation", {"propagation": PROPAGATION[propagation] & ~MS_REC}]] if propagation else []),
        ["finish", {"readonly": bool(config["root"]["readonly"])}],
        *([["keyring", {}]] if host.keyring else []),
        *([["personality", {"domain": linux["personality"]["domain"]}]] if linux["personality"] else []),
        *_become(process, host, linux["seccomp"] is not None, bool(config["hooks"]["startContainer"])),
    ]


def plan_exec(process: Document, host: Circumstances, *, seccomp: bool) -> list[Operation]:
    """The operations of one more process, once it has joined the namespaces."""
    return [
        *_terminal(process, console=False),
        *([["keyring", {}]] if host.keyring else []),
        *_become(process, host, seccomp, False),
    ]


def _first_propagation(wanted: str) -> int:
    """Of everything, until the root is made: what is bound, to be masked or for itself, must not be unbindable yet."""
    if wanted.endswith("unbindable"):
        return MS_PRIVATE
    return PROPAGATION.get(wanted, MS_SLAVE)


def _hooks(config: Document, kind: str, status: str) -> list[Operation]:
    return [["hooks", {"kind": kind, "status": status}]] if config["hooks"][kind] else []


def _terminal(process: Document, *, console: bool) -> list[Operation]:
    if not process["terminal"]:
        return []
    size = process["consoleSize"] or {"height": 0, "width": 0}
    return [["terminal", {"rows": size["height"] or 0, "columns": size["width"] or 0, "console": console}]]


def _mounts(config: Document, host: Circumstances) -> list[Operation]:
    steps: list[Operation] = []
    spaces = namespace_paths(config)
    for number, mount in enumerate(config["mounts"]):
        options = MountOptions(mount["options"])
        target = _target(mount)
        kind = mount["type"] or ("bind" if options.bind else "")
        if options.bind or kind == "bind":
            steps.append(["bundle_bind", _bind(mount, number, options, target, host)])
        elif kind == "cgroup":
            steps.append(["cgroup_mount", _cgroup(options, target, spaces, host)])
        elif not kind or kind == "none":
            fault(f"mounts[{number}].type", mount["type"], "is missing for a mount that is no bind")
        else:
            flags = options.flags & ~MS_RDONLY if _late(mount, config) else options.flags
            arguments: dict[str, Any] = {"source": mount["source"] or kind, "target": target, "fstype": kind, "flags": flags}
            arguments["data"] = options.data
            steps.append(["file_system", {**arguments, **_afterwards(options), **({"copy_up": True} if options.copy_up else {})}])
    return steps


def _target(mount: Document) -> str:
    return f"/{mount['destination'].strip('/')}"


def _late(mount: Document, config: Document) -> bool:
    """Whether it becomes read-only only when all is made: a tmpfs in which there are mount points or devices to be made."""
    if mount["type"] != "tmpfs" or not MountOptions(mount["options"]).flags & MS_RDONLY:
        return False
    below = _target(mount) + "/"
    return below == "/dev/" or any(_target(other).startswith(below) for other in config["mounts"])


def _afterwards(options: MountOptions) -> dict[str, Any]:
    """What is set once it is mounted, for all that is below as well."""
    found: dict[str, Any] = {}
    if options.propagations:
        found["propagations"] = options.propagations
    if options.rec_attributes or options.rec_clear:
        found["below"] = [options.rec_attributes, options.rec_clear]
    return found


def _bind(mount: Document, number: int, options: MountOptions, target: str, host: Circumstances) -> dict[str, Any]:
    if not mount["source"]:
        fault(f"mounts[{number}].source", mount["source"], "is missing for a bind mount")
    arguments: dict[str, Any] = {"source": mount["source"], "target": target, "recursive": options.bind == "rbind"}
    if options.attributes or options.clear:
        arguments["attributes"] = [options.attributes, options.clear]
    if number in host.taken:
        arguments["tree"] = host.taken[number]
    return {**arguments, **_afterwards(options)}


def _cgroup(options: MountOptions, target: str, spaces: dict[str, str], host: Circumstances) -> dict[str, Any]:
    own = spaces.get("cgroup") == ""
    return {"target": target, "flags": options.flags, "own": own, "groups": host.cgroups, **_afterwards(options)}


def _devices(config: Document, host: Circumstances) -> list[Operation]:
    """Nothing is made in a /dev that is the host's own (a bind mount)."""
    for mount in config["mounts"]:
        if mount["destination"].rstrip("/") == "/dev" and ("bind" in mount["options"] or "rbind" in mount["options"]):
            return []
    asked = {device["path"] for device in config["linux"]["devices"]}
    steps: list[Operation] = [
        ["default_device", {"path": f"/dev/{name}", "major": major, "minor": minor, "bind": host.user_namespace}]
        for name, major, minor in DEVICES
        if f"/dev/{name}" not in asked
    ]
    for device in config["linux"]["devices"]:
        numbers = {"major": device["major"] or 0, "minor": device["minor"] or 0}
        if host.user_namespace and device["type"] != "p":
            tree = host.devices.get(device["path"], -1)
            steps.append(["bundle_device", {"path": device["path"], "kind": _KINDS[device["type"]], **numbers, "tree": tree}])
            continue
        mode = 0o666 if device["fileMode"] is None else device["fileMode"] & 0o7777
        owner = {"uid": device["uid"] or 0, "gid": device["gid"] or 0}
        steps.append(["device_node", {"path": device["path"], "kind": _KINDS[device["type"]], **numbers, "mode": mode, **owner}])
    links = LINKS if any(mount["destination"].rstrip("/") == "/proc" for mount in config["mounts"]) else ()
    return [*steps, *(["link", {"target": target, "path": path}] for target, path in links), ["ptmx", {}]]


def _become(process: Document, host: Circumstances, seccomp: bool, hooks: bool) -> list[Operation]:
    """Turn into the user. The filter comes last, so that it need not allow what this process does before (see inside.Process.last)."""
    last = {"no_new_privileges": bool(process["noNewPrivileges"]), "seccomp": seccomp}
    user, sets = process["user"], process["capabilities"]
    identity: dict[str, Any] = {"uid": user["uid"] or 0, "gid": user["gid"] or 0, "groups": user["additionalGids"]}
    if sets is not None:
        identity["capabilities"] = {name: capability_mask(sets[name]) for name in sets}
    scheduling: list[Operation] = []
    if process["scheduler"] is not None:
        scheduling.append(["scheduler", {key: value for key, value in process["scheduler"].items() if value}])
    if process["ioPriority"] is not None:
        scheduling.append(["io_priority", {"kind": process["ioPriority"]["class"], "priority": process["ioPriority"]["priority"] or 0}])
    return [
        *scheduling,
        *([["apparmor", {"name": process["apparmorProfile"]}]] if process["apparmorProfile"] else []),
        ["enter_directory", {"path": process["cwd"], "preserve": host.preserve}],
        ["become", identity],
        *([["umask", {"mask": user["umask"]}]] if user["umask"] is not None else []),
        ["find_program", {"arguments": process["args"], "environment": process["env"]}],
        ["wait_start", {}],
        *([["hooks", {"kind": "startContainer", "status": "created", "confined": last}]] if hooks else []),
        *([["limit", {"rows": [limit_row(limit) for limit in process["rlimits"]]}]] if process["rlimits"] else []),
        ["last", last],
        ["exec", {"arguments": process["args"], "environment": process["env"]}],
    ]


def limit_row(limit: Document) -> list[int]:
    """Kind, soft and hard limit as setrlimit(2) takes them, where -1 is none."""
    soft, hard = (-1 if limit[name] >= 2**63 else limit[name] for name in ("soft", "hard"))
    return [RLIMITS.index(limit["type"].removeprefix("RLIMIT_")), soft, hard]


def capability_mask(names: list[str]) -> int:
    """The bits of these capabilities; what is none is left out, since the specification wants no more than a warning (no_capabilities)."""
    bits = 0
    for name in names:
        plain = name.upper().removeprefix("CAP_")
        if plain in NAMES:
            bits |= 1 << NAMES.index(plain)
    return bits


def no_capabilities(process: Document) -> list[str]:
    """What a process asks for as capabilities that this project does not know."""
    asked = {name for names in (process["capabilities"] or {}).values() for name in names}
    return sorted(name for name in asked if name.upper().removeprefix("CAP_") not in NAMES)
