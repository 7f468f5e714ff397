"""Ids that may be given, read from small files and invented processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from labcontainers.kernel import id_maps

EVERY_ID = "         0          0 4294967295\n"
ALL_RIGHTS, DOCKERS = "000001ffffffffff", "00000000a80425fb"


def process(folder: Path, ids: str = EVERY_ID, group_ids: str = "", rights: str = ALL_RIGHTS) -> str:
    """A folder like /proc/self."""
    (folder / "uid_map").write_text(ids)
    (folder / "gid_map").write_text(group_ids or ids)
    (folder / "status").write_text(f"Name:\tpython3\nCapPrm:\t{rights}\nCapEff:\t{rights}\n")
    return str(folder)


@pytest.mark.parametrize(
    ("euid", "ids", "rights", "is_root"),
    [
        (0, EVERY_ID, ALL_RIGHTS, True),
        (1000, EVERY_ID, "0000000000000000", False),
        (0, EVERY_ID, DOCKERS, False),
        (0, EVERY_ID, "00000000a82425fb", False),  # Docker's and SYS_ADMIN
        (0, EVERY_ID, "00000000a82435fb", True),  # and NET_ADMIN
        (0, "0 1000 1\n", ALL_RIGHTS, False),
        (0, "0 1000 1\n1 100000 65536\n", ALL_RIGHTS, False),
        (0, "", ALL_RIGHTS, False),
    ],
)
def test_root_of_the_host_has_all_ids_and_may_mount(tmp_path: Path, euid: int, ids: str, rights: str, is_root: bool) -> None:
    assert id_maps.is_root_of_host(process(tmp_path, ids, rights=rights), euid) is is_root


@pytest.mark.parametrize(
    ("ids", "group_ids", "ranges"),
    [
        (EVERY_ID, "", [(1, 65535), (1, 65535)]),
        ("0 1000 1\n1 100000 65536\n", "", [(1, 65535), (1, 65535)]),
        ("0 1000 1\n1 100000 500\n", "", [(1, 500), (1, 500)]),
        ("0 1000 1\n2 100000 500\n", "", []),
        ("0 100000 65536\n", "0 100000 1000\n", [(1, 65535), (1, 999)]),
        ("0 100000 65536\n", "0 100000 1\n", []),
        ("5 100000 65536\n", "", []),
        ("", "", []),
    ],
)
def test_root_gives_the_ids_that_its_namespace_has(tmp_path: Path, ids: str, group_ids: str, ranges: id_maps.Ranges) -> None:
    assert id_maps.ranges(proc=process(tmp_path, ids, group_ids), euid=0) == ranges


@pytest.mark.parametrize(
    ("uids", "gids", "ranges"),
    [
        ("54321:100:10\n54321:500:65536\nother:1:2\n", "54321:700:65536\n", [(500, 65536), (700, 65536)]),
        ("broken\n54321:x:65536\n54321:9\n54321:100:10\n", "54321:7:8\n", [(100, 10), (7, 8)]),
        ("54321:100:10\n", "", []),
        ("other:100:10\n", "54321:7:8\n", []),
    ],
)
def test_others_give_the_largest_range_of_each_file(tmp_path: Path, uids: str, gids: str, ranges: id_maps.Ranges) -> None:
    (tmp_path / "subuid").write_text(uids)
    (tmp_path / "subgid").write_text(gids)
    assert id_maps.ranges(str(tmp_path / "subuid"), str(tmp_path / "subgid"), euid=54321) == ranges


def test_a_missing_file_gives_none(tmp_path: Path) -> None:
    assert id_maps.ranges(str(tmp_path / "no"), str(tmp_path / "no"), euid=54321) == []
