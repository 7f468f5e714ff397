"""What a bundle's config.json says: the document of the OCI runtime specification (config.md, config-linux.md), checked as a whole.

It must not know what is done with it. The result has every key that this project knows, absent ones as None or empty; keys that nobody
knows are ignored, as the specification wants. Each fault is one line with the path of the value.
"""

from __future__ import annotations

from labcontainers.oci.shapes import (
    absolute,
    anything,
    between,
    boolean,
    fault,
    list_of,
    map_of,
    object_of,
    one_of,
    text,
    word,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Document = dict[str, Any]

VERSION = "1.2.0"
OLDEST = "1.0.0"
NAMESPACES = ("cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts")
HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
PROPAGATIONS = ("shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable")
SCHEDULER_POLICIES = ("SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE")
SCHEDULER_FLAGS = (
    "SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_KEEP_POLICY", "SCHED_FLAG_KEEP_PARAMS",
    "SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX",
)  # fmt: skip
IO_CLASSES = ("IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE")
# RLIMIT_* of <asm-generic/resource.h>, by number.
RLIMITS = tuple("CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME".split())

# 4294967295 is "no id" to the kernel (chown(2)).
_ID = between(0, 2**32 - 2)
_U16, _U32, _U64 = between(0, 2**16 - 1), between(0, 2**32 - 1), between(0, 2**64 - 1)
_I32, _I64 = between(-(2**31), 2**31 - 1), between(-(2**63), 2**63 - 1)
_TEXTS = list_of(text)


def _rlimit(value: Any, path: str) -> str:
    name = text(value, path)
    return name if name.removeprefix("RLIMIT_") in RLIMITS and name.startswith("RLIMIT_") else fault(path, value, "is no rlimit")


_CAPABILITY_SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")
_CAPABILITIES = object_of(many=dict.fromkeys(_CAPABILITY_SETS, _TEXTS))

_user = object_of(many={"additionalGids": list_of(_ID)}, uid=_ID, gid=_ID, umask=between(0, 0o777), username=text)
PROCESS = object_of(
    {"cwd": absolute},
    {
        "user": lambda value, path: _user({} if value is None else value, path),  # root, as the other runtimes have it
        "args": _TEXTS,
        "env": _TEXTS,
        "rlimits": list_of(object_of({"type": _rlimit, "soft": _U64, "hard": _U64})),
    },
    terminal=boolean,
    consoleSize=object_of({"height": _U16, "width": _U16}),
    capabilities=_CAPABILITIES,
    noNewPrivileges=boolean,
    apparmorProfile=text,
    oomScoreAdj=between(-1000, 1000),
    selinuxLabel=text,
    scheduler=object_of(
        {"policy": one_of(*SCHEDULER_POLICIES)},
        {"flags": list_of(one_of(*SCHEDULER_FLAGS))},
        nice=between(-20, 19),
        priority=_I32,
        runtime=_U64,
        deadline=_U64,
        period=_U64,
    ),
    ioPriority=object_of({"class": one_of(*IO_CLASSES)}, priority=between(0, 7)),
    execCPUAffinity=object_of(initial=text, final=text),
)

_MAPPINGS = list_of(object_of({"containerID": _U32, "hostID": _U32, "size": between(1, 2**32 - 1)}))
_MOUNT = object_of(
    {"destination": word},
    {"options": _TEXTS, "uidMappings": _MAPPINGS, "gidMappings": _MAPPINGS},
    type=text,
    source=text,
)
_HOOK = object_of({"path": absolute}, {"args": _TEXTS}, env=_TEXTS, timeout=between(1, 2**31 - 1))

_RATES = list_of(object_of({"major": _I64, "minor": _I64, "rate": _U64}))
_THROTTLES = ("throttleReadBpsDevice", "throttleWriteBpsDevice", "throttleReadIOPSDevice", "throttleWriteIOPSDevice")
RESOURCES = object_of(
    many={
        "devices": list_of(object_of({"allow": boolean}, type=one_of("a", "b", "c"), major=_I64, minor=_I64, access=text)),
        "hugepageLimits": list_of(object_of({"pageSize": word, "limit": _U64})),
        "rdma": map_of(object_of(hcaHandles=_U32, hcaObjects=_U32)),
        "unified": map_of(text),
    },
    memory=object_of(
        limit=_I64,
        reservation=_I64,
        swap=_I64,
        kernel=_I64,
        kernelTCP=_I64,
        swappiness=_U64,
        disableOOMKiller=boolean,
        useHierarchy=boolean,
        checkBeforeUpdate=boolean,
    ),
    cpu=object_of(
        shares=_U64,
        quota=_I64,
        burst=_U64,
        period=_U64,
        realtimeRuntime=_I64,
        realtimePeriod=_U64,
        cpus=text,
        mems=text,
        idle=_I64,
    ),
    pids=object_of(limit=_I64),
    blockIO=object_of(
        many={
            "weightDevice": list_of(object_of({"major": _I64, "minor": _I64}, weight=_U16, leafWeight=_U16)),
            **dict.fromkeys(_THROTTLES, _RATES),
        },
        weight=_U16,
        leafWeight=_U16,
    ),
    network=object_of(many={"priorities": list_of(object_of({"name": word, "priority": _U32}))}, classID=_U32),
)

_LINUX = object_of(
    many={
        "namespaces": list_of(object_of({"type": one_of(*NAMESPACES)}, path=text)),
        "uidMappings": _MAPPINGS,
        "gidMappings": _MAPPINGS,
        "timeOffsets": map_of(object_of(secs=_I64, nanosecs=between(0, 999_999_999))),
        "devices": list_of(
            object_of({"type": one_of("c", "b", "u", "p"), "path": absolute}, major=_I64, minor=_I64, fileMode=_U32, uid=_ID, gid=_ID)
        ),
        "sysctl": map_of(text),
        "maskedPaths": list_of(absolute),
        "readonlyPaths": list_of(absolute),
    },
    cgroupsPath=text,
    resources=RESOURCES,
    rootfsPropagation=one_of(*PROPAGATIONS),
    seccomp=anything,
    mountLabel=text,
    personality=object_of({"domain": one_of("LINUX", "LINUX32")}, {"flags": _TEXTS}),
    intelRdt=anything,
)
_hook_lists = object_of(many=dict.fromkeys(HOOKS, list_of(_HOOK)))

_CONFIG = object_of(
    {"ociVersion": word, "root": object_of({"path": word}, readonly=boolean)},
    {
        "mounts": list_of(_MOUNT),
        "annotations": map_of(text),
        "hooks": lambda value, path: _hook_lists({} if value is None else value, path),
    },
    process=PROCESS,
    hostname=text,
    domainname=text,
    linux=_LINUX,
    vm=anything,
    windows=anything,
    solaris=anything,
    zos=anything,
)


def parse_config(value: object) -> Document:
    """The checked document of a config.json; raises InvalidArgument, and Unsupported for what is of another platform."""
    config: Document = _CONFIG(value, "")
    version = config["ociVersion"]
    if version.split(".")[0] != "1":
        fault("ociVersion", version, "is not a version of the specification that is known here", f"{OLDEST} to {VERSION} are")
    for platform in ("vm", "windows", "solaris", "zos"):
        if config[platform] is not None:
            _unsupported(f"{platform}: containers of that platform", "only `linux` is")
    if config["linux"] is None:
        config["linux"] = _LINUX({}, "linux")
    _check_linux(config)
    _check_namespaces(config)
    if config["process"] is not None:
        check_process(config["process"])
    return config


def check_process(process: Document, path: str = "process") -> Document:
    """What the shape of a process does not tell; raises InvalidArgument and Unsupported."""
    if not process["args"] or not process["args"][0]:
        fault(f"{path}.args", process["args"], "has no program", "its first entry is what is run")
    kinds = [limit["type"] for limit in process["rlimits"]]
    for number, limit in enumerate(process["rlimits"]):
        where = f"{path}.rlimits[{number}]"
        if limit["type"] in kinds[:number]:
            fault(f"{where}.type", limit["type"], "is there twice")
        if limit["soft"] > limit["hard"]:
            fault(f"{where}.soft", limit["soft"], f"is more than the hard limit {limit['hard']}")
    if process["selinuxLabel"]:
        _unsupported(f"{path}.selinuxLabel: SELinux", "leave it out")
    for name in ("initial", "final"):
        if process["execCPUAffinity"] is not None and process["execCPUAffinity"][name]:
            cpu_list(process["execCPUAffinity"][name], f"{path}.execCPUAffinity.{name}")
    scheduler = process["scheduler"]
    if scheduler is not None and scheduler["policy"] != "SCHED_DEADLINE":
        for name in ("runtime", "deadline", "period"):
            if scheduler[name]:
                fault(f"{path}.scheduler.{name}", scheduler[name], "is of SCHED_DEADLINE alone")
    return process


def cpu_list(value: str, path: str) -> frozenset[int]:
    """The numbers of a list of CPUs such as "0-2,4" (cpuset(7), "List format"); raises InvalidArgument."""
    found: set[int] = set()
    for part in value.split(","):
        first, _, last = part.strip().partition("-")
        last = last or first
        if not (first.isdecimal() and last.isdecimal() and first.isascii() and last.isascii()):
            fault(path, value, "is no list of CPUs")
        if not int(first) <= int(last) < 8192:
            fault(path, value, "is no list of CPUs, which are below 8192")
        found.update(range(int(first), int(last) + 1))
    return frozenset(found)


def namespace_paths(config: Document) -> dict[str, str]:
    """Kind of each namespace of the document -> the path to join, or "" for a new one."""
    return {entry["type"]: entry["path"] or "" for entry in config["linux"]["namespaces"]}


def _unsupported(what: str, hint: str) -> None:
    from labcontainers.errors import Unsupported

    raise Unsupported(f"{what} is not supported", hint)


def _check_linux(config: Document) -> None:
    linux = config["linux"]
    if linux["intelRdt"] is not None:
        _unsupported("linux.intelRdt: Intel's resource director technology", "leave it out")
    if linux["mountLabel"]:
        _unsupported("linux.mountLabel: SELinux", "leave it out")
    if linux["personality"] is not None and linux["personality"]["flags"]:
        fault("linux.personality.flags", linux["personality"]["flags"], "has flags, of which the specification knows none")
    for number, device in enumerate(linux["devices"]):
        where = f"linux.devices[{number}]"
        for name in ("major", "minor"):
            if device["type"] != "p" and device[name] is None:
                fault(f"{where}.{name}", None, "is missing")
            if device[name] is not None and device[name] < 0:
                fault(f"{where}.{name}", device[name], "is below 0")
    for number, rule in enumerate((linux["resources"] or {"devices": ()})["devices"]):
        if set(rule["access"] or "") - set("rwm"):
            fault(f"linux.resources.devices[{number}].access", rule["access"], "is not made of r, w and m")
    for number, mount in enumerate(config["mounts"]):
        if ".." in mount["destination"].split("/"):
            fault(f"mounts[{number}].destination", mount["destination"], "has a '..'")
    seccomp = linux["seccomp"]
    if seccomp is not None and not isinstance(seccomp, dict):
        fault("linux.seccomp", seccomp, "is not an object")
    if seccomp and seccomp.get("listenerMetadata") and not seccomp.get("listenerPath"):
        fault("linux.seccomp.listenerMetadata", seccomp["listenerMetadata"], "is there without a listenerPath")


def _check_namespaces(config: Document) -> None:
    linux = config["linux"]
    kinds = [entry["type"] for entry in linux["namespaces"]]
    for number, entry in enumerate(linux["namespaces"]):
        if entry["type"] in kinds[:number]:
            fault(f"linux.namespaces[{number}].type", entry["type"], "is there twice")
        if entry["path"] and not entry["path"].startswith("/"):
            fault(f"linux.namespaces[{number}].path", entry["path"], "is not an absolute path")
    paths = namespace_paths(config)
    for path, value, kind in (
        ("hostname", config["hostname"], "uts"),
        ("domainname", config["domainname"], "uts"),
        ("linux.timeOffsets", linux["timeOffsets"], "time"),
        ("linux.uidMappings", linux["uidMappings"], "user"),
        ("linux.gidMappings", linux["gidMappings"], "user"),
    ):
        if value and kind not in paths:
            fault(path, value, f"needs a {kind} namespace", f"add it to linux.namespaces, or leave {path} out")
    if paths.get("time") and linux["timeOffsets"]:
        fault("linux.timeOffsets", linux["timeOffsets"], "cannot be given to a time namespace that is joined")
    if paths.get("user") == "" and not (linux["uidMappings"] and linux["gidMappings"]):
        fault("linux.uidMappings", linux["uidMappings"], "has no ids for the new user namespace")
    for clock in linux["timeOffsets"]:
        if clock not in ("monotonic", "boottime"):
            fault(f"linux.timeOffsets.{clock}", linux["timeOffsets"][clock], "is not of the clocks monotonic and boottime")
    for name in linux["sysctl"]:
        _check_sysctl(name, paths, config)


def _check_sysctl(name: str, paths: dict[str, str], config: Document) -> None:
    """Only parameters of namespaces that the container has for itself may be set (namespaces(7))."""
    plain = name.replace("/", ".")
    path, value = f"linux.sysctl.{name}", config["linux"]["sysctl"][name]
    if ".." in plain or plain.startswith(".") or plain.endswith("."):
        fault(path, value, "is no name of a kernel parameter")
    if plain == "kernel.hostname":
        fault(path, value, "is what `hostname` is for")
    kind = ""
    if plain.startswith("net."):
        kind = "network"
    elif plain.startswith("fs.mqueue.") or plain in _IPC_PARAMETERS:
        kind = "ipc"
    elif plain == "kernel.domainname":
        kind = "uts"
    if not kind:
        fault(path, value, "would be set for the whole machine")
    if kind not in paths:
        fault(path, value, f"would be set for the whole machine: the container has no {kind} namespace")


_IPC_PARAMETERS = (
    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
    "kernel.shm_rmid_forced",
)  # fmt: skip
