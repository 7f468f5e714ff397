"""A full file system, below the store or a file of the user's: each verb says so in one line, and nothing is broken afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.errors import InvalidArgument, LabError, NoSpace
from tests.fakes.layer_source import FakeLayer, gzipped, tar_of
from tests.fakes.registry_server import RegistryServer
from tests.integration.test_pull_and_push import offer
from tests.waiting import DEADLINE_S, until

BASE = "lab/base"
pytestmark = pytest.mark.needs("root")


@pytest.fixture
def small() -> Iterator[Engine]:
    """An engine whose store lies on a small file system of its own, with the base image in it."""
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m,mode=700", "small", str(folder)], check=True)
    try:
        with Engine(root=folder / "s", run_root=folder / "r") as engine:
            engine.images.get(BASE)
            engine.containers.run(BASE, ["true"], network="none", remove=True)
            yield engine
            free(engine)
            for container in engine.containers.list(all=True):
                container.remove(force=True)
            assert engine.verify() == []
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own that has no space left, unlike the store."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "full", str(tmp_path)], check=True)
    try:
        fill_folder(tmp_path)
        yield tmp_path
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def fill(engine: Engine) -> None:
    """Take every last byte of the file system."""
    fill_folder(engine.paths.root.parent)


def fill_folder(folder: Path) -> None:
    """The same, of the one that a folder lies on."""
    with open(folder / "filler", "ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                continue


def free(engine: Engine) -> None:
    (engine.paths.root.parent / "filler").unlink(missing_ok=True)


def refusal(action: Callable[[], object]) -> LabError:
    with pytest.raises(LabError) as caught:
        action()
    return caught.value


def test_create_start_and_build_say_which_path_has_no_space_and_what_to_do(small: Engine, tmp_path: Path) -> None:
    prepared = small.containers.create(BASE, ["true"], network="none")
    before = small.containers.list(all=True)
    fill(small)
    text = "FROM lab/base\nRUN head -c 90000000 /dev/zero > /big\n"
    actions: list[Callable[[], object]] = [
        lambda: small.containers.create(BASE, ["true"], network="none"),
        lambda: small.containers.run(BASE, ["true"], network="none"),
        prepared.start,
        lambda: small.images.build(tmp_path, dockerfile_text="FROM lab/base\nRUN true\n", network="none"),
    ]
    for action in actions:
        error = refusal(action)
        assert "no space left on device" in error.message, error
        assert str(small.paths.root) in error.message
        assert "\n" not in error.message
        assert error.hint
    assert small.containers.list(all=True) == before
    free(small)
    assert small.verify() == []
    prepared.start()
    assert prepared.wait(DEADLINE_S) == 0
    assert refusal(lambda: small.images.build(tmp_path, dockerfile_text=text, network="none"))
    assert small.verify() == []


def test_every_verb_that_writes_says_so_in_one_line_and_leaves_the_store_as_it_was(small: Engine, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 3_000_000)
    runs = small.containers.run(BASE, ["sleep", "600"], detach=True, network="none", name="runs")
    ended = small.containers.create(BASE, ["touch", "/changed"], network="none", name="ended")
    ended.start().wait(DEADLINE_S)
    made = small.containers.create(BASE, ["true"], name="made", volumes=["mine:/mine"])
    before = [(container.name, container.inspect()["HostConfig"]) for container in small.containers.list(all=True)]
    fill(small)
    store = str(small.paths.root)
    actions: dict[str, tuple[Callable[[], object], str]] = {
        "rename": (lambda: made.rename("other"), store),
        "update": (lambda: made.update(cpu_shares=5), store),
        "commit": (lambda: ended.commit("new/image"), store),
        "tag": (lambda: small.images.get(BASE).tag("new/tag"), store),
        "cp into one that runs": (lambda: runs.copy_to(tmp_path / "large", "/tmp"), "/tmp of container runs"),
        "cp into one that ended": (lambda: ended.copy_to(tmp_path / "large", "/tmp"), "/tmp of container ended"),
        "cp to the host": (lambda: ended.copy_from("/bin", small.paths.root.parent / "out"), str(small.paths.root.parent / "out")),
        "volume create": (lambda: small.volumes.create("more"), store),
        "create with a volume": (lambda: small.containers.create(BASE, ["true"], volumes=["more:/more", "/nameless"]), store),
        "start in a network": (made.start, store),
    }
    for name, (action, place) in actions.items():
        error = refusal(action)
        assert error.message.startswith("no space left on device: "), (name, error)
        assert place in error.message, (name, error)
        assert error.hint
        assert small.verify() == [], name
    assert "No space left on device" in runs.exec(["dd", "if=/dev/zero", "of=/large", "bs=100k", "count=1"]).stderr
    assert runs.logs().text == ""
    free(small)
    assert [(container.name, container.inspect()["HostConfig"]) for container in small.containers.list(all=True)] == before
    assert [volume.name for volume in small.volumes.list()] == ["mine"]
    assert [image.tags for image in small.images.list()] == [("lab/base:latest",)]
    assert list(small.paths.tmp.iterdir()) == []


def test_what_is_in_the_way_can_be_removed_though_there_is_no_space(small: Engine) -> None:
    options = {"detach": True, "volumes": ["/nameless"]}
    running, removed, pruned = (small.containers.run(BASE, ["sleep", "600"], name=name, **options) for name in ("one", "two", "three"))
    fill(small)
    running.stop(0)
    removed.remove(force=True, v=True)
    pruned.kill()
    pruned.wait(DEADLINE_S)
    assert set(small.containers.prune()) == {running.id, pruned.id}
    for volume in small.volumes.list():
        volume.remove()
    assert small.containers.list(all=True) == small.volumes.list() == []
    free(small)
    assert small.verify() == []
    again = small.containers.run(BASE, ["sleep", "600"], name="one", detach=True)
    assert again.inspect()["NetworkSettings"]["IPAddress"]


def test_a_running_container_goes_on_and_what_its_log_lost_is_counted_and_told(small: Engine) -> None:
    flood = "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo 'while it is full'; done"
    script = f"echo before; read -r _ < /go; {flood}; read -r _ < /go; echo after; exit 5"
    container = small.containers.run(BASE, ["sh", "-c", f"mkfifo /go; {script}"], detach=True, network="none")
    until(lambda: container.logs().text == "before\n", "it has written")
    until(lambda: container.exec(["test", "-p", "/go"]).ok, "it waits")
    fill(small)
    assert container.exec(["sh", "-c", "echo > /go"]).ok
    until(lambda: container.state.log_lost_bytes > 0, "it has lost something")
    assert container.status == "running"
    free(small)
    assert container.exec(["sh", "-c", "echo > /go"]).ok
    assert container.wait(DEADLINE_S) == 5
    until(lambda: container.status == "exited", "its end is written down")
    text = container.logs().text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    lost = 2000 * len("while it is full\n") - text.count("while it is full\n") * len("while it is full\n")
    assert container.state.log_lost_bytes == lost
    assert any(f"{lost} bytes of output are not in the log" in warning for warning in container.warnings)
    assert container.inspect()["State"]["LogLostBytes"] == lost


def test_an_end_on_a_full_disk_is_recorded_with_its_code(small: Engine) -> None:
    container = small.containers.run(
        BASE, ["sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done"], detach=True, network="none"
    )
    until(lambda: container.logs().text == "up\n", "its trap is set")
    fill(small)
    container.stop(DEADLINE_S)
    until(lambda: container.status == "exited", "its end is written down")
    assert (container.state.exit_code, container.state.error) == (7, "")
    assert not os.path.exists(container._record.directory / "state.json.new")
    container.remove()
    assert small.containers.list(all=True) == []


def test_policies_and_pauses_work_on_a_full_disk(small: Engine) -> None:
    container = small.containers.run(BASE, ["sleep", "600"], detach=True, network="none", restart="always")
    fill(small)
    container.pause()
    assert container.status == "paused"
    container.unpause()
    pid = container.state.pid
    os.kill(pid, 9)
    until(lambda: container.state.pid not in (0, pid) or container.status == "exited", "it is restarted")
    assert (container.status, container.state.error) == ("running", "")
    container.stop(0)
    assert container.status == "exited"


def say(engine: Engine, folder: Path, words: str) -> object:
    """Carry out a command line in a folder, which is where the Dockerfile of a build is from, too."""
    return execute(lambda: engine, understand(words.split()), folder=folder, body="FROM lab/base\n" if words.startswith("build") else None)


# (a command line, the flag and the file that the error names, the containers and images that there are afterwards)
NAMED_FILES = [
    ("export -o tree.tar web", "--output", "tree.tar", ["web"], ["lab/base:latest"]),
    ("create --cidfile id -v /nameless lab/base true", "--cidfile", "id", ["web"], ["lab/base:latest"]),
    ("run --cidfile id -v /nameless --network none lab/base true", "--cidfile", "id", ["web"], ["lab/base:latest"]),
    ("run -d --rm --cidfile id -v /nameless --network none lab/base true", "--cidfile", "id", ["web"], ["lab/base:latest"]),
    ("build --iidfile id -t built", "--iidfile", "id", ["web"], ["built:latest", "lab/base:latest"]),
]


@pytest.mark.parametrize(("words", "flag", "name", "containers", "images"), NAMED_FILES, ids=[words for words, *_ in NAMED_FILES])
def test_a_file_that_a_flag_names_on_a_full_disk_is_told_by_both_and_nothing_half_made_stays(
    engine: Engine, full: Path, words: str, flag: str, name: str, containers: list[str], images: list[str]
) -> None:
    engine.containers.create(BASE, ["true"], name="web", network="none")
    error = refusal(lambda: say(engine, full, words))
    assert isinstance(error, NoSpace)
    assert error.message == f"{flag}: no space left on device: {full / name}"
    assert error.hint
    assert os.listdir(full) == ["filler"]
    assert [container.name for container in engine.containers.list(all=True)] == containers
    assert sorted(tag for image in engine.images.list() for tag in image.tags) == images
    assert engine.volumes.list() == []
    assert engine.verify() == []


@pytest.mark.parametrize("words", ["help", "version", "images", "run --rm --network none lab/base echo output"])
def test_a_full_disk_behind_standard_output_is_one_line_and_no_traceback(place: Path, words: str) -> None:
    with open("/dev/full", "wb") as sink:
        done = subprocess.run(
            [sys.executable, "-m", "labcontainers", *words.split()],
            stdout=sink,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "LABCONTAINERS_ROOT": str(place / "s")},
            timeout=DEADLINE_S,
            check=False,
        )
    assert done.stderr == "labcontainers: standard output: no space left on device\n"
    assert done.returncode == (125 if words.startswith("run") else 1)


@pytest.mark.parametrize("stored", ["as it is", "compressed"])
def test_an_image_that_does_not_fit_is_not_pulled_and_nothing_of_it_stays(
    small: Engine, stored: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    tar = tar_of({"big": os.urandom(30_000_000)}) if stored == "as it is" else tar_of({"big": bytes(100_000_000)})
    layer = FakeLayer(tar, tar) if stored == "as it is" else gzipped(tar)
    with RegistryServer() as server:
        offer(server, "tool", [layer])
        with pytest.raises(LabError) as caught:
            small.images.pull(f"{server.address}/tool")
        # what inflates to more than there is room for is refused before the room is gone
        assert isinstance(caught.value, NoSpace if stored == "as it is" else InvalidArgument)
        assert small.store.leftovers() == []
        if stored == "as it is":
            assert list(small.paths.downloads.iterdir()) == []
        fits = gzipped(tar_of({"small": b"1"}))
        offer(server, "fits", [fits])
        small.images.pull(f"{server.address}/fits")
