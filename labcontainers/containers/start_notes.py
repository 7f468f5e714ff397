"""What a start is made of, as it is written down in `start.json`: what the engine did itself, with its times, and the plan.

It must not do any of it. Entries are those of kernel.notes. `engine` is what comes before the container's first process, `connect` what
is done for its network while it waits, `joins` the namespaces of others that the shim enters; `failed` says that `engine` ends by what
failed, so that there was no process. How many bytes a document takes matters, since every start writes one.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from labcontainers.containers.joined import Joined
from labcontainers.containers.state import read_start
from labcontainers.kernel.cgroups import Cgroup
from labcontainers.kernel.lean import dumps
from labcontainers.kernel.notes import Notes
from labcontainers.networks.ports import PortBinding
from labcontainers.runtime import plan as plans
from labcontainers.runtime.handshake import write_file
from labcontainers.runtime.spec import ContainerSpec, HostTraits


class StartNotes(Notes):
    """The notes of one start in the container's `directory`, and the document that they become."""

    __slots__ = ("_directory", "connect", "document", "handed_over")

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        self.connect = Notes()
        self.document: dict[str, Any] = {}
        # From here on the shim tells what fails.
        self.handed_over = False

    def host(self, host: HostTraits) -> None:
        """The launcher's user namespace, where there is one."""
        if host.rootless:
            self.add("user_namespace", ids=host.ids)

    def plan(self, spec: ContainerSpec, plan: plans.Plan, cgroup: Cgroup, warnings: tuple[str, ...], joined: Joined) -> None:
        """What init is to do, and what else `exec`, `stats`, `explain` and the next engine need to know."""
        self.document = {
            "cgroups": cgroup.to_json(),
            "warnings": warnings,
            "engine": self.entries,
            "plan": [[name, {"bytes": len(spec.seccomp)} if name == "seccomp" else arguments] for name, arguments in plan],
            "clone_flags": plans.clone_flags(spec),
            "namespaces": plans.exec_namespaces(spec.network, spec.namespaces),
            "environment": spec.environment,
            "user": spec.user,
            "working_dir": spec.working_dir,
            **({"joins": joined.joins} if joined.joins else {}),
        }

    def ports(self, ports: tuple[PortBinding, ...], warnings: tuple[str, ...]) -> None:
        """The published ports as the kernel gave them, and all warnings there are now."""
        self.document.update(ports=[asdict(port) for port in ports], warnings=warnings)

    def write(self) -> None:
        """Write it all down, with what was done for the network by now. Raises OSError."""
        if self.connect.entries:
            self.document["connect"] = self.connect.entries
        write_file(f"{self._directory}/start.json", dumps(self.document))

    def fail(self, error: BaseException) -> None:
        """Keep what was done until `error` ended the start. What was found out at an earlier start and not yet at this one stays."""
        if self.handed_over:
            return
        self.blame(error, "prepare")
        with contextlib.suppress(OSError, ValueError):
            earlier = read_start(self._directory)
            earlier.pop("connect", None)
            self.document = {**earlier, **self.document, "engine": self.entries, "failed": True}
            self.write()

    def fail_to_connect(self, network: str, error: BaseException) -> None:
        """The same for what is done while the container's first process waits for its network."""
        self.connect.blame(error, "network", name=network)
        with contextlib.suppress(OSError):
            self.write()


def groups_of(cgroup: Cgroup) -> list[str]:
    """The directories of a container's control groups."""
    return list(cgroup.directories)
