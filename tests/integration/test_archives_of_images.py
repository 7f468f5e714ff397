"""save, load and import on the real kernel: the same image comes out that went in, here and in other engines."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.errors import Conflict, Denied, InvalidArgument, LabError, NotFound, Unavailable, Unsupported
from labcontainers.images.transfer import LayerProgress
from labcontainers.oci.manifest import Manifest
from tests.fakes.image_archive import Entry, digest_of, docker, oci, pack
from tests.fakes.layer_source import gzipped, tar_of
from tests.fakes.registry_server import Answer, RegistryServer

RUN: dict[str, Any] = {"network": "none", "remove": True}
FILES = {"etc": None, "etc/name": b"value\n", "big": bytes(range(256)) * 8000}


@pytest.fixture
def other(place: Path) -> Iterator[Engine]:
    """An engine on an empty store of its own."""
    with Engine(root=place / "s2", run_root=place / "r2") as engine:
        yield engine


def command(engine: Engine, *words: str, **more: Any) -> tuple[Any, bytes]:
    """The value of a command at a terminal, and what it wrote."""
    written: list[bytes] = []
    more = {"live": True, "screen": False, **more}
    value = execute(lambda: engine, understand(words), on_output=lambda stream, data: written.append(data), **more)
    return value, b"".join(written)


def layered(engine: Engine, name: str) -> None:
    """An image of two layers that was made here."""
    container = engine.containers.create("lab/base", ["sh", "-c", "echo more > /more; rm -r /tmp"], network="none")
    container.start().wait(60)
    container.commit(name)
    container.remove()


def test_an_image_that_was_saved_is_loaded_as_the_same_and_saved_as_the_same_bytes(engine: Engine, other: Engine) -> None:
    layered(engine, "made:1")
    first = b"".join(engine.images.save("made:1"))
    loaded = other.images.load(first)
    assert repr(loaded) == "Loaded image: made:1"
    assert [image.id for image in loaded] == [engine.images.get("made:1").id]
    assert loaded[0].manifest_digest == engine.images.get("made:1").manifest_digest
    assert other.store.leftovers() == []
    result = other.containers.run("made:1", ["sh", "-c", "cat /more; ls -d /tmp || echo gone"], **RUN)
    assert "more\ngone" in result.stdout
    assert b"".join(other.images.save("made:1")) == first


def test_a_file_and_a_stream_get_the_same_bytes_and_their_size_is_known(engine: Engine, place: Path) -> None:
    with engine.images.save("lab/base") as archive, open(place / "file", "wb") as file:
        assert archive.write(file) == archive.size_bytes == (place / "file").stat().st_size
    assert b"".join(engine.images.save("lab/base")) == (place / "file").read_bytes()
    assert engine.store.leftovers() == []


def test_several_images_share_their_blobs_and_a_repository_means_all_its_tags(engine: Engine, other: Engine) -> None:
    layered(engine, "made:1")
    engine.images.tag("made:1", "made:2")
    data = b"".join(engine.images.save(["made", "lab/base", engine.images.get("lab/base").id]))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        names = archive.getnames()
    assert len(names) == len(set(names))
    assert {member for member in names if not member.startswith("blobs")} == {"oci-layout", "index.json", "manifest.json", "repositories"}
    assert repr(other.images.load(data)).splitlines() == [f"Loaded image: {name}" for name in ("made:1", "made:2", "lab/base:latest")]


def test_what_came_compressed_is_kept_and_saved_as_it_came(engine: Engine) -> None:
    layers = [gzipped(tar_of(FILES)), gzipped(tar_of({"more": b"x"}))]
    image = engine.images.load(pack(oci(layers)))[0]
    listed = Manifest.from_bytes(engine.store.blobs.read(image.manifest_digest)).layers
    assert [layer.digest for layer in listed] == [digest_of(layer.stored) for layer in layers]
    data = b"".join(engine.images.save(image.id))
    assert all(layer.stored in data for layer in layers)
    assert repr(engine.images.load(data)) == f"Loaded image ID: {image.id}"


def test_docker_archives_of_old_are_loaded_and_run(engine: Engine, other: Engine) -> None:
    base = engine.images.get("lab/base")
    with tarfile.open(fileobj=io.BytesIO(b"".join(engine.images.save("lab/base")))) as archive:
        member = archive.extractfile(f"blobs/sha256/{base.diff_ids[0][7:]}")
        assert member is not None
        layer = gzipped(member.read())
    other.images.load(gzip.compress(pack(docker([layer, gzipped(tar_of({"more": b"there\n"}))]))))
    assert other.containers.run("it", ["cat", "/more"], **RUN).stdout == "there\n"


def test_a_name_moves_to_what_is_loaded_and_that_is_told(engine: Engine) -> None:
    former = engine.images.load(pack(oci([gzipped(tar_of({"a": b"1"}))])))[0]
    loaded = engine.images.load(pack(oci([gzipped(tar_of({"a": b"2"}))])))
    told = f"The image it:latest already exists, renaming the old one with ID {former.id} to empty string"
    assert repr(loaded).splitlines() == [told, "Loaded image: it:latest"]
    assert engine.images.get("it").id != former.id


def test_layers_are_told_as_docker_does_and_not_when_they_are_there(engine: Engine) -> None:
    layer = gzipped(tar_of(FILES))
    for statuses in ({"Loading layer"}, set()):
        told: list[LayerProgress] = []
        engine.images.load(pack(oci([layer])), on_progress=told.append)
        assert {progress.status for progress in told} == statuses


def test_an_image_that_is_being_saved_is_not_removed(engine: Engine, other: Engine) -> None:
    layered(engine, "made")
    archive = engine.images.save("made")
    engine.images.remove("made")
    other.images.load(archive)
    assert other.images.get("made").diff_ids
    assert engine.store.leftovers() == []


# --- the commands


def test_save_writes_a_private_file_and_load_reads_it(engine: Engine, other: Engine, place: Path) -> None:
    assert command(engine, "save", "-o", "it.tar", "lab/base", folder=place) == (None, b"")
    assert stat.S_IMODE((place / "it.tar").stat().st_mode) == 0o600
    assert str(command(other, "image", "load", "-i", "it.tar", folder=place)[0]) == "Loaded image: lab/base:latest"
    with open(place / "it.tar", "rb") as file:
        assert str(command(other, "load", "-q", stdin=file.fileno())[0]) == "Loaded image: lab/base:latest"
    assert command(engine, "save", "lab/base")[1] == (place / "it.tar").read_bytes()


REFUSED: tuple[tuple[tuple[str, ...], type[Exception], str], ...] = (
    (("save", "-o", "x.tar", "nosuch"), NotFound, "no such image: nosuch"),
    (("save", "-o", "/no/such/file", "lab/base"), NotFound, "--output: '/no/such/file': invalid output path"),
    (("save", "-o", "x.tar", "--platform", "linux/s390x", "lab/base"), NotFound, "does not provide the specified platform"),
    (("save", "-o", "x.tar", "--platform", "a/b/c/d", "lab/base"), InvalidArgument, "--platform: invalid platform"),
    (("load", "-i", "nosuch"), NotFound, "--input: 'nosuch': no such file or directory"),
    (("load", "-i", "."), InvalidArgument, "it has neither index.json nor manifest.json"),
    (("import", "."), Conflict, "import: '.' is a directory"),
    (("import", "nosuch"), NotFound, "import: 'nosuch': no such file or directory"),
    (("import", "http://no host/file"), InvalidArgument, "http://no host/file"),
    (("import", "http://127.0.0.1:1/file"), Unavailable, "127.0.0.1:1: cannot connect"),
    (("import", "-c", "RUN x", "tree.tar"), InvalidArgument, "RUN"),
    (("import", "tree.tar", "Bad/Name"), InvalidArgument, "Bad/Name"),
)


@pytest.mark.parametrize(("words", "kind", "text"), REFUSED, ids=[" ".join(row[0]) for row in REFUSED])
def test_what_is_wrong_is_told_before_anything_is_made(
    engine: Engine, place: Path, words: tuple[str, ...], kind: type[Exception], text: str
) -> None:
    (place / "tree.tar").write_bytes(tar_of(FILES))
    before = sorted(path.name for path in place.iterdir())
    with pytest.raises(kind) as caught:
        command(engine, *words, folder=place)
    assert text in str(caught.value)
    assert sorted(path.name for path in place.iterdir()) == before
    assert [image.name for image in engine.images.list(all=True)] in (["lab/base:latest"], [])


def test_an_archive_is_not_shown_on_a_screen_nor_in_a_cell(engine: Engine) -> None:
    with pytest.raises(Conflict, match="cowardly refusing to save to a terminal"):
        command(engine, "save", "lab/base", screen=True)
    for words in (("save", "lab/base"), ("load",), ("import", "-")):
        with pytest.raises((InvalidArgument, Unsupported), match="cell"):
            command(engine, *words, live=False)


# --- import


def test_a_root_file_system_becomes_an_image_with_the_config_that_is_said(engine: Engine, place: Path) -> None:
    container = engine.containers.create("lab/base", ["true"], network="none")
    (place / "tree.tar.gz").write_bytes(gzip.compress(b"".join(container.export())))
    container.remove()
    words = ("import", "-c", "CMD echo there", "-c", "ENV A=b", "-m", "from a test", "tree.tar.gz", "rooted:1")
    value, _ = command(engine, *words, folder=place)
    image = engine.images.get("rooted:1")
    assert str(value) == image.id
    assert (image.config.config.env, image.history[-1].comment) == (("A=b",), "from a test")
    assert engine.containers.run("rooted:1", **RUN).stdout == "there\n"


def packed(names: list[str], form: int) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=form) as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            content = FILES[name]
            member.type, member.mode, member.mtime = (tarfile.DIRTYPE, 0o755, 5) if content is None else (tarfile.REGTYPE, 0o644, 5)
            member.size = len(content or b"")
            archive.addfile(member, io.BytesIO(content or b""))
    return output.getvalue()


def test_the_same_files_give_the_same_layer_whatever_packed_them(engine: Engine) -> None:
    one = engine.images.import_image(packed(list(FILES), tarfile.GNU_FORMAT))
    two = engine.images.import_image(io.BytesIO(gzip.compress(packed(["big", "etc", "etc/name"], tarfile.PAX_FORMAT))))
    assert one.diff_ids == two.diff_ids
    assert one.config.os == "linux"


def test_what_is_no_archive_is_not_imported(engine: Engine) -> None:
    for data in (b"x" * 2000, tar_of(FILES)[:5000]):
        with pytest.raises(InvalidArgument):
            engine.images.import_image(data)
    assert engine.store.leftovers() == []


def test_an_import_may_be_for_another_platform(engine: Engine) -> None:
    image = engine.images.import_image(tar_of(FILES), "arm", platform="linux/arm/v7")
    assert (image.config.architecture, image.config.extra["variant"]) == ("arm", "v7")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RegistryServer]:
    """A server of files, which no proxy or setting of whoever runs the tests keeps us from."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with RegistryServer() as server:
        yield server


