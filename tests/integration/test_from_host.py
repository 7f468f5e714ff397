"""`FROM host`: images on this machine's own root, which run here and go nowhere else."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.errors import DockerfileError, InvalidArgument, LabError, Unsupported
from labcontainers.images import host_root
from labcontainers.store.host_layer import host_diff_id, is_host
from tests.fakes.image_archive import oci, pack
from tests.fakes.layer_source import FakeLayer, gzipped, tar_of

# the machine's root has what lies on its disk, and nothing that is mounted below
pytestmark = pytest.mark.on_disk

DOCKERFILE = """FROM host
RUN echo built > /etc/lab-built && rm /etc/os-release
COPY file /opt/lab/file
WORKDIR /srv/lab-work
CMD ["sh", "-c", "cat /etc/lab-built /opt/lab/file; pwd; test ! -e /etc/os-release && test -e /etc/passwd && echo as-built"]
"""
MADE = ("/etc/lab-built", "/opt/lab", "/srv/lab-work")


@pytest.fixture
def context(place: Path) -> Path:
    folder = place / "context"
    folder.mkdir()
    (folder / "file").write_text("copied\n")
    return folder


@pytest.mark.needs("root")
@pytest.mark.empty_store
class TestAsRoot:
    def test_steps_give_layers_on_the_machines_root_and_change_nothing_of_it(self, engine: Engine, context: Path) -> None:
        before = os.lstat("/etc/os-release")
        build = engine.images.build(context, dockerfile_text=DOCKERFILE, allow="host", tag="mine")
        result = engine.containers.run("mine")
        assert result.stdout.split() == ["built", "copied", "/srv/lab-work", "as-built"]
        assert [is_host(diff_id) for diff_id in build.image.diff_ids] == [True, False, False, False]
        assert os.lstat("/etc/os-release").st_ino == before.st_ino
        assert not [path for path in MADE if os.path.lexists(path)]

    @pytest.mark.parametrize("text", ["FROM host\nRUN true", "FROM scratch\nCOPY --from=host /etc/passwd /"])
    def test_a_dockerfile_does_not_get_it_unless_that_is_allowed(self, engine: Engine, context: Path, text: str) -> None:
        with pytest.raises(DockerfileError, match=r"FROM host lets a Dockerfile read every file of this machine .*--allow host"):
            engine.images.build(context, dockerfile_text=text)
        assert engine.images.list() == []

    @pytest.mark.parametrize(("right", "error"), [("fs.read=/x", Unsupported), ("device=x", Unsupported), ("everything", InvalidArgument)])
    def test_other_rights_are_refused_by_name(self, engine: Engine, context: Path, right: str, error: type[LabError]) -> None:
        with pytest.raises(error, match=f"^--allow: .*{right}"):
            engine.images.build(context, dockerfile_text="FROM scratch\nENV A=1", allow=right)

    def test_it_is_marked_and_said_to_be_neither_portable_nor_reproducible(self, engine: Engine, context: Path) -> None:
        build = engine.images.build(context, dockerfile_text="FROM scratch AS other\nFROM host\nENV A=1", allow="host", tag="mine")
        assert [warning.rule for warning in build.warnings] == ["HostRoot"]
        assert "neither portable nor reproducible" in build.warnings[0].message
        assert build.warnings[0].place.first_line == 2
        assert build.image.labels == {host_root.LABEL: "host"}
        assert "FROM host" in str(engine.images.get("mine").history)

    def test_push_save_and_share_are_refused_by_name_and_write_nothing(self, engine: Engine, context: Path, place: Path) -> None:
        image = engine.images.build(context, dockerfile_text=DOCKERFILE, allow="host", tag="localhost:1/mine").image
        for verb, act in (
            ("push", lambda: engine.images.push("localhost:1/mine")),
            ("save", lambda: engine.images.save("localhost:1/mine")),
            ("save", lambda: engine.images.save(image.id)),
            ("image share", lambda: engine.images.share("localhost:1/mine", place / "shared")),
        ):
            with pytest.raises(
                Unsupported, match=rf"{verb}: image localhost:1/mine:latest stands on this machine's own files \(FROM host\)"
            ):
                act()
        assert not (place / "shared").exists()

    def test_steps_are_cached_until_the_machine_changes(
        self, engine: Engine, context: Path, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        status = place / "status"
        status.write_text("Package: one\n")
        monkeypatch.setattr(host_root, "_READ", (str(status),))
        monkeypatch.setattr(host_root, "_LOOKED_AT", ())
        first = engine.images.build(context, dockerfile_text=DOCKERFILE, allow="host")
        again = engine.images.build(context, dockerfile_text=DOCKERFILE, allow="host")
        assert again.image.id == first.image.id
        assert all(step.cached for step in again.steps)
        status.write_text("Package: two\n")
        other = engine.images.build(context, dockerfile_text=DOCKERFILE, allow="host")
        assert other.image.id != first.image.id
        assert [step.cached for step in other.steps if step.text.startswith(("RUN", "COPY", "WORKDIR"))] == [False, False, False]
        assert engine.containers.run(first.image).stdout == engine.containers.run(other.image).stdout

    def test_an_image_of_that_name_goes_first(self, engine: Engine, context: Path) -> None:
        own = engine.images.build(context, dockerfile_text="FROM scratch\nCOPY file /", allow="host", tag="host").image
        build = engine.images.build(context, dockerfile_text="FROM host\nCOPY file /more", allow="host")
        assert build.image.diff_ids[: len(own.diff_ids)] == own.diff_ids
        assert build.warnings == ()

    def test_files_are_copied_from_it(self, engine: Engine, context: Path) -> None:
        engine.images.build(context, dockerfile_text="FROM host\nCOPY --from=host /etc/os-release /lab-copy", allow="host", tag="copied")
        result = engine.containers.run("copied", ["cat", "/lab-copy"])
        assert result.stdout == Path("/etc/os-release").read_text()

    def test_containers_of_it_can_be_committed_kept_and_rolled_back(self, engine: Engine, context: Path, place: Path) -> None:
        engine.images.build(context, dockerfile_text="FROM host\nRUN echo one > /lab-one", allow="host", tag="mine")
        container = engine.containers.create("mine", ["sh", "-c", "echo x >> /lab-two; cat /lab-one /lab-two"])
        container.start()
        container.wait()
        container.checkpoint("first")
        committed = container.commit("more")
        container.start()
        container.wait()
        container.rollback("first", discard=True)
        container.copy_from("/lab-two", place / "out")
        assert (place / "out").read_text() == "x\n"
        assert engine.containers.run("more", ["cat", "/lab-two"]).stdout == "x\n"
        assert committed.labels == {host_root.LABEL: "host"}
        with pytest.raises(Unsupported, match="save: image more:latest"):
            engine.images.save("more")

    def test_neither_steps_nor_containers_see_the_store(self, engine: Engine, context: Path) -> None:
        root = engine.store.paths.root
        build = engine.images.build(context, dockerfile_text=f"FROM host\nRUN ls -A {root}", allow="host", tag="mine")
        assert build.steps[1].output == ""
        assert engine.containers.run("mine", ["ls", "-A", str(root)]).stdout == ""

    def test_it_verifies_and_all_of_it_goes_with_the_last_image(self, engine: Engine, context: Path) -> None:
        engine.images.build(context, dockerfile_text=DOCKERFILE, allow="host", tag="mine")
        assert engine.images.verify("mine")
        assert engine.store.verify(deep=True) == []
        engine.images.remove("mine")
        engine.prune(all=True)
        assert engine.store.records.list_layers() == []
        assert os.listdir(engine.store.paths.snapshots) == ["l"]
        assert os.path.exists("/etc/passwd")

    def test_an_image_from_elsewhere_cannot_get_the_machines_root_by_claiming_its_layer(self, engine: Engine, context: Path) -> None:
        built = engine.images.build(context, dockerfile_text="FROM host\nENV A=1", allow="host", tag="mine").image
        with pytest.raises(InvalidArgument, match="claims to stand on the root of a machine"):
            engine.images.load(io.BytesIO(pack(oci([Claiming(built.diff_ids[0])]))))
        assert [image.id for image in engine.images.list(all=True)] == [built.id]


class Claiming(FakeLayer):
    """A layer that says that it is another one."""

    def __init__(self, diff_id: str) -> None:
        good = gzipped(tar_of({"a": b"1"}))
        super().__init__(good.tar, good.stored)
        self.claimed = diff_id

    @property
    def diff_id(self) -> str:
        return self.claimed


def test_the_claim_is_refused_where_nothing_was_built_on_the_machine_too(engine: Engine) -> None:
    with pytest.raises(LabError, match="claims to stand on the root of a machine"):
        engine.images.load(io.BytesIO(pack(oci([Claiming(host_diff_id(b"guessed"))]))))


@pytest.mark.needs("ordinary user")
@pytest.mark.parametrize("text", ["FROM host\nRUN true", "FROM scratch\nCOPY --from=host /etc/passwd /"])
def test_an_ordinary_user_is_refused_and_told_what_to_do_instead(engine: Engine, context: Path, text: str) -> None:
    before = engine.store.records.list_layers()
    with pytest.raises(Unsupported, match="FROM host needs root") as caught:
        engine.images.build(context, dockerfile_text=text)
    assert "run --rootfs / COMMAND" in caught.value.hint
    assert engine.store.records.list_layers() == before


@pytest.mark.parametrize(
    ("name", "means"), [("host", True), ("host:latest", True), ("host:1", False), ("lab/host", False), ("hosts", False)]
)
def test_only_the_bare_name_means_the_machine(name: str, means: bool) -> None:
    assert host_root.is_name(name) is means
