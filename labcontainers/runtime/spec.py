"""What the runtime needs to know to make one container: frozen values, resolved and checked by the rooms above.

It must not know images, records or the user's words; units are in the names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from labcontainers.kernel.mounts import MS_NODEV, MS_NOEXEC, MS_NOSUID

DEFAULT_SHM_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class BindMount:
    """A file or directory of the host at `target` of the container; with `subpath`, what lies there below `source`.

    `propagation` is "" for none, or as in mount(8): "rslave" lets the host's later mounts in, "rshared" passes those of the container
    out, too. Without `recursive`, what is mounted below `source` stays away; `read_only_below` makes it read-only with the rest.
    """

    source: str
    target: str
    read_only: bool = False
    propagation: str = ""
    recursive: bool = True
    read_only_below: bool = True
    subpath: str = ""


@dataclass(frozen=True, slots=True)
class TemporaryMount:
    """A tmpfs at `target`; `data` are options of tmpfs(5) such as `size=64m`, `flags` are MS_* of mount(2)."""

    target: str
    data: str = ""
    flags: int = MS_NOSUID | MS_NODEV | MS_NOEXEC


@dataclass(frozen=True, slots=True)
class ImageMount:
    """The tree of an image, or what lies at `subpath` of it, read-only at `target`.

    `lower` is top first; `at` is an empty directory of the host where several layers are put together. With `upper` and `work` it can be
    written to, and they get what is written. `follows` says that links on the way to `subpath` are the tree's own.
    """

    lower: tuple[str, ...]
    at: str
    target: str
    subpath: str = ""
    upper: str = ""
    work: str = ""
    follows: bool = False


@dataclass(frozen=True, slots=True)
class SecretMount:
    """A file in memory alone, read-only at `target`: each character of `content` is a byte; `at` is an empty directory of the host."""

    content: str = field(repr=False)
    at: str
    target: str
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


UserMount = BindMount | TemporaryMount | ImageMount | SecretMount


@dataclass(frozen=True, slots=True)
class DeviceNode:
    """A device at `path` of the container: the host's node is `source`; `kind` is "c", "b" or "p" (mknod(2)), `mode` its permissions."""

    path: str
    source: str
    kind: str
    major: int
    minor: int
    mode: int = 0o666
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Whose namespaces a container has: each "private", "host" or "joined" (another container's); `ipc` may also be "none".

    The network's is told by ContainerSpec.network. "none" is a private one without /dev/shm.
    """

    pid: str = "private"
    ipc: str = "private"
    uts: str = "private"
    cgroup: str = "private"


OWN_NAMESPACES = Namespaces()


@dataclass(frozen=True, slots=True)
class HostTraits:
    """What of this host changes a plan: the id mapping ("host", "subordinate", "single") and the cgroup mode."""

    ids: str = "host"
    cgroup_mode: str = "none"

    @property
    def rootless(self) -> bool:
        return self.ids != "host"


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container. `lower` is top first, `network` is "none", "host", "bridge" or "joined", `capabilities` a mask (capabilities(7)).

    With `system_paths` nothing of /proc and /sys is hidden or made read-only; `writable_sys` mounts both for writing. `seccomp` is a
    program of packed sock_filter records, or empty for none, loaded with `seccomp_flags`; `procs` are the cgroup.procs files to join,
    `cradle` names the process that waits in them, if there is one (runtime.cradle). `groups` are names or ids that the user gets
    beside its own; with `init` a process of ours stays as number 1 (runtime.reaper); `rlimits` are (kind, soft, hard) of
    setrlimit(2). `terminal` is one's size in rows and columns, 0 for not yet known, or None for no terminal.
    """

    arguments: tuple[str, ...]
    environment: tuple[str, ...]
    lower: tuple[str, ...]
    upper: str
    work: str
    root: str
    hostname: str = ""
    working_dir: str = "/"
    user: str = ""
    network: str = "none"
    capabilities: int = 0
    seccomp: bytes = b""
    seccomp_flags: int = 0
    apparmor: str = ""
    no_new_privileges: bool = False
    system_paths: bool = False
    writable_sys: bool = False
    writable_cgroups: bool = False
    namespaces: Namespaces = OWN_NAMESPACES
    devices: tuple[DeviceNode, ...] = ()
    read_only: bool = False
    volatile: bool = False
    mounts: tuple[UserMount, ...] = ()
    hidden: tuple[str, ...] = ()
    shm_bytes: int = DEFAULT_SHM_BYTES
    domainname: str = ""
    groups: tuple[str, ...] = ()
    init: bool = False
    oom_score_adj: int | None = None
    rlimits: tuple[tuple[int, int, int], ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    procs: tuple[str, ...] = ()
    cgroup_directory: str = ""
    cradle: str = ""
    terminal: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class ExecSpec:
    """One more process in a running container; the namespaces are those of its init."""

    arguments: tuple[str, ...]
    environment: tuple[str, ...]
    working_dir: str
    user: str
    capabilities: int
    seccomp: bytes
    no_new_privileges: bool
    procs: tuple[str, ...]
    namespaces: int
    seccomp_flags: int = 0
    apparmor: str = ""
    groups: tuple[str, ...] = ()
    terminal: tuple[int, int] | None = None