@pytest.mark.parametrize("screen", [True, False])
def test_a_url_is_imported_and_told_of_as_docker_does(engine: Engine, server: RegistryServer, screen: bool) -> None:
    tree = gzip.compress(tar_of(FILES))
    server.rules.append(lambda asked: Answer(200, tree, [("ETag", '"1"')]))
    told: list[LayerProgress] = []
    url = f"{server.url}/tree.tar.gz"
    value, written = command(engine, "import", url.replace("://", "://me:secret@"), "fetched:1", on_event=told.append, screen=screen)
    image = engine.images.get("fetched:1")
    assert str(value) == image.id
    assert written.decode() == f"Downloading from {url}\n"
    assert image.diff_ids == engine.images.import_image(tar_of(FILES)).diff_ids
    assert image.history[-1].comment == f"Imported from {url}"
    assert told[-1] == LayerProgress("", "Importing", len(tree), len(tree))
    assert told[-1].line().startswith("Importing  ")
    assert engine.store.leftovers() == []


# what a server sends in place of the whole archive, the error
HALF: dict[str, tuple[Answer, type[Exception]]] = {
    "not there": (Answer(404, b"no"), NotFound),
    "nobody's": (Answer(403, b"no"), Denied),
    "a page": (Answer(200, b"<html>" + b" " * 600), InvalidArgument),
    "a part": (Answer(200, tar_of(FILES), stop_after=100_000), Unavailable),
    "the half of a tar": (Answer(200, tar_of(FILES)[:100_000]), LabError),
}


