"""The checks of lesson 8 on a made-up process and made-up answers, both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labcontainers.containers.state import ContainerState
from labcontainers.errors import Conflict
from labcontainers.kernel.capabilities import mask
from labcontainers.teaching import lesson_08 as lesson
from tests.unit.teaching.made_up import MadeUpContainer, MadeUpMachine, answer


def status(capabilities: list[str], no_new_privs: int = 1, seccomp: int = 2) -> str:
    bits = f"{mask(capabilities):016x}"
    return f"CapEff:\t{bits}\nCapBnd:\t{bits}\nNoNewPrivs:\t{no_new_privs}\nSeccomp:\t{seccomp}\n"


@pytest.mark.parametrize(
    ("has", "wanted"),
    [(["NET_BIND_SERVICE"], "passed"), (["NET_BIND_SERVICE", "CHOWN"], "not yet"), (["CHOWN"], "not yet"), ([], "not yet")],
)
def test_capabilities_are_those_of_the_first_process(tmp_path: Path, has: list[str], wanted: str) -> None:
    place = MadeUpMachine(tmp_path)
    place.process(status=status(has))
    assert lesson.capabilities(MadeUpContainer(), machine=place.machine).verdict == wanted


@pytest.mark.parametrize(
    ("made", "changed", "wanted"),
    [
        (answer(0), answer(1, "chmod: /tmp/check: Operation not permitted\n"), "passed"),
        (answer(0), answer(0), "not yet"),
        (answer(1, "touch: denied"), answer(1), "not yet"),
    ],
)
def test_seccomp_is_tried(made: Any, changed: Any, wanted: str) -> None:
    assert lesson.seccomp(MadeUpContainer(answers={"chmod": changed, "touch": made})).verdict == wanted


ROOT = "9 8 0:5 / / {},relatime - overlay o rw\n"
TMP = "10 9 0:6 / /tmp {} - tmpfs t rw\n"


@pytest.mark.parametrize(
    ("mounts", "wanted"),
    [
        (ROOT.format("ro") + TMP.format("rw"), "passed"),
        (ROOT.format("ro") + TMP.format("ro"), "not yet"),
        (ROOT.format("ro"), "not yet"),
        (ROOT.format("rw") + TMP.format("rw"), "not yet"),
    ],
)
def test_read_only_is_told_by_the_mounts(tmp_path: Path, mounts: str, wanted: str) -> None:
    place = MadeUpMachine(tmp_path)
    place.process(mountinfo=mounts)
    assert lesson.read_only(MadeUpContainer(), machine=place.machine).verdict == wanted


@pytest.mark.parametrize(
    ("told", "root", "network", "names"),
    [
        (status([]), "ro", "none", ""),
        (status(["CHOWN"]), "ro", "none", "--cap-drop ALL"),
        (status([], no_new_privs=0), "ro", "none", "no-new-privileges"),
        (status([], seccomp=0), "ro", "none", "seccomp=unconfined"),
        (status([]), "rw", "none", "--read-only"),
        (status([]), "ro", "bridge", "--network none"),
    ],
)
def test_hardened_names_each_door_that_is_open(tmp_path: Path, told: str, root: str, network: str, names: str) -> None:
    place = MadeUpMachine(tmp_path)
    place.process(status=told, mountinfo=ROOT.format(root))
    outcome = lesson.hardened(MadeUpContainer(network=network), machine=place.machine)
    assert bool(outcome) is not bool(names)
    assert names in outcome.hint
    assert outcome.hint.count(";") == 0


def test_one_that_does_not_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="exited"):
        lesson.hardened(MadeUpContainer(state=ContainerState("exited")), machine=MadeUpMachine(tmp_path).machine)
