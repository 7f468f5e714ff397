"""The shapes of everything that passes between kernel and browser; the same words are in js/src/widgets/messages.ts.

It must not know how they are carried. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

Message = dict[str, Any]


class PortLink(TypedDict):
    """What is shown, and where it leads: an address of the kernel's host, or a path through a hub's proxy."""

    text: str
    host: str
    port: int
    path: str


class Facts(TypedDict):
    """What does not change about a container."""

    id: str
    name: str
    image: str
    command: str
    created_at: float
    ports: list[PortLink]


class State(TypedDict):
    """How a container is now; `status` is Docker's word or "removed"."""

    status: str
    exit_code: int
    oom_killed: bool
    error: str
    started_at: float | None
    finished_at: float | None
    warnings: list[str]


class Sample(TypedDict):
    """What a container uses: 100 percent is one processor; rates are bytes per second, None where the host cannot tell."""

    time: float
    cpu_percent: float
    memory_bytes: int
    memory_limit_bytes: int | None
    pids: int | None
    network_rx: float | None
    network_tx: float | None
    block_read: float | None
    block_write: float | None


LogRow = tuple[int, float, str]  # stream (1 stdout, 2 stderr), time, text


class LogBatch(TypedDict):
    """Lines in order; `skipped` of them came before `rows` and were left out."""

    skipped: int
    rows: list[LogRow]


class Failure(TypedDict):
    """An error as a reader sees it."""

    message: str
    hint: str


StepStatus = Literal["waiting", "running", "cached", "done", "failed"]


class Step(TypedDict):
    """One build step; `line` counts from 1 in the Dockerfile, 0 when not known; `reason` says why it was not in the cache."""

    index: int
    total: int
    stage: str
    text: str
    line: int
    status: StepStatus
    started_at: float | None
    duration_s: float | None
    layer_size_bytes: int | None
    message: str
    reason: str


class BuildFailure(Failure):
    """An error with its place in the Dockerfile, where it has one."""

    line: int
    source: str


class BuildState(TypedDict):
    """How the build is now."""

    status: Literal["running", "done", "failed"]
    started_at: float
    duration_s: float | None
    image_id: str
    tags: list[str]
    failure: BuildFailure | None


class StepOutput(TypedDict):
    """Output of a step; `skipped` bytes of it came before `text` and were left out."""

    index: int
    skipped: int
    text: str


def code(hash: str, text: str) -> Message:
    """The bundle, for a page that has none."""
    return {"kind": "code", "hash": hash, "text": text}


def replay(seq: int, now: float, data: Mapping[str, Any]) -> Message:
    """Everything as of update number `seq`."""
    return {"kind": "replay", "seq": seq, "now": now, "data": data}


def update(seq: int, now: float, data: Mapping[str, Any]) -> Message:
    """What changed since update number `seq - 1`."""
    return {"kind": "update", "seq": seq, "now": now, "data": data}


def failure_of(error: BaseException) -> Failure:
    """An error as a reader sees it: message and hint of this project's errors, type and text of others."""
    if isinstance(error, KeyboardInterrupt):
        return {"message": "interrupted", "hint": ""}
    message = getattr(error, "message", None)
    if isinstance(message, str):
        return {"message": message, "hint": str(getattr(error, "hint", ""))}
    return {"message": f"{type(error).__name__}: {error}", "hint": ""}


def hint_beside_output(hint: str, output: str) -> str:
    """A hint without what it repeats of the `output` that is shown with it."""
    said = [line.strip() for line in output.splitlines() if line.strip()][-1:]
    return hint.partition("it said: ")[0].rstrip("; ") if said and said[0][:200] in hint else hint
