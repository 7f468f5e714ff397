"""What is told of containers on the real kernel: which events, in which order, with which attributes, and how a terminal shows them.

Orders and attributes are those of a dockerd 28.5, asked with the same commands.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from labcontainers import Container, Engine
from labcontainers.commands.table import execute, understand
from labcontainers.containers.exec import exec_options, exec_request, open_stdin
from labcontainers.errors import InvalidArgument, StartFailed
from labcontainers.store.events import Event
from tests.integration.test_recovery import kill_shim
from tests.waiting import until, until_over

pytestmark = pytest.mark.alike("ordinary users")

BASE = "lab/base"
SLEEP = ["sleep", "1000"]
ENTERED = ["exec_create", "exec_start"]


def told(engine: Engine, filters: dict[str, Any] | None = None) -> list[Event]:
    return [event for event in engine.events.read(filters=filters) if event.type in ("container", "network")]


def actions(engine: Engine, container: Container) -> list[str]:
    """What was told of the container and its networks, in order; what belongs to a network begins with its type."""
    found = []
    for event in told(engine):
        if event.id == container.id:
            found.append(event.action)
        elif event.attributes.get("container") == container.id:
            found.append(f"network {event.action}")
    return found


def last_told(engine: Engine, container: Container, action: str) -> Event:
    return [event for event in told(engine) if event.id == container.id and event.action == action][-1]


def say(engine: Engine, *words: str, live: bool = False) -> str:
    """What a command line shows on this engine, at a terminal (`live`) or in a cell."""
    shown: list[bytes] = []
    value = execute(lambda: engine, understand(words), on_output=lambda stream, data: shown.append(data), live=live)
    return b"".join(shown).decode() + ("" if value is None else str(value))


@pytest.fixture
def sleeper(engine: Engine) -> Container:
    return engine.containers.run(BASE, SLEEP, name="sleeper", network="none", detach=True, init=True)


class TestAttributes:
    def test_every_event_has_the_labels_of_image_and_container_and_a_filter_finds_it(self, engine: Engine) -> None:
        engine.images.build(dockerfile_text=f"FROM {BASE}\nLABEL from.image=yes tier=image\n", tag="labelled")
        labels = {"tier": "front", "team": ""}
        container = engine.containers.run("labelled", ["sh", "-c", "exit 3"], labels=labels, network="none", detach=True)
        until_over(engine, container)
        for label in ("from.image", "from.image=yes", "tier=front", "team", "team="):
            found = told(engine, {"label": label, "type": "container"})
            assert [event.action for event in found] == ["create", "start", "die"], label
        assert told(engine, {"label": "tier=image", "type": "container"}) == []
        own = {"from.image": "yes", "tier": "front", "team": "", "image": "labelled"}
        assert last_told(engine, container, "start").attributes == own
        assert last_told(engine, container, "die").attributes == {**own, "execDuration": "0", "exitCode": "3"}
        container.remove()
        assert last_told(engine, container, "destroy").attributes == own
        tagged = [event for event in engine.events.read(filters={"label": "tier=image"}) if event.type == "image"]
        assert [(event.action, event.name) for event in tagged] == [("tag", "labelled:latest")]

    def test_an_end_tells_how_long_it_ran_in_whole_seconds(self, engine: Engine) -> None:
        container = engine.containers.run(BASE, ["sleep", "1.1"], network="none", detach=True)
        until_over(engine, container)
        state = container.state
        assert state.started_at is not None
        assert state.finished_at is not None
        lasted = last_told(engine, container, "die").attributes["execDuration"]
        assert lasted == str(int(state.finished_at - state.started_at))
        assert int(lasted) >= 1

    def test_a_container_that_an_older_version_wrote_down_without_labels_is_told_of(self, engine: Engine) -> None:
        made = engine.containers.create(BASE, SLEEP, network="none", labels={"a": "b"})
        document = json.loads(made._record.row.document)
        del document["options"]["labels"]
        document["config"].pop("Labels", None)
        engine.store.records.rewrite_container(made.id, json.dumps(document))
        container = engine.containers.get(made.id)
        container.start()
        container.remove(force=True)
        assert actions(engine, container)[-3:] == ["network disconnect", "die", "destroy"]
        assert set(last_told(engine, container, "die").attributes) == {"image", "execDuration", "exitCode"}


class TestLives:
    def test_a_restart_is_told_after_its_end_and_its_start(self, engine: Engine) -> None:
        container = engine.containers.run(BASE, SLEEP, detach=True, init=True)
        container.restart()
        begins = ["network connect", "start"]
        ends = ["kill", "network disconnect", "die", "stop"]
        assert actions(engine, container) == ["create", *begins, *ends, *begins, "restart"]
        assert last_told(engine, container, "kill").attributes["signal"] == "15"

    def test_a_restart_of_one_that_has_ended_is_a_start_and_a_restart(self, engine: Engine) -> None:
        container = engine.containers.create(BASE, SLEEP, network="none")
        container.restart()
        assert actions(engine, container) == ["create", "network connect", "start", "restart"]

    def test_each_life_that_a_policy_gives_joins_and_leaves_the_network(self, engine: Engine) -> None:
        container = engine.containers.run(BASE, ["false"], detach=True, restart_policy="on-failure:1")
        life = ["network connect", "start", "network disconnect", "die"]
        until(lambda: actions(engine, container) == ["create", *life, *life], "both lives are told")

    def test_each_signal_of_a_stop_is_told(self, engine: Engine, sleeper: Container) -> None:
        deaf = engine.containers.run(BASE, ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"], network="none", detach=True)
        until(lambda: deaf.logs().text == "up\n", "it hears no SIGTERM")
        deaf.stop(timeout_s=0)
        signals = [event.attributes["signal"] for event in told(engine, {"event": "kill", "container": deaf.id})]
        assert signals == ["15", "9"]
        sleeper.kill("USR1")
        assert last_told(engine, sleeper, "kill").attributes["signal"] == "10"

    def test_a_removal_by_force_is_a_kill_and_no_stop(self, engine: Engine, sleeper: Container) -> None:
        sleeper.remove(force=True)
        assert actions(engine, sleeper)[-4:] == ["kill", "network disconnect", "die", "destroy"]
        assert last_told(engine, sleeper, "kill").attributes["signal"] == "9"

    def test_only_who_sits_at_a_start_is_told_as_attached(self, engine: Engine) -> None:
        began = len(told(engine))
        engine.containers.run(BASE, ["true"], network="none", name="shown")
        again = engine.containers.get("shown")
        with again.start_open(foreground=True) as attachment:
            list(attachment)
        until_over(engine, again)
        until_over(engine, engine.containers.run(BASE, ["true"], network="none", detach=True))
        seen = [event.action for event in told(engine)[began:] if event.type == "container"]
        assert seen == ["create", "attach", "start", "die", "attach", "start", "die", "create", "start", "die"]

    def test_one_that_could_not_be_started_has_neither_begun_nor_ended(self, engine: Engine) -> None:
        container = engine.containers.create(BASE, ["nosuch"])
        with pytest.raises(StartFailed):
            container.start()
        assert actions(engine, container) == ["create"]

    def test_the_end_of_one_whose_shim_was_killed_is_told_by_who_looks_next(self, engine: Engine) -> None:
        container = engine.containers.run(BASE, SLEEP, detach=True, labels={"a": "b"})
        kill_shim(container)
        assert container.status == "exited"
        assert actions(engine, container) == ["create", "network connect", "start", "network disconnect", "die"]
        attributes = last_told(engine, container, "die").attributes
        assert (attributes["a"], attributes["exitCode"]) == ("b", "137")
        assert attributes["execDuration"].isdigit()


class TestNetworks:
    @pytest.mark.parametrize(("network", "kind"), [("none", "null"), ("bridge", "bridge")])
    def test_what_joins_a_network_leaves_it(self, engine: Engine, network: str, kind: str) -> None:
        container = engine.containers.run(BASE, ["true"], network=network, detach=True)
        until_over(engine, container)
        found = told(engine, {"type": "network"})
        assert [event.action for event in found] == ["connect", "disconnect"]
        for event in found:
            assert event.name == network
            assert event.id == (engine.networks.get(network).id or network)
            assert event.attributes == {"container": container.id, "type": kind}
        assert told(engine, {"network": network}) == found

    @pytest.mark.needs("network")
    def test_the_hosts_is_joined_too(self, engine: Engine) -> None:
        container = engine.containers.run(BASE, ["true"], network="host", detach=True)
        until_over(engine, container)
        assert [(event.action, event.name) for event in told(engine, {"type": "network"})] == [("connect", "host"), ("disconnect", "host")]
        assert actions(engine, container) == ["create", "network connect", "start", "network disconnect", "die"]

    def test_who_shares_anothers_joins_none(self, engine: Engine, sleeper: Container) -> None:
        guest = engine.containers.run(BASE, ["true"], network="container:sleeper", detach=True)
        assert until_over(engine, guest) == ["create", "start", "die"]


class TestExecs:
    def test_each_is_told_with_its_command_line_its_id_and_its_exit_code(self, engine: Engine, sleeper: Container) -> None:
        sleeper.exec(["sh", "-c", "exit 3"])
        found = told(engine)[-3:]
        assert [event.action for event in found] == ["exec_create: sh -c exit 3", "exec_start: sh -c exit 3", "exec_die"]
        (exec_id,) = {event.attributes["execID"] for event in found}
        assert re.fullmatch("[0-9a-f]{64}", exec_id)
        assert found[2].attributes["exitCode"] == "3"
        # as Docker has it, with a blank where arguments would be
        sleeper.exec(["true"])
        assert [event.action for event in told(engine)[-3:]] == ["exec_create: true ", "exec_start: true ", "exec_die"]
        assert told(engine)[-1].attributes["execID"] != exec_id

    def test_those_that_nobody_waits_for_and_those_with_a_terminal_are_told_too(self, engine: Engine, sleeper: Container) -> None:
        sleeper.exec(["sh", "-c", "exit 4"], detach=True)
        until(lambda: told(engine)[-1].action == "exec_die", "its end is told")
        assert told(engine)[-1].attributes["exitCode"] == "4"
        with sleeper.exec_open(["sh", "-c", "exit 5"], tty=True) as attachment:
            list(attachment)
            assert attachment.exit_code == 5
        found = [event.action.partition(":")[0] for event in told(engine)[-6:]]
        assert found == [*ENTERED, "exec_die", *ENTERED, "exec_die"]
        assert told(engine)[-1].attributes["exitCode"] == "5"

    def test_one_that_cannot_be_executed_has_no_end(self, engine: Engine, sleeper: Container) -> None:
        with pytest.raises(StartFailed):
            sleeper.exec(["nosuch"])
        assert [event.action for event in told(engine)[-2:]] == ["exec_create: nosuch ", "exec_start: nosuch "]

    def test_one_that_ends_with_its_container_has_ended_before_it(self, engine: Engine, sleeper: Container) -> None:
        sleeper.exec(SLEEP, detach=True)
        sleeper.kill()
        until_over(engine, sleeper)
        assert actions(engine, sleeper)[-4:] == ["kill", "exec_die", "network disconnect", "die"]
        assert last_told(engine, sleeper, "exec_die").attributes["exitCode"] == "137"

    def test_one_that_an_engine_of_an_older_version_asks_for_runs_untold(self, engine: Engine, sleeper: Container) -> None:
        words, options = exec_options(["sh", "-c", "exit 6"])
        request = exec_request(sleeper._lifecycle, sleeper._record, words, options, False)
        del request["shown"]
        before = len(told(engine))
        null = open_stdin(None)
        try:
            with sleeper._lifecycle.client(sleeper._record) as client:
                client.exec(request, (null, null, null))
                assert client.exec_exit_code() == 6
        finally:
            os.close(null)
        assert len(told(engine)) == before

    def test_words_that_are_no_text_can_be_shown(self, engine: Engine, sleeper: Container) -> None:
        sleeper.exec(["echo", "a\udcffb"])
        assert "exec_create: echo a\ufffdb" in say(engine, "events", "-f", "event=exec_create")
        assert '"Action":"exec_create: echo a' in say(engine, "events", "-f", "event=exec_create", "--format", "json")


class TestOtherVerbs:
    def test_top_is_told(self, engine: Engine, sleeper: Container) -> None:
        sleeper.top()
        assert told(engine)[-1].action == "top"

    def test_what_is_pruned_is_told_with_the_bytes_that_became_free(self, engine: Engine) -> None:
        ended = engine.containers.run(BASE, ["sh", "-c", "head -c 100000 /dev/zero >/big"], network="none", detach=True)
        ended.wait()
        pruned = engine.containers.prune()
        assert pruned.reclaimed_bytes >= 100000
        engine.volumes.create()
        engine.volumes.prune()
        for size in ("200000", "1"):
            engine.images.build(dockerfile_text=f"FROM {BASE}\nRUN head -c {size} /dev/zero >/big\n", tag="loose", no_cache=True)
        engine.images.prune()
        found = list(engine.events.read(filters={"event": "prune"}))
        assert [(event.type, event.id, list(event.attributes)) for event in found] == [
            (kind, "", ["reclaimed"]) for kind in ("container", "volume", "image")
        ]
        assert found[0].attributes["reclaimed"] == str(pruned.reclaimed_bytes)
        assert int(found[2].attributes["reclaimed"]) >= 200000


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets this process' time zone until the test is over."""

    def choose(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield choose
    monkeypatch.undo()
    time.tzset()


# a time zone by the rules of POSIX (tzset(3)) -> how a time ends in it
ZONES = [("UTC0", "Z"), ("LAB-2", r"\+02:00"), ("LAB3:30", "-03:30")]
# template -> what it gives of the container `made`, whose id is {id} and whose event was at {seconds}, {nanoseconds}
TEMPLATES = [
    ("{{.Type}} {{.Action}} {{.Status}} {{.From}} {{.Scope}}", "container create create lab/base local"),
    ("{{.ID}} {{.Actor.ID}}", "{id} {id}"),
    ("{{.Time}} {{.TimeNano}}", "{seconds} {nanoseconds}"),
    ("{{.Actor.Attributes}}", "map[a.b:c image:lab/base name:made tier:front]"),
    ("{{.Actor.Attributes.tier}} {{.Actor.Attributes.nosuch}}", "front <no value>"),
    ('{{index .Actor.Attributes "a.b"}}', "c"),
    ("{{json .Actor.Attributes}} {{json .Time}}", '{{"a.b":"c","image":"lab/base","name":"made","tier":"front"}} {seconds}'),
]


class TestShown:
    @pytest.fixture
    def made(self, engine: Engine) -> Event:
        """The event of a container's creation, whose name is made."""
        engine.containers.create(BASE, ["true"], name="made", labels={"tier": "front", "a.b": "c"})
        return told(engine)[-1]

    @pytest.mark.parametrize(("name", "offset"), ZONES)
    def test_a_line_is_dockers(self, engine: Engine, made: Event, zone: Callable[[str], None], name: str, offset: str) -> None:
        zone(name)
        line = say(engine, "events", "-f", "container=made")
        about = rf"container create {made.id} \(a\.b=c, image=lab/base, name=made, tier=front\)"
        assert re.fullmatch(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.{made.time_ns % 10**9:09d}{offset} {about}", line)
        assert line.startswith(time.strftime("%Y-%m-%dT%H:%M:%S.", time.localtime(made.time_ns // 10**9)))

    @pytest.mark.parametrize(("template", "expected"), TEMPLATES)
    def test_a_template_has_dockers_fields(self, engine: Engine, made: Event, template: str, expected: str) -> None:
        values = {"id": made.id, "seconds": made.time_ns // 10**9, "nanoseconds": made.time_ns}
        assert say(engine, "events", "-f", "container=made", "--format", template) == expected.format(**values)

    def test_json_has_dockers_keys(self, engine: Engine, made: Event) -> None:
        line = say(engine, "events", "-f", "container=made", "--format", "json")
        assert say(engine, "events", "-f", "container=made", "--format", "{{json .}}") == line
        attributes = {"a.b": "c", "image": "lab/base", "name": "made", "tier": "front"}
        assert json.loads(line) == {
            "status": "create",
            "id": made.id,
            "from": "lab/base",
            "Type": "container",
            "Action": "create",
            "Actor": {"ID": made.id, "Attributes": attributes},
            "scope": "local",
            "time": made.time_ns // 10**9,
            "timeNano": made.time_ns,
        }
        assert list(json.loads(line)) == "status id from Type Action Actor scope time timeNano".split()


class TestSpans:
    @pytest.mark.parametrize("live", [False, True])
    def test_until_a_time_to_come_what_happens_is_shown_and_then_it_ends(self, engine: Engine, sleeper: Container, live: bool) -> None:
        # long enough for an exec, which begins as soon as the events do
        end = time.time() + 3
        later = threading.Timer(0.5, lambda: sleeper.exec(["true"]))
        later.start()
        shown = say(engine, "events", "--until", f"{end:.3f}", "-f", "type=container", "--format", "{{.Action}}", live=live)
        assert time.time() > end
        later.join()
        assert shown.splitlines() == ["create", "start", "exec_create: true ", "exec_start: true ", "exec_die"]

    @pytest.mark.parametrize("flags", [(), ("--follow",)])
    def test_until_a_time_that_is_over_nothing_is_waited_for(self, engine: Engine, sleeper: Container, flags: tuple[str, ...]) -> None:
        shown = say(engine, "events", *flags, "--until", f"{time.time():.9f}", "--format", "{{.Action}}", "-f", "type=container", live=True)
        assert shown.splitlines() == ["create", "start"]

    def test_a_cell_does_not_wait_unless_it_is_told_to(self, engine: Engine, sleeper: Container) -> None:
        assert say(engine, "events", "--format", "{{.Action}}", "-f", "type=container").splitlines() == ["create", "start"]

    def test_a_span_that_ends_before_it_begins_is_refused(self, engine: Engine) -> None:
        with pytest.raises(InvalidArgument, match="is after until"):
            say(engine, "events", "--since", "1m", "--until", "10m")
