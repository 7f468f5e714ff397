"""Build caches in a folder, a registry and an image: what one store did, another one need not do; what is wrong is no hit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.build.caching.document import INLINE
from labcontainers.build.caching.places import Folder
from labcontainers.commands.table import execute, understand
from labcontainers.errors import LabError
from labcontainers.oci.digest import sha256
from tests.engines import put_in_order
from tests.fakes.registry_server import RegistryServer

pytestmark = pytest.mark.alike("ordinary users")

# each run of it makes another layer
RANDOM = "cat /proc/sys/kernel/random/uuid"
# what is copied from the first stage is not all that it made, so that neither layer is the other
TEXT = f"""FROM lab/base AS one
RUN {RANDOM} > /one && touch /more
ENV A=b
FROM lab/base
COPY --from=one /one /one
RUN {RANDOM} > /two
CMD ["x"]
"""


@pytest.fixture
def other(place: Path, store_with_base: Path) -> Iterator[Engine]:
    """An engine on another store."""
    shutil.copytree(store_with_base, place / "o", symlinks=True)
    with put_in_order(lambda engine: engine.store.verify()) as engines:
        engines.append(Engine(root=place / "o", run_root=place / "p"))
        yield engines[-1]


@pytest.fixture
def server(settings_of_nobody: None) -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        yield server


def build(engine: Engine, text: str = TEXT, **keywords: Any) -> Any:
    return engine.images.build(dockerfile_text=text, network="none", **keywords)


def told(built: Any) -> list[str]:
    return [warning.message for warning in built.warnings]


class TestFolder:
    def test_all_steps_of_a_whole_cache_are_found_and_the_image_is_the_same(self, engine: Engine, other: Engine, place: Path) -> None:
        first = build(engine, cache_to=f"type=local,dest={place / 'c'},mode=max")
        second = build(other, cache_from=f"type=local,src={place / 'c'}")
        assert second.image.id == first.image.id
        assert all(step.cached for step in second.steps)
        assert told(second) == []
        shutil.rmtree(place / "c")
        assert all(step.cached for step in build(other).steps)
        assert other.store.verify(deep=True) == []
        # an imported layer goes on to others as it came
        build(other, cache_to=f"type=local,dest={place / 'd'},mode=max")
        assert Folder(place / "d").manifest().layers

    def test_without_a_mode_there_are_the_images_own_steps(self, engine: Engine, other: Engine, place: Path) -> None:
        execute(lambda: engine, understand(["build", "--network", "none", "--cache-to", "type=local,dest=c"]), folder=place, body=TEXT)
        assert len(Folder(place / "c").manifest().layers) == 2
        second = build(other, cache_from=f"type=local,src={place / 'c'}")
        assert [step.cached for step in second.steps] == [True, False, False, True, False, False, False]

    def test_layers_come_only_for_steps_that_are_found(self, engine: Engine, other: Engine, place: Path) -> None:
        build(engine, cache_to=f"type=local,dest={place / 'c'},mode=max")
        blobs = set(other.store.blobs.list())
        changed = TEXT.replace("/two", "/changed")
        second = build(other, changed, cache_from=f"type=local,src={place / 'c'}")
        assert [step.cached for step in second.steps] == [True, True, True, True, True, False, False]
        assert (
            len({one for one in other.store.blobs.list() if one in {x.digest for x in Folder(place / "c").manifest().layers}} - blobs) == 2
        )

    def test_a_cache_that_is_not_there_is_a_warning_and_one_that_is_not_needed_is_not_read(self, engine: Engine, place: Path) -> None:
        missing = f"type=local,src={place / 'none'}"
        first = build(engine, cache_from=[missing, "127.0.0.1:1/no/registry"])
        assert len(told(first)) == 2
        assert missing in told(first)[0]
        assert told(build(engine, cache_from=missing)) == []

    def test_a_place_that_cannot_be_written_fails_the_build_unless_that_is_said(self, engine: Engine, place: Path) -> None:
        (place / "c").mkdir()
        (place / "c" / "blobs").touch()
        with pytest.raises(LabError, match="--cache-to"):
            build(engine, cache_to=f"type=local,dest={place / 'c'}")
        build(engine, cache_to=f"type=local,dest={place / 'c'},ignore-error=true")


class TestRegistry:
    def test_what_one_sends_another_finds(self, engine: Engine, other: Engine, server: RegistryServer) -> None:
        name = f"{server.address}/team/cache:1"
        first = build(engine, cache_to=f"type=registry,ref={name},mode=max")
        second = build(other, cache_from=name)
        assert (second.image.id, all(step.cached for step in second.steps)) == (first.image.id, True)

    def test_an_image_is_a_cache_itself(self, engine: Engine, other: Engine, server: RegistryServer) -> None:
        name = f"{server.address}/team/tool:1"
        text = "FROM lab/base\nRUN cat /proc/sys/kernel/random/uuid > /one\nCOPY <<E /e\nx\nE\n"
        first = build(engine, text, cache_to="type=inline", tag=name)
        assert INLINE in json.loads(engine.store.blobs.read(first.image.id))
        engine.images.push(name)
        second = build(other, text, cache_from=name)
        assert all(step.cached for step in second.steps)
        assert second.image.diff_ids == first.image.diff_ids

    def test_of_buildkits_own_it_is_told_that_it_is_not_understood(self, engine: Engine, server: RegistryServer) -> None:
        config = json.dumps({"moby.buildkit.cache.v0": "e30=", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
        server.put_blob("team/tool", config)
        kind = "application/vnd.oci.image"
        descriptor = {"mediaType": f"{kind}.config.v1+json", "digest": sha256(config), "size": len(config)}
        manifest = {"schemaVersion": 2, "mediaType": f"{kind}.manifest.v1+json", "config": descriptor, "layers": []}
        server.put_manifest("team/tool", "1", json.dumps(manifest).encode())
        (warning,) = told(build(engine, "FROM lab/base\nRUN true\n", cache_from=f"{server.address}/team/tool:1"))
        assert "BuildKit" in warning


class TestBasesAnew:
    """--pull: what a registry has now counts, not what the store had."""

    def moved(self, engine: Engine, other: Engine, server: RegistryServer) -> tuple[str, Any]:
        """A base that both stores have, and the image by which the other one has replaced it at the registry."""
        name = f"{server.address}/team/base:1"
        build(other, f"FROM lab/base\nRUN {RANDOM} > /base\n", tag=name)
        other.images.push(name)
        engine.images.pull(name)
        newer = build(other, f"FROM lab/base\nRUN {RANDOM} > /base\n", tag=name, no_cache=True).image
        other.images.push(name)
        return name, newer

    def test_a_base_that_moved_is_fetched_and_named_as_the_reason(self, engine: Engine, other: Engine, server: RegistryServer) -> None:
        name, newer = self.moved(engine, other, server)
        text = f"FROM {name}\nRUN true\n"
        build(engine, text)
        assert all(step.cached for step in build(engine, text).steps)
        # also where the setting says never, as in all tests
        built = build(engine, text, pull=True)
        assert built.image.diff_ids[:-1] == newer.diff_ids
        assert built.steps[1].reason == f"base moved ({name} is another image now)"
        assert all(step.cached for step in build(engine, text, pull=True).steps[1:])

    def test_the_setting_says_it_for_all_builds(
        self, engine: Engine, other: Engine, server: RegistryServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name, newer = self.moved(engine, other, server)
        monkeypatch.setenv("LABCONTAINERS_PULL", "always")
        assert build(engine, f"FROM {name}\n", pull=False).image.diff_ids != newer.diff_ids
        assert build(engine, f"FROM {name}\n").image.diff_ids == newer.diff_ids

    def test_what_is_made_here_is_asked_of_nobody_and_what_is_nowhere_is_told(self, engine: Engine, server: RegistryServer) -> None:
        first = build(engine, "FROM lab/base\nRUN true\n", pull=True, tag=f"{server.address}/mine:1").image
        assert build(engine, f"FROM {first.id}\n", pull=True).image.diff_ids == first.diff_ids
        asked = len(server.requests())
        assert asked == 0
        with pytest.raises(LabError, match=r"--pull: .*mine:1 cannot be had anew") as caught:
            build(engine, f"FROM {server.address}/mine:1\n", pull=True)
        assert "leave --pull out" in caught.value.hint
