"""The subcommands that look on: logs and stats; it must not know widgets: each returns a value, or passes on what comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import fields as fields_of
from typing import Any

from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.containers import CONTAINER
from labcontainers.commands.formatting import format_rows
from labcontainers.commands.parser import Argument, Flag
from labcontainers.containers.container import Container
from labcontainers.containers.usage.sampler import Sampler, Subscription
from labcontainers.containers.usage.stats import StatsSample
from labcontainers.errors import Conflict, NotFound
from labcontainers.frames import moment

_INTERVAL_S = 1.0
_FIRST_S = 0.2
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_STATS_FIELDS = {
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS",
}

Row = tuple[Container, StatsSample]


def _of_sample(name: str) -> Callable[[Row], Any]:
    return lambda row: getattr(row[1], name)


_STATS_VALUES: Mapping[str, Any] = {
    "id": lambda row: row[0].id,
    "name": lambda row: row[0].name,
    "time": lambda row: moment(row[1].time_ns / 1e9),
    **{field.name: _of_sample(field.name) for field in fields_of(StatsSample) if field.name != "time_ns"},
}


def logs(call: Invocation) -> Any:
    """The output so far as a value, or with -f each line as it comes."""
    found = call.engine.containers.get(call.container).logs(
        stdout=not call.stderr or call.stdout,
        stderr=not call.stdout or call.stderr,
        tail=call.tail,
        since=call.since or None,
        until=call.until or None,
        timestamps=call.timestamps,
        follow=call.follow,
    )
    if not call.follow and not call.live:
        return found
    for stream, data in found.pieces():
        call.on_output(stream, data)
    return None


def stats(call: Invocation) -> Any:
    """One sample of each as a table; at a terminal a new one each second, until interrupted, unless --no-stream is given."""
    asked = {call.engine.containers.get(name): name for name in call.containers}
    named = list(asked)
    if call.live and not call.no_stream:
        _stream_stats(call, asked)
        return None
    chosen = named or call.engine.containers.list(all=call.all)
    first = {container.id: _sample(container) for container in chosen}
    if any(sample is not _NOTHING for sample in first.values()):
        time.sleep(_FIRST_S)
    return _table(call, asked, [(each, _sample(each, first[each.id])) for each in chosen])


def _sample(container: Container, before: StatsSample | None = None) -> StatsSample:
    """A sample; zeros of one that does not run, as in Docker."""
    if before is _NOTHING:
        return _NOTHING
    try:
        return container.sample(before)
    except (Conflict, NotFound):
        return _NOTHING


_NOTHING = StatsSample(
    time_ns=0,
    cpu_percent=0.0,
    cpu_ns=0,
    memory_bytes=0,
    memory_limit_bytes=0,
    pids=0,
    block_read_bytes=0,
    block_write_bytes=0,
    network_rx_bytes=0,
    network_tx_bytes=0,
)


def _table(call: Invocation, asked: Mapping[Container, str], rows: list[Row]) -> Any:
    """`asked` are the names by which containers were asked for."""

    def id_of(row: Row) -> str:
        return row[0].id if call.no_trunc else row[0].short_id

    def column(name: str) -> Any:
        return lambda row: row[1].columns()[name]

    columns = {"CONTAINER ID": id_of, "NAME": lambda row: row[0].name, **{name: column(name) for name in _STATS_FIELDS.values()}}
    fields: Mapping[str, Any] = {
        "ID": id_of,
        "Container": lambda row: asked.get(row[0], row[0].id),
        "Name": lambda row: row[0].name,
        **{field: column(name) for field, name in _STATS_FIELDS.items()},
    }
    return format_rows(rows, columns, fields, call.format, values=_STATS_VALUES)


def _stream_stats(call: Invocation, named: Mapping[Container, str]) -> None:
    """Show a table each second, of samples that one thread takes; it ends when all that were named have."""
    latest: dict[str, tuple[Container, StatsSample | None]] = {}
    subscriptions: dict[str, Subscription] = {}
    sampler = Sampler(_INTERVAL_S)

    def look_at(container: Container) -> None:
        def take(sample: StatsSample | None) -> None:
            latest[container.id] = (container, sample)

        meter = container.meter()
        meter.sample()  # raises Conflict for one that does not run
        subscriptions[container.id] = sampler.subscribe(container.id, meter.sample, take)

    sampler.start()
    try:
        while True:
            for container in named or call.engine.containers.list():
                if container.id not in subscriptions:
                    look_at(container)
            time.sleep(_FIRST_S if not latest and subscriptions else _INTERVAL_S)
            rows = [(container, sample) for container, sample in list(latest.values()) if sample is not None]
            if named and not rows and len(latest) == len(named):
                return
            _paint(call, repr(_table(call, named, rows)))
    finally:
        sampler.stop()


def _paint(call: Invocation, text: str) -> None:
    if call.screen:
        text = _HOME + text.replace("\n", f"{_CLEAR_LINE}\n") + f"{_CLEAR_LINE}\n{_CLEAR_BELOW}"
    else:
        text += "\n"
    call.on_output(1, text.encode())


COMMANDS = (
    Command(
        "logs",
        "Show the output of a container",
        logs,
        (
            Flag(("-f", "--follow"), "go on until it ends", "switch"),
            Flag(("-n", "--tail"), "only the last lines", metavar="NUMBER", default="all"),
            Flag(("--since",), "from this time on: 10m, 2026-01-31T12:00:00Z or seconds since 1970", metavar="TIME"),
            Flag(("--until",), "up to this time", metavar="TIME"),
            Flag(("-t", "--timestamps"), "with times", "switch"),
            Flag(("--stdout",), "only standard output", "switch"),
            Flag(("--stderr",), "only standard error", "switch"),
        ),
        (CONTAINER,),
    ),
    Command(
        "stats",
        "Show what running containers use; at a terminal again each second",
        stats,
        (
            Flag(("-a", "--all"), "those that do not run, too", "switch"),
            Flag(("--no-stream",), "one sample, as always in a notebook", "switch"),
            Flag(("--no-trunc",), "whole ids", "switch"),
            Flag(("--format",), "table, json, or such as {{.Name}} {{.CPUPerc}}", metavar="TEMPLATE"),
        ),
        (Argument("containers", "names or ids", "*", "container"),),
    ),
)
