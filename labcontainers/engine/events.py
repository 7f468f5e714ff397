"""`engine.events`: the store's event log, read or followed, and events in the form that Docker's API gives them.

It must not know who appends. Source: moby's daemon/events (version 28), api/types/events, and the Engine API's SystemEvents (version 1.51).
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.store.events import Event, EventLog

Filters = Mapping[str, str | Sequence[str]]
Wanted = Callable[[Event], bool]
FILTERS = ("type", "event", "container", "image", "label", "network", "volume", "scope")
SCOPE = "local"
_FOREIGN = {
    "daemon": "no daemon is there to tell anything",
    "plugin": "there are no plugins",
    **dict.fromkeys(("node", "service", "secret", "config"), "there is no swarm"),
}
# These actions carry a word or a command line of their own: with one of them among the filters, beginnings count.
_LONG_ACTIONS = {"health_status", "exec_create", "exec_start"}
# Whose events say `status`, `id` and `from`, too, as the first versions of Docker's API did.
_OLD_TYPES = ("container", "image")


class Events:
    """What happened to containers, images, networks and volumes, by whichever process."""

    def __init__(self, log: EventLog, closed: Callable[[], bool]) -> None:
        self._log = log
        self._closed = closed

    def read(self, since: float | None = None, until: float | None = None, filters: Filters | None = None) -> Iterator[Event]:
        """Past events; times are seconds since the epoch. `filters` are Docker's, such as {"event": ["die", "oom"]}.

        Raises InvalidArgument and Unsupported for a filter that is not there, InvalidArgument for a `since` that is after `until`.
        """
        wants = wanted(filters or {})
        _check_span(since, until)
        return filter(wants, self._log.read(since, until))

    def follow(
        self,
        stop: Callable[[], bool] = lambda: False,
        filters: Filters | None = None,
        *,
        since: float | None = None,
        until: float | None = None,
    ) -> Iterator[Event]:
        """Events from now on, or from `since` on, until `stop()` is true, it is `until`, or the engine is closed. Blocks between them.

        What has happened when this is called is not missed, whenever it is first asked. Raises as read().
        """
        wants = wanted(filters or {})
        _check_span(since, until)
        coming = self._log.follow(lambda: stop() or self._closed() or (until is not None and time.time() > until), since)
        return (event for event in coming if wants(event) and (until is None or event.at <= until))


def _check_span(since: float | None, until: float | None) -> None:
    if since is not None and until is not None and since > until:
        raise InvalidArgument(f"since {since:.9f} is after until {until:.9f}", "swap them; a duration such as 10m is that long ago")


# --- what an event says


def attributes_of(event: Event) -> dict[str, str]:
    """Docker's attributes, by name: labels, image and whatever else there is to tell; volumes have no `name` there."""
    attributes = dict(event.attributes)
    if event.name and event.type != "volume":
        attributes["name"] = event.name
    return dict(sorted(attributes.items()))


def message_of(event: Event) -> dict[str, Any]:
    """The event as Docker's API gives it; empty texts of old fields are left out."""
    old: dict[str, str] = {}
    if event.type in _OLD_TYPES:
        old = {"status": event.action, "id": event.id, "from": event.attributes.get("image", "") if event.type == "container" else ""}
    return {
        **{key: text for key, text in old.items() if text},
        "Type": event.type,
        "Action": event.action,
        "Actor": {"ID": event.id, "Attributes": attributes_of(event)},
        "scope": SCOPE,
        "time": event.time_ns // 10**9,
        "timeNano": event.time_ns,
    }


# --- filters


def wanted(filters: Filters) -> Wanted:
    """Whether an event is one that all `filters` want. Values of one filter are alternatives, but an event must have all labels.

    Raises InvalidArgument, and Unsupported for what there are no events of here.
    """
    texts = {key: [value] if isinstance(value, str) else list(value) for key, value in filters.items()}
    for key in texts:
        if key in _FOREIGN:
            raise Unsupported(f"--filter: {key!r} is not supported: {_FOREIGN[key]}", f"filters are {', '.join(FILTERS)}")
        if key not in FILTERS:
            near = difflib.get_close_matches(key, FILTERS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"filters are {', '.join(FILTERS)}"
            raise InvalidArgument(f"--filter: unknown filter {key!r}", hint)
    return lambda event: all(_matches(event, key, values) for key, values in texts.items() if values)


def _matches(event: Event, key: str, values: Sequence[str]) -> bool:
    if key == "type":
        return event.type in values
    if key == "scope":
        return SCOPE in values
    if key == "event":
        return event.action in values or (not _LONG_ACTIONS.isdisjoint(values) and event.action.startswith(tuple(values)))
    attributes = attributes_of(event)
    if key == "label":
        pairs = [value.partition("=") for value in values]
        return all(name in attributes and (not separator or attributes[name] == value) for name, separator, value in pairs)
    if key == "image":
        name = attributes.get("name" if event.type == "image" else "image", "")
        digits = event.id.removeprefix("sha256:")
        return not {event.id, digits, digits[:12], name, _without_tag(name)}.isdisjoint(values)
    # As in Docker any event that has such a name: of another type, too.
    return event.id.startswith(tuple(values)) or attributes.get("name", "").startswith(tuple(values))


def _without_tag(name: str) -> str:
    name = name.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name
