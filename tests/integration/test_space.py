"""`system df` tells what is on disk, and `system prune` frees it: on a real store, by real workers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.errors import InvalidArgument

pytestmark = pytest.mark.alike("ordinary users")

KIB = 1024
BIG = 3000 * KIB
Say = Callable[..., Any]


@pytest.fixture
def say(engine: Engine) -> Say:
    return lambda *words: execute(lambda: engine, understand(words))


@pytest.fixture
def made(engine: Engine) -> None:
    """An image of three megabytes above lab/base, a container of it that has written one more, and a volume with half a one."""
    engine.images.build(dockerfile_text=f"FROM lab/base\nRUN head -c {BIG} /dev/urandom > /big\n", tag="big:1", network="none")
    command = f"head -c {1000 * KIB} /dev/urandom > /own; head -c {500 * KIB} /dev/urandom > /v/file"
    engine.containers.run("big:1", ["sh", "-c", command], name="ended", network="none", volumes=["data:/v"])


def kinds(engine: Engine) -> dict[str, Any]:
    return {kind.name: kind for kind in engine.disk_usage().kinds}


class TestUsage:
    def test_each_kind_is_counted_and_what_nobody_uses_is_told(self, engine: Engine, made: None) -> None:
        found = kinds(engine)
        images, containers, volumes, cache = (found[name] for name in ("Images", "Containers", "Local Volumes", "Build Cache"))
        assert (images.total, images.active) == (2, 1)
        base = sum(layer.size_bytes for layer in engine.images.get("lab/base").layers)
        assert BIG + base * 0.8 < images.size_bytes < BIG + base * 1.3
        assert images.reclaimable_bytes < 10_000
        assert (containers.total, containers.active) == (1, 0)
        assert 1000 * KIB <= containers.size_bytes == containers.reclaimable_bytes < 1100 * KIB
        assert (volumes.total, volumes.active, volumes.reclaimable_bytes) == (1, 1, 0)
        assert 500 * KIB <= volumes.size_bytes < 550 * KIB
        assert (cache.total, cache.size_bytes) == (1, 0)

    def test_what_no_container_has_can_be_reclaimed(self, engine: Engine, made: None) -> None:
        engine.containers.get("ended").remove()
        found = kinds(engine)
        assert found["Images"].reclaimable_bytes == found["Images"].size_bytes
        assert found["Local Volumes"].reclaimable_bytes == found["Local Volumes"].size_bytes
        assert found["Images"].reclaimable.endswith("(100%)")

    def test_a_layer_that_two_images_have_counts_once_and_is_shared(self, engine: Engine, made: None) -> None:
        by_name = {one.image.name: one for one in engine.disk_usage().images}
        big, base = by_name["big:1"], by_name["lab/base:latest"]
        assert big.shared_bytes == base.shared_bytes > 0
        assert BIG < big.unique_bytes < BIG * 1.1
        assert base.unique_bytes < 10_000
        assert (big.containers, base.containers) == (1, 0)

    def test_layers_are_measured_once(self, engine: Engine, made: None, monkeypatch: pytest.MonkeyPatch) -> None:
        first = kinds(engine)["Images"].size_bytes
        paths: list[str] = []
        call = engine.store.worker.call

        def told(function: str, /, **arguments: Any) -> Any:
            paths.append(str(arguments.get("path")))
            return call(function, **arguments)

        monkeypatch.setattr(engine.store.worker, "call", told)
        assert kinds(engine)["Images"].size_bytes == first
        assert not [path for path in paths if "/snapshots/" in path]

    def test_everything_is_listed_as_by_docker(self, made: None, say: Say) -> None:
        text = str(say("system", "df", "-v"))
        parts = text.split("\n\n")
        assert parts[0::2] == [
            "Images space usage:",
            "Containers space usage:",
            "Local Volumes space usage:",
            "Build cache usage: 0B",
        ]
        heads = [part.splitlines()[0].split("  ") for part in parts[1::2]]
        assert [[cell.strip() for cell in head if cell.strip()] for head in heads] == [
            ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"],
            ["CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES"],
            ["VOLUME NAME", "LINKS", "SIZE"],
            ["CACHE ID", "CACHE TYPE", "SIZE", "CREATED", "LAST USED", "USAGE", "SHARED"],
        ]
        assert parts[3].splitlines()[1].endswith("ended")

    def test_its_json_has_dockers_fields(self, made: None, say: Say) -> None:
        document = json.loads(say("system", "df", "-v", "--format", "json"))
        assert list(document) == ["Images", "Containers", "Volumes", "BuildCache"]
        assert {"Repository", "Tag", "ID", "SharedSize", "UniqueSize", "Containers"} <= set(document["Images"][0])
        assert document["Volumes"][0]["Links"] == "1"
        assert say("system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}").splitlines()[0] == "Images 2 1"


class TestPrune:
    def test_takes_what_has_ended_and_what_has_no_name_and_tells_it(self, engine: Engine, made: None) -> None:
        container = engine.containers.get("ended")
        named = engine.images.get("big:1")
        engine.images.build(dockerfile_text="FROM big:1\nENV A=b\n", tag="big:1")
        pruned = engine.prune()
        assert pruned.containers == (container.id,)
        assert f"deleted: {named.id}" in pruned.images
        assert (engine.images.find(named.id), engine.images.get("big:1").tags) == (None, ("big:1",))
        assert pruned.reclaimed_bytes >= 1000 * KIB
        assert [volume.name for volume in engine.volumes.list()] == ["data"]
        lines = repr(pruned).splitlines()
        assert lines[:4] == ["Deleted Containers:", container.id, "", "Deleted Images:"]
        assert lines[-1].startswith("Total reclaimed space: ")

    def test_all_leaves_nothing_but_named_volumes(self, engine: Engine, made: None) -> None:
        engine.volumes.create()
        before = kinds(engine)
        pruned = engine.prune(all=True, volumes=True)
        freed = sum(before[name].size_bytes for name in ("Images", "Containers"))
        assert freed * 0.95 < pruned.reclaimed_bytes < freed * 1.05
        assert (len(pruned.volumes), len(pruned.cache)) == (1, 1)
        assert {kind.name: kind.total for kind in engine.disk_usage().kinds} == {
            "Images": 0, "Containers": 0, "Local Volumes": 1, "Build Cache": 0,
        }  # fmt: skip
        assert list(engine.store.blobs.list()) == []

    def test_what_a_label_means_alone_goes(self, engine: Engine) -> None:
        for label in ("keep", "go"):
            engine.containers.create("lab/base", ["true"], network="none", name=label, labels={label: ""})
        assert len(engine.prune({"label": "go"}).containers) == 1
        assert [container.name for container in engine.containers.list(all=True)] == ["keep"]

    def test_a_running_container_keeps_its_image(self, engine: Engine, made: None) -> None:
        engine.containers.run("big:1", ["sleep", "300"], network="none", detach=True, stop_timeout=0)
        engine.prune(all=True)
        assert [image.tags for image in engine.images.list()] == [("big:1",)]
        assert engine.verify() == []

    def test_what_builds_remember_of_images_that_are_gone_is_freed(self, engine: Engine, made: None) -> None:
        engine.containers.get("ended").remove()
        engine.images.remove("big:1", no_prune=True)
        cache = kinds(engine)["Build Cache"]
        assert (cache.total, cache.reclaimable_bytes >= BIG) == (1, True)
        assert engine.prune().reclaimed_bytes >= BIG
        assert kinds(engine)["Build Cache"].total == 0

    @pytest.mark.parametrize("filters", [{"until": "1h"}, {"label": "x", "until": "24h"}])
    def test_volumes_have_no_age(self, engine: Engine, filters: dict[str, str]) -> None:
        with pytest.raises(InvalidArgument, match="until does not go with --volumes"):
            engine.prune(filters, volumes=True)

    def test_networks_that_users_made_are_none(self, say: Say) -> None:
        assert say("network", "prune", "-f") is None
