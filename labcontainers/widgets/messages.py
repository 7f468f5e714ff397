"""The shapes of everything that passes between kernel and browser; the same words are in js/src/widgets/messages.ts.

It must not know how they are carried. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

Message = dict[str, Any]


class PortLink(TypedDict):
    """What is shown, and where it leads: an address of the kernel's host, or a path through a hub's proxy."""

    text: str
    host: str
    port: int
    path: str


class Facts(TypedDict):
    """What does not change about a container; `level` is what holds it, as `kernel.levels` tells it."""

    id: str
    name: str
    image: str
    command: str
    created_at: float
    ports: list[PortLink]
    level: str
    level_means: str


class Point(TypedDict):
    """A checkpoint of a container; `parent` is the one before it, 0 for the image. `current`: its files come from this one."""

    number: int
    label: str
    parent: int
    created_at: float
    current: bool


class State(TypedDict):
    """How a container is now; `status` is Docker's word or "removed". `checkpoints` are oldest first."""

    status: str
    exit_code: int
    oom_killed: bool
    error: str
    started_at: float | None
    finished_at: float | None
    warnings: list[str]
    checkpoints: NotRequired[list[Point]]


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


StepStatus = Literal["waiting", "running", "cached", "done", "failed", "cancelled"]


class Lane(TypedDict):
    """Where a step stands among the lanes of stages: its own, those that go on above and below it, and those that join its own."""

    own: int
    above: list[bool]
    below: list[bool]
    joins: list[int]


class Step(TypedDict):
    """One build step; `line` counts from 1 in the Dockerfile, 0 when not known; `reason` says why it was not in the cache, and
    `waits_for` which other build does it now, "" for none.

    `lane` is None where there is only one stage.
    """

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
    waits_for: str
    lane: Lane | None


class BuildFailure(Failure):
    """An error with its place in the Dockerfile, where it has one."""

    line: int
    source: str


class BuildState(TypedDict):
    """How the build is now; while it is `cancelling`, somebody has pressed the button."""

    status: Literal["running", "done", "failed", "cancelled"]
    cancelling: bool
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


TransferPhase = Literal[
    "waiting", "preparing", "downloading", "unpacking", "pushing", "loading", "importing", "done", "exists", "mounted", "stopped"
]


class TransferLayer(TypedDict):
    """One layer on its way: `current` of `total` bytes of what is stored (-1: unknown), `rate` in bytes per second, `source` of a mount."""

    id: str
    phase: TransferPhase
    current: int
    total: int
    rate: float
    source: str


class TransferState(TypedDict):
    """A pull, push, load or import as a whole; `rate` is that of all its layers, at the end the average."""

    verb: Literal["pull", "push", "load", "import"]
    name: str
    status: Literal["running", "done", "failed", "interrupted"]
    started_at: float
    duration_s: float | None
    rate: float
    failure: Failure | None


class ExploredLayer(TypedDict):
    """One layer of an image; `index` counts from the bottom up."""

    index: int
    diff_id: str
    size_bytes: int
    created_by: str
    created: str


class ExploredImage(TypedDict):
    """What does not change about an image, and the `others` that it can be compared with."""

    id: str
    name: str
    size_bytes: int
    layers: list[ExploredLayer]
    others: list[str]


ChangeCounts = tuple[int, int, int]  # added, modified, removed


class WastedFiles(TypedDict):
    """What no one sees of an image; `files` are the largest, as (path, bytes, what became of it), of `count`."""

    size_bytes: int
    total_bytes: int
    count: int
    files: list[tuple[str, int, str]]


class ComparedImages(TypedDict):
    """How an image differs from the one named `other`; `config` has (field, before, after)."""

    other: str
    shared_layers: int
    other_layers: int
    size_bytes: int
    changes: ChangeCounts
    config: list[tuple[str, str, str]]


class Question(TypedDict, total=False):
    """What a page asks about files, as JSON in the action of an act.

    `source` is "layer 3" or "diff NAME". `ask` is "folder" (what the directory in `row` holds from number `start` on, -1 for the top),
    "search" (files by a part of their path or a pattern, of these `changes`) or "compare" (with `other`).
    """

    ask: str
    source: str
    row: int
    start: int
    text: str
    changes: list[str]
    other: str


# row, name (or path, for a search), kind, permissions, owner, bytes (below zero: what is gone), change, link, changes below it, by what it
# differs
FileRow = tuple[int, str, str, str, str, int, str, str, ChangeCounts, list[str]]


class Answer(TypedDict):
    """What was found for a question, which is repeated word for word; `total` counts what was left out as well."""

    question: str
    rows: list[FileRow]
    total: int
    failure: Failure | None


class TerminalFacts(TypedDict):
    """What does not change about a terminal; `columns` is 0 where the page decides. `own`: the container's own terminal."""

    id: str
    name: str
    title: str
    own: bool
    rows: int
    columns: int


class TerminalState(TypedDict):
    """How a terminal is now: its size in characters, its end, and the state of the container then."""

    status: Literal["waiting", "starting", "running", "exited", "closed", "failed"]
    exit_code: int | None
    container: str
    failure: Failure | None
    rows: int
    columns: int


class ExplainedStage(TypedDict):
    """A stage of the making of a container; `name` is the word by which operations tell theirs."""

    name: str
    title: str
    note: str


class ExplainedOperation(TypedDict):
    """A kernel operation; `parts` are what it adds to the picture, `duration_us` is None where it has no time of its own."""

    name: str
    by: str
    man_page: str
    text: str
    note: str
    result: str
    failed: bool
    duration_us: int | None
    stage: str
    parts: list[str]


class Explained(TypedDict):
    """How a container was made, or would be."""

    name: str
    summary: str
    planned: bool
    made: bool
    docker: str
    shell: str
    stages: list[ExplainedStage]
    operations: list[ExplainedOperation]


class SharingSubject(TypedDict):
    """Processes that have all their namespaces in common; `cells` has for each kind the inode (0: not known) and a number from 1 for each
    namespace that is not the host's, which is 0."""

    name: str
    kind: str
    pids: list[int]
    cells: list[tuple[int, int]]


class Sharing(TypedDict):
    """Which processes share which namespaces, at `time`."""

    time: float
    kinds: list[str]
    subjects: list[SharingSubject]
    unseen: int


class LookGroup(TypedDict):
    """A part of what a half-made process looks like: rows of name, value, and whether it is its own."""

    title: str
    rows: list[tuple[str, str, bool]]


class StepState(TypedDict):
    """Where a container stands that is made step by step; `status` is "waiting", "going", "running", "aborted" or "failed"."""

    status: str
    stage: str
    pid: int
    look: list[LookGroup]
    failure: Failure | None


class ViewState(TypedDict):
    """Whether what is looked at is there: `status` is "live", "ended" or "removed"; `failure` is what kept it from being read."""

    status: str
    failure: Failure | None


class ViewBatch(TypedDict):
    """Parts of a view by name: those that are new or others than before, and the names of those that are no more."""

    changed: dict[str, Any]
    gone: list[str]


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
