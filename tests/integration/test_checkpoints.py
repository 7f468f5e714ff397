"""Checkpoints of a container's files, the way back to them, and earlier steps of images: on the real kernel."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.containers.container import Container
from labcontainers.errors import Conflict, InvalidArgument, NotFound, Unsupported
from labcontainers.kernel import mounts
from tests.waiting import until

BASE = "lab/base"
NETWORK = {"network": "none"}


def make(engine: Engine, script: str = "true", **options: Any) -> Container:
    """A container in which the script has run."""
    container = engine.containers.create(BASE, ["sh", "-c", script], **{**NETWORK, **options})
    container.start()
    assert container.wait() == 0
    return container


def running(engine: Engine, script: str = "true") -> Container:
    container = engine.containers.create(BASE, ["sh", "-c", f"{script}; touch /tmp/ready; exec sleep 1000"], **NETWORK)
    container.start()
    until(lambda: container.exec(["test", "-e", "/tmp/ready"]).exit_code == 0, "its script is over")
    return container


def put(container: Container, path: str, text: str) -> None:
    """Write a file of the container, whether it runs or not."""
    folder, _, name = path.rpartition("/")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text.encode()))
    container.put_archive(folder or "/", data.getvalue())


def text_of(container: Container, path: str) -> str:
    stream, _ = container.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        file = archive.extractfile(archive.getmembers()[0])
        assert file is not None
        return file.read().decode()


def command(engine: Engine, *words: str, live: bool = True) -> Any:
    return execute(lambda: engine, understand(words), live=live)


def changed(container: Container) -> list[str]:
    return str(container.diff()).splitlines()


# --- taking one, and going back


def test_the_files_of_a_container_come_back_as_they_were_at_a_checkpoint(engine: Engine) -> None:
    container = make(engine, "echo one > /f; mkdir /d; echo x > /d/x")
    first = container.checkpoint("first")
    assert (first.number, first.label, first.parent, first.current) == (1, "first", 0, True)
    put(container, "/f", "two")
    put(container, "/g", "new")
    container.rollback("first")
    assert text_of(container, "/f") == "one\n"
    with pytest.raises(NotFound):
        container.get_archive("/g")
    container.rollback(0)
    with pytest.raises(NotFound):
        container.get_archive("/f")
    container.rollback(1)
    assert text_of(container, "/d/x") == "x\n"


def test_a_checkpoint_of_one_that_stands_still_moves_no_byte(engine: Engine) -> None:
    container = make(engine, "dd if=/dev/zero of=/large bs=1M count=8 2>/dev/null")
    upper = container.inspect()["GraphDriver"]["Data"]["UpperDir"]
    inode = os.stat(f"{upper}/large").st_ino
    container.checkpoint()
    data = container.inspect()["GraphDriver"]["Data"]
    assert data["LowerDir"].split(":")[0] == upper
    assert data["UpperDir"] != upper
    assert os.stat(f"{upper}/large").st_ino == inode
    assert os.listdir(data["UpperDir"]) == []


def test_what_it_had_changed_becomes_a_checkpoint_of_its_own_unless_it_is_discarded(engine: Engine) -> None:
    container = make(engine, "echo one > /f")
    container.checkpoint()
    put(container, "/f", "two")
    kept = container.rollback()
    assert kept is not None
    assert (kept.number, kept.automatic, kept.parent) == (2, True, 1)
    assert text_of(container, "/f") == "one\n"
    container.rollback(2)
    assert text_of(container, "/f") == "two"
    put(container, "/f", "three")
    assert container.rollback(2, discard=True) is None
    assert text_of(container, "/f") == "two"
    assert len(container.checkpoints) == 2
    assert container.rollback(1) is None  # nothing was changed since


def test_later_checkpoints_stay_as_a_branch(engine: Engine) -> None:
    container = make(engine, "echo 1 > /f")
    container.checkpoint("a")
    put(container, "/f", "2")
    container.checkpoint("b")
    container.rollback("a")
    put(container, "/f", "3")
    other = container.checkpoint("c")
    assert [(one.label, one.parent) for one in container.checkpoints] == [("a", 0), ("b", 1), ("c", 1)]
    assert container.checkpoints.head == other.number == 3
    for label, text in (("b", "2"), ("c", "3"), ("a", "1\n")):
        container.rollback(label)
        assert text_of(container, "/f") == text


def test_it_runs_on_a_checkpoint_and_only_adds_to_it(engine: Engine) -> None:
    container = make(engine, "echo run >> /f; rm -rf /d; mkdir /d; echo $$ > /d/$(wc -l < /f)")
    for runs in (2, 3):
        container.checkpoint()
        container.start()
        assert container.wait() == 0
        assert text_of(container, "/f") == "run\n" * runs
    container.rollback(1)
    container.start()
    assert container.wait() == 0
    assert text_of(container, "/f") == "run\n" * 2
    assert engine.verify() == []


def test_one_that_was_never_started_and_one_of_an_image_without_layers_have_checkpoints_too(engine: Engine) -> None:
    container = engine.containers.create(BASE, ["true"], **NETWORK)
    container.checkpoint("empty")
    put(container, "/f", "x")
    container.rollback("empty")
    assert changed(container) == []
    image = engine.images.build(dockerfile_text='FROM scratch\nCMD ["/x"]\n', path="/tmp").image
    bare = engine.containers.create(image, **NETWORK)
    put(bare, "/f", "1")
    bare.checkpoint()
    put(bare, "/g", "2")
    assert changed(bare) == ["A /f", "A /g"]
    bare.rollback()
    assert changed(bare) == ["A /f"]


def test_the_top_directory_keeps_mode_and_owner(engine: Engine) -> None:
    container = make(engine, "chmod 711 /; chown 33:34 / 2>/dev/null; true")
    container.checkpoint()
    container.start()
    container.wait()
    upper = container.inspect()["GraphDriver"]["Data"]["UpperDir"]
    status, first = os.stat(upper), os.stat(container.inspect()["GraphDriver"]["Data"]["LowerDir"].split(":")[0])
    assert (status.st_mode, status.st_uid, status.st_gid) == (first.st_mode, first.st_uid, first.st_gid)
    assert status.st_mode & 0o777 == 0o711


# --- a running one


def test_a_running_container_goes_on_and_its_copy_is_what_it_was(engine: Engine) -> None:
    container = running(engine, "echo one > /f; ln /f /linked")
    one = container.checkpoint("one")
    assert container.status == "running"
    assert container.exec(["sh", "-c", "echo two >> /f"]).exit_code == 0
    two = container.checkpoint("two")
    assert [(point.parent, point.base) for point in (one, two)] == [(0, 0), (1, 0)]
    container.stop(0)
    container.rollback("one", discard=True)
    assert text_of(container, "/f") == text_of(container, "/linked") == "one\n"
    container.rollback("two")
    assert text_of(container, "/linked") == "one\ntwo\n"


def test_a_running_container_is_rolled_back_only_by_force_and_runs_again(engine: Engine) -> None:
    container = running(engine, "echo $(cat /f 2>/dev/null)x > /f")
    container.checkpoint()
    container.exec(["sh", "-c", "echo lost > /g"])
    began = container.state.started_at
    with pytest.raises(Conflict, match="is running"):
        container.rollback()
    kept = container.rollback(force=True, timeout_s=0)
    assert kept is not None
    assert container.status == "running"
    assert container.state.started_at != began
    assert container.exec(["test", "-e", "/g"]).exit_code == 1
    until(lambda: container.exec(["cat", "/f"]).stdout == "xx\n", "its script has run once more")


def test_one_that_goes_at_its_end_stays_when_it_is_rolled_back_by_force(engine: Engine) -> None:
    container = engine.containers.create(BASE, ["sleep", "1000"], remove=True, **NETWORK)
    container.start()
    container.exec(["touch", "/g"])
    container.rollback(0, force=True, timeout_s=0)
    assert container.status == "running"
    assert container.exec(["test", "-e", "/g"]).exit_code == 1
    container.kill()
    until(lambda: container.id not in [other.id for other in engine.containers.list(all=True)], "it is gone")


# --- what is told


def test_a_checkpoint_tells_what_changed_since_the_one_it_lies_on(engine: Engine) -> None:
    container = make(engine, "echo one > /f; mkdir /d; echo > /d/a")
    container.checkpoint()
    put(container, "/d/b", "new")
    second = container.checkpoint("again")
    assert str(container.checkpoints[0].diff()).splitlines() == ["A /d", "A /d/a", "A /f"]
    assert container.checkpoints[0].changed_files == 3
    assert str(second.diff()).splitlines() == ["C /d", "A /d/b"]
    assert second.changed_files == 2
    assert container.checkpoints[0].size_bytes > 0


# scripts that are run one after the other, with a checkpoint after each, and what `diff` tells at the end
STEPS = (
    (("echo > /f",), ["A /f"]),
    (("echo > /f", "rm /f"), []),
    (("echo > /f", "rm /f", "mkdir /f; echo > /f/x"), ["A /f", "A /f/x"]),
    (("mkdir /d; echo > /d/a", "rm -r /d; mkdir /d; echo > /d/b", "echo > /d/c"), ["A /d", "A /d/b", "A /d/c"]),
    (("mkdir /d; echo > /d/a", "rm -r /d", "mkdir /d"), ["A /d"]),
    (("mkdir /d; echo > /d/a", "rm -r /d; echo > /d"), ["A /d"]),
    (("rm /etc/group", "echo > /etc/x"), ["C /etc", "D /etc/group", "A /etc/x"]),
    (("rm /etc/group", "echo 1 > /etc/group"), ["C /etc", "C /etc/group"]),
    (("chmod 700 /etc", "echo > /etc/x", "rm /etc/x"), ["C /etc"]),
)

# what the runtime made to mount on
STUBS = {"etc/hosts", "etc/hostname", "etc/resolv.conf", "steps"}


@pytest.mark.parametrize(("steps", "told"), STEPS, ids=lambda value: " | ".join(value) if isinstance(value, tuple) else "")
def test_diff_and_commit_see_all_that_was_changed_in_the_image_in_whatever_checkpoint_it_lies(
    engine: Engine, place: Path, steps: tuple[str, ...], told: list[str]
) -> None:
    place.chmod(0o755)
    container = engine.containers.create(BASE, ["sh", "/steps/next"], volumes=[f"{place}:/steps:ro"], **NETWORK)
    for step in steps:
        (place / "next").write_text(step)
        container.start()
        assert container.wait() == 0
        container.checkpoint()
    assert changed(container) == told
    image = container.commit()
    assert [entry.created_by for entry in image.config.history[-len(steps) - 1 : -1]] == [
        f"checkpoint {number} of {container.name}" for number in range(1, len(steps) + 1)
    ]
    copy = engine.containers.create(image, ["true"], **NETWORK)
    plain = engine.containers.create(BASE, ["true"], **NETWORK)
    listed = {name: set(names_in(other)) for name, other in (("copy", copy), ("plain", plain), ("container", container))}
    assert listed["copy"] == listed["container"] - STUBS
    named = {letter: {line[3:] for line in told if line[0] == letter} for letter in "AD"}
    assert listed["copy"] == (listed["plain"] | named["A"]) - named["D"]
    assert engine.verify() == []


def names_in(container: Container) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(container.export()))) as archive:
        return archive.getnames()


def test_sizes_count_the_checkpoints_below_and_a_checkpoint_is_measured_once(engine: Engine) -> None:
    container = make(engine, "dd if=/dev/urandom of=/large bs=1M count=2 2>/dev/null")
    own, whole = container.sizes()
    container.checkpoint()
    assert container.sizes()[0] >= own >= 2 << 20
    assert container.sizes()[1] - whole == container.sizes()[0] - own
    assert container.checkpoints[0].size_bytes >= 2 << 20
    (container._record.directory / "measured.json").write_text("damaged")
    assert container.checkpoints[0].changed_files == 1


def test_the_line_is_shown_as_text_and_as_a_drawing(engine: Engine) -> None:
    container = make(engine, "echo > /f", name="web")
    container.checkpoint("a <b>")
    container.checkpoint()
    container.rollback(0)
    lines = repr(container.checkpoints).splitlines()
    assert lines[0] == "web: 0 is the image   <- now"
    assert lines[1].split()[:4] == ["1", "a", "<b>", "after"]
    drawn = container.checkpoints._repr_html_()
    assert drawn.count("<circle") == 3
    assert "a &lt;b&gt;" in drawn
    assert repr(container.checkpoints[0]).startswith("<Checkpoint 1 'a <b>' of web")


def test_events_tell_of_both(engine: Engine) -> None:
    container = make(engine, "echo > /f")
    container.checkpoint("a")
    put(container, "/g", "x")
    container.rollback()
    told = [(event.action, event.attributes) for event in engine.events.read() if event.action in ("checkpoint", "rollback")]
    assert [action for action, _ in told] == ["checkpoint", "rollback"]
    assert (told[0][1]["checkpoint"], told[0][1]["label"]) == ("1", "a")
    assert (told[1][1]["checkpoint"], told[1][1]["kept"]) == ("1", "2")


# --- as images


def test_a_checkpoint_is_an_image_that_runs_and_the_same_each_time(engine: Engine) -> None:
    container = make(engine, "echo one > /f")
    first = container.checkpoint("first")
    put(container, "/f", "two")
    second = container.checkpoint()
    image = first.image("kept:1")
    assert image.tags == ("kept:1",)
    assert engine.containers.run("kept:1", ["cat", "/f"], remove=True, **NETWORK).stdout == "one\n"
    assert first.image() == image
    above = second.image()
    assert above.diff_ids[:-1] == image.diff_ids
    assert above.at(-1) == image
    built = engine.images.build(dockerfile_text="FROM kept:1\nRUN test $(cat /f) = one\n", path="/tmp", network="none").image
    assert built.diff_ids[: len(image.diff_ids)] == image.diff_ids
    container.remove()
    assert engine.containers.run(above, ["cat", "/f"], remove=True, **NETWORK).stdout == "two"
    assert engine.verify() == []


def test_files_of_an_image_and_of_a_checkpoint_are_the_same_files_and_neither_changes_the_other(engine: Engine) -> None:
    container = make(engine, "echo one > /f; ln /f /g")
    image = container.checkpoint().image("kept")
    container.rollback(1)
    run = engine.containers.create(image, ["sh", "-c", "echo two >> /f; cat /f /g"], **NETWORK)
    run.start()
    run.wait()
    put(container, "/g", "three")
    assert text_of(container, "/f") == "one\n"
    assert engine.containers.run(image, ["cat", "/f", "/g"], remove=True, **NETWORK).stdout == "one\none\n"
    assert container._lifecycle.store.verify(deep=True) == []


DOCKERFILE = """\
FROM lab/base
ENV A=1
RUN echo one > /f
ENV A=2
RUN echo two > /g
CMD ["cat", "/f"]
"""


def test_an_earlier_step_of_an_image_is_an_image(engine: Engine) -> None:
    image = engine.images.build(dockerfile_text=DOCKERFILE, path="/tmp", network="none").image
    below = len(image.diff_ids) - 2
    step = image.at(below + 1)
    assert step.diff_ids == image.diff_ids[: below + 1]
    assert "echo one > /f" in step.config.history[-1].created_by
    assert engine.containers.run(step, remove=True, **NETWORK).stdout == "one\n"
    assert engine.containers.run(step, ["test", "-e", "/g"], remove=True, **NETWORK).exit_code == 1
    assert step.tags == ()
    same = (image.at(-1), image.at(step.diff_ids[-1]), image.at(step.diff_ids[-1][7:19]), image.at(str(below + 1)))
    assert {other.id for other in same} == {step.id}
    assert step.tag("earlier").at(below) == image.at(below)
    assert image.at(len(image.diff_ids)) == image
    assert engine.verify() == []


def test_the_step_that_was_an_image_of_the_store_is_that_image(engine: Engine) -> None:
    base = engine.images.get(BASE)
    image = engine.images.build(dockerfile_text=DOCKERFILE, path="/tmp", network="none").image
    assert image.at(len(base.diff_ids)) == base
    assert image.at(instruction=len(base.config.history)) == base
    assert image.at(instruction=len(image.config.history)) == image
    with_variable = image.at(instruction=len(base.config.history) + 1)
    assert with_variable.diff_ids == base.diff_ids
    assert len(with_variable.config.history) == len(base.config.history) + 1


def test_a_step_that_nobody_named_goes_with_prune(engine: Engine) -> None:
    image = engine.images.build(dockerfile_text=DOCKERFILE, path="/tmp", tag="whole", network="none").image
    step = image.at(-1)
    assert step.id in engine.images.prune().deleted
    assert engine.containers.run("whole", remove=True, **NETWORK).stdout == "one\n"
    assert engine.images.get("whole").at(-1) == step


@pytest.mark.parametrize(
    ("step", "error"), [(0, NotFound), (99, NotFound), (-99, NotFound), ("zz", InvalidArgument), ("sha256:" + "0" * 64, NotFound)]
)
def test_a_step_that_is_not_there_is_told(engine: Engine, step: int | str, error: type[Exception]) -> None:
    with pytest.raises(error):
        engine.images.get(BASE).at(step)


# --- refused


@pytest.mark.parametrize("label", ["12", "-x", "a\nb", " a", "x" * 129])
def test_a_label_that_would_be_ambiguous_is_refused(engine: Engine, label: str) -> None:
    container = engine.containers.create(BASE, ["true"], **NETWORK)
    with pytest.raises(InvalidArgument, match="not a label"):
        container.checkpoint(label)
    assert len(container.checkpoints) == 0


def test_a_label_is_used_once_and_a_checkpoint_that_is_not_there_is_told(engine: Engine) -> None:
    container = engine.containers.create(BASE, ["true"], **NETWORK)
    container.checkpoint("a")
    with pytest.raises(Conflict, match="checkpoint with name a already exists"):
        container.checkpoint("a")
    for step in (7, "b"):
        with pytest.raises(NotFound, match="no such checkpoint"):
            container.rollback(step)
    container.remove()
    for verb in (container.checkpoint, container.rollback, lambda: container.checkpoints):
        with pytest.raises(NotFound, match="no such container"):
            verb()


def test_a_checkpoint_is_removed_unless_something_lies_on_it(engine: Engine) -> None:
    container = make(engine, "echo 1 > /f")
    container.checkpoint("a")
    put(container, "/f", "2")
    container.checkpoint("b")
    with pytest.raises(Conflict, match="carries the container"):
        container.checkpoints.get("b").remove()
    with pytest.raises(Conflict, match="carries checkpoint 2"):
        container.checkpoints.get("a").remove()
    container.rollback("a")
    container.checkpoints.get("b").remove()
    assert [one.label for one in container.checkpoints] == ["a"]
    assert container.checkpoint().number == 3
    assert len(list((container._record.directory / "layers").iterdir())) == 2
    container.rollback(0)
    container.checkpoints.get(3).remove()
    container.checkpoints.get("a").remove()
    assert not (container._record.directory / "upper").exists()
    assert engine.verify() == []
    container.start()
    container.wait()
    assert text_of(container, "/f") == "1\n"


@pytest.mark.parametrize(("release", "most"), [((6, 1), 60), ((6, 18), 498)])
def test_a_checkpoint_that_overlay_could_not_mount_any_more_is_refused(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, release: tuple[int, int], most: int
) -> None:
    real = mounts._release()
    monkeypatch.setattr(mounts, "_release", lambda: release)
    container = engine.containers.create(BASE, ["true"], **NETWORK)
    with contextlib.suppress(Conflict):
        for _ in range(most + 1):
            container.checkpoint()
    with pytest.raises(Conflict, match=f"as many checkpoints as this kernel takes: {len(container.checkpoints)}"):
        container.checkpoint()
    assert 0 < len(container.checkpoints) <= most
    found = container.inspect()["GraphDriver"]["Data"]
    # what is only to mount on is left out where it does not fit
    lowers = found["LowerDir"].removesuffix(f":{engine.paths.mount_points}").split(":")
    options = f"lowerdir={found['UpperDir']}:{':'.join(lowers)},upperdir={container._record.directory}/root/upper,workdir="
    assert len(lowers) == 499 if release >= (6, 8) else len(options) < 4096 < len(options) + 3 * len(lowers[0])
    if release <= real:
        container.start()
        assert container.wait() == 0
        put(container, "/f", "x")
        assert text_of(container, "/f") == "x"
        assert changed(container) == ["A /f"]


# --- as commands


def test_the_commands_take_dockers_words_too(engine: Engine) -> None:
    container = make(engine, "echo 1 > /f", name="web")
    assert command(engine, "checkpoint", "web", "a") == "a"
    put(container, "/f", "2")
    assert command(engine, "checkpoint", "create", "web", "b") == "b"
    assert command(engine, "container", "checkpoint", "web") == "3"
    rows = command(engine, "checkpoint", "ls", "web").rows
    assert [(row["CHECKPOINT"], row["NAME"], row["AFTER"]) for row in rows] == [("1", "a", "0"), ("2", "b", "1"), ("3 *", "", "2")]
    assert command(engine, "checkpoints", "-q", "web") == "1\n2\n3"
    assert command(engine, "checkpoints", "--format", "{{.Number}} {{.Name}} {{.Current}}", "web") == "1 a false\n2 b false\n3  true"
    assert command(engine, "rollback", "web", "a") == "web is at checkpoint 1 again"
    put(container, "/f", "3")
    told = command(engine, "rollback", "web", "0")
    assert told == "web is at its image again; what it had changed since checkpoint 1 is checkpoint 4"
    assert command(engine, "checkpoint", "rm", "web", "3", "b") == "3\nb"
    assert command(engine, "image", "at", "-t", "first:1", BASE, "1") == engine.images.get(BASE).id
    assert engine.images.get("first:1") == engine.images.get(BASE)
    assert command(engine, "checkpoints", "web", live=False).head == 0


@pytest.mark.parametrize(
    "words",
    [
        "checkpoint create --leave-running web a",
        "checkpoint create --checkpoint-dir /x web a",
        "checkpoint ls --checkpoint-dir /x web",
        "start --checkpoint a web",
    ],
)
def test_what_would_keep_memory_is_refused(words: str) -> None:
    with pytest.raises(Unsupported, match="not of its processes' memory"):
        understand(words.split())
