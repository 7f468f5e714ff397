"""What passes between a dashboard and its pages, beside widgets.messages; the same words are in js/src/dashboard/messages.ts.

It must not know how it is carried. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NotRequired, TypedDict

from labcontainers.engine.dashboard.history import Usage
from labcontainers.engine.dashboard.seen import Seen
from labcontainers.store.events import Event
from labcontainers.widgets.messages import Failure

# cpu_percent, memory_bytes, network_rx, network_tx, block_read, block_write, pids; None is what the host cannot tell
Figures = list[float | None]
Kind = Literal["container", "image", "volume", "network", "builder"]


class Row(TypedDict):
    """A container; `key` is the number by which samples name it. `why` tells why one failed, `gone` that it has been removed."""

    key: int
    id: str
    name: str
    image: str
    command: str
    network: str
    ports: list[str]
    created_at: float
    status: str
    exit_code: int
    oom_killed: bool
    health: str
    why: str
    started_at: float | None
    finished_at: float | None
    gone: bool


class TickPart(TypedDict):
    """What is used at `time`: by all together, and by those of which it changed, as their key and figures."""

    time: float
    total: Figures
    used: list[list[float | None]]


class EventRow(TypedDict):
    """Something that happened."""

    time: float
    type: str
    action: str
    id: str
    name: str
    about: str


class Order(TypedDict):
    """What a page wants done or told, as JSON in the action of an act.

    `do` is a verb (with `kind` and `id`); `ask` is "history", "csv", "table", "logs" or "inspect". A page says `busy` while somebody is
    at work in it, so that its output is not drawn anew meanwhile.
    """

    do: NotRequired[str]
    ask: NotRequired[str]
    busy: NotRequired[bool]
    kind: NotRequired[Kind]
    id: NotRequired[str]
    name: NotRequired[str]
    containers: NotRequired[list[str] | None]
    wish: NotRequired[dict[str, Any]]


class Answer(TypedDict):
    """What was found for a question, which is repeated word for word."""

    question: str
    data: Any
    failure: Failure | None


class Note(TypedDict):
    """What became of something that was done."""

    number: int
    about: str
    text: str
    hint: str
    tone: Literal["good", "bad"]


def row_of(key: int, one: Seen) -> Row:
    state = one.state
    return {
        "key": key,
        "id": one.id,
        "name": one.name,
        "image": one.image,
        "command": one.command,
        "network": one.network,
        "ports": list(one.ports),
        "created_at": one.created_at,
        "status": "removed" if one.gone else state.status,
        "exit_code": state.exit_code,
        "oom_killed": state.oom_killed,
        "health": state.health,
        "why": one.why,
        "started_at": state.started_at,
        "finished_at": state.finished_at,
        "gone": one.gone,
    }


def figures_of(point: Iterable[float]) -> Figures:
    """A point's figures, whole numbers without a fraction, so that they are short."""
    return [None if value != value else int(value) if value == int(value) else value for value in point]


def point_of(usage: Usage) -> Figures:
    """A point with its time first."""
    return [usage.time, *figures_of(usage[1:])]


def event_of(event: Event) -> EventRow:
    about = ", ".join(f"{key}={value}" for key, value in sorted(event.attributes.items()) if key != "name")
    return {
        "time": event.at,
        "type": event.type,
        "action": event.action,
        "id": event.id,
        "name": event.name or event.id.removeprefix("sha256:")[:12],
        "about": about[:400],
    }
