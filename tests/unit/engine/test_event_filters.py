"""Which events are meant, and what they say: Docker's filters, given to the engine, and Docker's message of each event.

What was expected of each filter was seen of a dockerd 28.5 (moby, daemon/events/filter.go).
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from labcontainers.engine.events import Events, message_of
from labcontainers.errors import InvalidArgument, LabError, Unsupported
from labcontainers.store.events import Event, EventLog

WEB, DB, IMAGE, NETWORK = "a" * 64, "b" * 64, "sha256:" + "c" * 64, "d" * 64
LABELS = {"tier": "front", "a.b": "c"}
EVENTS = (
    Event("container", "create", WEB, "web", {**LABELS, "image": "nginx:1"}, 1),
    Event("container", "health_status: healthy", WEB, "web", {"image": "nginx:1"}, 2),
    Event("container", "die", DB, "db", {"image": "reg.example:5000/redis", "exitCode": "1"}, 3),
    Event("image", "tag", IMAGE, "nginx:1", {"name": "nginx:1", "tier": "back"}, 4),
    Event("volume", "mount", "data", "data", {"container": DB}, 5),
    Event("network", "connect", NETWORK, "bridge", {"container": WEB, "type": "bridge"}, 6),
    Event("container", "exec_create: true ", WEB, "web", {"image": "nginx:1", "execID": "e"}, 7),
)
# filters -> the places in EVENTS of what they want
CASES: list[tuple[dict[str, str | list[str]], list[int]]] = [
    ({}, [0, 1, 2, 3, 4, 5, 6]),
    ({"type": "container"}, [0, 1, 2, 6]),
    ({"type": ["volume", "network"]}, [4, 5]),
    ({"event": ["die", "tag"]}, [2, 3]),
    ({"event": "health_status"}, [1]),
    ({"event": "health_status: healthy"}, [1]),
    ({"event": "exec_create"}, [6]),
    ({"event": "exec_create: true "}, [6]),
    ({"event": "exec_create: true"}, []),
    ({"event": "exec_"}, []),
    ({"event": ["health_status", "di"]}, [1, 2]),
    ({"event": "di"}, []),
    ({"container": "web"}, [0, 1, 6]),
    ({"container": "we"}, [0, 1, 6]),
    ({"container": "bbb"}, [2]),
    ({"container": ["web", "db"]}, [0, 1, 2, 6]),
    ({"image": "nginx:1"}, [0, 1, 3, 6]),
    ({"image": "nginx"}, [0, 1, 3, 6]),
    ({"image": "ngin"}, []),
    ({"image": "reg.example:5000/redis"}, [2]),
    ({"image": IMAGE}, [3]),
    ({"image": "c" * 12}, [3]),
    ({"volume": "data"}, [4]),
    ({"network": "bridge"}, [5]),
    ({"network": "ddd"}, [5]),
    ({"label": "tier"}, [0, 3]),
    ({"label": "tier=front"}, [0]),
    ({"label": "tier=blue"}, []),
    ({"label": "a.b=c"}, [0]),
    ({"label": ["tier", "a.b=c"]}, [0]),
    ({"label": ["tier=front", "tier=back"]}, []),
    ({"label": "name=web"}, [0, 1, 6]),
    ({"scope": "local"}, [0, 1, 2, 3, 4, 5, 6]),
    ({"scope": "swarm"}, []),
    ({"type": "container", "event": "die"}, [2]),
]
# filter -> what is raised, in which words, and the hint
BAD = [
    ("evnt", InvalidArgument, "unknown filter 'evnt'", "did you mean event?"),
    ("daemon", Unsupported, "--filter: 'daemon' is not supported: no daemon", "filters are type, event, "),
    ("plugin", Unsupported, "--filter: 'plugin' is not supported: there are no plugins", "filters are "),
    ("service", Unsupported, "--filter: 'service' is not supported: there is no swarm", "filters are "),
]
# event -> Docker's message of it as JSON, beside its times
MESSAGES = [
    (
        EVENTS[0],
        f'{{"status":"create","id":"{WEB}","from":"nginx:1","Type":"container","Action":"create","Actor":{{"ID":"{WEB}","Attributes":'
        '{"a.b":"c","image":"nginx:1","name":"web","tier":"front"}},"scope":"local",',
    ),
    (
        EVENTS[3],
        f'{{"status":"tag","id":"{IMAGE}","Type":"image","Action":"tag","Actor":{{"ID":"{IMAGE}","Attributes":'
        '{"name":"nginx:1","tier":"back"}},"scope":"local",',
    ),
    (
        EVENTS[4],
        f'{{"Type":"volume","Action":"mount","Actor":{{"ID":"data","Attributes":{{"container":"{DB}"}}}},"scope":"local",',
    ),
    (
        EVENTS[5],
        f'{{"Type":"network","Action":"connect","Actor":{{"ID":"{NETWORK}","Attributes":{{"container":"{WEB}","name":"bridge",'
        '"type":"bridge"}},"scope":"local",',
    ),
    (
        Event("container", "prune", "", "", {"reclaimed": "0"}, 7),
        '{"status":"prune","Type":"container","Action":"prune","Actor":{"ID":"","Attributes":{"reclaimed":"0"}},"scope":"local",',
    ),
    # A label of that name does not hide the container's own.
    (
        Event("container", "start", WEB, "web", {"name": "label", "image": "x"}, 8),
        f'{{"status":"start","id":"{WEB}","from":"x","Type":"container","Action":"start","Actor":{{"ID":"{WEB}","Attributes":'
        '{"image":"x","name":"web"}},"scope":"local",',
    ),
]


@pytest.fixture
def events(tmp_path: Path) -> Events:
    log = EventLog(tmp_path / "events.jsonl")
    for event in EVENTS:
        log.append(event)
    return Events(log, lambda: False)


@pytest.mark.parametrize(("filters", "places"), CASES)
def test_filters_choose_events(events: Events, filters: dict[str, str | list[str]], places: list[int]) -> None:
    assert list(events.read(filters=filters)) == [EVENTS[place] for place in places]


@pytest.mark.parametrize(("key", "error", "words", "hint"), BAD)
def test_a_filter_that_is_not_there_is_named_with_what_is(events: Events, key: str, error: type[LabError], words: str, hint: str) -> None:
    for ask in (events.read, events.follow):
        with pytest.raises(error, match=words) as caught:
            ask(filters={key: "die"})
        assert str(caught.value.hint).startswith(hint)


@pytest.mark.parametrize(("event", "text"), MESSAGES)
def test_the_message_of_an_event_has_the_keys_of_dockers_in_their_order(event: Event, text: str) -> None:
    at = f'"time":0,"timeNano":{event.time_ns}}}'
    assert json.dumps(message_of(event), separators=(",", ":")) == text + at


def test_what_is_followed_is_filtered_too(events: Events, tmp_path: Path) -> None:
    coming = events.follow(filters={"event": "die"})
    for event in EVENTS:
        EventLog(tmp_path / "events.jsonl").append(event)
    assert next(coming) == EVENTS[2]


def test_who_follows_from_a_time_on_hears_what_was_and_then_what_comes_each_once(events: Events, tmp_path: Path) -> None:
    coming = events.follow(since=4e-9)
    late = Event("container", "start", WEB, "web", {}, 9)
    EventLog(tmp_path / "events.jsonl").append(late)
    assert [next(coming) for _ in range(5)] == [*EVENTS[3:], late]


def test_following_ends_at_the_time_that_is_said_without_what_came_after_it(events: Events, tmp_path: Path) -> None:
    until = time.time() + 0.3
    later = Event("container", "stop", WEB, "web", {}, int((until + 60) * 1e9))
    coming = events.follow(filters={"type": "container"}, since=7e-9, until=until)
    EventLog(tmp_path / "events.jsonl").append(later)
    assert list(coming) == [EVENTS[6]]
    assert time.time() > until


def test_a_span_that_ends_before_it_begins_is_refused(events: Events) -> None:
    for ask in (events.read, events.follow):
        with pytest.raises(InvalidArgument, match=r"since 5\.0+ is after until 4\.0+"):
            ask(since=5.0, until=4.0)


def test_an_older_versions_events_have_a_message_too(tmp_path: Path) -> None:
    old: dict[str, Any] = {"type": "container", "action": "die", "id": DB, "name": "db", "attributes": {"image": "redis"}, "time_ns": 3}
    (tmp_path / "events.jsonl").write_text(json.dumps(old) + "\n")
    (event,) = Events(EventLog(tmp_path / "events.jsonl"), lambda: False).read(filters={"container": "db"})
    assert message_of(event)["Actor"] == {"ID": DB, "Attributes": {"image": "redis", "name": "db"}}