@pytest.mark.parametrize(("answer", "kind"), HALF.values(), ids=HALF)
def test_what_does_not_come_whole_is_no_image(engine: Engine, server: RegistryServer, answer: Answer, kind: type[Exception]) -> None:
    server.rules.append(lambda asked: answer)
    before = [image.id for image in engine.images.list(all=True)]
    with pytest.raises(kind):
        engine.images.import_image(f"{server.url}/tree.tar", "fetched:1")
    assert [image.id for image in engine.images.list(all=True)] == before
    assert engine.store.leftovers() == []


# --- folders


def unpacked(entries: list[Entry], folder: Path) -> Path:
    """The archive's files as they lie in a folder."""
    for name, content in entries:
        assert isinstance(content, bytes)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("form", [oci, docker], ids=["OCI layout", "Docker's"])
def test_an_archive_that_is_unpacked_is_loaded_as_the_archive_is(
    engine: Engine, other: Engine, place: Path, form: Callable[..., list[Entry]]
) -> None:
    layers = [gzipped(tar_of(FILES)), gzipped(tar_of({"more": b"x"}))]
    unpacked(form(layers), place / "folder")
    value, _ = command(engine, "load", "-i", "folder", folder=place)
    assert str(value) == "Loaded image: it:latest"
    assert [image.id for image in other.images.load(pack(form(layers)))] == [engine.images.get("it").id]
    assert engine.images.verify("it")
    assert repr(other.images.load(place / "folder")) == repr(value)
    assert engine.store.leftovers() == []


