"""Images go to podman, buildah, oras and crane and come back as they were: through a registry on loopback and as archives."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.images.image import Image
from labcontainers.oci.manifest import MEDIA_TYPE_DOCKER_MANIFEST, MEDIA_TYPE_MANIFEST
from tests.fakes.certificates import Authority
from tests.integration.test_docker_registry import HTPASSWD, running

Tool = Callable[..., str]
MANIFESTS = (MEDIA_TYPE_MANIFEST, MEDIA_TYPE_DOCKER_MANIFEST)
# what is in the second layer: owners, modes, links, extended attributes, and what is gone from the first
SCRIPT = """mkdir -m 1777 /d && echo x > /d/file && chown 7:8 /d/file && chmod 4751 /d/file && ln /d/file /d/hard
ln -s /d/file /d/link && mkfifo -m 640 /d/fifo && touch -d '2020-02-02 02:02:02' /d/old && rm -r /tmp && echo changed > /etc/group"""

BUILT = r"""FROM lab/base AS tools
RUN printf '%s\n' '#!/bin/sh' 'echo "$GREETING $*"; id -u; id -g; pwd; cat note' \
    'stat -c "%u:%g %a %n" /srv/work note' 'touch x || true' >/say
RUN chmod 755 /say
FROM lab/base
ENV GREETING="hello to"
COPY --from=tools /say /bin/say
WORKDIR /srv/work
COPY --chown=7:8 --chmod=640 <<EOF note
of the build
EOF
USER 7:8
ENTRYPOINT ["say"]
CMD ["every", "body"]
"""


@pytest.fixture(autouse=True)
def pulls_what_is_missing(settings_of_nobody: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCONTAINERS_PULL", "missing")


@pytest.fixture
def address(place: Path) -> Iterator[str]:
    with running(place / "registry") as address:
        yield address


@pytest.fixture
def other(place: Path) -> Iterator[Engine]:
    """An engine on an empty store of its own."""
    with Engine(root=place / "s2", run_root=place / "r2") as engine:
        yield engine


@pytest.fixture
def tool(place: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Tool]:
    """Programs of the containers project, with all their state in the test's folder and mounts of their own."""
    (place / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    (place / "registries.conf").write_text("unqualified-search-registries = []\n")
    (place / "storage.conf").write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{place}/cs"\nrunroot = "{place}/cr"\n')
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(place / "registries.conf"))
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(place / "storage.conf"))
    policy = ("--signature-policy", str(place / "policy.json"))

    def named(name: str) -> Tool:
        state = (
            ("--tmpdir", f"{place}/ct", "--cgroup-manager=cgroupfs", "--events-backend=none", "--runtime=crun") if name == "podman" else ()
        )

        def run(verb: str, *words: str) -> str:
            more = policy if verb in ("pull", "push", "load", "from", "commit") else ()
            command = [
                # crun of Debian 12 refuses version 2's hierarchy beside those of version 1
                *("unshare", "--mount", "sh", "-c", 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"', "sh"),
                name,
                "--root",
                f"{place}/cs",
                "--runroot",
                f"{place}/cr",
                "--storage-driver",
                "vfs",
                *state,
                verb,
                *more,
                *words,
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)
            assert done.returncode == 0, done.stderr
            return done.stdout.strip()

        return run

    return named


def layered(engine: Engine, name: str) -> Image:
    """An image of two layers that was made here."""
    container = engine.containers.create("lab/base", ["sh", "-ec", SCRIPT], network="none")
    assert container.start().wait(60) == 0
    container.commit(name, message="made", changes=["ENV A='b c'", "CMD cat /d/file", "WORKDIR /d", "LABEL one=two"])
    container.remove()
    return engine.images.get(name)


def files_of(folder: Path) -> dict[str, tuple[Any, ...]]:
    """What a tree holds, but for times of directories: (kind and mode, owner, content or target, time, links)."""
    found = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        kind = status.st_mode
        content = os.readlink(path) if stat.S_ISLNK(kind) else hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(kind) else ""
        at = 0 if stat.S_ISDIR(kind) else status.st_mtime_ns
        attributes = {name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)}
        found[str(path.relative_to(folder))] = (kind, status.st_uid, status.st_gid, content, at, attributes)
    return found


def ours(engine: Engine, image: Image, folder: Path) -> dict[str, tuple[Any, ...]]:
    """The files of an image as this engine gives them."""
    folder.mkdir()
    container = engine.containers.create(image, ["true"], network="none")
    with subprocess.Popen(["tar", "--xattrs", "--xattrs-include=*", "-xpf", "-", "-C", str(folder)], stdin=subprocess.PIPE) as tar:
        assert tar.stdin is not None
        for piece in container.export():
            tar.stdin.write(piece)
    assert tar.returncode == 0
    container.remove()
    return files_of(folder)


def manifest_at(address: str, name: str) -> bytes:
    """The manifest of an image as the registry has it."""
    repository, _, tag = name.rpartition(":")
    asked = urllib.request.Request(f"http://{address}/v2/{repository}/manifests/{tag}", headers={"Accept": ", ".join(MANIFESTS)})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return bytes(answer.read())


