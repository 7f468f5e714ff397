"""The smaller verbs on containers: rename, top, port, wait conditions, sizes, filters and prune."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.errors import Conflict, InvalidArgument, NotFound, Unsupported

pytestmark = pytest.mark.alike("ordinary users")

SLEEP = ["sleep", "1000"]


def say(engine: Engine, *words: str) -> Any:
    return execute(lambda: engine, understand(words))


def started(engine: Engine, **options: Any) -> Any:
    return engine.containers.run("lab/base", SLEEP, detach=True, network="none", **options)


def test_rename_changes_the_name_everywhere_while_the_container_runs(engine: Engine) -> None:
    container = started(engine, name="before")
    other = engine.containers.get("before")
    say(engine, "rename", "before", "after")
    assert engine.containers.get("after") == container
    with pytest.raises(NotFound, match="before"):
        engine.containers.get("before")
    other.reload()
    assert other.name == "after"
    # what the shim tells later goes under the new name
    other.stop(timeout_s=0)
    events = [(event.action, event.name) for event in engine.events.read() if event.type == "container"]
    assert ("rename", "after") in events
    assert ("die", "after") in events
    renamed = next(event for event in engine.events.read() if event.action == "rename")
    assert renamed.attributes["oldName"] == "/before"


def test_rename_refuses_a_name_that_is_taken_invalid_or_the_same(engine: Engine) -> None:
    engine.containers.create("lab/base", SLEEP, name="one")
    two = engine.containers.create("lab/base", SLEEP, name="two")
    with pytest.raises(Conflict, match="'one' is already in use"):
        two.rename("one")
    with pytest.raises(InvalidArgument, match="invalid container name '-x'"):
        two.rename("-x")
    with pytest.raises(InvalidArgument, match="two has this name already"):
        two.rename("/two")
    assert two.name == "two" == engine.containers.get("two").name


def test_top_lists_the_processes_of_the_container_alone(engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["sh", "-c", "sleep 999 & sleep 1000"], detach=True, network="none")
    deadline = time.monotonic() + 60
    # between fork and exec a process has the shell's name
    shown = container.top()
    while {row[-1].split("/")[-1] for row in shown} != {"sleep 999", "sleep 1000"}:
        assert time.monotonic() < deadline, shown
        time.sleep(0.05)
        shown = container.top()
    assert shown.titles == ("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")
    assert len(shown) == 2
    assert str(container.state.pid) in {row[1] for row in shown}
    assert "sleep 999" in repr(shown)
    assert "sleep 999" in shown._repr_html_()
    assert shown.to_dict()["Titles"][1] == "PID"
    container.stop(timeout_s=0)
    with pytest.raises(Conflict, match="is not running"):
        container.top()


def test_top_passes_options_to_ps_and_keeps_the_containers_rows(engine: Engine) -> None:
    container = started(engine)
    shown = say(engine, "top", container.name, "-o", "pid,args")
    assert shown.titles[0] == "PID"
    assert [row[0] for row in shown] == [str(container.state.pid)]
    with pytest.raises(InvalidArgument, match="couldn't find PID field"):
        container.top("-o args")
    with pytest.raises(InvalidArgument, match="ps --no-such-option"):
        container.top(["--no-such-option"])


@pytest.mark.needs("network")
def test_port_tells_where_published_ports_lead(engine: Engine) -> None:
    container = engine.containers.run("lab/base", SLEEP, detach=True, ports=["127.0.0.1:0:80", "127.0.0.1:0:443"])
    binding = next(port for port in container.ports if port.container_port == 80)
    assert say(engine, "port", container.name).splitlines()[0] == f"80/tcp -> 127.0.0.1:{binding.host_port}"
    assert say(engine, "port", container.name, "80") == f"127.0.0.1:{binding.host_port}"
    assert say(engine, "port", container.name, "80/tcp") == f"127.0.0.1:{binding.host_port}"
    with pytest.raises(NotFound, match="no public port 81/tcp published"):
        say(engine, "port", container.name, "81")
    container.stop(timeout_s=0)
    assert say(engine, "port", container.name) == ""


def later(action: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=lambda: (time.sleep(0.3), action()))
    thread.start()
    return thread


def test_wait_for_the_next_exit_of_a_container_that_is_yet_to_be_started(engine: Engine) -> None:
    container = engine.containers.create("lab/base", ["sh", "-c", "exit 5"], network="none")
    assert container.wait() == 0
    thread = later(container.start)
    assert container.wait(30, condition="next-exit") == 5
    thread.join()
    with pytest.raises(TimeoutError):
        container.wait(0.1, condition="next-exit")


def test_wait_until_a_container_is_removed(engine: Engine) -> None:
    container = engine.containers.run("lab/base", ["sh", "-c", "sleep 0.3; exit 7"], detach=True, network="none", remove=True)
    assert container.wait(30, condition="removed") == 7
    assert engine.containers.list(all=True) == []
    kept = engine.containers.run("lab/base", ["sh", "-c", "exit 3"], detach=True, network="none")
    kept.wait()
    thread = later(kept.remove)
    assert say(engine, "wait", "--condition", "removed", kept.name) == "3"
    assert engine.containers.list(all=True) == []
    thread.join()
    with pytest.raises(InvalidArgument, match="invalid condition 'never'"):
        started(engine).wait(condition="never")


def test_sizes_tell_the_writable_layer_and_the_whole(engine: Engine) -> None:
    container = engine.containers.create("lab/base", ["sh", "-c", "head -c 300000 /dev/urandom > /x"], network="none")
    container.start().wait()
    own, whole = container.sizes()
    assert 300_000 <= own < 400_000
    assert whole - own == engine.images.get("lab/base").size_bytes
    document = container.inspect(size=True)
    assert (document["SizeRw"], document["SizeRootFs"]) == (own, whole)
    assert "SizeRw" not in container.inspect()
    assert "(virtual " in repr(say(engine, "ps", "-a", "-s"))
    assert "(virtual " in say(engine, "ps", "-a", "--format", "{{.Size}}")


def names(engine: Engine, *filters: str) -> list[str]:
    words = [word for text in filters for word in ("--filter", text)]
    return [container.name for container in say(engine, "ps", "-a", *words)]


def test_list_filters_are_dockers(engine: Engine) -> None:
    one = engine.containers.create("lab/base", SLEEP, name="one", labels={"a": "1"}, ports=["0:80"])
    engine.containers.create("lab/base", SLEEP, name="two", labels={"a": "2", "b": ""}, network="none")
    engine.containers.create("lab/base", SLEEP, name="three", network="none")
    assert names(engine) == ["three", "two", "one"]
    assert names(engine, "before=three") == ["two", "one"]
    assert names(engine, "since=one") == ["three", "two"]
    assert names(engine, "since=one", "before=three") == ["two"]
    assert names(engine, "label=a") == ["two", "one"]
    assert names(engine, "label=a", "label=b") == ["two"]
    assert names(engine, "publish=80") == ["one"] == names(engine, "publish=70-90/tcp") == names(engine, "expose=80/tcp")
    assert names(engine, "publish=81") == [] == names(engine, "publish=80/udp")
    assert names(engine, "health=none") == ["three", "two", "one"]
    assert names(engine, f"since={one.short_id}", "name=^/t") == ["three", "two"]
    with pytest.raises(NotFound, match="nobody"):
        names(engine, "before=nobody")


def test_list_filters_tell_containers_apart_by_what_they_are_and_did(engine: Engine) -> None:
    maker = engine.containers.create("lab/base", ["touch", "/new"], network="none")
    maker.start().wait(60)
    image = maker.commit("lab/other")
    maker.remove()
    engine.containers.create("lab/base", SLEEP, name="first")
    for name, code in (("fine", 0), ("failed", 3)):
        engine.containers.run("lab/base", ["sh", "-c", f"exit {code}"], name=name, detach=True, network="none").wait(60)
    engine.containers.create("lab/other", SLEEP, name="other", network="host")
    assert [container.name for container in say(engine, "ps", "-l")] == ["other"]
    started(engine, name="runs")
    assert names(engine, "exited=0") == ["fine"]
    assert names(engine, "exited=3", "exited=0") == ["failed", "fine"]
    assert names(engine, "status=created") == ["other", "first"]
    assert names(engine, "status=running", "status=exited") == ["runs", "failed", "fine"]
    assert names(engine, f"id={engine.containers.get('other').short_id}") == ["other"]
    assert names(engine, "network=host") == ["other"]
    assert names(engine, "network=bridge") == ["first"]
    everyone = ["runs", "other", "failed", "fine", "first"]
    assert names(engine, "ancestor=lab/base") == everyone == names(engine, "ancestor=lab/base:latest")
    assert names(engine, "ancestor=lab/other") == ["other"] == names(engine, f"ancestor={image.id}")
    assert names(engine, "ancestor=lab/other", "status=running") == [] == names(engine, "ancestor=no/such")
    assert [container.name for container in say(engine, "ps")] == ["runs"]
    assert [container.name for container in say(engine, "ps", "-n", "2")] == ["runs", "other"]


def test_each_field_of_a_template_is_dockers(engine: Engine) -> None:
    labels = {"a": "1", "b": "2"}
    container = engine.containers.run("lab/base", SLEEP, name="web", detach=True, ports=["127.0.0.1:0:80"], labels=labels)
    port = container.ports[0].host_port
    fields = {
        "ID": container.short_id, "Names": "web", "Image": "lab/base", "Command": '"sleep 1000"', "State": "running",
        "Ports": f"127.0.0.1:{port}->80/tcp", "Labels": "a=1,b=2", "Networks": "bridge", "LocalVolumes": "0", "Mounts": "",
    }  # fmt: skip
    for name, value in fields.items():
        assert str(say(engine, "ps", "--format", f"{{{{.{name}}}}}")) == value, name
    assert str(say(engine, "ps", "--format", "{{.RunningFor}}")).endswith(" ago")
    assert str(say(engine, "ps", "--format", "{{.Status}}")).startswith("Up ")
    at = str(say(engine, "ps", "--format", "{{.CreatedAt}}")).rpartition(" ")[0]
    assert time.mktime(time.strptime(at, "%Y-%m-%d %H:%M:%S %z")) <= time.time()
    assert json.loads(str(say(engine, "ps", "--format", "json")))["Names"] == "web"
    container.stop(timeout_s=0)
    assert str(say(engine, "ps", "-a", "--format", "{{.Ports}}")) == ""


def test_statistics_of_all_show_those_that_do_not_run_as_nothing(engine: Engine) -> None:
    engine.containers.create("lab/base", SLEEP, name="idle")
    started(engine, name="runs")
    shown = ("--no-stream", "--format", "{{.Name}} {{.PIDs}}")
    assert str(say(engine, "stats", *shown)) == "runs 1"
    assert sorted(str(say(engine, "stats", "-a", *shown)).splitlines()) == ["idle 0", "runs 1"]


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("publish=x", InvalidArgument, "invalid filter 'publish=x'"),
        ("publish=90-80", InvalidArgument, "invalid filter 'publish=90-80'"),
        ("health=well", InvalidArgument, "invalid filter 'health=well'"),
        ("status=gone", InvalidArgument, "invalid filter 'status=gone'"),
        ("is-task=true", Unsupported, "there is no swarm"),
        ("lable=x", InvalidArgument, "unknown filter 'lable'"),
    ],
)
def test_a_bad_filter_is_named(engine: Engine, text: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        names(engine, text)


def test_prune_removes_what_its_filters_mean_and_tells_the_space(engine: Engine) -> None:
    old = engine.containers.create("lab/base", ["sh", "-c", "head -c 100000 /dev/urandom > /x"], labels={"keep": "no"}, network="none")
    old.start().wait()
    kept = engine.containers.create("lab/base", SLEEP, labels={"keep": "yes"})
    running = started(engine)
    assert list(engine.containers.prune({"until": "1h"})) == []
    with pytest.raises(InvalidArgument, match="unknown filter 'name'"):
        engine.containers.prune({"name": "x"})
    pruned = say(engine, "prune", "--filter", "label!=keep=yes")
    assert list(pruned) == [old.id]
    assert pruned.reclaimed_bytes >= 100_000
    assert repr(pruned).startswith(f"Deleted Containers:\n{old.id}\n\nTotal reclaimed space: ")
    assert list(say(engine, "prune", "--filter", "label=keep=yes")) == [kept.id]
    assert engine.containers.list(all=True) == [running]
