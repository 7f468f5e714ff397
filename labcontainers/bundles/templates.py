"""`spec`: a config.json to begin with, of a shell in a root of its own; for ordinary users with a user namespace.

It must not know the host but its ids.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labcontainers.oci.runtime_spec import Document

_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
_MASKED = [
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
]  # fmt: skip
_READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def _mount(destination: str, kind: str, source: str, *options: str) -> Document:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def template(version: str, *, rootless: bool = False, uid: int = 0, gid: int = 0, cgroups: bool = True) -> Document:
    """The document; with `rootless` root inside is `uid` and `gid` outside, the network the host's; with `cgroups` a cgroup namespace."""
    hard = ("nosuid", "noexec", "nodev")
    sys = ("rbind", *hard, "ro") if rootless else (*hard, "ro")
    return {
        "ociVersion": version,
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {name: list(_CAPABILITIES) for name in ("bounding", "effective", "permitted")},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "labcontainers",
        "mounts": [
            _mount("/proc", "proc", "proc"),
            _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
            _mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620",
                   *(() if rootless else ("gid=5",))),
            _mount("/dev/shm", "tmpfs", "shm", *hard, "mode=1777", "size=65536k"),
            _mount("/dev/mqueue", "mqueue", "mqueue", *hard),
            _mount("/sys", "none" if rootless else "sysfs", "/sys" if rootless else "sysfs", *sys),
            *(() if rootless else (_mount("/sys/fs/cgroup", "cgroup", "cgroup", *hard, "relatime", "ro"),)),
        ],
        "linux": {
            **({} if rootless else {"resources": {"devices": [{"allow": False, "access": "rwm"}]}}),
            **(
                {
                    "uidMappings": [{"containerID": 0, "hostID": uid, "size": 1}],
                    "gidMappings": [{"containerID": 0, "hostID": gid, "size": 1}],
                }
                if rootless
                else {}
            ),
            "namespaces": [
                {"type": kind}
                for kind in ("pid", "ipc", "uts", "mount", *(("cgroup",) if cgroups else ()), "user" if rootless else "network")
            ],
            "maskedPaths": list(_MASKED),
            "readonlyPaths": list(_READ_ONLY),
        },
    }  # fmt: skip
