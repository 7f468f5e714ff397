"""Images travel between the store and a registry on loopback: whole, by the same digests, once, and on from where they were interrupted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.errors import DigestMismatch, InvalidArgument, LabError, NotFound, Unavailable
from labcontainers.images.image import Image
from labcontainers.images.transfer import LayerProgress
from labcontainers.oci.manifest import MEDIA_TYPE_INDEX
from tests.fakes.layer_source import FakeLayer, digest_of, gzipped, tar_of
from tests.fakes.registry_server import Answer, Asked, RegistryServer
from tests.integration.test_install import config_of
from tests.waiting import until

RUN: dict[str, Any] = {"network": "none", "remove": True}
DEADLINE_S = 60
NOISE = os.urandom(3_000_000)


@pytest.fixture(autouse=True)
def pulls_what_is_missing(settings_of_nobody: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCONTAINERS_PULL", "missing")


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        yield server


def offer(server: RegistryServer, repository: str, layers: list[FakeLayer], *, tag: str = "latest", config: bytes = b"") -> bytes:
    """Put an image into the registry; its manifest."""
    config = config or config_of(layers)
    server.put_blob(repository, config)
    for layer in layers:
        server.put_blob(repository, layer.stored)
    kind = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": {"mediaType": f"{kind}.config.v1+json", "digest": digest_of(config), "size": len(config)},
        "layers": [
            {"mediaType": f"{kind}.layer.v1.tar+gzip", "digest": digest_of(layer.stored), "size": len(layer.stored)} for layer in layers
        ],
    }
    data = json.dumps(manifest).encode()
    server.put_manifest(repository, tag, data)
    return data


def pull(engine: Engine, name: str, **more: Any) -> Image:
    image = engine.images.pull(name, **more)
    assert isinstance(image, Image)
    return image


def run_command(engine: Engine, *words: str) -> tuple[Any, str]:
    """What a command returns, and what it wrote."""
    written: list[bytes] = []
    value = execute(lambda: engine, understand(words), on_output=lambda stream, data: written.append(data), live=True)
    return value, b"".join(written).decode()


def blob_requests(server: RegistryServer, layer: FakeLayer) -> list[Asked]:
    return server.requests("GET", f"/blobs/{digest_of(layer.stored)}")


# --- there and back


def test_what_is_pushed_comes_back_with_the_same_ids_and_runs(engine: Engine, server: RegistryServer) -> None:
    name = f"{server.address}/team/tool:1"
    before = engine.images.tag("lab/base", name)
    pushed = engine.images.push(name)
    engine.images.remove(name)
    engine.images.remove("lab/base")
    after = pull(engine, name)
    assert (after.id, after.diff_ids, after.manifest_digest) == (before.id, before.diff_ids, pushed.digest)
    assert engine.containers.run(name, ["echo", "works"], **RUN).stdout == "works\n"
    assert engine.images.verify(name)


def test_the_same_image_is_pushed_by_the_same_digest_from_any_store(
    make_engine: Callable[[], Engine], server: RegistryServer, place: Path
) -> None:
    engine = make_engine()
    digests = set()
    for name in ("a", "b"):
        root = place / name
        shutil.copytree(engine.paths.root, root, symlinks=True)
        with Engine(root=root, run_root=place / f"run-{name}") as other:
            other.images.tag("lab/base", f"{server.address}/{name}:1")
            digests.add(other.images.push(f"{server.address}/{name}:1").digest)
    assert len(digests) == 1


def test_what_came_from_a_registry_goes_to_another_one_byte_for_byte(engine: Engine, server: RegistryServer) -> None:
    manifest = offer(server, "from", [gzipped(tar_of({"a": b"1"}))])
    pull(engine, f"{server.address}/from")
    with RegistryServer() as other:
        engine.images.tag(f"{server.address}/from", f"{other.address}/to:2")
        engine.images.push(f"{other.address}/to:2")
        assert other.manifests["to", "2"][1] == manifest


def test_what_the_registry_has_is_not_sent_again_and_what_another_repository_has_is_mounted(engine: Engine, server: RegistryServer) -> None:
    engine.images.tag("lab/base", f"{server.address}/one:1")
    engine.images.push(f"{server.address}/one:1")
    sent = len(server.requests("PUT", "/blobs/uploads/"))
    told: list[LayerProgress] = []
    engine.images.push(f"{server.address}/one:1", on_progress=told.append)
    engine.images.tag("lab/base", f"{server.address}/two:1")
    engine.images.push(f"{server.address}/two:1", on_progress=told.append)
    assert {progress.status for progress in told} == {"Layer already exists", "Mounted from one"}
    assert len(server.requests("PUT", "/blobs/uploads/")) == sent + 1  # the config alone


def test_every_tag_of_a_repository_is_pushed_and_pulled(engine: Engine, server: RegistryServer) -> None:
    for tag in ("1", "2"):
        engine.images.tag("lab/base", f"{server.address}/tool:{tag}")
    run_command(engine, "push", "-q", "-a", f"{server.address}/tool")
    for tag in ("1", "2"):
        engine.images.remove(f"{server.address}/tool:{tag}")
    value, _ = run_command(engine, "pull", "-q", "-a", f"{server.address}/tool")
    assert str(value).split() == [f"{server.address}/tool:1", f"{server.address}/tool:2"]


# --- what a pull is


def test_a_name_with_a_digest_pulls_that_and_nothing_else(engine: Engine, server: RegistryServer) -> None:
    old = digest_of(offer(server, "tool", [gzipped(tar_of({"a": b"old"}))]))
    offer(server, "tool", [gzipped(tar_of({"a": b"new"}))])
    image = pull(engine, f"{server.address}/tool@{old}")
    assert (image.manifest_digest, image.tags) == (old, ())
    assert engine.images.get(f"{server.address}/tool@{old}") == image


def test_a_second_pull_fetches_no_layer_and_says_that_the_image_is_up_to_date(engine: Engine, server: RegistryServer) -> None:
    layer = gzipped(tar_of({"a": b"1"}))
    offer(server, "tool", [layer])
    first, _ = run_command(engine, "pull", f"{server.address}/tool")
    second, written = run_command(engine, "pull", f"{server.address}/tool")
    assert "Status: Downloaded newer image for" in str(first)
    assert "Status: Image is up to date for" in str(second)
    assert written == "latest: Pulling from tool\n"
    assert len(blob_requests(server, layer)) == 1


def test_of_an_image_for_several_platforms_that_of_this_machine_is_taken(engine: Engine, server: RegistryServer) -> None:
    manifests = []
    for architecture in ("s390x", "amd64", "arm64"):
        layers = [gzipped(tar_of({"arch": architecture.encode()}))]
        data = offer(server, "tool", layers, tag=architecture, config=config_of(layers, architecture=architecture))
        platform = {"os": "linux", "architecture": architecture}
        kind = "application/vnd.oci.image.manifest.v1+json"
        manifests.append({"mediaType": kind, "digest": digest_of(data), "size": len(data), "platform": platform})
    index = json.dumps({"schemaVersion": 2, "mediaType": MEDIA_TYPE_INDEX, "manifests": manifests}).encode()
    server.put_manifest("tool", "all", index, MEDIA_TYPE_INDEX)
    own = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    assert pull(engine, f"{server.address}/tool:all").config.architecture == own
    assert pull(engine, f"{server.address}/tool:all", platform="linux/s390x").config.architecture == "s390x"
    assert engine.images.get(f"{server.address}/tool@{digest_of(index)}").config.architecture == "s390x"
    with pytest.raises(NotFound, match="no matching manifest for linux/riscv64"):
        pull(engine, f"{server.address}/tool:all", platform="linux/riscv64")
    with pytest.raises(NotFound, match="its platform linux/s390x is not linux/riscv64"):
        pull(engine, f"{server.address}/tool:s390x", platform="linux/riscv64")


def test_pull_missing_counts_where_the_setting_says_never_and_brings_the_platform(
    engine: Engine, server: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    layers = [gzipped(tar_of({"a": b"a"}))]
    for architecture in ("s390x", own):
        offer(server, "tool", layers, tag=architecture, config=config_of(layers, architecture=architecture))
    monkeypatch.setenv("LABCONTAINERS_PULL", "never")
    with pytest.raises(NotFound, match="no such image"):
        run_command(engine, "create", f"{server.address}/tool:{own}", "true")
    run_command(engine, "create", "--pull", "missing", f"{server.address}/tool:{own}", "true")
    assert engine.images.get(f"{server.address}/tool:{own}").config.architecture == own
    with pytest.raises(NotFound, match=f"its platform linux/s390x is not linux/{own}"):
        run_command(engine, "create", "--pull", "missing", "--platform", f"linux/{own}", f"{server.address}/tool:s390x", "true")


def test_a_short_name_is_looked_for_in_the_registries_that_are_searched(
    engine: Engine, server: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RegistryServer("127.0.0.2") as empty:
        settings = tmp_path / "registries.toml"
        settings.write_text(f'search = ["{empty.address}", "{server.address}"]\n')
        monkeypatch.setenv("LABCONTAINERS_REGISTRIES", str(settings))
        offer(server, "team/tool", [gzipped(tar_of({"a": b"1"}))])
        assert pull(engine, "team/tool").tags == (f"{server.address}/team/tool:latest",)


# --- interrupted, wrong


def test_a_pull_that_was_interrupted_goes_on_where_it_was(engine: Engine, server: RegistryServer) -> None:
    layer = FakeLayer(tar_of({"big": NOISE}), tar_of({"big": NOISE}))
    offer(server, "tool", [layer])

    def gone(asked: Asked) -> Answer | None:
        """After the first million bytes nobody answers any more."""
        if digest_of(layer.stored) not in asked.path or asked.method != "GET":
            return None
        return Answer(503) if "range" in asked.headers else Answer(200, layer.stored, stop_after=1_000_000, length=len(layer.stored))

    server.rules.append(gone)
    with pytest.raises(Unavailable):
        pull(engine, f"{server.address}/tool")
    assert engine.images.find(f"{server.address}/tool") is None
    server.rules.clear()
    server.asked.clear()
    pull(engine, f"{server.address}/tool")
    (asked,) = blob_requests(server, layer)
    assert int(asked.headers["range"].removeprefix("bytes=").rstrip("-")) >= 900_000


def _other_bytes(server: RegistryServer, layer: FakeLayer) -> None:
    server.blobs["tool", digest_of(layer.stored)] = bytes(len(layer.stored))


def _longer(server: RegistryServer, layer: FakeLayer) -> None:
    server.blobs["tool", digest_of(layer.stored)] += b"more"


def _other_config(server: RegistryServer, layer: FakeLayer) -> None:
    config = config_of([layer])
    server.blobs["tool", digest_of(config)] = config.replace(b"linux", b"xinul")


def _other_layers(server: RegistryServer, layer: FakeLayer) -> None:
    offer(server, "tool", [layer], config=config_of([layer, layer]))


def _no_tar(server: RegistryServer, layer: FakeLayer) -> None:
    wrong = FakeLayer(b"no tar at all" * 1000, b"no tar at all" * 1000)
    offer(server, "tool", [wrong])


def _other_tar(server: RegistryServer, layer: FakeLayer) -> None:
    offer(server, "tool", [gzipped(tar_of({"other": b"2"}))], config=config_of([layer]))


WRONG = {
    "a layer of other bytes": _other_bytes,
    "a layer that is too long": _longer,
    "a config of other bytes": _other_config,
    "a config of more layers": _other_layers,
    "a layer that is no archive": _no_tar,
    "a layer of another tar": _other_tar,
}


@pytest.mark.parametrize("spoil", WRONG.values(), ids=WRONG)
def test_an_image_that_is_not_what_its_digests_say_is_refused_and_nothing_of_it_stays(
    engine: Engine, server: RegistryServer, spoil: Callable[[RegistryServer, FakeLayer], None]
) -> None:
    layer = gzipped(tar_of({"a": NOISE[:5000]}))
    offer(server, "tool", [layer])
    spoil(server, layer)
    with pytest.raises((DigestMismatch, InvalidArgument)):
        pull(engine, f"{server.address}/tool")
    assert engine.images.list(all=True) == [engine.images.get("lab/base")]
    assert engine.store.leftovers() == []
    assert [row.diff_id for row in engine.store.records.list_layers()] == list(engine.images.get("lab/base").diff_ids)


def test_two_processes_that_pull_the_same_fetch_each_layer_once(engine: Engine, server: RegistryServer) -> None:
    layers = [FakeLayer(tar_of({f"big{number}": NOISE}), tar_of({f"big{number}": NOISE})) for number in range(2)]
    offer(server, "tool", layers)
    environment = {**os.environ, "LABCONTAINERS_ROOT": str(engine.paths.root), "LABCONTAINERS_RUN": str(engine.paths.run)}
    command = [sys.executable, "-m", "labcontainers", "pull", "-q", f"{server.address}/tool"]
    processes = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=DEADLINE_S)[0] for process in processes] == [f"{server.address}/tool:latest\n"] * 3
    assert [len(blob_requests(server, layer)) for layer in layers] == [1, 1]


def hangs(server: RegistryServer, layer: FakeLayer, count: int) -> None:
    """From now on the server sends `count` bytes of the layer, and then nothing, but keeps the connection."""

    def hang(asked: Asked) -> Answer | None:
        if digest_of(layer.stored) not in asked.path or asked.method != "GET":
            return None

        def part(handler: Any) -> None:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(layer.stored) + layer.stored[:count])
            handler.wfile.flush()
            server.ended.wait(DEADLINE_S)

        return Answer(raw=part)

    server.rules.append(hang)


def pull_elsewhere(engine: Engine, name: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "LABCONTAINERS_ROOT": str(engine.paths.root), "LABCONTAINERS_RUN": str(engine.paths.run)}
    return subprocess.Popen([sys.executable, "-m", "labcontainers", "pull", "-q", name], env=environment)


def test_a_pull_that_is_killed_leaves_a_store_that_is_whole(engine: Engine, server: RegistryServer) -> None:
    layer = FakeLayer(tar_of({"big": NOISE}), tar_of({"big": NOISE}))
    offer(server, "tool", [layer])
    hangs(server, layer, 1_500_000)
    process = pull_elsewhere(engine, f"{server.address}/tool")
    downloads = engine.store.paths.downloads
    until(lambda: any(path.stat().st_size > 1_000_000 for path in downloads.iterdir()), "a part has come")
    process.kill()
    process.wait()
    server.ended.set()
    server.rules.clear()
    engine.store.sweep()
    assert engine.store.verify() == []
    assert engine.verify() == []
    pull(engine, f"{server.address}/tool")
    assert int(blob_requests(server, layer)[-1].headers["range"].removeprefix("bytes=").rstrip("-")) > 1_000_000


def test_a_pull_that_waits_for_a_server_or_for_another_pull_is_interrupted_at_once(engine: Engine, server: RegistryServer) -> None:
    layer = FakeLayer(tar_of({"big": NOISE}), tar_of({"big": NOISE}))
    offer(server, "tool", [layer])
    hangs(server, layer, 1_500_000)
    first = pull_elsewhere(engine, f"{server.address}/tool")
    until(lambda: bool(blob_requests(server, layer)), "it is asked for the layer")
    second = pull_elsewhere(engine, f"{server.address}/tool")
    until(lambda: len(server.requests("GET", "/manifests/latest")) == 2, "another one wants it, too")
    for process in (second, first):
        process.send_signal(signal.SIGINT)
        # the client's patience with a silent server is longer
        assert process.wait(timeout=DEADLINE_S / 2) == 130
    server.ended.set()
    assert engine.store.verify() == []
    assert [row.diff_id for row in engine.store.records.list_layers()] == list(engine.images.get("lab/base").diff_ids)


# --- what is pulled because it is not there


def test_run_pulls_what_is_not_there_and_says_so(engine: Engine, server: RegistryServer) -> None:
    name = f"{server.address}/tool:1"
    engine.images.tag("lab/base", name)
    engine.images.push(name)
    engine.images.remove(name)
    _, written = run_command(engine, "run", "--rm", "--network", "none", name, "echo", "pulled")
    assert written == f"Unable to find image '{name}' locally\npulled\n"
    _, written = run_command(engine, "run", "--rm", "--network", "none", name, "echo", "there")
    assert written == "there\n"


def test_pull_always_asks_the_registry_and_never_does_not(engine: Engine, server: RegistryServer) -> None:
    name = f"{server.address}/tool:1"
    engine.images.tag("lab/base", name)
    engine.images.push(name)
    server.asked.clear()
    run_command(engine, "run", "--rm", "--network", "none", "--pull", "always", name, "true")
    assert server.requests("GET", "/manifests/1")
    engine.images.remove(name)
    server.asked.clear()
    with pytest.raises(NotFound, match="no such image"):
        run_command(engine, "run", "--rm", "--network", "none", "--pull", "never", name, "true")
    assert server.asked == []


def test_a_build_pulls_the_image_that_it_begins_with(engine: Engine, server: RegistryServer, tmp_path: Path) -> None:
    name = f"{server.address}/base:1"
    engine.images.tag("lab/base", name)
    engine.images.push(name)
    engine.images.remove(name)
    built = engine.images.build(tmp_path, dockerfile_text=f"FROM {name}\nRUN echo hi > /hi\n", tag=f"{server.address}/built:1").image
    assert engine.images.get(name).diff_ids == built.diff_ids[:-1]
    pushed = engine.images.push(f"{server.address}/built:1")
    engine.images.remove(f"{server.address}/built:1")
    assert pull(engine, f"{server.address}/built:1").manifest_digest == pushed.digest
    assert engine.containers.run(f"{server.address}/built:1", ["cat", "/hi"], **RUN).stdout == "hi\n"


def test_an_image_that_is_nowhere_is_told_with_the_registrys_reason(engine: Engine, server: RegistryServer) -> None:
    with pytest.raises(NotFound, match=rf"no such image: {server.address}/nosuch, and it cannot be pulled: .*not found"):
        engine.containers.run(f"{server.address}/nosuch", ["true"], **RUN)
    with pytest.raises(LabError, match="an image does not exist locally with the tag"):
        engine.images.push(f"{server.address}/nosuch")


# --- lists for several platforms


def test_a_list_of_manifests_is_put_together_sent_and_pulled_by_platform(engine: Engine, server: RegistryServer) -> None:
    for architecture in ("amd64", "arm64"):
        layers = [gzipped(tar_of({"arch": architecture.encode()}))]
        offer(server, "tool", layers, tag=architecture, config=config_of(layers, architecture=architecture))
    name, first, second = (f"{server.address}/tool:{tag}" for tag in ("all", "amd64", "arm64"))
    created, _ = run_command(engine, "manifest", "create", name, first, second)
    assert str(created) == f"Created manifest list {name}"
    run_command(engine, "manifest", "annotate", "--variant", "v9", name, second)
    digest, _ = run_command(engine, "manifest", "push", "--purge", name)
    index = json.loads(server.manifests["tool", "all"][1])
    assert digest_of(server.manifests["tool", "all"][1]) == str(digest)
    assert [one["platform"] for one in index["manifests"]] == [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm64", "variant": "v9"},
    ]
    shown, _ = run_command(engine, "manifest", "inspect", name)
    assert json.loads(str(shown)) == index
    assert pull(engine, name, platform="linux/arm64/v9").config.architecture == "arm64"
    with pytest.raises(NotFound, match="no such manifest list"):
        run_command(engine, "manifest", "rm", name)


def test_a_list_takes_what_is_in_another_repository_with_it(engine: Engine, server: RegistryServer) -> None:
    layer = gzipped(tar_of({"a": b"1"}))
    manifest = offer(server, "part", [layer])
    run_command(engine, "manifest", "create", f"{server.address}/whole:1", f"{server.address}/part")
    run_command(engine, "manifest", "push", f"{server.address}/whole:1")
    assert ("whole", digest_of(manifest)) in server.manifests
    assert ("whole", digest_of(layer.stored)) in server.blobs


def test_a_list_that_is_there_is_changed_only_when_that_is_said(engine: Engine, server: RegistryServer) -> None:
    offer(server, "tool", [gzipped(tar_of({"a": b"1"}))])
    name, member = f"{server.address}/tool:all", f"{server.address}/tool"
    run_command(engine, "manifest", "create", name, member)
    with pytest.raises(LabError, match="no --amend flag"):
        run_command(engine, "manifest", "create", name, member)
    run_command(engine, "manifest", "create", "--amend", name, member)
    with pytest.raises(NotFound, match=r"manifest for image .*:other does not exist"):
        run_command(engine, "manifest", "annotate", name, f"{server.address}/tool:other")
    run_command(engine, "manifest", "push", name)
    with pytest.raises(InvalidArgument, match="cannot take a list of manifests into a list"):
        run_command(engine, "manifest", "create", f"{server.address}/tool:more", name)
