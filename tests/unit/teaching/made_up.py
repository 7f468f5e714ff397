"""A made-up machine and made-up containers, for checks to look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labcontainers.containers.explain.explanation import Operation
from labcontainers.containers.result import ExecResult
from labcontainers.containers.state import ContainerState
from labcontainers.teaching.machine import Machine

ID = "c" * 64
PID = 4711


@dataclass
class MadeUpContainer:
    """What the checks ask of a container."""

    state: ContainerState = field(default_factory=lambda: ContainerState("running", PID))
    name: str = "box"
    id: str = ID
    network: str = "none"
    warnings: tuple[str, ...] = ()
    started_with: tuple[tuple[str, str], ...] = ()
    answers: dict[str, ExecResult] = field(default_factory=dict)

    def explain(self) -> list[Operation]:
        rows = [{"path": path, "value": value} for path, value in self.started_with]
        return [Operation("limit", "", "ok", 1, "cgroups(7)", "engine", row) for row in rows]

    def exec(self, command: list[str]) -> ExecResult:
        return next(answer for word, answer in self.answers.items() if word in command[-1])


def answer(exit_code: int, stderr: str = "") -> ExecResult:
    return ExecResult(ID, "box", ("sh",), exit_code, b"", stderr.encode(), 0.1)


class MadeUpMachine:
    """A folder in the form of /proc, and control groups of one version beside it."""

    def __init__(self, folder: Path, version: int = 1) -> None:
        self.folder, self.version = folder, version
        self.groups = folder / "cgroup"
        self.machine = Machine(folder / "proc")
        mounts = [f"1 0 8:1 / / rw - ext4 /dev/sda rw\n30 1 0:9 / {self.groups}/unified rw - cgroup2 none rw"]
        for controller in ("memory", "cpu", "pids"):
            mounts += [f"31 1 0:10 / {self.groups}/{controller} rw - cgroup none rw,{controller}"] if version == 1 else []
        self.process("self", mountinfo="\n".join(mounts) + "\n")
        self.join(f"/labcontainers/{ID}")

    def process(self, pid: int | str = PID, namespaces: dict[str, str] | None = None, **files: str) -> None:
        folder = self.machine.proc / str(pid)
        (folder / "ns").mkdir(parents=True, exist_ok=True)
        for kind in ("mnt", "pid", "net", "uts", "user"):
            link = folder / "ns" / kind
            link.unlink(missing_ok=True)
            link.symlink_to((namespaces or {}).get(kind, f"{kind}:[1]"))
        for name, text in files.items():
            (folder / name).write_text(text)

    def join(self, path: str, pid: int = PID) -> None:
        rows = [f"{number}:{name}:{path}" for number, name in enumerate(("memory", "cpu", "pids"), 1)] if self.version == 1 else []
        self.process(pid, cgroup="\n".join([*rows, f"0::{path}"]) + "\n")

    def limit(self, controller: str, **files: Any) -> None:
        """Write files of the container's group; `__` in a name is a dot."""
        folder = self.groups / (controller if self.version == 1 else "unified") / "labcontainers" / ID
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(f"{text}\n")
