"""The checks of lesson 7 on a made-up /proc, both ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from labcontainers.containers.state import ContainerState
from labcontainers.errors import Conflict
from labcontainers.teaching import lesson_07 as lesson
from tests.unit.teaching.made_up import PID, MadeUpContainer, MadeUpMachine

OTHER = 4712


@pytest.fixture
def place(tmp_path: Path) -> MadeUpMachine:
    return MadeUpMachine(tmp_path)


@pytest.mark.parametrize(
    ("kinds", "wanted"), [("uts", "passed"), ("uts pid", "passed"), ("uts net", "not yet"), ("", "not yet"), ("tea", "not yet")]
)
def test_separated_compares_the_links(place: MadeUpMachine, kinds: str, wanted: str) -> None:
    place.process(namespaces={"uts": "uts:[2]", "pid": "pid:[2]"})
    assert lesson.separated(PID, kinds, machine=place.machine).verdict == wanted


@pytest.mark.parametrize(("numbers", "wanted"), [("4711\t1", "passed"), ("4711\t2", "not yet"), ("4711", "not yet")])
def test_first_is_number_1_of_the_innermost_namespace(place: MadeUpMachine, numbers: str, wanted: str) -> None:
    place.process(status=f"Name:\tsh\nNSpid:\t{numbers}\n")
    assert lesson.first(PID, machine=place.machine).verdict == wanted


HOSTS = "1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 8:2 / /home rw - ext4 /dev/sdb rw\n"


@pytest.mark.parametrize(
    ("namespace", "mounts", "wanted"),
    [
        ("mnt:[2]", "9 8 0:5 / / ro - tmpfs t rw\n10 9 0:6 / /proc rw - proc p rw\n", "passed"),
        ("mnt:[2]", "9 8 0:5 / / ro - tmpfs t rw\n10 9 8:2 / /home rw - ext4 /dev/sdb rw\n", "not yet"),
        ("mnt:[1]", "9 8 0:5 / / ro - tmpfs t rw\n", "not yet"),
    ],
)
def test_root_has_none_of_the_notebooks_mounts(place: MadeUpMachine, namespace: str, mounts: str, wanted: str) -> None:
    place.process("self", mountinfo=HOSTS)
    place.process(namespaces={"mnt": namespace}, mountinfo=mounts)
    assert lesson.root(PID, machine=place.machine).verdict == wanted


@pytest.mark.parametrize(
    ("namespace", "uid_map", "wanted"),
    [
        ("user:[2]", "0 1000 1\n", "passed"),
        ("user:[2]", "", "not yet"),
        ("user:[2]", "5 1000 1\n", "not yet"),
        ("user:[1]", "0 0 99\n", "not yet"),
    ],
)
def test_mapped_reads_the_map(place: MadeUpMachine, namespace: str, uid_map: str, wanted: str) -> None:
    place.process(namespaces={"user": namespace}, uid_map=uid_map, status="Uid:\t1000\t1000\t1000\t1000\n")
    assert lesson.mapped(PID, machine=place.machine).verdict == wanted


@pytest.mark.parametrize(
    ("theirs", "wanted"),
    [
        ({"net": "net:[2]", "mnt": "mnt:[3]", "pid": "pid:[3]"}, "passed"),
        ({"net": "net:[3]", "mnt": "mnt:[3]", "pid": "pid:[3]"}, "not yet"),
        ({"net": "net:[2]", "mnt": "mnt:[3]", "pid": "pid:[2]"}, "not yet"),
    ],
)
def test_shared_is_the_network_and_nothing_else(place: MadeUpMachine, theirs: dict[str, str], wanted: str) -> None:
    place.process(namespaces={"net": "net:[2]", "mnt": "mnt:[2]", "pid": "pid:[2]"})
    place.process(OTHER, namespaces=theirs)
    other = MadeUpContainer(state=ContainerState("running", OTHER), name="other", id="d" * 64)
    assert lesson.shared(MadeUpContainer(), other, machine=place.machine).verdict == wanted


def test_shared_wants_two_that_run(place: MadeUpMachine) -> None:
    assert lesson.shared(MadeUpContainer(), MadeUpContainer(), machine=place.machine).verdict == "not yet"
    with pytest.raises(Conflict, match="exited"):
        lesson.shared(MadeUpContainer(state=ContainerState("exited")), MadeUpContainer(id="d" * 64), machine=place.machine)
