"""Which control groups a process may use, told from fabricated trees."""

from __future__ import annotations

from pathlib import Path

import pytest

from labcontainers.kernel.cgroups import detect

V1 = ("cpu", "cpuacct", "memory", "pids", "freezer", "blkio", "cpuset")
DELEGATED = "user.slice/user-1000.slice/user@1000.service"
OWN = f"{DELEGATED}/app.slice/jupyter.service"


def make_group(path: Path, controllers: str = "", enabled: str = "", procs: str = "", top: bool = False) -> None:
    path.mkdir(parents=True, exist_ok=True)
    for name, text in (("cgroup.controllers", controllers), ("cgroup.subtree_control", enabled), ("cgroup.procs", procs)):
        (path / name).write_text(text + "\n")
    if not top:
        (path / "cgroup.type").write_text("domain\n")


def make_v1(root: Path, *names: str) -> None:
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "cgroup.procs").write_text("1\n")


def membership(folder: Path, *lines: str) -> Path:
    path = folder / "membership"
    path.write_text("".join(line + "\n" for line in lines))
    return path


def test_root_uses_the_top_of_version_2(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    make_group(root, "cpuset cpu io memory hugetlb pids", procs="1\n2", top=True)
    found = detect(root, membership(tmp_path, "0::/session"), euid=0)
    assert (found.mode, found.unified, found.v1, found.reason) == ("v2", str(root), {}, "")
    assert found.controllers == ("cpu", "memory", "pids", "io", "cpuset")


def test_version_1_beside_an_empty_version_2_is_hybrid(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    make_v1(root, *V1, "devices", "systemd")
    make_group(root / "unified", "hugetlb", top=True)
    found = detect(root, membership(tmp_path, "4:memory:/x", "0::/"), euid=0)
    assert (found.mode, found.unified, found.controllers) == ("hybrid", str(root / "unified"), ())
    assert found.v1 == {name: str(root / name) for name in V1}


def test_controllers_that_only_version_2_has_are_used_there(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    make_v1(root, "cpu", "freezer")
    make_group(root / "unified", "cpu memory pids", top=True)
    found = detect(root, membership(tmp_path, "0::/"), euid=0)
    assert (tuple(found.v1), found.controllers) == (("cpu", "freezer"), ("memory", "pids"))


@pytest.mark.parametrize("links", [True, False], ids=["with links", "without links"])
def test_controllers_mounted_together_share_a_directory(tmp_path: Path, links: bool) -> None:
    root = tmp_path / "fs"
    make_v1(root, "cpu,cpuacct", "memory")
    if links:
        (root / "cpu").symlink_to("cpu,cpuacct")
        (root / "cpuacct").symlink_to("cpu,cpuacct")
    found = detect(root, membership(tmp_path), euid=0)
    assert found.mode == "v1"
    assert found.v1["cpu"] == found.v1["cpuacct"] == str(root / "cpu,cpuacct")
    group = found.create("one")
    assert len(group.directories) == 2
    assert group.remove() == ()


def test_an_ordinary_user_gets_the_nearest_delegated_group_without_processes(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    make_group(root, "cpu memory pids", top=True)
    for part in ("user.slice", "user.slice/user-1000.slice"):
        make_group(root / part, "cpu memory pids")
    make_group(root / DELEGATED, "cpu memory pids")
    make_group(root / DELEGATED / "app.slice", "memory pids")
    make_group(root / OWN, "memory pids", procs="77")
    mine = root / DELEGATED
    found = detect(root, membership(tmp_path, f"0::/{OWN}"), euid=1000, may_write=lambda path: path.is_relative_to(mine))
    assert (found.mode, found.unified, found.reason) == ("v2", str(mine / "app.slice"), "")
    assert found.controllers == ("memory", "pids")


def test_a_delegated_group_full_of_processes_is_used_without_limits_and_says_so(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    make_group(root, "cpu memory pids", procs="1\n77")
    found = detect(root, membership(tmp_path, "0::/"), euid=1000, may_write=lambda path: True)
    assert (found.mode, found.unified, found.controllers) == ("v2", str(root), ())
    assert "has processes of its own" in found.reason


def test_root_of_a_container_cannot_hand_on_what_its_own_group_uses(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    make_group(root, "cpu memory pids", enabled="pids", procs="1")
    assert detect(root, membership(tmp_path, "0::/"), euid=0).controllers == ("pids",)


@pytest.mark.parametrize(
    ("uid", "words"),
    [(1000, "no control group is delegated to this user"), (0, "no control group is delegated")],
)
def test_a_tree_that_may_not_be_written_gives_none_with_its_reason(tmp_path: Path, uid: int, words: str) -> None:
    root = tmp_path / "fs"
    make_group(root, "cpu memory pids", top=True)
    make_group(root / "session", "cpu memory pids", procs="77")
    found = detect(root, membership(tmp_path, "0::/session"), euid=uid, may_write=lambda path: False)
    assert (found.mode, found.unified) == ("none", None)
    assert words in found.reason


def test_an_ordinary_user_of_version_1_has_none(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    make_v1(root, *V1)
    found = detect(root, membership(tmp_path, "4:memory:/"), euid=1000, may_write=lambda path: False)
    assert (found.mode, found.reason) == ("none", "an ordinary user may not make control groups of version 1")


def test_an_ordinary_user_of_a_hybrid_may_have_version_2_alone(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    make_v1(root, *V1)
    make_group(root / "unified", "", top=True)
    make_group(root / "unified/user.slice", "")
    mine = root / "unified/user.slice"
    found = detect(root, membership(tmp_path, "0::/user.slice"), euid=1000, may_write=lambda path: path.is_relative_to(mine))
    assert (found.mode, found.unified, found.v1) == ("hybrid", str(mine), {})
    assert "version 1" in found.reason


def test_nothing_mounted_gives_none(tmp_path: Path) -> None:
    found = detect(tmp_path / "absent", tmp_path / "absent", euid=0)
    assert found.mode == "none"
    assert "is mounted and writable" in found.reason
    assert found.create("one").directories == ()
