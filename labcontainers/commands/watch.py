"""The subcommands that look on: logs, stats and events; it must not know widgets: each returns a value, or passes on what comes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.containers import CONTAINER, filters_of
from labcontainers.commands.formatting import format_rows
from labcontainers.commands.listing import Text
from labcontainers.commands.parser import Argument, Flag
from labcontainers.commands.template import Template
from labcontainers.containers.container import Container
from labcontainers.containers.sampler import Sampler, Subscription
from labcontainers.containers.stats import StatsSample
from labcontainers.errors import InvalidArgument
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
_EVENT_FILTERS = ("type", "event", "container", "image", "label")

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
    named = [call.engine.containers.get(name) for name in call.containers]
    if call.live and not call.no_stream:
        _stream_stats(call, named)
        return None
    chosen = named or call.engine.containers.list(all=call.all)
    running = [container for container in chosen if container in named or container.status == "running"]
    first = {container.id: container.stats() for container in running}
    if first:
        time.sleep(_FIRST_S)
    return _table(call, [(each, each.sample(first[each.id]) if each.id in first else _NOTHING) for each in chosen])


_NOTHING = StatsSample(time_ns=0, cpu_percent=0.0, cpu_ns=0, memory_bytes=0, pids=0)


def _table(call: Invocation, rows: list[Row]) -> Any:
    def id_of(row: Row) -> str:
        return row[0].id if call.no_trunc else row[0].short_id

    def column(name: str) -> Any:
        return lambda row: row[1].columns()[name]

    columns = {"CONTAINER ID": id_of, "NAME": lambda row: row[0].name, **{name: column(name) for name in _STATS_FIELDS.values()}}
    fields: Mapping[str, Any] = {
        "ID": id_of,
        "Container": id_of,
        "Name": lambda row: row[0].name,
        **{field: column(name) for field, name in _STATS_FIELDS.items()},
    }
    return format_rows(rows, columns, fields, call.format)


def _stream_stats(call: Invocation, named: list[Container]) -> None:
    """Show a table each second, of samples that one thread takes; it ends when all that were named have."""
    latest: dict[str, tuple[Container, StatsSample | None]] = {}
    subscriptions: dict[str, Subscription] = {}
    sampler = Sampler(_INTERVAL_S)

    def look_at(container: Container) -> None:
        def take(sample: StatsSample | None) -> None:
            latest[container.id] = (container, sample)

        container.sample()  # raises Conflict for one that does not run
        subscriptions[container.id] = sampler.subscribe(container.id, container.sample, take)

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
            _paint(call, repr(_table(call, rows)))
    finally:
        sampler.stop()


def _paint(call: Invocation, text: str) -> None:
    if call.screen:
        text = _HOME + text.replace("\n", f"{_CLEAR_LINE}\n") + f"{_CLEAR_LINE}\n{_CLEAR_BELOW}"
    else:
        text += "\n"
    call.on_output(1, text.encode())


def events(call: Invocation) -> Any:
    """What happened since --since; and what happens next with --follow, and at a terminal unless --until is given."""
    now = time.time()
    wanted = filters_of(call.filter)
    for key in wanted:
        if key not in _EVENT_FILTERS:
            raise InvalidArgument(f"unknown filter {key!r}", f"filters are {', '.join(_EVENT_FILTERS)}")
    template = None if call.format is None else Template("{{json .}}" if call.format == "json" else call.format)
    since = None if call.since is None else parse_moment_s(call.since, now)
    until = None if call.until is None else parse_moment_s(call.until, now)

    def lines(found: Iterable[Any]) -> Iterable[str]:
        return (_event_line(event, template) for event in found if _wants(event, wanted))

    if not call.follow and not (call.live and until is None):
        return Text("\n".join(lines(call.engine.events.read(since, until))))
    # Following begins before the past is read, so that nothing falls in between; what is in both is told once.
    coming = call.engine.events.follow()
    past = list(call.engine.events.read(since)) if since is not None else []
    for line in lines(past):
        call.on_output(1, (line + "\n").encode())
    for line in lines(event for event in coming if event not in past):
        call.on_output(1, (line + "\n").encode())
    return None


def _wants(event: Any, wanted: Mapping[str, list[str]]) -> bool:
    def same(kind: str) -> Any:
        return lambda text: event.type == kind and (event.name == text or event.id.removeprefix("sha256:").startswith(text))

    def has_label(text: str) -> bool:
        key, separator, value = text.partition("=")
        return key in event.attributes and (not separator or event.attributes[key] == value)

    tests = {
        "type": lambda text: event.type == text,
        "event": lambda text: event.action == text,
        "container": same("container"),
        "image": lambda text: same("image")(text) or event.attributes.get("image") == text,
        "label": has_label,
    }
    return all(any(map(tests[key], texts)) for key, texts in wanted.items())


def _event_line(event: Any, template: Template | None) -> str:
    if template is not None:
        return template.render(
            {
                "Type": event.type,
                "Action": event.action,
                "Actor": {"ID": event.id, "Attributes": {"name": event.name, **event.attributes}},
                "ID": event.id,
                "time": event.time_ns // 10**9,
                "timeNano": event.time_ns,
            }
        )
    seconds, nanoseconds = divmod(event.time_ns, 10**9)
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    attributes = ", ".join(f"{key}={value}" for key, value in event.attributes.items())
    return f"{at}.{nanoseconds:09d}Z {event.type} {event.action} {event.name or event.id[:12]}" + (f" ({attributes})" if attributes else "")


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
        "Show what happened to containers and images; at a terminal also what happens next",
        events,
        (
            Flag(("--follow",), "go on with what happens next, in a notebook too", "switch"),
            Flag(("--since",), "from this time on: 10m, 2026-01-31T12:00:00Z or seconds since 1970", metavar="TIME"),
            Flag(("--until",), "up to this time, without going on", metavar="TIME"),
            Flag(("-f", "--filter"), "KEY=VALUE with type, event, container, image or label; repeatable", "list", "KEY=VALUE"),
            Flag(("--format",), "json, or such as {{.Type}} {{.Action}}", metavar="TEMPLATE"),
        ),
    ),
)
