"""The subcommands that look on: logs, stats and events; it must not know widgets: each returns a value, or passes on what comes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.containers import CONTAINER, filters_of
from labcontainers.commands.formatting import format_rows
from labcontainers.commands.listing import Text
from labcontainers.commands.parser import Argument, Flag
from labcontainers.commands.templates.template import Template
from labcontainers.commands.templates.values import Shape, Tagged
from labcontainers.containers.container import Container
from labcontainers.containers.options.flags import about
from labcontainers.containers.usage.sampler import Sampler, Subscription
from labcontainers.containers.usage.stats import StatsSample
from labcontainers.engine.events import message_of
from labcontainers.errors import Conflict, NotFound
from labcontainers.store.events import Event
from labcontainers.units import parse_moment_s

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

# An event's fields for a template, by their keys in JSON (api/types/events.Message)
_EVENT = Shape(maps=frozenset(("Attributes",)))
_EVENT_FIELDS = {
    "Status": "status",
    "ID": "id",
    "From": "from",
    "Type": "Type",
    "Action": "Action",
    "Scope": "scope",
    "Time": "time",
    "TimeNano": "timeNano",
}

Row = tuple[Container, StatsSample]


def logs(call: Invocation) -> Any:
    """The output so far as a value, or with -f each line as it comes."""
    found = call.engine.containers.get(call.container).logs(
        stdout=not call.stderr or call.stdout,
        stderr=not call.stdout or call.stderr,
        tail=call.tail,
        since=call.since,
        until=call.until,
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
    return format_rows(rows, columns, fields, call.format)


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


def events(call: Invocation) -> Any:
    """What happened since --since. What happens next comes until --until, if that is yet to come; without it, with --follow and at a
    terminal, for ever.
    """
    now = time.time()
    wanted = filters_of(call.filter)
    with about("--format"):
        template = Template("{{json .}}" if call.format == "json" else call.format, _EVENT) if call.format else None
    with about("--since"):
        since = None if call.since is None else parse_moment_s(call.since, now)
    with about("--until"):
        until = None if call.until is None else parse_moment_s(call.until, now)
    found = call.engine.events
    if until <= now if until is not None else not (call.follow or call.live):
        return Text("\n".join(_event_line(event, template) for event in found.read(since, until, wanted)))
    # As in Docker, --until alone tells all that happened before it.
    for event in found.follow(filters=wanted, since=0.0 if since is None and until is not None else since, until=until):
        call.on_output(1, (_event_line(event, template) + "\n").encode())
    return None


def _event_line(event: Event, template: Template | None) -> str:
    message = message_of(event)
    actor = message["Actor"]
    if template is not None:
        fields = {name: message.get(key, "") for name, key in _EVENT_FIELDS.items()}
        text = template.render(Tagged({**fields, "Actor": actor}, message))
    else:
        attributes = ", ".join(f"{key}={value}" for key, value in actor["Attributes"].items())
        text = f"{_moment_of(event)} {event.type} {event.action} {event.id}" + (f" ({attributes})" if attributes else "")
    # The words of an exec, and so its event, may be no text.
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _moment_of(event: Event) -> str:
    """The time with nanoseconds and this machine's offset (RFC 3339), which is Z where there is none."""
    seconds, nanoseconds = divmod(event.time_ns, 10**9)
    local = time.localtime(seconds)
    offset = time.strftime("%z", local)
    zone = f"{offset[:3]}:{offset[3:5]}" if local.tm_gmtoff else "Z"
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{nanoseconds:09d}{zone}"


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
    Command(
        "events",
        "Show what happened to containers, images, networks and volumes; at a terminal also what happens next",
        events,
        (
            Flag(("--follow",), "go on with what happens next, in a notebook too", "switch"),
            Flag(("--since",), "from this time on: 10m, 2026-01-31T12:00:00Z or seconds since 1970", metavar="TIME"),
            Flag(("--until",), "up to this time; what comes until then is waited for", metavar="TIME"),
            Flag(
                ("-f", "--filter"),
                "KEY=VALUE with type, event, container, image, label, network, volume, scope; repeatable",
                "list",
                "KEY=VALUE",
            ),
            Flag(("--format",), "json, or such as {{.Type}} {{.Action}}", metavar="TEMPLATE"),
        ),
    ),
)
