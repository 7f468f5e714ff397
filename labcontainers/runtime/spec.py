"""What the runtime needs to know to make one container: frozen values, resolved and checked by the rooms above.

It must not know images, records or the user's words; units are in the names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BindMount:
    """A file or directory of the host at `target` of the container."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class TemporaryMount:
    """A tmpfs at `target`; `data` are mount(8) options such as `size=64m`."""

    target: str
    data: str = ""


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
    """One container. `lower` is top first, `network` is "none", "host" or "bridge", `capabilities` a mask (capabilities(7)).

    `seccomp` is a program of packed sock_filter records, or empty for none; `procs` are the cgroup.procs files to join,
    `cradle` names the process that waits in them, if there is one (runtime.cradle).
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
    no_new_privileges: bool = False
    read_only: bool = False
    volatile: bool = False
    mounts: tuple[BindMount | TemporaryMount, ...] = ()
    shm_bytes: int = 64 << 20
    rlimits: tuple[tuple[int, int, int], ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    procs: tuple[str, ...] = ()
    cgroup_directory: str = ""
    cradle: str = ""


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
