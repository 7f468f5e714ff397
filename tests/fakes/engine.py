"""An Engine that runs nothing: it remembers what it was asked, and answers with what the test gave it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from labcontainers.containers.result import RunResult
from labcontainers.errors import LabError, NotFound


def run_result(exit_code: int = 0, stdout: bytes = b"", **more: Any) -> RunResult:
    return RunResult("c" * 64, "witty_lovelace", ("sh",), exit_code, stdout, b"", 0.01, image="lab/base", **more)


class FakeContainers:
    """Plays `engine.containers`."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    def run(self, image: str, command: list[str], **options: Any) -> Any:
        on_output: Callable[[int, bytes], None] | None = options.pop("on_output", None)
        given = {key: value for key, value in options.items() if value is not None}
        self._engine.asked.append(("run", image, list(command), given))
        if self._engine.fails is not None:
            raise self._engine.fails
        for stream, data in self._engine.writes:
            if on_output is not None:
                on_output(stream, data)
        return self._engine.answer

    def get(self, name: str) -> Any:
        self._engine.asked.append(("get", name))
        if name in self._engine.held:
            return self._engine.held[name]
        raise NotFound(f"no such container: {name}", "`ps -a` lists all containers")

    def list(self, all: bool = False, filters: Any = None) -> list[Any]:
        self._engine.asked.append(("list", all, filters))
        return []


class FakeEngine:
    """Plays the session's Engine; `asked` is what it was asked, in order."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.answer: Any = run_result()
        self.fails: LabError | BaseException | None = None
        self.writes: list[tuple[int, bytes]] = []
        self.closed = False
        self.held: dict[str, Any] = {}
        self.containers = FakeContainers(self)
        self.images = SimpleNamespace(build=self._build, list=lambda all=False: [], find=lambda name: None)
        self.paths = SimpleNamespace(root="/the/store")
        self.container_names = ["web-1", "web-2", "db"]
        self.image_names = ["docker.io/lab/base:latest", "docker.io/me/app:1", "docker.io/library/redis:latest"]
        records = SimpleNamespace(
            list_container_names=lambda: list(self.container_names),
            list_references=lambda: list(self.image_names),
            list_containers=lambda: [SimpleNamespace(name=name) for name in self.container_names],
            list_volumes=lambda: [SimpleNamespace(name=name) for name in ("data", "db-data")],
            list_images=lambda: [SimpleNamespace(reference=name) for name in self.image_names],
        )
        self.networks = SimpleNamespace(list=lambda: [SimpleNamespace(name=name) for name in ("bridge", "none", "host", "my-net")])
        self.store = SimpleNamespace(records=records)

    def _build(self, path: Any, **options: Any) -> Any:
        self.asked.append(("build", path, options))
        return self.answer

    def warm_up(self) -> None:
        self.asked.append(("warm_up",))

    def close(self) -> None:
        self.closed = True
