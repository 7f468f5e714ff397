"""The subcommand `events`: what happened, as a table, and what happens, line by line as it comes; it must not know who appends events."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.containers import filters_of
from labcontainers.commands.listing import Listing, Text
from labcontainers.commands.parser import Flag
from labcontainers.commands.templates.template import Template
from labcontainers.commands.templates.values import Shape, Tagged
from labcontainers.containers.options.flags import about
from labcontainers.engine.events import attributes_of, message_of
from labcontainers.frames import moment
from labcontainers.store.events import Event
from labcontainers.units import parse_moment_s

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

_COLUMNS = {
    "TIME": lambda event: _moment_of(event),
    "TYPE": lambda event: event.type,
    "ACTION": lambda event: _printable(event.action),
    "NAME": lambda event: event.name or event.id,
    "ATTRIBUTES": lambda event: _printable(_attributes(event)),
}
_VALUES = {
    "time": lambda event: moment(event.at),
    "type": lambda event: event.type,
    "action": lambda event: _printable(event.action),
    "id": lambda event: event.id,
    "name": lambda event: event.name,
    "attributes": attributes_of,
}


class EventListing(Listing[Event]):
    """Events as a table in a notebook, and as text by Docker's lines."""

    def __init__(self, events: Sequence[Event]) -> None:
        super().__init__(events, _COLUMNS, _VALUES)

    def __repr__(self) -> str:
        return "\n".join(_event_line(event, None) for event in self)


def events(call: Invocation) -> Any:
    """What happened since --since. What happens next comes until --until, if that is yet to come; without it, with --follow and at a
    terminal, for ever.
    """
    now = time.time()
    wanted = filters_of(call.filter)
    with about("--format"):
        template = Template("{{json .}}" if call.format == "json" else call.format, _EVENT) if call.format else None
    with about("--since"):
        since = None if not call.since else parse_moment_s(call.since, now)
    with about("--until"):
        until = None if not call.until else parse_moment_s(call.until, now)
    found = call.engine.events
    if until <= now if until is not None else not (call.follow or call.live):
        past = list(found.read(since, until, wanted))
        return EventListing(past) if template is None else Text("\n".join(_event_line(event, template) for event in past))
    # As in Docker, --until alone tells all that happened before it.
    for event in found.follow(filters=wanted, since=0.0 if since is None and until is not None else since, until=until):
        call.on_output(1, (_event_line(event, template) + "\n").encode())
    return None


def _event_line(event: Event, template: Template | None) -> str:
    if template is not None:
        message = message_of(event)
        fields = {name: message.get(key, "") for name, key in _EVENT_FIELDS.items()}
        text = template.render(Tagged({**fields, "Actor": message["Actor"]}, message))
    else:
        attributes = _attributes(event)
        text = f"{_moment_of(event)} {event.type} {event.action} {event.id}" + (f" ({attributes})" if attributes else "")
    return _printable(text)


def _attributes(event: Event) -> str:
    return ", ".join(f"{key}={value}" for key, value in attributes_of(event).items())


def _printable(text: str) -> str:
    """The words of an exec, and so its event, may be no text."""
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