def digest_at(address: str, name: str) -> str:
    return "sha256:" + hashlib.sha256(manifest_at(address, name)).hexdigest()


@pytest.mark.needs("root", "podman", "docker-registry")
class TestPodman:
    def test_pulls_what_we_push_with_every_file_as_it_is_here(
        self, engine: Engine, tool: Callable[[str], Tool], address: str, place: Path
    ) -> None:
        image, podman = layered(engine, f"{address}/team/made:1"), tool("podman")
        engine.images.push(f"{address}/team/made:1")
        podman("pull", "-q", "--tls-verify=false", f"{address}/team/made:1")
        found = json.loads(podman("image", "inspect", f"{address}/team/made:1"))[0]
        assert f"sha256:{found['Id']}" == image.id
        assert (found["Config"]["Cmd"], found["Config"]["WorkingDir"], found["Labels"]) == (
            ["/bin/sh", "-c", "cat /d/file"], "/d", {"one": "two"},
        )  # fmt: skip
        folder = podman("image", "mount", f"{address}/team/made:1")
        assert files_of(Path(folder)) == ours(engine, image, place / "ours")
        podman("image", "umount", f"{address}/team/made:1")

    @pytest.mark.needs("crun")
    def test_runs_what_we_build_and_push_as_we_run_it(self, engine: Engine, tool: Callable[[str], Tool], address: str, place: Path) -> None:
        name, podman = f"{address}/team/built:1", tool("podman")
        engine.images.build(place, dockerfile_text=BUILT, tag=name, network="none")
        engine.images.push(name)
        here = engine.containers.run(name, network="none", remove=True)
        assert here.stdout.startswith("hello to every body\n7\n8\n/srv/work\nof the build\n")
        assert "Permission denied" in here.stderr
        limits = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
        ran = podman("run", "--rm", "--tls-verify=false", "--network=none", "--cgroups=disabled", "--log-driver=none", *limits, name)
        assert ran == here.stdout.strip()

    @pytest.mark.parametrize("words", [("--format", "oci"), ("--format", "v2s2"), ("--format", "oci", "--compression-format", "zstd")])
    def test_pushes_what_we_read_and_send_on_as_the_same_bytes(
        self, engine: Engine, other: Engine, tool: Callable[[str], Tool], address: str, place: Path, words: tuple[str, ...]
    ) -> None:
        image, podman = layered(engine, "made:1"), tool("podman")
        engine.images.save("made:1").write((place / "it.tar").open("wb"))
        podman("load", "-q", "-i", str(place / "it.tar"))
        podman("push", "-q", "--tls-verify=false", *words, "made:1", f"{address}/theirs/made:1")
        pulled = other.images.pull(f"{address}/theirs/made:1")
        assert pulled.diff_ids == image.diff_ids
        assert pulled.manifest_digest == digest_at(address, "theirs/made:1")
        other.images.tag(pulled.id, f"{address}/again/made:1")
        other.images.push(f"{address}/again/made:1")
        assert digest_at(address, "again/made:1") == pulled.manifest_digest
        assert other.containers.run(pulled, ["cat", "/d/file"], network="none").stdout == "x\n"

    @pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci-dir"])
    def test_saves_what_we_load(self, engine: Engine, other: Engine, tool: Callable[[str], Tool], place: Path, form: str) -> None:
        image, podman = layered(engine, "made:1"), tool("podman")
        engine.images.save("made:1").write((place / "it.tar").open("wb"))
        assert "made:1" in podman("load", "-q", "-i", str(place / "it.tar"))
        podman("save", "-q", "--format", form, "-o", str(place / "theirs"), "made:1")
        loaded = other.images.load(place / "theirs")
        assert [found.diff_ids for found in loaded] == [image.diff_ids]
        assert loaded[0].labels == {"one": "two"}
        assert other.containers.run(loaded[0], network="none").stdout == "x\n"

    def test_logs_in_to_a_registry_by_tls_and_we_use_what_it_wrote_down(
        self, engine: Engine, tool: Callable[[str], Tool], place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        authority = Authority(place / "ca")
        certificate, key = authority.issue("server")
        (place / "htpasswd").write_text(HTPASSWD)
        tls = {"certificate": str(certificate), "key": str(key)}
        auth = {"htpasswd": {"realm": "test", "path": str(place / "htpasswd")}}
        with running(place / "closed", auth=auth, http={"tls": tls}) as address:
            certificates = place / "config/containers/certs.d" / address
            certificates.mkdir(parents=True)
            shutil.copy(authority.certificate, certificates / "ca.crt")
            podman = tool("podman")
            podman("login", "-u", "ann", "-p", "secret", "--cert-dir", str(certificates), "--authfile", str(place / "auth.json"), address)
            image = layered(engine, f"{address}/team/made:1")
            engine.images.push(f"{address}/team/made:1")
            podman("pull", "-q", "--cert-dir", str(certificates), "--authfile", str(place / "auth.json"), f"{address}/team/made:1")
            assert podman("image", "inspect", "--format", "{{.Id}}", f"{address}/team/made:1") == image.id.removeprefix("sha256:")


@pytest.mark.needs("root", "buildah", "docker-registry")
def test_buildah_builds_on_what_we_push_and_we_run_what_it_pushes(
    engine: Engine, other: Engine, tool: Callable[[str], Tool], address: str, place: Path
) -> None:
    layered(engine, f"{address}/team/made:1")
    engine.images.push(f"{address}/team/made:1")
    buildah = tool("buildah")
    (place / "more").write_text("of buildah\n")
    container = buildah("from", "-q", "--tls-verify=false", f"{address}/team/made:1")
    buildah("copy", "-q", container, str(place / "more"), "/more")
    buildah("config", "--cmd", "cat /d/file /more", "--env", "C=d", container)
    buildah("commit", "-q", "--tls-verify=false", container, f"docker://{address}/theirs/more:1")
    assert other.containers.run(f"{address}/theirs/more:1", network="none").stdout == "x\nof buildah\n"
    assert {"A=b c", "C=d"} <= set(other.images.get(f"{address}/theirs/more:1").config.config.env)


@pytest.mark.needs("docker-registry")
class TestOras:
    @pytest.fixture
    def oras(self, address: str) -> Iterator[Any]:
        from oras.client import OrasClient

        client = OrasClient(hostname=address, insecure=True)
        yield client
        client.session.close()

    def test_reads_our_documents_and_layers_byte_for_byte(self, engine: Engine, oras: Any, address: str) -> None:
        image = layered(engine, f"{address}/team/made:1")
        engine.images.push(f"{address}/team/made:1")
        container = oras.get_container(f"{address}/team/made:1")
        manifest = oras.get_manifest(container, allowed_media_type=["application/vnd.oci.image.manifest.v1+json"])
        assert manifest == json.loads(manifest_at(address, "team/made:1"))
        assert manifest["config"]["digest"] == image.id
        for layer in manifest["layers"]:
            data = oras.get_blob(container, layer["digest"]).content
            assert (f"sha256:{hashlib.sha256(data).hexdigest()}", len(data)) == (layer["digest"], layer["size"])

    def test_what_it_pushes_is_told_and_is_no_image(self, engine: Engine, oras: Any, address: str, place: Path) -> None:
        (place / "note.txt").write_text("a note\n")
        oras.push(target=f"{address}/team/note:1", files=[f"{place}/note.txt:text/plain"], disable_path_validation=True, quiet=True)
        said = execute(
            lambda: engine, understand(("manifest", "inspect", f"{address}/team/note:1")), on_output=lambda stream, data: None, live=True
        )
        assert json.loads(str(said))["layers"][0]["mediaType"] == "text/plain"
        with pytest.raises(Exception, match=r"text/plain|no image|artifact") as refused:
            engine.images.pull(f"{address}/team/note:1")
        assert "\n" not in str(refused.value)
        assert engine.store.leftovers() == []


@pytest.mark.needs("crane", "docker-registry")
def test_crane_copies_and_validates_what_we_push(engine: Engine, other: Engine, address: str, place: Path) -> None:
    image = layered(engine, f"{address}/team/made:1")
    engine.images.push(f"{address}/team/made:1")

    def crane(*words: str) -> str:
        return subprocess.run(["crane", *words], capture_output=True, text=True, check=True, timeout=120).stdout.strip()

    crane("validate", "--insecure", "--remote", f"{address}/team/made:1")
    assert crane("digest", "--insecure", f"{address}/team/made:1") == digest_at(address, "team/made:1")
    crane("copy", "--insecure", f"{address}/team/made:1", f"{address}/copy/made:1")
    assert other.images.pull(f"{address}/copy/made:1").id == image.id
    crane("pull", "--insecure", f"{address}/team/made:1", str(place / "crane.tar"))
    assert [found.id for found in engine.images.load(place / "crane.tar")] == [image.id]


@pytest.mark.needs("oras", "docker-registry")
def test_the_oras_command_copies_what_we_push_and_its_layouts_are_read(engine: Engine, other: Engine, address: str, place: Path) -> None:
    image = layered(engine, f"{address}/team/made:1")
    engine.images.push(f"{address}/team/made:1")

    def oras(*words: str) -> str:
        return subprocess.run(["oras", *words], capture_output=True, text=True, check=True, timeout=120, cwd=place).stdout.strip()

    assert oras("manifest", "fetch", "--plain-http", f"{address}/team/made:1").encode() == manifest_at(address, "team/made:1").strip()
    oras("cp", "--from-plain-http", "--to-plain-http", f"{address}/team/made:1", f"{address}/copy/made:1")
    assert other.images.pull(f"{address}/copy/made:1").id == image.id
    oras("cp", "--from-plain-http", f"{address}/team/made:1", "--to-oci-layout", "layout:1")
    subprocess.run(["tar", "-cf", str(place / "layout.tar"), "-C", str(place / "layout"), "."], check=True)
    assert [loaded.id for loaded in other.images.load(place / "layout.tar")] == [image.id]