@pytest.mark.needs("skopeo")
def test_the_layout_that_skopeo_writes_is_loaded(engine: Engine, place: Path) -> None:
    layered(engine, "made:1")
    command(engine, "save", "-o", "it.tar", "made:1", folder=place)
    tool("skopeo")("copy", "-q", "--insecure-policy", f"oci-archive:{place}/it.tar", f"oci:{place}/layout:docker.io/library/again:2")
    assert repr(engine.images.load(place / "layout")) == "Loaded image: again:2"
    assert engine.images.get("again:2").diff_ids == engine.images.get("made:1").diff_ids


# --- other engines


def tool(name: str) -> Callable[..., str]:
    def run(*words: str) -> str:
        done = subprocess.run([name, *words], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.needs("skopeo")
def test_skopeo_reads_both_sides_of_what_is_saved_and_we_read_what_it_writes(engine: Engine, other: Engine, place: Path) -> None:
    layered(engine, "made:1")
    image, skopeo = engine.images.get("made:1"), tool("skopeo")
    command(engine, "save", "-o", "it.tar", "made:1", folder=place)
    for kind in ("docker-archive", "oci-archive"):
        written = place / f"{kind}.tar"
        source = f"{kind}:{place}/it.tar" + (":made:1" if kind == "docker-archive" else ":1")
        skopeo("--insecure-policy", "copy", source, f"{kind}:{written}:made:1")
        assert [found.diff_ids for found in other.images.load(written)] == [image.diff_ids]
        other.images.remove("made:1")
    found = skopeo("inspect", "--raw", f"oci-archive:{place}/it.tar:1")
    assert "sha256:" + hashlib.sha256(found.encode()).hexdigest() == image.manifest_digest


@pytest.mark.needs("root", "umoci")
def test_umoci_unpacks_what_is_saved(engine: Engine, place: Path) -> None:
    layered(engine, "made:1")
    command(engine, "save", "-o", "it.tar", "made:1", folder=place)
    (place / "layout").mkdir()
    tool("tar")("-C", str(place / "layout"), "-xf", str(place / "it.tar"))
    tool("umoci")("unpack", "--image", f"{place}/layout:1", str(place / "bundle"))
    assert (place / "bundle/rootfs/more").read_text() == "more\n"
    assert not os.path.lexists(place / "bundle/rootfs/tmp")


@pytest.mark.needs("a Docker")
def test_docker_loads_what_is_saved_and_we_load_what_it_saves(engine: Engine, other: Engine, place: Path) -> None:
    layered(engine, "lab-archives-test:1")
    image, docker_cli = engine.images.get("lab-archives-test:1"), tool("docker")
    command(engine, "save", "-o", "it.tar", "lab-archives-test:1", folder=place)
    assert docker_cli("load", "-i", str(place / "it.tar")).endswith("Loaded image: lab-archives-test:1\n")
    try:
        assert docker_cli("image", "inspect", "--format", "{{.Id}}", "lab-archives-test:1").strip() == image.id
        docker_cli("save", "-o", str(place / "theirs.tar"), "lab-archives-test:1")
    finally:
        docker_cli("rmi", "lab-archives-test:1")
    assert [found.id for found in other.images.load(place / "theirs.tar")] == [image.id]
