"""Looks at a container that died: its state, its log, its health checks and the events of its last life.

It must not know who asks, nor start or change anything: it reads what was written down.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from labcontainers.containers.autopsy import LINES, Autopsy
from labcontainers.containers.logs import LogQuery, Logs
from labcontainers.containers.options.logs import NO_LOG
from labcontainers.containers.state import ContainerState
from labcontainers.containers.upkeep import read_results
from labcontainers.errors import LabError

if TYPE_CHECKING:
    from labcontainers.containers.lifecycle import Lifecycle
    from labcontainers.containers.register import Record

_LONGEST = 200


def perform(lifecycle: Lifecycle, record: Record, state: ContainerState) -> Autopsy:
    """Look at a container in the `state` that it is in."""
    results = read_results(record.directory) if state.health else []
    said = str(results[-1].get("Output", "")).strip().rpartition("\n")[2] if results else ""
    streak = f"{state.failing_streak} failed in a row" if state.failing_streak else ""
    return Autopsy(
        name=record.row.name,
        image=record.row.image,
        command=record.command,
        status=state.status,
        exit_code=state.exit_code,
        oom_killed=state.oom_killed,
        error=state.error,
        memory_limit_bytes=record.options.memory_bytes,
        memory_peak_bytes=state.memory_peak_bytes,
        started_at=state.started_at,
        finished_at=state.finished_at,
        restart_count=state.restart_count,
        restart_policy=record.options.restart,
        health=state.health,
        health_said="; ".join(filter(None, (streak, _cut(said)))),
        lines=_last_lines(record),
        signals=_signals(lifecycle, record, state),
        warnings=lifecycle.warnings(record),
    )


def _last_lines(record: Record) -> tuple[str, ...]:
    if record.options.log_driver == NO_LOG:
        return ()
    with contextlib.suppress(LabError, OSError):
        return tuple(_cut(line.text) for line in Logs(record.directory / "log", LogQuery(tail=LINES)))
    return ()


def _signals(lifecycle: Lifecycle, record: Record, state: ContainerState) -> tuple[int, ...]:
    """The signals that were sent to it during its last life."""
    events = lifecycle.store.events.read(state.started_at) if state.started_at else ()
    sent = [event.attributes.get("signal", "") for event in events if event.action == "kill" and event.id == record.row.id]
    return tuple(int(number) for number in sent if number.isdigit())


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
